// The gradients of the weights and biases of some layers of the partial sums that their products have left, as
// lib/sum_parts.wgsl adds them up. Each layer has workgroups of its own; what lies between gradients stays.

#import find_layer
#import sum_parts
#import summed_layers
#params

override WG: u32 = 64;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // of each layer [splits, lines, columns], [splits, columns]
@group(0) @binding(2) var<storage, read_write> grads: array<f32>; // of each layer [co, ci, kh, kw] and [co]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = wg.x + wg.y * grid.x;
  let found = find_layer(index);
  let sums = sums_of_layer(found.number);
  let entries = entries_of(sums);
  let entry = (index - found.first) * entries + tid % entries;
  let sum = sum_parts(sums, entry, tid);
  let weights = sums.co * sums.ci * sums.taps;
  if (tid < entries) {
    if (entry < weights) { grads[sums.dw + place_in_dw(sums, entry)] = sum; }
    if ((sums.db != NONE) & (entry >= weights) & (entry < weights + sums.co)) { grads[sums.db + entry - weights] = sum; }
  }
}
