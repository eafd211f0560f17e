// momentum = momentum_0 momentum + g, w -= lr exp(t ln_decay) sign(momentum) at clock t;
// average += r (w - average) by the rate r of lib/averaged.wgsl, where one is kept
//
// One invocation updates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len counts Vs.

#import width$width
#import flat
#import $average
#params

override WG: u32 = 64u;
// The binding of the average, if one is kept.
const AVERAGE = 5u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>;          // [len]
@group(0) @binding(2) var<storage, read> clock: array<u32>;    // [1]: t
@group(0) @binding(3) var<storage, read_write> w: array<V>;    // [len]
@group(0) @binding(4) var<storage, read_write> momentum: array<V>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let rate = p.lr_start * exp(f32(clock[0]) * p.lr_ln_decay);
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let before = w[i];
    let b = p.momentum * momentum[i] + g[i];
    momentum[i] = b;
    let after = before - rate * unless_nans(sign(b), b);
    w[i] = after;
    keep_average(i, after);
  }
}
