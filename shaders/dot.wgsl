// A product of few columns (lib/gather.wgsl, one to four, one tap) and long sums, whose terms lie side by side:
//
//   dst[row, col] = act((sum over c of src[row, c] * w[c, col] + b[col]) * gate(g[row, col]) + r[row, col])
//
// A workgroup makes a row. Its lanes take every WG-th term, and their sums are added up in a fixed order.

#import nan
#import activate
#import gather
#params

override WG: u32 = 256;
override COLUMNS: u32 = 1;
// The epilogue, as in lib/tile_gather.wgsl.
override ACT: u32 = 0;
override BIAS: u32 = 0;
override GATE: u32 = 0;
override RESIDUAL: u32 = 0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc]
@group(0) @binding(2) var<storage, read> w: array<f32>; // sc x dc, strides w_src, w_dst
@group(0) @binding(3) var<storage, read> b: array<f32>; // of columns, or of rows: bias_at
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc]

var<workgroup> partial: array<vec4<f32>, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = wg.x + wg.y * grid.x;
  if (index >= p.rows * p.batch) { return; }
  let batch = index / p.rows;
  let row = index % p.rows;
  let source = batch * p.src_batch + row * p.src_row;
  let weight = batch * p.w_batch;
  var sums = vec4(0.0);
  for (var c = tid; c < p.sc; c += WG) {
    let at = weight + c * p.w_src;
    var four = vec4(w[at]);
    if (COLUMNS > 1u) { four.y = w[at + p.w_dst]; }
    if (COLUMNS > 2u) { four.z = w[at + 2u * p.w_dst]; }
    if (COLUMNS > 3u) { four.w = w[at + 3u * p.w_dst]; }
    sums += src[source + c * p.src_chan] * four;
  }
  partial[tid] = sums;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half >>= 1u) {
    if (tid < half) { partial[tid] += partial[tid + half]; }
    workgroupBarrier();
  }
  if (tid < COLUMNS) {
    let at = batch * p.dst_batch + row * p.dst_row + tid * p.dst_chan;
    let all = partial[0];
    var value = select(select(all.x, all.y, tid == 1u), select(all.z, all.w, tid == 3u), tid >= 2u);
    if (BIAS == 1u) { value += b[bias_at(row, tid)]; }
    if (GATE == 1u) { value *= gate_of(g[at], p.epilogue_gate_slope); }
    if (RESIDUAL == 1u) { value += r[at]; }
    dst[at] = activate(ACT, p.epilogue_act_slope, value);
  }
}
