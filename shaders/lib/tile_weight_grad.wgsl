// A block of the partial sums of conv2d_weight_grad, as an implicit matrix product whose operands
// pass through workgroup memory BK terms at a time:
//
//   part[split, line, column] = sum over the split's terms of A[line, term] * B[term, column]
//
// A gathers from x, B from dy (see lib/weight_grad.wgsl). A workgroup makes BM lines by BN columns. With
// DIRECT, where there is one split and no mask, the sums are dw's entries and are written as such.

#import weight_grad
#expects const BM
#expects const PAD
#expects const BN
#expects const BK
#expects type Operand
#expects const THREADS
#expects fn operand_a(value: f32) -> f32
#expects fn operand_b(value: f32) -> f32
#expects fn unscaled_b(sum: f32) -> f32
#expects fn unscaled(sum: f32) -> f32
#params

override A_LINE: u32 = BM + PAD;
override B_LINE: u32 = BN + PAD;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;
// 1: neighbouring invocations make neighbouring lines of one column; 0: columns of one line.
override ALONG_M: u32 = 0;
override DIRECT: u32 = 0;
// 1: there is a bias.
override BIAS: u32 = 0;

// The binding of the peaks, where operands are in f16.
const PEAKS = 4u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, ci, h, w]
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [n, co, oh, ow], or [n, oh, ow, co]
@group(0) @binding(3) var<storage, read_write> part: array<f32>; // [splits, lines, columns] and [splits, columns], or dw [co, ci, kh, kw]

var<workgroup> a_tile: array<Operand, A_SIZE>;
var<workgroup> b_tile: array<Operand, B_SIZE>;

// Where the lines of the block read, from the first tap of an output in channel 0: y, x, index.
var<workgroup> line_from: array<vec4<i32>, BM>;

var<private> bias_sum: f32; // of this invocation's column

const NOWHERE: i32 = 0x20000000; // outside of every x: the y of a line that is none

struct Block {
  live: bool, first: u32, end: u32, // whether there is something to do; the terms
  line0: u32, lines: u32, own: u32, q0: u32, split: u32,
}

// The block of workgroup `index`.
fn block_at(index: u32) -> Block {
  let line_blocks = max(1u, (p.lines + BM - 1u) / BM);
  let colour_blocks = (p.pack + BN - 1u) / BN;
  var at = index;
  let line0 = (at % line_blocks) * BM;
  at /= line_blocks;
  let own = (at % (colour_blocks * p.groups)) / colour_blocks;
  let q0 = (at % colour_blocks) * BN;
  let split = at / (colour_blocks * p.groups);
  let lines = line_count(own);
  let first = split * p.chunk;
  // Where a mask leaves a column no line, the gradient of its bias is still to be made.
  let live = (split < p.splits) & ((line0 < lines) | ((BIAS == 1u) & (line0 == 0u)));
  return Block(live, first, min(first + p.chunk, p.terms), line0, lines, own, q0, split);
}

// Notes the lines.
fn begin(block: Block, tid: u32) {
  bias_sum = 0.0;
  for (var m = tid; m < BM; m += THREADS) {
    let line = line_at(block.line0 + m);
    let y = i32((line.tap / p.kw) * p.dilation_h);
    let x = i32((line.tap % p.kw) * p.dilation_w);
    let inside = (block.line0 + m < block.lines) & (line.ci < p.ci);
    line_from[m] = vec4(select(NOWHERE, y, inside), x, i32(line.ci * p.h * p.w) + y * i32(p.w) + x, 0);
  }
}

// A term is found by each invocation that loads it.
fn note(block: Block, k0: u32, tid: u32) {}

// Fills both tiles with the terms from k0 on: an invocation loads one of them for some lines and
// columns. BK divides the number of invocations. Nothing branches: what is outside is read at 0 and left out.
fn load(block: Block, k0: u32, tid: u32) {
  let i = tid % BK;
  let k = k0 + i;
  let plane = p.oh * p.ow;
  let n = k / plane;
  let pixel = k % plane;
  let far = select(NOWHERE, 0, k < block.end);
  let y0 = i32((pixel / p.ow) * p.stride_h) - i32(p.pad_top) + far;
  let x0 = i32((pixel % p.ow) * p.stride_w) - i32(p.pad_left);
  let base = i32(n * p.ci * p.h * p.w) + y0 * i32(p.w) + x0;
  for (var m = tid / BK; m < BM; m += THREADS / BK) {
    let there = line_from[m];
    let inside = (u32(y0 + there.x) < p.h) & (u32(x0 + there.y) < p.w);
    let value = x[select(0u, u32(base + there.z), inside)];
    a_tile[i * A_LINE + m] = operand_a(select(0.0, value, inside));
  }
  // Columns of a colour stand so far apart.
  let step = p.groups * p.y_chan;
  let column0 = n * p.co * plane + pixel * p.y_pixel + block.own * p.y_chan + block.q0 * step;
  let columns = select(0u, (p.co + p.groups - 1u - block.own) / p.groups - block.q0, far == 0);
  for (var j = tid / BK; j < BN; j += THREADS / BK) {
    let inside = j < columns;
    let value = dy[select(0u, column0 + j * step, inside)];
    b_tile[i * B_LINE + j] = operand_b(select(0.0, value, inside));
  }
}

// The gradient of the bias, the sum of dy: the workgroups of the first lines add up what they have of each
// column, an invocation to a column. There are at least as many. Its partial sums stand behind the others.
fn attend(block: Block, tid: u32) {
  if ((BIAS == 1u) & (block.line0 == 0u) & (tid < BN)) {
    for (var i = 0u; i < BK; i += 1u) { bias_sum += f32(b_tile[i * B_LINE + tid]); }
  }
}

fn conclude(block: Block, tid: u32) {
  if ((BIAS == 1u) & (block.line0 == 0u) & (tid < BN) & (block.q0 + tid < p.pack)) {
    let at = (p.splits * p.lines + block.split) * p.columns + block.own * p.pack + block.q0 + tid;
    part[at] = unscaled_b(bias_sum);
  }
}

// A line of the block: whether it is one, and where its entry of column 0 stands.
struct Row { live: bool, at: u32 }

fn row_at(block: Block, m: u32) -> Row {
  let index = block.line0 + m;
  let line = line_at(index);
  let entry = line.ci * p.kh * p.kw + line.tap;
  let partial = (block.split * p.lines + index) * p.columns + block.own * p.pack;
  return Row((index < block.lines) & (line.ci < p.ci), select(partial, entry, DIRECT == 1u));
}

// A column of the block: whether it is one, and how far it is from column 0.
struct Column { live: bool, at: u32 }

fn column_at(block: Block, q: u32) -> Column {
  let column = block.q0 + q;
  return Column(column < p.pack, column * select(1u, p.ci * p.kh * p.kw, DIRECT == 1u));
}

// Writes the sum of a line and a column, if there is such an entry.
fn finish(row: Row, column: Column, sum: f32) {
  if (row.live & column.live) { part[row.at + column.at] = unscaled(sum); }
}
