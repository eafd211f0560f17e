// What the product kernels that gather (lib/gather.wgsl) share: which block of outputs a workgroup makes, and what
// becomes of a finished sum. A workgroup makes BM outputs, or lines, of BN columns:
//
//   dst[m, col] = act((sum over k of A[m, k] * B[k, col] + b[col]) * gate(g[m, col]) + r[m, col])
//
// m runs over the outputs of one phase (row, uy, ux). Columns of a workgroup are of one colour, so that the centre tap of a
// mask has one set of live channels. Where there are few blocks the terms are split: each split makes sums of its own,
// without an epilogue, and gather_reduce.wgsl adds them up.

#import nan
#import activate
#import gather
#expects const BM
#expects const BN
#expects type Terms
#expects fn terms(h: Axis, v: Axis, own: u32) -> Terms
#expects fn unscaled(sum: f32) -> f32
#expects var p
#expects var b
#expects var r
#expects var g
#expects var dst

// The epilogue: the code of the activation, and 1 where there is a bias, a gate, a residual.
override ACT: u32 = 0;
override BIAS: u32 = 0;
override GATE: u32 = 0;
override RESIDUAL: u32 = 0;

const NOWHERE: i32 = 0x20000000; // outside of every source: the y of a term or line past the last

// A tap of a phase, as an index among all taps of the kernel.
fn raster(h: Axis, v: Axis, t: u32) -> u32 {
  return (h.tap0 + (t / v.taps) * h.tap_step) * p.kw + v.tap0 + (t % v.taps) * v.tap_step;
}

struct Block {
  live: bool, first: u32, end: u32, // whether there is something to do; the terms
  h: Axis, v: Axis, units: u32, all: Terms,
  batch: u32, split: u32, phase: u32, m0: u32, m_total: u32, own: u32, q0: u32, columns: u32,
}

// The block of workgroup `index`. Neighbouring workgroups share their rows of A.
fn block_at(index: u32) -> Block {
  let phases_h = select(1u, p.stride_h, p.transposed != 0u);
  let phases_w = select(1u, p.stride_w, p.transposed != 0u);
  let max_units = ((p.dh + phases_h - 1u) / phases_h) * ((p.dw + phases_w - 1u) / phases_w);
  let m_blocks = (p.rows * max_units + BM - 1u) / BM;
  let colour_blocks = (p.pack_dst + BN - 1u) / BN;

  var at = index;
  let column_block = at % (colour_blocks * p.groups);
  at /= colour_blocks * p.groups;
  let m_block = at % m_blocks;
  at /= m_blocks;
  let phase = at % (phases_h * phases_w);
  at /= phases_h * phases_w;
  let batch = at % p.batch;
  let split = at / p.batch;

  let h = axis(phase / phases_w, p.transposed, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase % phases_w, p.transposed, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  let units = h.units * v.units;
  let own = column_block / colour_blocks;
  let m_total = p.rows * units;
  let m0 = m_block * BM;
  let all = terms(h, v, own);
  let live = (split < p.splits) & (m0 < m_total);
  let first = split * p.chunk;
  let end = min(first + p.chunk, all.total);
  let q0 = (column_block % colour_blocks) * BN;
  return Block(live, first, end, h, v, units, all, batch, split, phase, m0, m_total, own, q0, colour_count(p.dc, own));
}

// A line of the block: whether there is such an output, and where it stands in column 0.
struct Row { live: bool, at: u32 }

fn row_at(block: Block, line: u32) -> Row {
  let m = block.m0 + line;
  let u = m % block.units;
  let oy = block.h.dst0 + block.h.dst_step * (u / block.v.units);
  let ox = block.v.dst0 + block.v.dst_step * (u % block.v.units);
  let row = block.split * p.part + block.batch * p.dst_batch + (m / block.units) * p.dst_row;
  return Row(m < block.m_total, row + (oy * p.dw + ox) * p.dst_pixel);
}

// A column of the block: whether there is such a channel, how far it is from column 0, and its bias.
struct Column { live: bool, at: u32, bias: f32 }

fn column_at(block: Block, q: u32) -> Column {
  let live = block.q0 + q < block.columns;
  let col = block.own + p.groups * (block.q0 + q);
  var bias = 0.0;
  if (BIAS == 1u) { bias = b[select(0u, col / p.bias_plane, live)]; }
  return Column(live, col * p.dst_chan, bias);
}

// Writes what comes of the sum of a line and a column, if there is such an output.
fn finish(row: Row, column: Column, sum: f32) {
  if (row.live & column.live) {
    let index = row.at + column.at;
    var value = unscaled(sum);
    if (BIAS == 1u) { value += column.bias; }
    if (GATE == 1u) { value *= gate_of(g[index], p.epilogue_gate_slope); }
    if (RESIDUAL == 1u) { value += r[index]; }
    dst[index] = activate(ACT, p.epilogue_act_slope, value);
  }
}
