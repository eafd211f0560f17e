// grad_x = gamma / sqrt(var + eps) (dy - (dbeta + (x - mean) / sqrt(var + eps) dgamma) / (n hw)), where
// dgamma and dbeta are those of its group
//
// One invocation computes every WG-th element of its workgroup's block. An element of dy, x and grad_x
// is a V: one number, or four neighbours on axis hw; hw counts Vs.

#import width$width
#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;              // [groups, n, c, hw]
@group(0) @binding(2) var<storage, read> x: array<V>;               // [groups, n, c, hw]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;         // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;          // [c, groups]
@group(0) @binding(5) var<storage, read> variance: array<f32>;      // [c, groups]
@group(0) @binding(6) var<storage, read_write> grad_x: array<V>;        // [groups, n, c, hw]
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;  // [c, groups], only read
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;   // [c, groups], only read

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let terms = f32(p.n * p.hw) * sum_of(V(1.0));
  let r = flat_range(p.groups * p.n * p.c * p.hw, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let plane = i / p.hw;
    let channel = plane % p.c;
    let number = channel * p.groups + plane / (p.n * p.c);
    let rstd = inverseSqrt(variance[number] + p.eps);
    let share = vec2(dgamma[number], dbeta[number]) / terms;
    grad_x[i] = gamma[channel] * rstd * (dy[i] - share.y - (x[i] - mean[number]) * rstd * share.x);
  }
}
