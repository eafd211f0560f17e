// conv2d and conv_transpose2d with a kernel of one tap, where a workgroup is one subgroup of 8 SIMD lanes of
// a CPU core and the source is read as it lies:
//
//   dst[n, col, pixel] = act((sum over c of src[n, c, pixel] * w[c, col] + b[col]) * gate(g) + r)
//
// A workgroup makes 8 * BLOCKS pixels of 8 V columns, eight channels at a time: lane i loads channel i of
// four neighbouring pixels of a plane, and registers hand it to the lanes, which hold columns.

#import width$width
#import sums_$sums
#import gather
#import store_planes
#expects const BLOCKS
#params

override RESIDUAL: bool = false;
override GATE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [rows, sc, sh * sw / 4]
@group(0) @binding(2) var<storage, read> w: array<V>; // [pack_src, pack_dst / V]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(4) var<storage, read> r: array<vec4<f32>>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<vec4<f32>>; // [rows, dc, dh * dw / 4]
@group(0) @binding(6) var<storage, read> g: array<vec4<f32>>; // as dst

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let quads = p.sh * p.sw / 4u;
  let total = p.rows * quads;
  let blocks = (total + 2u * BLOCKS - 1u) / (2u * BLOCKS);
  let line = p.pack_dst / WIDTH;
  let index = wg.x + wg.y * grid.x;
  let column_block = div(index, blocks);
  let m0 = (index - column_block * blocks) * 2u * BLOCKS;
  let q0 = column_block * 8u + lane;
  // Lanes past the last column repeat it and write nothing.
  let column = min(q0, line - 1u);

  // Where each four of pixels stands in an image's first channel, of the source and of dst; fours past
  // the end repeat the last.
  var source_at: array<u32, 2u * BLOCKS>;
  for (var i = 0u; i < 2u * BLOCKS; i += 1u) {
    let m = min(m0 + i, total - 1u);
    let n = div(m, quads);
    source_at[i] = n * p.sc * quads + m - n * quads;
    dst_at[i] = n * p.dc * quads + m - n * quads;
  }

  // Workgroups past the end do nothing, in a loop without turns. Channels past the last repeat it, with
  // weights of zero.
  let end = select(0u, p.pack_src, q0 - lane < line);
  for (var c = 0u; c < end; c += 8u) {
    let channel = min(c + lane, p.sc - 1u) * quads;
    let wi = c * line + column;
    let w0 = w[wi];
    let w1 = w[wi + line];
    let w2 = w[wi + 2u * line];
    let w3 = w[wi + 3u * line];
    let w4 = w[wi + 4u * line];
    let w5 = w[wi + 5u * line];
    let w6 = w[wi + 6u * line];
    let w7 = w[wi + 7u * line];
    for (var block = 0u; block < BLOCKS; block += 1u) {
      let one = src[source_at[2u * block] + channel];
      let two = src[source_at[2u * block + 1u] + channel];
      add_lanes(block, one, two, w0, w1, w2, w3, w4, w5, w6, w7);
    }
  }

  finish(m0, total, quads, q0, column, end > 0u);
}
