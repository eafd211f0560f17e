// A product for a GPU, whose operands have their channels last (pack_last.wgsl): partial sums of conv2d_weight_grad,
//
//   part[split, line, column] = sum over the split's terms of A[line, term] * B[term, column]
//
// as lib/weight_grad.wgsl has them, with one colour, of which a workgroup makes BM lines by BN columns and an invocation two fours of each.
// Four lines are four channels of x at one tap, so that they are one load; what a term is, is noted once for all of
// them. With DIRECT, where there is one split and no mask, the sums are dw's entries and are written as such.

#import last_$operand
#import last_terms
#import weight_grad
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
override DIRECT: u32 = 0;
// 1: there is a bias.
override BIAS: u32 = 0;

// Terms that pass through workgroup memory at a time.
const BK = 16u;
const WIDE = 4u;
override A_LINE: u32 = BM / 4u;
override B_LINE: u32 = BN / 4u;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;
// Fours that an invocation loads of either.
override A_LOADS: u32 = A_SIZE / THREADS;
override B_LOADS: u32 = B_SIZE / THREADS;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Four>; // (front), [n, h, w, channels / 4]
@group(0) @binding(2) var<storage, read> dy: array<Four>; // (front), [n, oh, ow, columns / 4]
@group(0) @binding(3) var<storage, read_write> part: array<f32>; // [splits, lines, columns] and [splits, columns], or dw [co, ci, kh, kw]

var<workgroup> a_tile: array<Four, A_SIZE>;
var<workgroup> b_tile: array<Four, B_SIZE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let line_blocks = max(1u, (p.lines + BM - 1u) / BM);
  let column_blocks = (p.pack + BN - 1u) / BN;
  var at = wg.x + wg.y * grid.x;
  let line0 = (at % line_blocks) * BM;
  at /= line_blocks;
  let q0 = (at % column_blocks) * BN;
  let split = at / column_blocks;
  let lines = line_count(0u);
  // Where a mask leaves a column no line, the gradient of its bias is still to be made.
  if ((split >= p.splits) | ((line0 >= lines) & ((BIAS == 0u) | (line0 != 0u)))) { return; }
  let first = split * p.chunk;
  let end = min(first + p.chunk, p.terms);

  // The four lines that this invocation loads: how far they are from a term's first tap.
  let index = line0 + 4u * (tid % A_LINE);
  let tap = index / p.channels;
  let tap_y = tap / p.kw;
  let line_x = i32((tap - tap_y * p.kw) * p.dilation_w);
  let line_y = select(NOWHERE, i32(tap_y * p.dilation_h), index < lines);
  let line_from = (i32(tap_y * p.dilation_h * p.w) + line_x) * i32(p.channels / 4u) + i32((index - tap * p.channels) / 4u + A_FRONT);
  // And the four columns.
  let column = q0 / 4u + tid % B_LINE;
  let there = column < p.pack / 4u;
  let column_from = i32(column + B_FRONT);

  if (SCALED) { find_scales(x[FRONT - 1u], dy[FRONT - 1u]); }
  let step = steps();
  note(step, first, end, tid);
  workgroupBarrier();
  let tx = tid % TX;
  let ty = tid / TX;
  // Of each line the sums of the near and of the far four of columns.
  var sums: array<vec4<f32>, 16>;
  for (var i = 0u; i < 16u; i += 1u) { sums[i] = vec4(0.0); }
  var bias = 0.0;
  for (var k0 = first; k0 < end; k0 += BK) {
    // What is outside counts as 0.
    for (var i = 0u; i < A_LOADS; i += 1u) {
      let k = tid / A_LINE + i * (THREADS / A_LINE);
      let t = term_at[k];
      let inside = (u32(t.x + line_y) < p.h) & (u32(t.y + line_x) < p.w);
      let from_x = select(0u, u32(t.z + line_from), inside);
      if (A_PACKED == 1u) {
        a_tile[tid + i * THREADS] = x[from_x];
      } else {
        a_tile[tid + i * THREADS] = select(Four(0.0), x[from_x], vec4(inside));
      }
    }
    for (var i = 0u; i < B_LOADS; i += 1u) {
      let k = tid / B_LINE + i * (THREADS / B_LINE);
      let t = term_at[k];
      let inside = (t.x < NOWHERE) & there;
      let from_dy = select(0u, u32(t.w + column_from), inside);
      if (B_PACKED == 1u) {
        b_tile[tid + i * THREADS] = dy[from_dy];
      } else {
        b_tile[tid + i * THREADS] = select(Four(0.0), dy[from_dy], vec4(inside));
      }
    }
    workgroupBarrier();
    note(step, k0 + BK, end, tid);
    // The gradient of the bias, the sum of dy: the workgroups of the first lines add up what they have of each
    // column, an invocation to a column. There are at least as many.
    if ((BIAS == 1u) & (line0 == 0u) & (tid < BN)) {
      for (var k = 0u; k < BK; k += 1u) { bias += f32(b_tile[k * B_LINE + tid / 4u][tid % 4u]); }
    }
    for (var k = 0u; k < BK; k += 1u) {
      let near = wide(b_tile[k * B_LINE + tx]);
      let far = wide(b_tile[k * B_LINE + TX + tx]);
      for (var i = 0u; i < 2u; i += 1u) {
        let a = wide(a_tile[k * A_LINE + i * TY + ty]);
        for (var j = 0u; j < 4u; j += 1u) {
          sums[8u * i + 2u * j] += a[j] * near;
          sums[8u * i + 2u * j + 1u] += a[j] * far;
        }
      }
    }
    workgroupBarrier();
  }

  let last = p.splits * p.lines * p.columns;
  if ((BIAS == 1u) & (line0 == 0u) & (tid < BN) & (q0 + tid < p.pack)) {
    part[last + split * p.columns + q0 + tid] = unscaled_b(bias);
  }
  for (var i = 0u; i < 2u; i += 1u) {
    for (var j = 0u; j < 4u; j += 1u) {
      put(line0 + 4u * (ty + i * TY) + j, lines, split, q0 + 4u * tx, sums[8u * i + 2u * j]);
      put(line0 + 4u * (ty + i * TY) + j, lines, split, q0 + 4u * (TX + tx), sums[8u * i + 2u * j + 1u]);
    }
  }
}

// Writes the sums of a line and four columns, where there are such entries.
fn put(index: u32, lines: u32, split: u32, column: u32, sums: vec4<f32>) {
  let line = line_at(index);
  if ((index < lines) & (line.ci < p.ci) & (column < p.pack)) {
    if (DIRECT == 1u) {
      let entries = p.ci * p.kh * p.kw;
      let entry = column * entries + line.ci * p.kh * p.kw + line.tap;
      for (var q = 0u; q < 4u; q += 1u) {
        if (column + q < p.co) { part[entry + q * entries] = unscaled(sums[q]); }
      }
    } else {
      let entry = (split * p.lines + index) * p.columns + column;
      for (var q = 0u; q < 4u; q += 1u) { part[entry + q] = unscaled(sums[q]); }
    }
  }
}
