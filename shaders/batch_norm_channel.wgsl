// mean = Σ x / (n hw), var = Σ (x - mean)² / (n hw),
// y = act(gamma (x - mean) / sqrt(var + eps) + beta)
//
// One workgroup computes one channel in three passes: mean, variance around it (which also takes
// the rounding error off the mean), output. Its lanes take every WG-th element. An element of x
// and y is a V: one number, or four neighbours on axis hw; hw counts Vs.

#import width$width
#import workgroup_sum
#import walk
#import nan
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
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;  // [c, groups]
@group(0) @binding(6) var<storage, read_write> variance: array<f32>;  // [c, groups]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let channel = wg.x + wg.y * groups.x;
  if (channel >= p.c * p.groups) {
    return;
  }
  let count = p.n * p.hw;
  let terms = f32(count) * sum_of(V(1.0));
  let begin = walk_from(lane, channel);
  let step = walk_step();

  var at = begin;
  var sum = V(0.0);
  while (at.t < count) {
    let stop = min(count, at.t + 64u * WG);
    var run = V(0.0);
    for (; at.t < stop; at = next(at, step)) {
      run += x[at.i];
    }
    sum += run;
  }
  let rough = workgroup_sum(lane, vec2(sum_of(sum), 0.0)).x / terms;

  at = begin;
  sum = V(0.0);
  var squares = V(0.0);
  while (at.t < count) {
    let stop = min(count, at.t + 64u * WG);
    var run = V(0.0);
    var run_squares = V(0.0);
    for (; at.t < stop; at = next(at, step)) {
      let d = x[at.i] - rough;
      run += d;
      run_squares += d * d;
    }
    sum += run;
    squares += run_squares;
  }
  let moments = workgroup_sum(lane, vec2(sum_of(sum), sum_of(squares))) / terms;
  let centre = rough + moments.x;
  let below = moments.y - moments.x * moments.x;
  let spread = unless_nan(max(below, 0.0), below);
  if (lane == 0u) {
    mean[channel] = centre;
    variance[channel] = spread;
  }

  let factor = gamma[channel / p.groups] * inverseSqrt(spread + p.eps);
  let shift = beta[channel / p.groups];
  for (at = begin; at.t < count; at = next(at, step)) {
    y[at.i] = activate_all(ACT, p.act_slope, (x[at.i] - centre) * factor + shift);
  }
}
