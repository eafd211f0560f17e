// The second stage of a product whose terms are split (lib/gather.wgsl):
//
//   dst[i] = act((sum over splits of part[split, i], in order, + b[col]) * gate(g[i]) + r[i])
//
// One invocation makes one element.

#import nan
#import activate
#import gather
#params

override WG: u32 = 64;
// The epilogue, as in lib/tile_gather.wgsl.
override ACT: u32 = 0;
override BIAS: u32 = 0;
override GATE: u32 = 0;
override RESIDUAL: u32 = 0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, part]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [dc / bias_plane]
@group(0) @binding(3) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(4) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<f32>; // [part]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = (wg.x + wg.y * grid.x) * WG + tid;
  if (index >= p.part) { return; }
  var sum = part[index];
  var at = index + p.part;
  var left = p.splits - 1u;
  // Four loads on their way at once.
  for (; left >= 4u; left -= 4u) {
    let four = vec4(part[at], part[at + p.part], part[at + 2u * p.part], part[at + 3u * p.part]);
    sum = sum + four.x + four.y + four.z + four.w;
    at += 4u * p.part;
  }
  for (; left > 0u; left -= 1u) {
    sum += part[at];
    at += p.part;
  }
  if (BIAS == 1u) {
    var col = (index % p.dst_row) / p.dst_chan;
    if (p.dst_pixel != 1u) { col = index % p.dc; }
    sum += b[col / p.bias_plane];
  }
  if (GATE == 1u) { sum *= gate_of(g[index], p.epilogue_gate_slope); }
  if (RESIDUAL == 1u) { sum += r[index]; }
  dst[index] = activate(ACT, p.epilogue_act_slope, sum);
}
