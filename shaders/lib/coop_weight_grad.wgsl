// A block of the partial sums of conv2d_weight_grad for matrix units (coop.wgsl), whose operands are packed in f16 with
// their channels last (pack_last_f16.wgsl):
//
//   part[split, line, column] = sum over the split's terms of A[line, term] * B[term, column]
//
// as lib/weight_grad.wgsl has them, with one colour. Eight lines are eight channels of x at one tap. An invocation loads them at four
// terms, and lays each line's terms side by side. With DIRECT, where there is one split and no mask, the sums
// are dw's entries and are written as such.

enable f16;
#import weight_grad
#import last_terms
#expects const BM
#expects const BN
#expects const BK
#expects const THREADS
#expects const A_LINE
#expects const B_LINE
#expects var a_tile
#expects var b_tile
#params

const WIDE = 8u;
const STEP = BK;
// Eights in front of an operand, the first of them zeros; the exponent bits of what undoes its scale are in the second.
const FRONT = 2;
// 1: neighbouring invocations make neighbouring lines of one column; 0: columns of one line.
override ALONG_M: u32 = 0;
override DIRECT: u32 = 0;
// Blocks of eight lines, or columns, and four terms, and how many an invocation loads.
const FOURS = BK / 4u;
override A_BLOCKS: u32 = BM / 8u * FOURS;
override A_LOADS: u32 = (A_BLOCKS + THREADS - 1u) / THREADS;
override B_BLOCKS: u32 = BN / 8u * FOURS;
override B_LOADS: u32 = (B_BLOCKS + THREADS - 1u) / THREADS;
// 1: there is a bias.
override BIAS: u32 = 0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>; // 4, [n, h, w, channels / 4]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f16>>; // 4, [n, oh, ow, columns / 4]
@group(0) @binding(3) var<storage, read_write> part: array<f32>; // [splits, lines, columns] and [splits, columns], or dw [co, ci, kh, kw]

// Where eight lines read: y, x and index in x, in eights, from a term's first tap.
var<workgroup> line_from: array<vec4<i32>, BM>;
// Where the sums of a line go in column 0, or that there are none.
var<workgroup> line_to: array<u32, BM>;

const NONE = 0xffffffffu;

var<private> inverse: vec2<f32>; // of the powers that x and dy are scaled by
var<private> bias_sum: f32; // of this invocation's column

struct Block {
  live: bool, first: u32, end: u32, // whether there is something to do; the terms
  line0: u32, lines: u32, q0: u32, split: u32,
}

// The block of workgroup `index`.
fn block_at(index: u32) -> Block {
  let line_blocks = max(1u, (p.lines + BM - 1u) / BM);
  let column_blocks = (p.pack + BN - 1u) / BN;
  var at = index;
  let line0 = (at % line_blocks) * BM;
  at /= line_blocks;
  let q0 = (at % column_blocks) * BN;
  let split = at / column_blocks;
  let lines = line_count(0u);
  let first = split * p.chunk;
  // Where a mask leaves a column no line, the gradient of its bias is still to be made.
  let live = (split < p.splits) & ((line0 < lines) | ((BIAS == 1u) & (line0 == 0u)));
  return Block(live, first, min(first + p.chunk, p.terms), line0, lines, q0, split);
}

fn steps_of(block: Block) -> Steps { return steps(); }

// Notes the lines.
fn begin(block: Block, tid: u32) {
  inverse = bitcast<vec2<f32>>(vec2(u32(x[3].x), u32(dy[3].x)) << vec2(23u));
  bias_sum = 0.0;
  for (var m = tid; m < BM; m += THREADS) {
    let index = block.line0 + m;
    let line = line_at(index);
    let inside = (index < block.lines) & (line.ci < p.ci);
    let partial = (block.split * p.lines + index) * p.columns;
    let entry = line.ci * p.kh * p.kw + line.tap;
    line_to[m] = select(NONE, select(partial, entry, DIRECT == 1u), inside);
  }
  for (var eight = tid; eight < BM / 8u; eight += THREADS) {
    let index = block.line0 + 8u * eight;
    let tap = index / p.channels;
    let tap_y = tap / p.kw;
    let across = i32((tap - tap_y * p.kw) * p.dilation_w);
    let down = select(NOWHERE, i32(tap_y * p.dilation_h), index < block.lines);
    let pixel = i32(tap_y * p.dilation_h * p.w) + across;
    let from_x = pixel * i32(p.channels / 8u) + i32((index - tap * p.channels) / 8u) + FRONT;
    line_from[eight] = vec4(down, across, from_x, 0);
  }
}

fn note_terms(block: Block, step: Steps, k0: u32, tid: u32) { note(step, k0, block.end, tid); }

// Where eight lines, from index `from` in x on, stand at a noted term, in fours; zeros where that is outside.
fn place_in_x(k: u32, line: vec4<i32>) -> u32 {
  let t = term_at[k];
  let inside = (u32(t.x + line.x) < p.h) & (u32(t.y + line.y) < p.w);
  return 2u * select(0u, u32(t.z + line.z), inside);
}

