// A block of the partial sums of conv2d_weight_grad, as an implicit matrix product whose operands
// pass through workgroup memory BK terms at a time:
//
//   part[split, line, column] = sum over the split's terms of A[line, term] * B[term, column]
//
// A gathers from x, B from dy (see lib/weight_grad.wgsl). A workgroup makes BM lines by BN columns.

override A_LINE: u32 = BM + PAD;
override B_LINE: u32 = BN + PAD;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;
// 1: neighbouring invocations make neighbouring lines of one column; 0: columns of one line.
override ALONG_M: u32 = 0;

@group(0) @binding(0) var<uniform> p: WeightGrad;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, ci, h, w]
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [n, co, oh, ow]
@group(0) @binding(3) var<storage, read_write> part: array<f32>; // [splits, lines, columns]

var<workgroup> a_tile: array<Operand, A_SIZE>;
var<workgroup> b_tile: array<Operand, B_SIZE>;

// Where the lines of the block read, from the first tap of an output in channel 0.
var<workgroup> line_y: array<i32, BM>;
var<workgroup> line_x: array<i32, BM>;
var<workgroup> line_src: array<i32, BM>;

const NOWHERE: i32 = 0x20000000; // outside of every x: the y of a line that is none

struct Block {
  live: bool, first: u32, end: u32, // whether there is something to do; the terms
  line0: u32, lines: u32, own: u32, q0: u32, split: u32,
}

// The block of workgroup `index`.
fn block_at(index: u32) -> Block {
  let line_blocks = (p.lines + BM - 1u) / BM;
  let colour_blocks = (p.pack + BN - 1u) / BN;
  var at = index;
  let line0 = (at % line_blocks) * BM;
  at /= line_blocks;
  let own = (at % (colour_blocks * p.groups)) / colour_blocks;
  let q0 = (at % colour_blocks) * BN;
  let split = at / (colour_blocks * p.groups);
  let lines = line_count(own);
  let first = split * p.chunk;
  return Block(split < p.splits && line0 < lines, first, min(first + p.chunk, p.terms), line0, lines, own, q0, split);
}

// Notes the lines.
fn begin(block: Block, tid: u32) {
  for (var m = tid; m < BM; m += THREADS) {
    var y = NOWHERE;
    if (block.line0 + m < block.lines) {
      let line = line_at(block.line0 + m);
      if (line.ci < p.ci) {
        y = i32((line.tap / p.kw) * p.dilation_h);
        let x = i32((line.tap % p.kw) * p.dilation_w);
        line_x[m] = x;
        line_src[m] = i32(line.ci * p.h * p.w) + y * i32(p.w) + x;
      }
    }
    line_y[m] = y;
  }
}

// A term is found by each invocation that loads it.
fn note(block: Block, k0: u32, tid: u32) {}

// Fills both tiles with the terms from k0 on: an invocation loads one of them for some lines and
// columns. BK divides the number of invocations.
fn load(block: Block, k0: u32, tid: u32) {
  let i = tid % BK;
  let k = k0 + i;
  let inside = k < block.end;
  let plane = p.oh * p.ow;
  let n = k / plane;
  let pixel = k % plane;
  let y0 = i32((pixel / p.ow) * p.stride_h) - i32(p.pad_top);
  let x0 = i32((pixel % p.ow) * p.stride_w) - i32(p.pad_left);
  let base = i32(n * p.ci * p.h * p.w) + y0 * i32(p.w) + x0;
  for (var m = tid / BK; m < BM; m += THREADS / BK) {
    let sy = y0 + line_y[m];
    var value = 0.0;
    if (inside && sy >= 0 && sy < i32(p.h)) {
      let sx = x0 + line_x[m];
      if (sx >= 0 && sx < i32(p.w)) { value = x[u32(base + line_src[m])]; }
    }
    a_tile[i * A_LINE + m] = operand_a(value);
  }
  for (var j = tid / BK; j < BN; j += THREADS / BK) {
    let co = block.own + p.groups * (block.q0 + j);
    var value = 0.0;
    if (inside && block.q0 + j < p.pack && co < p.co) {
      value = dy[(n * p.co + co) * plane + pixel];
    }
    b_tile[i * B_LINE + j] = operand_b(value);
  }
}

// Writes the sum of a line and a column of the block, if there is such an entry.
fn finish(block: Block, m: u32, q: u32, sum: f32) {
  let line = block.line0 + m;
  if (line >= block.lines || block.q0 + q >= p.pack) { return; }
  part[(block.split * p.lines + line) * p.columns + block.own * p.pack + block.q0 + q] = unscaled(sum);
}
