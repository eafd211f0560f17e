// g' = g + weight_decay w, momentum = m_t momentum + g', w -= lr_t momentum, with
// m_t = momentum + (momentum_end - momentum) min(t momentum_step, 1) at clock t;
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
const AVERAGE = 6u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>;          // [len]
@group(0) @binding(2) var<storage, read> clock: array<u32>;    // [1]: t
@group(0) @binding(3) var<storage, read> steps: array<u32>;  // [1]: training steps
@group(0) @binding(4) var<storage, read_write> w: array<V>;    // [len]
@group(0) @binding(5) var<storage, read_write> momentum: array<V>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let rate = learning_rate();
  let m = p.momentum + (p.momentum_end - p.momentum) * min(f32(clock[0]) * p.momentum_step, 1.0);
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let before = w[i];
    let b = m * momentum[i] + (g[i] + p.weight_decay * before);
    momentum[i] = b;
    let after = before - rate * b;
    w[i] = after;
    keep_average(i, after);
  }
}
