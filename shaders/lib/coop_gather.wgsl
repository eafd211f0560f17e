// A block of lib/gather_block.wgsl for matrix units (coop.wgsl), whose operands are packed in f16 with their channels last
// (pack_last_f16.wgsl): of the source each pixel's, of the weights each column's. Terms are those of
// lib/last_gather.wgsl, in eights.

enable f16;
#import last_gather
#import gather_block
#expects const BM
#expects const BN
#expects const BK
#expects const THREADS
#expects const A_LINE
#expects const B_LINE
#expects var a_tile
#expects var b_tile
#params

// Eights of terms that pass through workgroup memory at a time, which is what terms are counted in.
const DEPTH = BK / 8u;
const STEP = DEPTH;
const WIDE = 8u;
// Eights in front of an operand, the first of them zeros; the exponent bits of what undoes its scale are in the second.
const A_FRONT = 2u;
const B_FRONT = 2u;
const ALONG_COLUMNS = 0u;
// Eights that an invocation loads of either operand.
override A_LOADS: u32 = BM * DEPTH / THREADS;
override B_LOADS: u32 = BN * DEPTH / THREADS;
// 1: neighbouring invocations make neighbouring outputs of one column; 0: columns of one output.
override ALONG_M: u32 = 1;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f16>>; // 4, [batch, rows, sh, sw, channels / 4]
@group(0) @binding(2) var<storage, read> w: array<vec4<f16>>; // 4, [batch, kh, kw, columns, channels / 4]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc / bias_plane]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw], or [splits, part] of them

// Where the outputs of a line and of a column stand, as Row and Column have it, and the column's bias.
var<workgroup> line_to: array<u32, BM>;
var<workgroup> column_to: array<Column, BN>;

var<private> inverse: vec2<f32>; // of the powers that the operands are scaled by
// Where the first column stands that this invocation loads, and how far it is from there to the next.
var<private> b_first: u32;
var<private> b_step: u32;

fn unscaled(sum: f32) -> f32 { return sum * inverse.x * inverse.y; }

fn steps_of(block: Block) -> Steps { return steps(block); }

fn begin(block: Block, tid: u32) {
  inverse = bitcast<vec2<f32>>(vec2(u32(src[3].x), u32(w[3].x)) << vec2(23u));
  b_first = (block.q0 + tid / DEPTH) * pieces() + B_FRONT;
  b_step = (THREADS / DEPTH) * pieces();
  note_lines(block, tid);
  for (var m = tid; m < BM; m += THREADS) { line_to[m] = row_at(block, m).at; }
  for (var q = tid; q < BN; q += THREADS) { column_to[q] = column_at(block, q); }
}

fn note_terms(block: Block, step: Steps, k0: u32, tid: u32) { note(block, step, k0, tid); }

// Fills both tiles with the noted terms. Nothing branches: what is outside is read where zeros are.
fn load(block: Block, tid: u32) {
  let eight = tid % DEPTH;
  let first = tid / DEPTH;
  let term = term_at[eight];
  for (var i = 0u; i < A_LOADS; i += 1u) {
    let m = first + i * (THREADS / DEPTH);
    let line = line_from[m];
    let inside = (u32(line.x + term.x) < p.sh) & (u32(line.y + term.y) < p.sw);
    let at = 2u * select(0u, u32(line.z + term.z), inside);
    let near = src[at];
    let far = src[at + 1u];
    let to = m * A_LINE + 8u * eight;
    a_tile[to] = near.x;
    a_tile[to + 1u] = near.y;
    a_tile[to + 2u] = near.z;
    a_tile[to + 3u] = near.w;
    a_tile[to + 4u] = far.x;
    a_tile[to + 5u] = far.y;
    a_tile[to + 6u] = far.z;
    a_tile[to + 7u] = far.w;
  }
  let live = term.x != NOWHERE;
  for (var i = 0u; i < B_LOADS; i += 1u) {
    let j = first + i * (THREADS / DEPTH);
    let inside = live & (block.q0 + j < p.pack_dst);
    let at = 2u * select(0u, b_first + i * b_step + u32(term.w), inside);
    let near = w[at];
    let far = w[at + 1u];
    let to = j * B_LINE + 8u * eight;
    b_tile[to] = near.x;
    b_tile[to + 1u] = near.y;
    b_tile[to + 2u] = near.z;
    b_tile[to + 3u] = near.w;
    b_tile[to + 4u] = far.x;
    b_tile[to + 5u] = far.y;
    b_tile[to + 6u] = far.z;
    b_tile[to + 7u] = far.w;
  }
}

// Nothing else is made of the tiles.
fn attend(block: Block, tid: u32) {}

fn conclude(block: Block, tid: u32) {}

fn finish_at(block: Block, m: u32, q: u32, sum: f32) {
  finish(Row(line_from[m].x != NOWHERE, line_to[m]), column_to[q], sum);
}
