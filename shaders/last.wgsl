// A product for a GPU whose operands have their channels last (pack_last.wgsl): a block of lib/gather_block.wgsl,
// 8 x 8 sums to an invocation, TY lines apart and in two fours of columns. k runs over (live tap, source channel),
// the channel fastest, in fours: a four is one load without an address for each channel, and whether its tap is
// inside the image is decided once for all of it. Workgroup memory holds fours as well: a word that is read
// there serves four products.

#import gather_block
#import columns
#params

override TX: u32 = 16;
override TY: u32 = 16;
override BM: u32 = TY * 8;
override BN: u32 = TX * 8;
override THREADS: u32 = TX * TY;
// 1: the operand has been packed, and a four of zeros stands in front of it.
override A_PACKED: u32 = 1;
override B_PACKED: u32 = 1;
// 1: neighbouring invocations make neighbouring outputs of one column; 0: columns of one output.
override ALONG_M: u32 = 1;

// Columns of a four stand side by side.
const APART = 1u;
// Fours of terms that pass through workgroup memory at a time.
const DEPTH = 4u;
// Fours of a line of A, one more than there are, so that a column of lines falls into different banks.
const A_LINE = DEPTH + 1u;
override B_LINE: u32 = BN / 4u;
override A_SIZE: u32 = BM * A_LINE;
override B_SIZE: u32 = 4u * DEPTH * B_LINE;
// Fours that an invocation loads of either.
override A_LOADS: u32 = BM * DEPTH / THREADS;
override B_LOADS: u32 = B_SIZE / THREADS;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // (0), [batch, rows, sh, sw, fours]
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>; // (0), [batch, kh, kw, 4 fours, columns / 4]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc / bias_plane]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw], or [splits, part] of them

var<workgroup> a_tile: array<vec4<f32>, A_SIZE>;
var<workgroup> b_tile: array<vec4<f32>, B_SIZE>;

// The lines: y and x of the first tap, and where it stands in the source.
var<workgroup> line_from: array<vec4<i32>, BM>;
// The next fours: y and x from a line's first tap, how far that is in the source, and where their weights stand.
var<workgroup> term_at: array<vec4<i32>, DEPTH>;

// The terms of a workgroup, in fours: those of `dense` live taps, then the centre tap's from four `lo` of it on.
struct Terms { dense: u32, total: u32, lo: u32 }

// Fours of a pixel of the source.
fn fours() -> u32 {
  return p.groups * (p.pack_src / 4u);
}

fn terms(h: Axis, v: Axis, own: u32) -> Terms {
  let all = h.taps * v.taps;
  var found = Terms(all, all * fours(), 0u);
  if (p.mask != 0u) {
    let centre = (p.kh / 2u) * p.kw + p.kw / 2u;
    var dense = 0u;
    while (dense < all && raster(h, v, dense) < centre) { dense += 1u; }
    found = Terms(dense, dense * fours(), 0u);
    if (dense < all && raster(h, v, dense) == centre) {
      let see = centre_colours(own);
      let colour = p.pack_src / 4u;
      found.total += (max(see.hi, see.lo) - see.lo) * colour;
      found.lo = see.lo * colour;
    }
  }
  return found;
}

fn unscaled(sum: f32) -> f32 { return sum; }

// Notes the lines.
fn begin(block: Block, tid: u32) {
  for (var m = tid; m < BM; m += THREADS) {
    let inside = block.m0 + m < block.m_total;
    let at = select(0u, block.m0 + m, inside);
    let row = at / block.units;
    let unit = at - row * block.units;
    let uy = unit / block.v.units;
    let y = block.h.src0 + block.h.src_u * i32(uy);
    let x = block.v.src0 + block.v.src_u * i32(unit - uy * block.v.units);
    let first = i32((block.batch * p.rows + row) * p.sh) + y;
    line_from[m] = vec4(select(NOWHERE, y, inside), x, (first * i32(p.sw) + x) * i32(fours()) + i32(A_PACKED), 0);
  }
}

