// The second stage of conv2d_weight_grad:
//
//   dw[co, ci, kh, kw] = sum over splits of part[split, line, column], in order; 0 where a mask is dead
//
// One invocation makes one entry of dw.

override WG: u32 = 64;

@group(0) @binding(0) var<uniform> p: WeightGrad;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, lines, columns]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [co, ci, kh, kw]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = (wg.x + wg.y * grid.x) * WG + tid;
  let taps = p.kh * p.kw;
  if (index >= p.co * p.ci * taps) { return; }
  let tap = index % taps;
  let ci = (index / taps) % p.ci;
  let co = index / (taps * p.ci);
  let own = co % p.groups;
  let column = own * p.pack + co / p.groups;
  let centre = p.mask != 0u && tap == p.dense && ci % p.groups < centre_colours(own);
  let line = tap * p.line_tap + position(ci) * p.line_chan;
  var sum = 0.0;
  if (tap < p.dense || centre) {
    for (var split = 0u; split < p.splits; split += 1u) {
      sum += part[(split * p.lines + line) * p.columns + column];
    }
  }
  dw[index] = sum;
}
