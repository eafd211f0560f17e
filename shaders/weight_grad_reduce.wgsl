// The second stage of conv2d_weight_grad, an entry of dw or db to SHARE invocations: the partial sums of one layer, as
// lib/sum_parts.wgsl adds them up.

#import sum_parts
#params

override WG: u32 = 64;
override SHARE: u32 = 1;
override BIAS: u32 = 0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, lines, columns], [splits, columns]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [co, ci, kh, kw]
@group(0) @binding(3) var<storage, read_write> db: array<f32>; // [co]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let taps = p.kh * p.kw;
  let sums = Sums(0u, 0u, select(NONE, 0u, BIAS == 1u), p.co, p.ci, taps, p.splits, p.lines, p.columns,
    p.groups, p.pack_ci, p.pack, p.line_tap, p.line_chan, p.dead, p.dense, p.colours, SHARE);
  let entries = entries_of(sums);
  let entry = (wg.x + wg.y * grid.x) * entries + tid % entries;
  let sum = sum_parts(sums, entry, tid);
  let weights = p.co * p.ci * taps;
  if (tid < entries) {
    if (entry < weights) { dw[place_in_dw(sums, entry)] = sum; }
    if ((BIAS == 1u) & (entry >= weights) & (entry < weights + p.co)) { db[entry - weights] = sum; }
  }
}
