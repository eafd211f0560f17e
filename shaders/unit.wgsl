// y = x / (√Σ x² + eps)
//
// One workgroup computes it in two passes; its lanes take every WG-th element.

#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]

@compute @workgroup_size(WG)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < p.len; i += WG) {
    sum += x[i] * x[i];
  }
  let length = sqrt(workgroup_sum(lane, vec2(sum, 0.0)).x) + p.eps;
  for (var i = lane; i < p.len; i += WG) {
    y[i] = x[i] / length;
  }
}
