// Copies a tensor so that what a product adds up over, or its columns, comes last, in fours:
//
//   dst[batch, o, i, j] = src[batch, o, i, j], 0 where there is none
//
// In front of all of it is a four of zeros, for whoever reads outside of an image. lib/pack_square.wgsl says what i and
// j are, and what a workgroup copies.

#import pack_square
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // strides s_batch, s0, s1, s2
@group(0) @binding(2) var<storage, read_write> dst: array<f32>; // 4, and [batch, n0, pack1, pack2]

fn put(at: Place, i: u32, j: u32, value: f32) {
  if ((i < p.pack1) & (j < p.pack2)) { dst[4u + ((at.batch * p.n0 + at.o) * p.pack1 + i) * p.pack2 + j] = value; }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let found = place_of(wg.x + wg.y * grid.x);
  if (!found.live) { return; }
  let at = found.place;
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
