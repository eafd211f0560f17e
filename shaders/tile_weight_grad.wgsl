// The partial sums of conv2d_weight_grad for a GPU, as an implicit matrix product:
//
//   part[split, line, column] = sum over the split's terms of A[line, term] * B[term, column]
//
// A gathers from x, B from dy (see lib/weight_grad.wgsl). A workgroup makes TY * 4 lines by TX * 4
// columns, each invocation 4 x 4 of them, TY and TX apart; A and B pass through workgroup memory BK
// terms at a time.

override TX: u32 = 16;
override TY: u32 = 16;
override BK: u32 = 16;
override THREADS: u32 = TX * TY;
// One word more than needed per line, so that a column of lines falls into different banks.
override A_LINE: u32 = TY * 4 + 1;
override B_LINE: u32 = TX * 4 + 1;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;

@group(0) @binding(0) var<uniform> p: WeightGrad;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, ci, h, w]
@group(0) @binding(2) var<storage, read> dy: array<f32>; // [n, co, oh, ow]
@group(0) @binding(3) var<storage, read_write> part: array<f32>; // [splits, lines, columns]

var<workgroup> a_tile: array<f32, A_SIZE>;
var<workgroup> b_tile: array<f32, B_SIZE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let line_blocks = (p.lines + TY * 4u - 1u) / (TY * 4u);
  let colour_blocks = (p.pack + TX * 4u - 1u) / (TX * 4u);
  var at = wg.x + wg.y * grid.x;
  let line0 = (at % line_blocks) * TY * 4u;
  at /= line_blocks;
  let own = (at % (colour_blocks * p.groups)) / colour_blocks;
  let q0 = (at % colour_blocks) * TX * 4u;
  let split = at / (colour_blocks * p.groups);
  let lines = line_count(own);
  if (split >= p.splits || line0 >= lines) { return; }

  let first = split * p.chunk;
  let end = min(first + p.chunk, p.terms);
  let plane = p.oh * p.ow;
  // Each invocation loads one term of every BK, for some lines and columns.
  let k_own = tid % BK;

  let tx = tid % TX;
  let ty = tid / TX;
  var acc0 = vec4<f32>();
  var acc1 = vec4<f32>();
  var acc2 = vec4<f32>();
  var acc3 = vec4<f32>();

  for (var k0 = first; k0 < end; k0 += BK) {
    let k = k0 + k_own;
    let inside = k < end;
    let n = k / plane;
    let pixel = k % plane;
    let sy0 = i32((pixel / p.ow) * p.stride_h) - i32(p.pad_top);
    let sx0 = i32((pixel % p.ow) * p.stride_w) - i32(p.pad_left);
    for (var m = tid / BK; m < TY * 4u; m += THREADS / BK) {
      var value = 0.0;
      if (inside && line0 + m < lines) {
        let line = line_at(line0 + m);
        let sy = sy0 + i32((line.tap / p.kw) * p.dilation_h);
        let sx = sx0 + i32((line.tap % p.kw) * p.dilation_w);
        if (line.ci < p.ci && sy >= 0 && sy < i32(p.h) && sx >= 0 && sx < i32(p.w)) {
          value = x[((n * p.ci + line.ci) * p.h + u32(sy)) * p.w + u32(sx)];
        }
      }
      a_tile[k_own * A_LINE + m] = value;
    }
    for (var j = tid / BK; j < TX * 4u; j += THREADS / BK) {
      let co = own + p.groups * (q0 + j);
      var value = 0.0;
      if (inside && q0 + j < p.pack && co < p.co) {
        value = dy[(n * p.co + co) * plane + pixel];
      }
      b_tile[k_own * B_LINE + j] = value;
    }
    workgroupBarrier();
    for (var i = 0u; i < BK; i += 1u) {
      let a = i * A_LINE + ty;
      let c = i * B_LINE + tx;
      let y = vec4(b_tile[c], b_tile[c + TX], b_tile[c + 2u * TX], b_tile[c + 3u * TX]);
      acc0 += a_tile[a] * y;
      acc1 += a_tile[a + TY] * y;
      acc2 += a_tile[a + 2u * TY] * y;
      acc3 += a_tile[a + 3u * TY] * y;
    }
    workgroupBarrier();
  }

  var acc = array<vec4<f32>, 4>(acc0, acc1, acc2, acc3);
  for (var i = 0u; i < 4u; i += 1u) {
    let line = line0 + ty + TY * i;
    if (line >= lines) { break; }
    for (var j = 0u; j < 4u; j += 1u) {
      let q = q0 + tx + TX * j;
      if (q >= p.pack) { break; }
      part[(split * p.lines + line) * p.columns + own * p.pack + q] = acc[i][j];
    }
  }
}
