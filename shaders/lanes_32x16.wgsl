// conv2d, conv_transpose2d and matmul where a workgroup is one subgroup of 8 SIMD lanes of a CPU core:
//
//   dst[row, col, oy, ox] = act(sum over taps and c of src[row, c, iy, ix] * w[tap, c, col] + b[col] + r)
//
// A workgroup makes 32 outputs of 16 columns, an invocation 2 of the columns for all 32. Outputs of a
// workgroup mostly share their pixel and differ in the row. Loads are
// dear, whether all lanes want the same word or not: so lane i loads what outputs i, i + 8, ... need,
// and registers hand it to the other lanes. Taps that no output of the workgroup needs, by edge,
// phase or mask, are not visited. A workgroup's columns are of one colour.

@group(0) @binding(0) var<uniform> p: Gather;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc, sh, sw]
@group(0) @binding(2) var<storage, read> w: array<vec2<f32>>; // [batch, taps, groups, pack_src, groups, pack_dst / 2]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw]

fn linear(x: f32) -> f32 { return select(select(p.slope * x, 0.0, p.slope == 0.0), x, x > 0.0); }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let phases_h = select(1u, p.stride_h, p.transposed != 0u);
  let phases_w = select(1u, p.stride_w, p.transposed != 0u);
  let max_units = div(p.dh + phases_h - 1u, phases_h) * div(p.dw + phases_w - 1u, phases_w);
  let m_blocks = (p.rows * max_units + 31u) / 32u;
  let line = p.groups * p.pack_dst / 2u;
  let colour_line = p.pack_dst / 2u;
  let colour_blocks = (colour_line + 7u) / 8u;

  // Neighbouring workgroups share weights and their rows' cache lines.
  let at = wg.x + wg.y * grid.x;
  let above = div(at, m_blocks);
  let m0 = (at - above * m_blocks) * 32u;
  let higher = div(above, colour_blocks * p.groups);
  let column_block = above - higher * colour_blocks * p.groups;
  let batch = div(higher, phases_h * phases_w);
  let phase = higher - batch * phases_h * phases_w;
  let phase_h = div(phase, phases_w);
  let h = axis(phase_h, p.transposed, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase - phase_h * phases_w, p.transposed, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  // Workgroups past the end do nothing, in loops without turns: an early return would leave the rest
  // of the function under a mask.
  let m_total = select(0u, p.rows * h.units * v.units, batch < p.batch);
  let safe = min(batch, p.batch - 1u);

  let own = div(column_block, colour_blocks);
  let q0 = (column_block - own * colour_blocks) * 8u + lane;
  // Lanes past the last column repeat it and write nothing.
  let column = own * colour_line + min(q0, colour_line - 1u);
  let columns = colour_count(p.dc, own);
  let centre = (p.kh / 2u) * p.kw + p.kw / 2u;
  let see = centre_colours(own);

  // Lane i stands for outputs m0 + i + 8 j.
  let o0 = output(h, v, m0 + 0u + lane, m_total, safe);
  let o1 = output(h, v, m0 + 8u + lane, m_total, safe);
  let o2 = output(h, v, m0 + 16u + lane, m_total, safe);
  let o3 = output(h, v, m0 + 24u + lane, m_total, safe);
  let lo_h = subgroupMin(min(min(min(o0.lo_h, o1.lo_h), o2.lo_h), o3.lo_h));
  let hi_h = subgroupMax(max(max(max(o0.hi_h, o1.hi_h), o2.hi_h), o3.hi_h));
  let lo_v = subgroupMin(min(min(min(o0.lo_v, o1.lo_v), o2.lo_v), o3.lo_v));
  let hi_v = subgroupMax(max(max(max(o0.hi_v, o1.hi_v), o2.hi_v), o3.hi_v));

  var a0 = vec2<f32>();
  var a1 = vec2<f32>();
  var a2 = vec2<f32>();
  var a3 = vec2<f32>();
  var a4 = vec2<f32>();
  var a5 = vec2<f32>();
  var a6 = vec2<f32>();
  var a7 = vec2<f32>();
  var a8 = vec2<f32>();
  var a9 = vec2<f32>();
  var a10 = vec2<f32>();
  var a11 = vec2<f32>();
  var a12 = vec2<f32>();
  var a13 = vec2<f32>();
  var a14 = vec2<f32>();
  var a15 = vec2<f32>();
  var a16 = vec2<f32>();
  var a17 = vec2<f32>();
  var a18 = vec2<f32>();
  var a19 = vec2<f32>();
  var a20 = vec2<f32>();
  var a21 = vec2<f32>();
  var a22 = vec2<f32>();
  var a23 = vec2<f32>();
  var a24 = vec2<f32>();
  var a25 = vec2<f32>();
  var a26 = vec2<f32>();
  var a27 = vec2<f32>();
  var a28 = vec2<f32>();
  var a29 = vec2<f32>();
  var a30 = vec2<f32>();
  var a31 = vec2<f32>();
  for (var mh = lo_h; mh < hi_h; mh += 1u) {
    for (var mv = lo_v; mv < hi_v; mv += 1u) {
      let tap = (h.tap0 + mh * h.tap_step) * p.kw + v.tap0 + mv * v.tap_step;
      let s0 = source(o0, h, v, mh, mv);
      let s1 = source(o1, h, v, mh, mv);
      let s2 = source(o2, h, v, mh, mv);
      let s3 = source(o3, h, v, mh, mv);
      var lo = 0u;
      var hi = p.groups;
      if (p.mask != 0u && tap >= centre) {
        lo = see.lo;
        hi = select(see.lo, see.hi, tap == centre);
      }
      for (var colour = lo; colour < hi; colour += 1u) {
        var wi = (((safe * p.kh * p.kw + tap) * p.groups + colour) * p.pack_src) * line + column;
        for (var c = colour; c < p.sc; c += 4u * p.groups) {
          let c0 = c * p.src_chan;
          // Past the last channel the weights are zero; reading channel c again is as good as any.
          let c1 = select(c0, (c + 1u * p.groups) * p.src_chan, c + 1u * p.groups < p.sc);
          let c2 = select(c0, (c + 2u * p.groups) * p.src_chan, c + 2u * p.groups < p.sc);
          let c3 = select(c0, (c + 3u * p.groups) * p.src_chan, c + 3u * p.groups < p.sc);
          let w0 = w[wi];
          let w1 = w[wi + line];
          let w2 = w[wi + 2u * line];
          let w3 = w[wi + 3u * line];
          wi += 4u * line;
          let x0_0 = select(0.0, src[s0.at + c0], s0.inside);
          let x0_1 = select(0.0, src[s0.at + c1], s0.inside);
          let x0_2 = select(0.0, src[s0.at + c2], s0.inside);
          let x0_3 = select(0.0, src[s0.at + c3], s0.inside);
          let x1_0 = select(0.0, src[s1.at + c0], s1.inside);
          let x1_1 = select(0.0, src[s1.at + c1], s1.inside);
          let x1_2 = select(0.0, src[s1.at + c2], s1.inside);
          let x1_3 = select(0.0, src[s1.at + c3], s1.inside);
          let x2_0 = select(0.0, src[s2.at + c0], s2.inside);
          let x2_1 = select(0.0, src[s2.at + c1], s2.inside);
          let x2_2 = select(0.0, src[s2.at + c2], s2.inside);
          let x2_3 = select(0.0, src[s2.at + c3], s2.inside);
          let x3_0 = select(0.0, src[s3.at + c0], s3.inside);
          let x3_1 = select(0.0, src[s3.at + c1], s3.inside);
          let x3_2 = select(0.0, src[s3.at + c2], s3.inside);
          let x3_3 = select(0.0, src[s3.at + c3], s3.inside);
          a0 += subgroupBroadcast(x0_0, 0u) * w0 + subgroupBroadcast(x0_1, 0u) * w1 + subgroupBroadcast(x0_2, 0u) * w2 + subgroupBroadcast(x0_3, 0u) * w3;
          a1 += subgroupBroadcast(x0_0, 1u) * w0 + subgroupBroadcast(x0_1, 1u) * w1 + subgroupBroadcast(x0_2, 1u) * w2 + subgroupBroadcast(x0_3, 1u) * w3;
          a2 += subgroupBroadcast(x0_0, 2u) * w0 + subgroupBroadcast(x0_1, 2u) * w1 + subgroupBroadcast(x0_2, 2u) * w2 + subgroupBroadcast(x0_3, 2u) * w3;
          a3 += subgroupBroadcast(x0_0, 3u) * w0 + subgroupBroadcast(x0_1, 3u) * w1 + subgroupBroadcast(x0_2, 3u) * w2 + subgroupBroadcast(x0_3, 3u) * w3;
          a4 += subgroupBroadcast(x0_0, 4u) * w0 + subgroupBroadcast(x0_1, 4u) * w1 + subgroupBroadcast(x0_2, 4u) * w2 + subgroupBroadcast(x0_3, 4u) * w3;
          a5 += subgroupBroadcast(x0_0, 5u) * w0 + subgroupBroadcast(x0_1, 5u) * w1 + subgroupBroadcast(x0_2, 5u) * w2 + subgroupBroadcast(x0_3, 5u) * w3;
          a6 += subgroupBroadcast(x0_0, 6u) * w0 + subgroupBroadcast(x0_1, 6u) * w1 + subgroupBroadcast(x0_2, 6u) * w2 + subgroupBroadcast(x0_3, 6u) * w3;
          a7 += subgroupBroadcast(x0_0, 7u) * w0 + subgroupBroadcast(x0_1, 7u) * w1 + subgroupBroadcast(x0_2, 7u) * w2 + subgroupBroadcast(x0_3, 7u) * w3;
          a8 += subgroupBroadcast(x1_0, 0u) * w0 + subgroupBroadcast(x1_1, 0u) * w1 + subgroupBroadcast(x1_2, 0u) * w2 + subgroupBroadcast(x1_3, 0u) * w3;
          a9 += subgroupBroadcast(x1_0, 1u) * w0 + subgroupBroadcast(x1_1, 1u) * w1 + subgroupBroadcast(x1_2, 1u) * w2 + subgroupBroadcast(x1_3, 1u) * w3;
          a10 += subgroupBroadcast(x1_0, 2u) * w0 + subgroupBroadcast(x1_1, 2u) * w1 + subgroupBroadcast(x1_2, 2u) * w2 + subgroupBroadcast(x1_3, 2u) * w3;
          a11 += subgroupBroadcast(x1_0, 3u) * w0 + subgroupBroadcast(x1_1, 3u) * w1 + subgroupBroadcast(x1_2, 3u) * w2 + subgroupBroadcast(x1_3, 3u) * w3;
          a12 += subgroupBroadcast(x1_0, 4u) * w0 + subgroupBroadcast(x1_1, 4u) * w1 + subgroupBroadcast(x1_2, 4u) * w2 + subgroupBroadcast(x1_3, 4u) * w3;
          a13 += subgroupBroadcast(x1_0, 5u) * w0 + subgroupBroadcast(x1_1, 5u) * w1 + subgroupBroadcast(x1_2, 5u) * w2 + subgroupBroadcast(x1_3, 5u) * w3;
          a14 += subgroupBroadcast(x1_0, 6u) * w0 + subgroupBroadcast(x1_1, 6u) * w1 + subgroupBroadcast(x1_2, 6u) * w2 + subgroupBroadcast(x1_3, 6u) * w3;
          a15 += subgroupBroadcast(x1_0, 7u) * w0 + subgroupBroadcast(x1_1, 7u) * w1 + subgroupBroadcast(x1_2, 7u) * w2 + subgroupBroadcast(x1_3, 7u) * w3;
          a16 += subgroupBroadcast(x2_0, 0u) * w0 + subgroupBroadcast(x2_1, 0u) * w1 + subgroupBroadcast(x2_2, 0u) * w2 + subgroupBroadcast(x2_3, 0u) * w3;
          a17 += subgroupBroadcast(x2_0, 1u) * w0 + subgroupBroadcast(x2_1, 1u) * w1 + subgroupBroadcast(x2_2, 1u) * w2 + subgroupBroadcast(x2_3, 1u) * w3;
          a18 += subgroupBroadcast(x2_0, 2u) * w0 + subgroupBroadcast(x2_1, 2u) * w1 + subgroupBroadcast(x2_2, 2u) * w2 + subgroupBroadcast(x2_3, 2u) * w3;
          a19 += subgroupBroadcast(x2_0, 3u) * w0 + subgroupBroadcast(x2_1, 3u) * w1 + subgroupBroadcast(x2_2, 3u) * w2 + subgroupBroadcast(x2_3, 3u) * w3;
          a20 += subgroupBroadcast(x2_0, 4u) * w0 + subgroupBroadcast(x2_1, 4u) * w1 + subgroupBroadcast(x2_2, 4u) * w2 + subgroupBroadcast(x2_3, 4u) * w3;
          a21 += subgroupBroadcast(x2_0, 5u) * w0 + subgroupBroadcast(x2_1, 5u) * w1 + subgroupBroadcast(x2_2, 5u) * w2 + subgroupBroadcast(x2_3, 5u) * w3;
          a22 += subgroupBroadcast(x2_0, 6u) * w0 + subgroupBroadcast(x2_1, 6u) * w1 + subgroupBroadcast(x2_2, 6u) * w2 + subgroupBroadcast(x2_3, 6u) * w3;
          a23 += subgroupBroadcast(x2_0, 7u) * w0 + subgroupBroadcast(x2_1, 7u) * w1 + subgroupBroadcast(x2_2, 7u) * w2 + subgroupBroadcast(x2_3, 7u) * w3;
          a24 += subgroupBroadcast(x3_0, 0u) * w0 + subgroupBroadcast(x3_1, 0u) * w1 + subgroupBroadcast(x3_2, 0u) * w2 + subgroupBroadcast(x3_3, 0u) * w3;
          a25 += subgroupBroadcast(x3_0, 1u) * w0 + subgroupBroadcast(x3_1, 1u) * w1 + subgroupBroadcast(x3_2, 1u) * w2 + subgroupBroadcast(x3_3, 1u) * w3;
          a26 += subgroupBroadcast(x3_0, 2u) * w0 + subgroupBroadcast(x3_1, 2u) * w1 + subgroupBroadcast(x3_2, 2u) * w2 + subgroupBroadcast(x3_3, 2u) * w3;
          a27 += subgroupBroadcast(x3_0, 3u) * w0 + subgroupBroadcast(x3_1, 3u) * w1 + subgroupBroadcast(x3_2, 3u) * w2 + subgroupBroadcast(x3_3, 3u) * w3;
          a28 += subgroupBroadcast(x3_0, 4u) * w0 + subgroupBroadcast(x3_1, 4u) * w1 + subgroupBroadcast(x3_2, 4u) * w2 + subgroupBroadcast(x3_3, 4u) * w3;
          a29 += subgroupBroadcast(x3_0, 5u) * w0 + subgroupBroadcast(x3_1, 5u) * w1 + subgroupBroadcast(x3_2, 5u) * w2 + subgroupBroadcast(x3_3, 5u) * w3;
          a30 += subgroupBroadcast(x3_0, 6u) * w0 + subgroupBroadcast(x3_1, 6u) * w1 + subgroupBroadcast(x3_2, 6u) * w2 + subgroupBroadcast(x3_3, 6u) * w3;
          a31 += subgroupBroadcast(x3_0, 7u) * w0 + subgroupBroadcast(x3_1, 7u) * w1 + subgroupBroadcast(x3_2, 7u) * w2 + subgroupBroadcast(x3_3, 7u) * w3;
        }
      }
    }
  }

  var bias = vec2<f32>();
  if (p.has_bias != 0u) {
    for (var j = 0u; j < 2u; j += 1u) {
      if (q0 * 2u + j < columns) { bias[j] = b[own + p.groups * (q0 * 2u + j)]; }
    }
  }
  var acc = array<vec2<f32>, 32>(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31);
  var to = array<u32, 32>(
    subgroupBroadcast(o0.to, 0u), subgroupBroadcast(o0.to, 1u), subgroupBroadcast(o0.to, 2u), subgroupBroadcast(o0.to, 3u), subgroupBroadcast(o0.to, 4u), subgroupBroadcast(o0.to, 5u), subgroupBroadcast(o0.to, 6u), subgroupBroadcast(o0.to, 7u),
    subgroupBroadcast(o1.to, 0u), subgroupBroadcast(o1.to, 1u), subgroupBroadcast(o1.to, 2u), subgroupBroadcast(o1.to, 3u), subgroupBroadcast(o1.to, 4u), subgroupBroadcast(o1.to, 5u), subgroupBroadcast(o1.to, 6u), subgroupBroadcast(o1.to, 7u),
    subgroupBroadcast(o2.to, 0u), subgroupBroadcast(o2.to, 1u), subgroupBroadcast(o2.to, 2u), subgroupBroadcast(o2.to, 3u), subgroupBroadcast(o2.to, 4u), subgroupBroadcast(o2.to, 5u), subgroupBroadcast(o2.to, 6u), subgroupBroadcast(o2.to, 7u),
    subgroupBroadcast(o3.to, 0u), subgroupBroadcast(o3.to, 1u), subgroupBroadcast(o3.to, 2u), subgroupBroadcast(o3.to, 3u), subgroupBroadcast(o3.to, 4u), subgroupBroadcast(o3.to, 5u), subgroupBroadcast(o3.to, 6u), subgroupBroadcast(o3.to, 7u),
  );
  let filled = min(32u, m_total - min(m0, m_total));
  let column0 = (own + p.groups * q0 * 2u) * p.dst_chan;
  let apart = p.groups * p.dst_chan;
  // Two loops, because a load under a mask that is never set costs what a load costs.
  let with_residual = select(0u, filled, p.has_residual != 0u);
  for (var i = 0u; i < with_residual; i += 1u) {
    let sum = acc[i] + bias;
    let index = to[i] + column0;
    if (q0 * 2u + 0u < columns) { dst[index] = linear(sum[0] + r[index]); }
    if (q0 * 2u + 1u < columns) { dst[index + apart] = linear(sum[1] + r[index + apart]); }
  }
  for (var i = with_residual; i < filled; i += 1u) {
    let sum = acc[i] + bias;
    let value = select(select(p.slope * sum, vec2<f32>(), p.slope == 0.0), sum, sum > vec2<f32>());
    let index = to[i] + column0;
    if (q0 * 2u + 0u < columns) { dst[index] = value[0]; }
    if (q0 * 2u + 1u < columns) { dst[index + apart] = value[1]; }
  }
}
