// Copies a tensor so that what a product adds up over, or its columns, comes last, in fours:
//
//   dst[batch, o, i, j] = src[batch, o, channel i, channel j], 0 where there is no such channel
//
// In front of all of it is a four of zeros, for whoever reads outside of an image. i and j run over the channels
// of either side sorted by colour, `pack1` and `pack2` to a colour: channel i is i / pack1 + groups1 * (i % pack1). A
// workgroup copies 32 x 32 of them, through workgroup memory where neighbours in src are neighbours in i.

#params

// 1: neighbouring invocations read along i; 0: along j.
override ALONG_I: u32 = 1;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // strides s_batch, s0, s1, s2
@group(0) @binding(2) var<storage, read_write> dst: array<f32>; // 4, and [batch, n0, groups1 * pack1, groups2 * pack2]

const EDGE = 32u;
const LINE = EDGE + 1u; // of other banks than the line before

var<workgroup> square: array<f32, EDGE * LINE>;

struct Place { batch: u32, o: u32, i0: u32, j0: u32 }

// The element at i, j.
fn element(at: Place, i: u32, j: u32) -> f32 {
  let c = i / p.pack1 + p.groups1 * (i % p.pack1);
  let d = j / p.pack2 + p.groups2 * (j % p.pack2);
  let inside = (i < p.groups1 * p.pack1) & (j < p.groups2 * p.pack2) & (c < p.n1) & (d < p.n2);
  let value = src[select(0u, at.batch * p.s_batch + at.o * p.s0 + c * p.s1 + d * p.s2, inside)];
  return select(0.0, value, inside);
}

fn put(at: Place, i: u32, j: u32, value: f32) {
  let lines = p.groups1 * p.pack1;
  let line = p.groups2 * p.pack2;
  if ((i < lines) & (j < line)) { dst[4u + ((at.batch * p.n0 + at.o) * lines + i) * line + j] = value; }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let across = (p.groups2 * p.pack2 + EDGE - 1u) / EDGE;
  let down = (p.groups1 * p.pack1 + EDGE - 1u) / EDGE;
  var index = wg.x + wg.y * grid.x;
  var at: Place;
  at.j0 = EDGE * (index % across);
  index /= across;
  at.i0 = EDGE * (index % down);
  index /= down;
  at.o = index % p.n0;
  at.batch = index / p.n0;
  if (at.batch >= p.batch) { return; }
  if ((at.batch + at.o + at.i0 + at.j0 == 0u) & (tid < 4u)) { dst[tid] = 0.0; }
  let a = tid % EDGE;
  if (ALONG_I == 1u) {
    for (var b = tid / EDGE; b < EDGE; b += 256u / EDGE) { square[b * LINE + a] = element(at, at.i0 + a, at.j0 + b); }
    workgroupBarrier();
    for (var b = tid / EDGE; b < EDGE; b += 256u / EDGE) { put(at, at.i0 + b, at.j0 + a, square[a * LINE + b]); }
  } else {
    for (var b = tid / EDGE; b < EDGE; b += 256u / EDGE) {
      put(at, at.i0 + b, at.j0 + a, element(at, at.i0 + b, at.j0 + a));
    }
  }
}
