// grad_x = gamma / sqrt(var + eps) (dy - (dbeta + (x - mean) / sqrt(var + eps) dgamma) / (n hw))
//
// One invocation computes every WG-th element of its workgroup's block. An element of dy, x and grad_x
// is a V: one number, or four neighbours on axis hw; hw counts Vs.

#import width$width
#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;              // [n, c, hw]
@group(0) @binding(2) var<storage, read> x: array<V>;               // [n, c, hw]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;         // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;          // [c]
@group(0) @binding(5) var<storage, read> variance: array<f32>;      // [c]
@group(0) @binding(6) var<storage, read_write> grad_x: array<V>;        // [n, c, hw]
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;  // [c], only read
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;   // [c], only read

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let terms = f32(p.n * p.hw) * sum_of(V(1.0));
  let r = flat_range(p.n * p.c * p.hw, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let channel = i / p.hw % p.c;
    let rstd = inverseSqrt(variance[channel] + p.eps);
    let share = vec2(dgamma[channel], dbeta[channel]) / terms;
    grad_x[i] = gamma[channel] * rstd * (dy[i] - share.y - (x[i] - mean[channel]) * rstd * share.x);
  }
}
