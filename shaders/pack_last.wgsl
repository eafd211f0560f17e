// Copies a tensor so that what a product adds up over, or its columns, comes last, in fours:
//
//   dst[batch, o, i, j] = src[batch, o, i, j], 0 where there is none
//
// In front of all of it is a four of zeros, for whoever reads outside of an image. lib/pack_square.wgsl says what i and
// j are, and what a workgroup copies.

#import pack_words
#params

// 1: neighbouring invocations read along i; 0: along j.
override ALONG_I: u32 = 1;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // strides s_batch, s0, s1, s2
@group(0) @binding(2) var<storage, read_write> dst: array<f32>; // 4, and [batch, n0, pack1, pack2]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let tensor = Tensor(0u, p.batch, p.n0, p.n1, p.pack1, p.n2, p.pack2, p.s_batch, p.s0, p.s1, p.s2,
    p.masked, p.colours, p.itself, p.rows_seen);
  let found = place_of(tensor, wg.x + wg.y * grid.x);
  if (!found.live) { return; }
  fill_square(tensor, found.place, ALONG_I == 1u, tid);
  workgroupBarrier();
  put_square(tensor, found.place, 0u, tid);
}
