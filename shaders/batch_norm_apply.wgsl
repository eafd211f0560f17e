// y = act(gamma (x - mean) / sqrt(var + eps) + beta)
//
// One invocation computes every WG-th element of its workgroup's block. An element of x and y is a
// V: one number, or four neighbours on axis hw; hw counts Vs.

#import width$width
#import flat
#import activate$width
#params

override WG: u32 = 64u;
// The activation's code, here once more so that only its own branch is compiled.
override ACT: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;             // [groups, n, c, hw]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;       // [c]
@group(0) @binding(3) var<storage, read> beta: array<f32>;        // [c]
@group(0) @binding(4) var<storage, read_write> y: array<V>;       // [groups, n, c, hw]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;  // [c, groups], only read
@group(0) @binding(6) var<storage, read_write> variance: array<f32>;  // [c, groups], only read

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.groups * p.n * p.c * p.hw, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let plane = i / p.hw;
    let channel = plane % p.c;
    let number = channel * p.groups + plane / (p.n * p.c);
    let factor = gamma[channel] * inverseSqrt(variance[number] + p.eps);
    y[i] = activate_all(ACT, p.act_slope, (x[i] - mean[number]) * factor + beta[channel]);
  }
}