// What leads from a four to where it stands: 1 over the fours of a tap and the taps of a row of them, and the
// way in the source and in the weights from a row of taps to the next, and from a tap to the next.
struct Steps { over_fours: f32, over_taps: f32, src_y: i32, src_x: i32, w_y: u32, w_x: u32, w_four: u32, w_first: u32 }

fn steps(block: Block) -> Steps {
  let pixel = i32(fours());
  let four = p.groups * p.pack_dst;
  let tap = four * fours();
  return Steps(1.0 / f32(fours()), 1.0 / f32(block.v.taps),
    block.h.src_m * i32(p.sw) * pixel, block.v.src_m * pixel,
    block.h.tap_step * p.kw * tap, block.v.tap_step * tap, four,
    ((block.batch * p.kh + block.h.tap0) * p.kw + block.v.tap0) * tap);
}

// a / b by 1 / b, for a below 2^20: half is further from the next whole number than products in f32 are off.
fn by(a: u32, over: f32) -> u32 {
  return u32((f32(a) + 0.5) * over);
}

// Notes the fours from k0 on.
fn note(block: Block, step: Steps, k0: u32, tid: u32) {
  if (tid < DEPTH) {
    let k = k0 + tid;
    let tap = min(by(k, step.over_fours), block.all.dense);
    let four = k - tap * fours() + select(0u, block.all.lo, tap == block.all.dense);
    let ty = by(tap, step.over_taps);
    let tx = tap - ty * block.v.taps;
    let y = select(NOWHERE, block.h.src_m * i32(ty), k < block.end);
    let place = i32(ty) * step.src_y + i32(tx) * step.src_x + i32(four);
    let weight = step.w_first + ty * step.w_y + tx * step.w_x + four * step.w_four;
    term_at[tid] = vec4(y, block.v.src_m * i32(tx), place, i32(weight));
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let block = block_at(wg.x + wg.y * grid.x);
  if (!block.live) { return; }
  begin(block, tid);
  let step = steps(block);
  note(block, step, block.first, tid);
  workgroupBarrier();

  // What this invocation loads: a four of every (THREADS / DEPTH)-th line, and a four of columns of every TY / 2-th term.
  let a_four = tid % DEPTH;
  let a_line = tid / DEPTH;
  let b_column = block.q0 / 4u + tid % B_LINE;
  let b_there = b_column < p.pack_dst / 4u;
  let b_four = tid / B_LINE / 4u;
  let across = p.groups * (p.pack_dst / 4u);
  let b_first = B_PACKED + (tid / B_LINE % 4u) * across + block.own * (p.pack_dst / 4u) + b_column;
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
        a_tile[m * A_LINE + a_four] = select(vec4(0.0), src[at], vec4(inside));
      }
    }
    for (var i = 0u; i < B_LOADS; i += 1u) {
      let weights = term_at[b_four + i * (TY / 8u)];
      let inside = (weights.x != NOWHERE) & b_there;
      let at = select(0u, b_first + u32(weights.w), inside);
      if (B_PACKED == 1u) {
        b_tile[tid + i * THREADS] = w[at];
      } else {
        b_tile[tid + i * THREADS] = select(vec4(0.0), w[at], vec4(inside));
      }
    }
    workgroupBarrier();
    note(block, step, k0 + DEPTH, tid);
    for (var k = 0u; k < DEPTH; k += 1u) {
      // Two lines at a time: more of them would take registers that other workgroups' lines are in.
      for (var i = 0u; i < 8u; i += 2u) {
        let x = a_tile[(ty + i * TY) * A_LINE + k];
        let y = a_tile[(ty + (i + 1u) * TY) * A_LINE + k];
        for (var j = 0u; j < 4u; j += 1u) {
          let near = b_tile[(4u * k + j) * B_LINE + tx];
          let far = b_tile[(4u * k + j) * B_LINE + TX + tx];
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
}
