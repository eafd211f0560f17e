// A product for a GPU whose operands have their channels last (pack_last.wgsl): a block of lib/gather_block.wgsl,
// 8 x 8 sums to an invocation, TY lines apart and in two fours of columns. Terms are those of lib/last_gather.wgsl, in
// fours. Workgroup memory holds fours as well: a word that is read there serves four products. Operands are in f32
// or in f16 (lib/last_*.wgsl), and products and sums in f32. What else it leaves is in lib/leaves_*.wgsl.

#import last_$operand
#import last_gather
#import gather_block
#import columns
#import leaves_$leaves
#params

override TX: u32 = 16;
override TY: u32 = 16;
override BM: u32 = TY * 8;
override BN: u32 = TX * 8;
override THREADS: u32 = TX * TY;
// 1: the operand has been packed, and FRONT fours stand in front of it, the first of them zeros.
override A_PACKED: u32 = 1;
override B_PACKED: u32 = 1;
override A_FRONT: u32 = A_PACKED * FRONT;
override B_FRONT: u32 = B_PACKED * FRONT;
// 1: neighbouring invocations make neighbouring outputs of one column; 0: columns of one output.
override ALONG_M: u32 = 1;

// Columns of a four stand side by side, and those of a term.
const APART = 1u;
const ALONG_COLUMNS = 1u;
const WIDE = 4u;
// Fours of terms that pass through workgroup memory at a time, a power of two.
override DEPTH: u32 = 4;
// Fours of a line of A, one more than there are, so that a column of lines falls into different banks.
override A_LINE: u32 = DEPTH + 1u;
override B_LINE: u32 = BN / 4u;
override A_SIZE: u32 = BM * A_LINE;
override B_SIZE: u32 = 4u * DEPTH * B_LINE;
// Fours that an invocation loads of either.
override A_LOADS: u32 = BM * DEPTH / THREADS;
override B_LOADS: u32 = B_SIZE / THREADS;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<Four>; // (front), [batch, rows, sh, sw, fours]
@group(0) @binding(2) var<storage, read> w: array<Four>; // (front), [batch, kh, kw, 4 fours, columns / 4]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc / bias_plane]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw], or [splits, part] of them

var<workgroup> a_tile: array<Four, A_SIZE>;
var<workgroup> b_tile: array<Four, B_SIZE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let block = block_at(wg.x + wg.y * grid.x);
  if (!block.live) { return; }
  if (SCALED) { find_scales(src[FRONT - 1u], w[FRONT - 1u]); }
  note_lines(block, tid);
  let step = steps(block);
  note(block, step, block.first, tid);
  workgroupBarrier();

  // What this invocation loads: a four of every (THREADS / DEPTH)-th line, and a four of columns of every TY / 2-th term.
  let a_four = tid % DEPTH;
  let a_line = tid / DEPTH;
  let b_column = block.q0 / 4u + tid % B_LINE;
  let b_there = b_column < p.pack_dst / 4u;
  let b_four = tid / B_LINE / 4u;
  let b_first = B_FRONT + (tid / B_LINE % 4u) * (p.pack_dst / 4u) + b_column;
  let tx = select(tid % TX, tid / TY, ALONG_M == 1u);
  let ty = select(tid / TX, tid % TY, ALONG_M == 1u);
  // Of each line the sums of the near and of the far four of columns.
  var sums: array<vec4<f32>, 16>;
  for (var i = 0u; i < 16u; i += 1u) { sums[i] = vec4(0.0); }
  for (var k0 = block.first; k0 < block.end; k0 += DEPTH) {
    // What is outside counts as 0. A weight past the last term is no zero by itself, and 0 times infinity were a NaN.
    let term = term_at[a_four];
    for (var i = 0u; i < A_LOADS; i += 1u) {
      let m = a_line + i * (THREADS / DEPTH);
      let line = line_from[m];
      let inside = (u32(line.x + term.x) < p.sh) & (u32(line.y + term.y) < p.sw);
      let at = select(0u, u32(line.z + term.z), inside);
      if (A_PACKED == 1u) {
        a_tile[m * A_LINE + a_four] = src[at];
      } else {
        a_tile[m * A_LINE + a_four] = select(Four(0.0), src[at], vec4(inside));
      }
    }
    for (var i = 0u; i < B_LOADS; i += 1u) {
      let weights = term_at[b_four + i * (TY / 8u)];
      let inside = (weights.x != NOWHERE) & b_there;
      let at = select(0u, b_first + u32(weights.w), inside);
      if (B_PACKED == 1u) {
        b_tile[tid + i * THREADS] = w[at];
      } else {
        b_tile[tid + i * THREADS] = select(Four(0.0), w[at], vec4(inside));
      }
    }
    workgroupBarrier();
    note(block, step, k0 + DEPTH, tid);
    for (var k = 0u; k < DEPTH; k += 1u) {
      // Two lines at a time: more of them would take registers that other workgroups' lines are in.
      for (var i = 0u; i < 8u; i += 2u) {
        let x = wide(a_tile[(ty + i * TY) * A_LINE + k]);
        let y = wide(a_tile[(ty + (i + 1u) * TY) * A_LINE + k]);
        for (var j = 0u; j < 4u; j += 1u) {
          let near = wide(b_tile[(4u * k + j) * B_LINE + tx]);
          let far = wide(b_tile[(4u * k + j) * B_LINE + TX + tx]);
          sums[2u * i] += x[j] * near;
          sums[2u * i + 1u] += x[j] * far;
          sums[2u * i + 2u] += y[j] * near;
          sums[2u * i + 3u] += y[j] * far;
        }
      }
    }
    workgroupBarrier();
  }

  let near = columns_at(block, 4u * tx);
  let far = columns_at(block, 4u * (TX + tx));
  for (var i = 0u; i < 8u; i += 1u) {
    let row = row_at(block, ty + TY * i);
    finish_four(row, near, sums[2u * i]);
    finish_four(row, far, sums[2u * i + 1u]);
  }
  leave(block, tx, ty);
}