fn place_in_dy(k: u32, column: u32, there: bool) -> u32 {
  let t = term_at[k];
  return 2u * select(0u, u32(t.w) + column, (t.x < NOWHERE) & there);
}

fn put_a(at: u32, terms: vec4<f16>) {
  a_tile[at] = terms.x;
  a_tile[at + 1u] = terms.y;
  a_tile[at + 2u] = terms.z;
  a_tile[at + 3u] = terms.w;
}

fn put_b(at: u32, terms: vec4<f16>) {
  b_tile[at] = terms.x;
  b_tile[at + 1u] = terms.y;
  b_tile[at + 2u] = terms.z;
  b_tile[at + 3u] = terms.w;
}

// Lays the terms k to k + 3 of eight lines side by side.
fn load_lines(eight: u32, k: u32) {
  let line = line_from[eight];
  let at0 = place_in_x(k, line);
  let at1 = place_in_x(k + 1u, line);
  let at2 = place_in_x(k + 2u, line);
  let at3 = place_in_x(k + 3u, line);
  for (var half = 0u; half < 2u; half += 1u) {
    let q = x[at0 + half];
    let r = x[at1 + half];
    let s = x[at2 + half];
    let t = x[at3 + half];
    let to = (8u * eight + 4u * half) * A_LINE + k;
    put_a(to, vec4(q.x, r.x, s.x, t.x));
    put_a(to + A_LINE, vec4(q.y, r.y, s.y, t.y));
    put_a(to + 2u * A_LINE, vec4(q.z, r.z, s.z, t.z));
    put_a(to + 3u * A_LINE, vec4(q.w, r.w, s.w, t.w));
  }
}

// The same of eight columns.
fn load_columns(block: Block, eight: u32, k: u32) {
  let there = block.q0 + 8u * eight < p.pack;
  let column = block.q0 / 8u + eight + u32(FRONT);
  let at0 = place_in_dy(k, column, there);
  let at1 = place_in_dy(k + 1u, column, there);
  let at2 = place_in_dy(k + 2u, column, there);
  let at3 = place_in_dy(k + 3u, column, there);
  for (var half = 0u; half < 2u; half += 1u) {
    let q = dy[at0 + half];
    let r = dy[at1 + half];
    let s = dy[at2 + half];
    let t = dy[at3 + half];
    let to = (8u * eight + 4u * half) * B_LINE + k;
    put_b(to, vec4(q.x, r.x, s.x, t.x));
    put_b(to + B_LINE, vec4(q.y, r.y, s.y, t.y));
    put_b(to + 2u * B_LINE, vec4(q.z, r.z, s.z, t.z));
    put_b(to + 3u * B_LINE, vec4(q.w, r.w, s.w, t.w));
  }
}

// Fills both tiles with the noted terms. What is outside is read where zeros are. Only where there are fewer blocks
// than invocations does one of them ask whether there is a block for it.
fn load(block: Block, tid: u32) {
  for (var i = 0u; i < A_LOADS; i += 1u) {
    let e = tid + i * THREADS;
    if ((A_BLOCKS % THREADS == 0u) | (e < A_BLOCKS)) { load_lines(e / FOURS, 4u * (e % FOURS)); }
  }
  for (var i = 0u; i < B_LOADS; i += 1u) {
    let e = tid + i * THREADS;
    if ((B_BLOCKS % THREADS == 0u) | (e < B_BLOCKS)) { load_columns(block, e / FOURS, 4u * (e % FOURS)); }
  }
}

// The gradient of the bias, the sum of dy: the workgroups of the first lines add up what they have of each
// column, an invocation to a column. Its partial sums stand behind the others.
fn attend(block: Block, tid: u32) {
  if ((BIAS == 1u) & (block.line0 == 0u) & (tid < BN)) {
    for (var i = 0u; i < BK; i += 1u) { bias_sum += f32(b_tile[tid * B_LINE + i]); }
  }
}

fn conclude(block: Block, tid: u32) {
  if ((BIAS == 1u) & (block.line0 == 0u) & (tid < BN) & (block.q0 + tid < p.pack)) {
    let at = (p.splits * p.lines + block.split) * p.columns + block.q0 + tid;
    part[at] = bias_sum * inverse.y;
  }
}

// Writes the sum of a line and a column, if there is such an entry.
fn finish_at(block: Block, m: u32, q: u32, sum: f32) {
  let line = line_to[m];
  let column = block.q0 + q;
  let entries = p.ci * p.kh * p.kw;
  let there = column < select(p.pack, p.co, DIRECT == 1u);
  if ((line != NONE) & there) {
    part[line + column * select(1u, entries, DIRECT == 1u)] = sum * inverse.x * inverse.y;
  }
}
