// conv2d and conv_transpose2d with kernels three wide that keep the size, masked or not, where a workgroup is
// one subgroup of 8 SIMD lanes of a CPU core and the source is read as it lies:
//
//   dst[n, col, y, x] =
//     act((sum over live taps and c of src[n, c, y + rise, x + reach] * w[tap, c, col] + b[col]) * gate(g) + r)
//
// with rise = kh - pad_top and reach = kw - 1 for a convolution, both negated for a transposed one. A
// workgroup makes 8 * BLOCKS pixels of 8 V columns, eight channels at a time: lane i loads channel i of
// four neighbouring pixels once for the three taps of a row of the kernel, which see them shifted by one.

#import width$width
#import sums_$sums
#import gather
#import store_planes
#expects const BLOCKS
#params

override RESIDUAL: bool = false;
override GATE: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [rows, sc, sh, sw / 4]
@group(0) @binding(2) var<storage, read> w: array<V>; // [taps, pack_src, pack_dst / V]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(4) var<storage, read> r: array<vec4<f32>>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<vec4<f32>>; // [rows, dc, dh, dw / 4]
@group(0) @binding(6) var<storage, read> g: array<vec4<f32>>; // as dst

const FOURS = 2u * BLOCKS;

// Where each four of pixels stands in its image's first channel, its row and its place in that; the one
// behind the last belongs to the next workgroup.
var<private> src_at: array<i32, FOURS + 1u>;
var<private> line_of: array<i32, FOURS + 1u>;
var<private> turn_of: array<u32, FOURS + 1u>;

// Four pixels of the lane's channel, from the row `rise` below; zeros outside of the plane.
fn four(i: u32, rise: i32, channel: i32) -> vec4<f32> {
  let inside = u32(line_of[i] + rise) < p.sh;
  let at = src_at[i] + channel + rise * i32(p.sw / 4u);
  return select(vec4<f32>(0.0), src[select(0, at, inside)], inside);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let turns = p.sw / 4u;
  let quads = p.sh * turns;
  let total = p.rows * quads;
  let blocks = (total + FOURS - 1u) / FOURS;
  let line = p.pack_dst / WIDTH;
  let index = wg.x + wg.y * grid.x;
  let column_block = div(index, blocks);
  let m0 = (index - column_block * blocks) * FOURS;
  let q0 = column_block * 8u + lane;
  // Lanes past the last column repeat it and write nothing; fours past the end repeat the last.
  let column = min(q0, line - 1u);
  for (var i = 0u; i <= FOURS; i += 1u) {
    let m = min(m0 + i, total - 1u);
    let n = div(m, quads);
    let y = div(m - n * quads, turns);
    src_at[i] = i32(n * p.sc * quads + m - n * quads);
    if (i < FOURS) { dst_at[i] = n * p.dc * quads + m - n * quads; }
    line_of[i] = i32(y);
    turn_of[i] = m - n * quads - y * turns;
  }

  // The live taps of a mask are the first of the kernel.
  let centre = (p.kh / 2u) * 3u + 1u;
  let live = select(centre + p.mask - 1u, p.kh * 3u, p.mask == 0u);
  let flip = p.transposed != 0u;
  // Workgroups past the end do nothing, in a loop without turns. Channels past the last repeat it, with
  // weights of zero.
  let end = select(0u, p.pack_src, q0 - lane < line);
  for (var kh = 0u; 3u * kh < live; kh += 1u) {
    let taps = live - 3u * kh;
    let rise = select(i32(kh) - i32(p.pad_top), i32(p.pad_top) - i32(kh), flip);
    for (var c = 0u; c < end; c += 8u) {
      let channel = i32(min(c + lane, p.sc - 1u) * quads);
      let wi = (3u * kh * p.pack_src + c) * line + column;
      let wj = wi + p.pack_src * line;
      let wk = wj + p.pack_src * line;
      let u0 = w[wi];
      let u1 = w[wi + line];
      let u2 = w[wi + 2u * line];
      let u3 = w[wi + 3u * line];
      let u4 = w[wi + 4u * line];
      let u5 = w[wi + 5u * line];
      let u6 = w[wi + 6u * line];
      let u7 = w[wi + 7u * line];
      let v0 = w[wj];
      let v1 = w[wj + line];
      let v2 = w[wj + 2u * line];
      let v3 = w[wj + 3u * line];
      let v4 = w[wj + 4u * line];
      let v5 = w[wj + 5u * line];
      let v6 = w[wj + 6u * line];
      let v7 = w[wj + 7u * line];
      let t0 = w[wk];
      let t1 = w[wk + line];
      let t2 = w[wk + 2u * line];
      let t3 = w[wk + 3u * line];
      let t4 = w[wk + 4u * line];
      let t5 = w[wk + 5u * line];
      let t6 = w[wk + 6u * line];
      let t7 = w[wk + 7u * line];
      var here = four(0u, rise, channel);
      // The pixel before a four: in the same row, or zero.
      var before = 0.0;
      if (turn_of[0] > 0u && u32(line_of[0] + rise) < p.sh) {
        before = src[src_at[0] + channel + rise * i32(turns) - 1].w;
      }
      for (var block = 0u; block < BLOCKS; block += 1u) {
        let two = four(2u * block + 1u, rise, channel);
        let beyond = four(2u * block + 2u, rise, channel);
        let turn = turn_of[2u * block];
        let next = turn_of[2u * block + 1u];
        let left = vec4<f32>(select(0.0, before, turn > 0u), here.xyz);
        let right = vec4<f32>(here.yzw, select(0.0, two.x, turn + 1u < turns));
        let left_two = vec4<f32>(select(0.0, here.w, next > 0u), two.xyz);
        let right_two = vec4<f32>(two.yzw, select(0.0, beyond.x, next + 1u < turns));
        add_lanes(block, select(left, right, flip), select(left_two, right_two, flip), u0, u1, u2, u3, u4, u5, u6, u7);
        if (taps > 1u) { add_lanes(block, here, two, v0, v1, v2, v3, v4, v5, v6, v7); }
        if (taps > 2u) {
          add_lanes(block, select(right, left, flip), select(right_two, left_two, flip), t0, t1, t2, t3, t4, t5, t6, t7);
        }
        before = two.w;
        here = beyond;
      }
    }
  }

  finish(m0, total, quads, q0, column, end > 0u);
}
