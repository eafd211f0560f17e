// A block of lib/gather_block.wgsl as an implicit matrix product whose operands pass through workgroup memory BK
// terms at a time. k runs over (source channel, live tap), the tap fastest; the terms of a mask's centre tap come last.

#import gather_block
#expects const BM
#expects const PAD
#expects const BN
#expects const BK
#expects type Operand
#expects const THREADS
#expects fn operand_a(value: f32) -> f32
#expects fn operand_b(value: f32) -> f32
#params

override A_LINE: u32 = BM + PAD;
override B_LINE: u32 = BN + PAD;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;
// 1: neighbouring invocations load B along k (weights [co,ci,kh,kw]); 0: along the columns.
override ALONG_K: u32 = 1;
// 1: neighbouring invocations make neighbouring outputs of one column; 0: columns of one output.
override ALONG_M: u32 = 1;

// The binding of the peaks, where operands are in f16.
const PEAKS = 7u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc, sh, sw]
@group(0) @binding(2) var<storage, read> w: array<f32>; // sc x dc x taps, strides w_src, w_dst, 1
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc / bias_plane]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw], or [splits, part] of them

var<workgroup> a_tile: array<Operand, A_SIZE>;
var<workgroup> b_tile: array<Operand, B_SIZE>;

// The next BK terms: y, x and index in the source from an output's first tap, and the index of their weights.
var<workgroup> term_at: array<vec4<i32>, BK>;

// The output whose line of A this invocation loads: the first tap's position.
var<private> line_y: i32;
var<private> line_x: i32;
var<private> line_src: i32;

// The terms of a workgroup: `dense` live taps over all source channels, then the centre tap over
// the channels of colours lo..hi.
struct Terms { dense: u32, main: u32, total: u32, lo: u32, hi: u32 }

struct Term { c: u32, tap: u32 } // tap: index among the phase's taps

fn terms(h: Axis, v: Axis, own: u32) -> Terms {
  let all = h.taps * v.taps;
  var found = Terms(all, all * p.sc, all * p.sc, 0u, 0u);
  if (p.mask != 0u) {
    let centre = (p.kh / 2u) * p.kw + p.kw / 2u;
    var dense = 0u;
    while (dense < all && raster(h, v, dense) < centre) { dense += 1u; }
    let main = dense * p.sc;
    found = Terms(dense, main, main, 0u, 0u);
    if (dense < all && raster(h, v, dense) == centre) {
      let see = centre_colours(own);
      var total = main;
      for (var i = see.lo; i < see.hi; i += 1u) { total += colour_count(p.sc, i); }
      found = Terms(dense, main, total, see.lo, see.hi);
    }
  }
  return found;
}

fn term(all: Terms, k: u32) -> Term {
  var found: Term;
  if (k < all.main) {
    found = Term(k / all.dense, k % all.dense);
  } else {
    var q = k - all.main;
    var colour = all.lo;
    while (colour + 1u < all.hi && q >= colour_count(p.sc, colour)) {
      q -= colour_count(p.sc, colour);
      colour += 1u;
    }
    found = Term(colour + p.groups * q, all.dense);
  }
  return found;
}

// What this invocation keeps. BM divides the number of invocations.
fn begin(block: Block, tid: u32) {
  let m = block.m0 + tid % BM;
  let inside = m < block.m_total;
  let safe = select(0u, m, inside);
  let unit = safe % block.units;
  let y = block.h.src0 + block.h.src_u * i32(unit / block.v.units);
  line_x = block.v.src0 + block.v.src_u * i32(unit % block.v.units);
  let row = block.batch * p.src_batch + (safe / block.units) * p.src_row;
  line_src = i32(row) + y * i32(p.sw) + line_x;
  line_y = select(NOWHERE, y, inside);
}

// Notes the BK terms from k0 on. There are at least as many invocations.
fn note(block: Block, k0: u32, tid: u32) {
  if (tid < BK) {
    var at = vec4(NOWHERE, 0, 0, 0);
    if (k0 + tid < block.end) {
      let t = term(block.all, k0 + tid);
      let y = block.h.src_m * i32(t.tap / block.v.taps);
      let x = block.v.src_m * i32(t.tap % block.v.taps);
      let weight = t.c * p.w_src + raster(block.h, block.v, t.tap);
      at = vec4(y, x, i32(t.c * p.src_chan) + y * i32(p.sw) + x, i32(weight));
    }
    term_at[tid] = at;
  }
}

// Fills both tiles with the noted terms. Nothing branches: what is outside is read at 0 and left out.
fn load(block: Block, k0: u32, tid: u32) {
  for (var i = tid / BM; i < BK; i += THREADS / BM) {
    let t = term_at[i];
    let inside = (u32(line_y + t.x) < p.sh) & (u32(line_x + t.y) < p.sw);
    let value = src[select(0u, u32(line_src + t.z), inside)];
    a_tile[i * A_LINE + tid % BM] = operand_a(select(0.0, value, inside));
  }
  let first = block.batch * p.w_batch + block.own * p.w_dst;
  let step = p.groups * p.w_dst;
  if (ALONG_K == 1u) {
    let i = tid % BK;
    for (var j = tid / BK; j < BN; j += THREADS / BK) { load_weight(block, first, step, i, j); }
  } else {
    let j = tid % BN;
    for (var i = tid / BN; i < BK; i += THREADS / BN) { load_weight(block, first, step, i, j); }
  }
}

// Term i of column j. A weight past the last term is no zero by itself, and 0 times infinity were a NaN.
fn load_weight(block: Block, first: u32, step: u32, i: u32, j: u32) {
  let t = term_at[i];
  let inside = (t.x != NOWHERE) & (block.q0 + j < block.columns);
  let value = w[select(0u, first + u32(t.w) + (block.q0 + j) * step, inside)];
  b_tile[i * B_LINE + j] = operand_b(select(0.0, value, inside));
}

// Nothing else is made of the tiles.
fn attend(block: Block, tid: u32) {}

fn conclude(block: Block, tid: u32) {}
