// pack_last.wgsl in f16, scaled and rounded (lib/scale_f16.wgsl):
//
//   dst[batch, o, i, j] = scale * src[batch, o, i, j], 0 where there is none
//
// In front of all of it are four fours: zeros, for whoever reads outside of an image, and as the first number of the last
// of them the exponent bits of 1 / scale. `pack2` is a multiple of four.

enable f16;
#import scale_f16
#import pack_square
#params

// 1: neighbouring invocations read along i; 0: along j.
override ALONG_I: u32 = 1;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // strides s_batch, s0, s1, s2
@group(0) @binding(2) var<storage, read> peaks: array<f32>; // [PARTS]
@group(0) @binding(3) var<storage, read_write> dst: array<vec4<f16>>; // 4, and [batch, n0, pack1, pack2 / 4]

var<workgroup> peak: atomic<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let tensor = Tensor(0u, p.batch, p.n0, p.n1, p.pack1, p.n2, p.pack2, p.s_batch, p.s0, p.s1, p.s2,
    p.masked, p.colours, p.itself, p.rows_seen);
  let found = place_of(tensor, wg.x + wg.y * grid.x);
  if (!found.live) { return; }
  let at = found.place;
  if (tid == 0u) { atomicStore(&peak, 0u); }
  fill_square(tensor, at, ALONG_I == 1u, tid);
  workgroupBarrier();
  // Magnitudes are compared as integers, which have the same order.
  if (tid < PARTS / 4u) {
    let i = 4u * tid;
    atomicMax(&peak, bitcast<u32>(max(max(peaks[i], peaks[i + 1u]), max(peaks[i + 2u], peaks[i + 3u]))));
  }
  workgroupBarrier();
  let power = power_of(atomicLoad(&peak));
  let scale = bitcast<f32>(power << 23u);
  if ((at.batch + at.o + at.i0 + at.j0 == 0u) & (tid < 4u)) {
    dst[tid] = vec4(select(0.0h, f16(254u - power), tid == 3u), 0.0h, 0.0h, 0.0h);
  }
  // A four of each line.
  let i = tid / (ACROSS / 4u);
  let j = 4u * (tid % (ACROSS / 4u));
  if ((at.i0 + i < p.pack1) & (at.j0 + j < p.pack2)) {
    let place = i * LINE + j;
    let four = vec4(square[place], square[place + 1u], square[place + 2u], square[place + 3u]) * scale;
    let near = vec4(rounded(four.x), rounded(four.y), rounded(four.z), rounded(four.w));
    dst[4u + (((at.batch * p.n0 + at.o) * p.pack1 + at.i0 + i) * p.pack2 + at.j0 + j) / 4u] = vec4<f16>(near);
  }
}
