// square = alpha square + (1 - alpha) g²; centred: mean = alpha mean + (1 - alpha) g, s = square - mean²; else
// s = square; momentum = momentum momentum + g / (sqrt(s) + eps); w -= lr_t momentum;
// average += r (w - average) by the rate r of lib/averaged.wgsl, where one is kept; lr_t is that of lib/rate.wgsl
//
// One invocation updates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len counts Vs.

#import width$width
#import flat
#import $average
#import rate
#params

override WG: u32 = 64u;
// The binding of the average, if one is kept.
const AVERAGE = 8u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>;          // [len]
@group(0) @binding(2) var<storage, read> clock: array<u32>;     // [1]: t
@group(0) @binding(3) var<storage, read> steps: array<u32>;  // [1]: training steps
@group(0) @binding(4) var<storage, read_write> w: array<V>;     // [len]
@group(0) @binding(5) var<storage, read_write> square: array<V>;    // [len]
@group(0) @binding(6) var<storage, read_write> mean: array<V>;  // [len], untouched unless centred
@group(0) @binding(7) var<storage, read_write> momentum: array<V>;   // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let rate = learning_rate();
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let d = g[i];
    let s = p.alpha * square[i] + p.rest * d * d;
    square[i] = s;
    var variance = s;
    if (p.centered != 0u) {
      let a = p.alpha * mean[i] + p.rest * d;
      mean[i] = a;
      // The mean square is never below the squared mean; rounding may say otherwise.
      let below = s - a * a;
      variance = unless_nans(max(below, V(0.0)), below);
    }
    let b = p.momentum * momentum[i] + d / (sqrt(variance) + p.eps);
    momentum[i] = b;
    let after = w[i] - rate * b;
    w[i] = after;
    keep_average(i, after);
  }
}
