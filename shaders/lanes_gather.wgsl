// conv2d, conv_transpose2d and matmul where a workgroup is one subgroup of 8 SIMD lanes of a CPU core:
//
//   dst[row, col, oy, ox] = act(sum over taps and c of src[row, iy, ix, c] * w[tap, c, col] + b[col] + r)
//
// A workgroup makes 8 * BLOCKS outputs of 8 V columns. A load costs several times a multiplication and
// costs less per word in fours: so lane i loads four channels of output 8 block + i, and registers hand
// them to the lanes, which hold columns. `src` has its channels innermost and zeros around its planes, so
// that no load asks where it is. Taps that no output of the workgroup needs, by edge, phase or mask, are
// not visited. A workgroup's columns are of one colour.

#import width$width
#import sums_$sums
#import nan
#import gather
#import gather_lanes
#expects const BLOCKS
#params

override RESIDUAL: bool = false;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [batch, rows, full_h, full_w, quads]
@group(0) @binding(2) var<storage, read> w: array<V>; // [batch, taps, 4 * quads, groups, pack_dst / V]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<f32>; // [batch, rows, dc, dh, dw]

// Where a lane's columns stand in dst, how many of them there are, and their bias.
struct Columns { at: u32, apart: u32, count: u32, bias: V }

fn store(live: bool, to: u32, sum: V, c: Columns) {
  let at = to + c.at;
  for (var j = 0u; j < WIDTH; j += 1u) {
    if (live && j < c.count) {
      var value = word(sum + c.bias, j);
      if (RESIDUAL) { value += r[at + j * c.apart]; }
      let less = select(p.epilogue_act_slope * value, 0.0, p.epilogue_act_slope == 0.0);
      dst[at + j * c.apart] = unless_nan(select(less, value, value > 0.0), value);
    }
  }
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let phases_h = select(1u, p.stride_h, p.transposed != 0u);
  let phases_w = select(1u, p.stride_w, p.transposed != 0u);
  let max_units = div(p.dh + phases_h - 1u, phases_h) * div(p.dw + phases_w - 1u, phases_w);
  let m_blocks = (p.rows * max_units + 8u * BLOCKS - 1u) / (8u * BLOCKS);
  let line = p.groups * p.pack_dst / WIDTH;
  let colour_line = p.pack_dst / WIDTH;
  let colour_blocks = (colour_line + 7u) / 8u;

  // Neighbouring workgroups share weights and their rows' cache lines.
  let index = wg.x + wg.y * grid.x;
  let above = div(index, m_blocks);
  let m0 = (index - above * m_blocks) * 8u * BLOCKS;
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

  var at: array<u32, BLOCKS>;
  var to: array<u32, BLOCKS>;
  var lo = vec2<u32>(h.taps, v.taps);
  var hi = vec2<u32>(0u);
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let o = output(h, v, m0 + 8u * block + lane, m_total, safe);
    at[block] = o.base + (u32(o.y + i32(p.ring_top)) * p.full_w + u32(o.x + i32(p.ring_left))) * p.quads;
    to[block] = o.to;
    lo = min(lo, vec2<u32>(o.lo_h, o.lo_v));
    hi = max(hi, vec2<u32>(o.hi_h, o.hi_v));
  }
  let lo_h = subgroupMin(lo.x);
  let hi_h = subgroupMax(hi.x);
  let lo_v = subgroupMin(lo.y);
  let hi_v = subgroupMax(hi.y);

  let colour_quads = p.pack_src / 4u;
  for (var mh = lo_h; mh < hi_h; mh += 1u) {
    for (var mv = lo_v; mv < hi_v; mv += 1u) {
      let tap = (h.tap0 + mh * h.tap_step) * p.kw + v.tap0 + mv * v.tap_step;
      let shift = u32(h.src_m * i32(mh * p.full_w) + v.src_m * i32(mv)) * p.quads;
      var first = 0u;
      var end = p.quads;
      if (p.mask != 0u && tap >= centre) {
        first = see.lo * colour_quads;
        end = select(first, see.hi * colour_quads, tap == centre);
      }
      var wi = ((safe * p.kh * p.kw + tap) * p.quads + first) * 4u * line + column;
      for (var q = first; q < end; q += 1u) {
        let w0 = w[wi];
        let w1 = w[wi + line];
        let w2 = w[wi + 2u * line];
        let w3 = w[wi + 3u * line];
        wi += 4u * line;
        for (var block = 0u; block < BLOCKS; block += 1u) {
          let x = src[at[block] + shift + q];
          add(block, x.x, x.y, x.z, x.w, w0, w1, w2, w3);
        }
      }
    }
  }

  var c = Columns((own + p.groups * q0 * WIDTH) * p.dst_chan, p.groups * p.dst_chan, 0u, V(0.0));
  c.count = columns - min(columns, q0 * WIDTH);
  if (p.epilogue_bias != 0u) {
    for (var j = 0u; j < WIDTH; j += 1u) {
      if (j < c.count) { c.bias = with_word(c.bias, j, b[own + p.groups * (q0 * WIDTH + j)]); }
    }
  }
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let m = m0 + 8u * block;
    store(m < m_total, subgroupBroadcast(to[block], 0u), row_sum(block, 0u), c);
    store(m + 1u < m_total, subgroupBroadcast(to[block], 1u), row_sum(block, 1u), c);
    store(m + 2u < m_total, subgroupBroadcast(to[block], 2u), row_sum(block, 2u), c);
    store(m + 3u < m_total, subgroupBroadcast(to[block], 3u), row_sum(block, 3u), c);
    store(m + 4u < m_total, subgroupBroadcast(to[block], 4u), row_sum(block, 4u), c);
    store(m + 5u < m_total, subgroupBroadcast(to[block], 5u), row_sum(block, 5u), c);
    store(m + 6u < m_total, subgroupBroadcast(to[block], 6u), row_sum(block, 6u), c);
    store(m + 7u < m_total, subgroupBroadcast(to[block], 7u), row_sum(block, 7u), c);
  }
}
