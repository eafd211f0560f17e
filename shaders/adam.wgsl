// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
// w -= lr_t / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), t = clock + 1;
// average += r (w - average) by the rate r of lib/averaged.wgsl, where one is kept; lr_t is that of lib/rate.wgsl
//
// One invocation updates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len counts Vs.

#import width$width
#import flat
#import $average
#import rate
#import activation
#params

override WG: u32 = 64u;
// The binding of the average, if one is kept.
const AVERAGE = 7u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>;        // [len]
@group(0) @binding(2) var<storage, read> clock: array<u32>;  // [1]: t - 1
@group(0) @binding(3) var<storage, read> steps: array<u32>;  // [1]: training steps
@group(0) @binding(4) var<storage, read_write> w: array<V>;  // [len]
@group(0) @binding(5) var<storage, read_write> m: array<V>;  // [len]
@group(0) @binding(6) var<storage, read_write> v: array<V>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let before = f32(clock[0]);
  // 1 - beta^t = -expm1(t ln beta) keeps its digits while beta^t is near 1.
  let step = learning_rate() / -exp_m1((before + 1.0) * p.ln_beta1);
  let root = sqrt(-exp_m1((before + 1.0) * p.ln_beta2));
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let d = g[i];
    let first = p.beta1 * m[i] + p.rest1 * d;
    let second = p.beta2 * v[i] + p.rest2 * d * d;
    m[i] = first;
    v[i] = second;
    let after = w[i] - step * first / (sqrt(second) / root + p.eps);
    w[i] = after;
    keep_average(i, after);
  }
}
