// h = (x - mean) / sqrt(var + eps), dbeta = Σ dy, dgamma = Σ dy h,
// grad_x = gamma / sqrt(var + eps) (dy - (Σ dy + h Σ dy h) / (n hw)) with the sums of its group
//
// One workgroup computes one channel, group by group in two passes; its lanes take every WG-th
// element. An element of dy, x and grad_x is a V: one number, or four neighbours on axis hw; hw
// counts Vs.

#import width$width
#import workgroup_sum
#import walk
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;              // [groups, n, c, hw]
@group(0) @binding(2) var<storage, read> x: array<V>;               // [groups, n, c, hw]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;         // [c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;          // [c, groups]
@group(0) @binding(5) var<storage, read> variance: array<f32>;      // [c, groups]
@group(0) @binding(6) var<storage, read_write> grad_x: array<V>;        // [groups, n, c, hw]
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;  // [c]
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;   // [c]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let channel = wg.x + wg.y * groups.x;
  if (channel >= p.c) {
    return;
  }
  let count = p.n * p.hw;
  let step = walk_step();
  var total = vec2(0.0);
  for (var group = 0u; group < p.groups; group++) {
    let number = channel * p.groups + group;
    let begin = walk_from(lane, number);
    let centre = mean[number];
    let rstd = inverseSqrt(variance[number] + p.eps);

    var at = begin;
    var along = V(0.0);
    var plain = V(0.0);
    while (at.t < count) {
      let stop = min(count, at.t + 64u * WG);
      var run_along = V(0.0);
      var run_plain = V(0.0);
      for (; at.t < stop; at = next(at, step)) {
        let d = dy[at.i];
        run_along += d * (x[at.i] - centre);
        run_plain += d;
      }
      along += run_along;
      plain += run_plain;
    }
    let sums = workgroup_sum(lane, vec2(sum_of(along) * rstd, sum_of(plain)));
    total += sums;

    let factor = gamma[channel] * rstd;
    let share = sums / (f32(count) * sum_of(V(1.0)));
    for (at = begin; at.t < count; at = next(at, step)) {
      grad_x[at.i] = factor * (dy[at.i] - share.y - (x[at.i] - centre) * rstd * share.x);
    }
  }
  if (lane == 0u) {
    dgamma[channel] = total.x;
    dbeta[channel] = total.y;
  }
}
