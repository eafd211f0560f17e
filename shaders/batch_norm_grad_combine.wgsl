// The sums over the chunks of a channel, of each group and of all:
//
//   of_gamma[channel, group] = Σ_j part[channel, group, j].x / sqrt(variance[channel, group] + eps),
//   of_beta[channel, group] = Σ_j part[channel, group, j].y, dgamma[channel] = Σ_group of_gamma[channel, group],
//
// and the same of beta. One workgroup computes one channel, group by group; its lanes take every WG-th chunk.

#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<vec2<f32>>;      // [c, groups, chunks]
@group(0) @binding(2) var<storage, read> variance: array<f32>;        // [c, groups]
@group(0) @binding(3) var<storage, read_write> dgamma: array<f32>;    // [c]
@group(0) @binding(4) var<storage, read_write> dbeta: array<f32>;     // [c]
@group(0) @binding(5) var<storage, read_write> of_gamma: array<f32>;  // [c, groups]
@group(0) @binding(6) var<storage, read_write> of_beta: array<f32>;   // [c, groups]

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
  var all = vec2(0.0);
  for (var group = 0u; group < p.groups; group += 1u) {
    let number = channel * p.groups + group;
    var sum = vec2(0.0);
    for (var j = lane; j < p.chunks; j += WG) {
      sum += part[number * p.chunks + j];
    }
    let own = workgroup_sum(lane, sum) * vec2(inverseSqrt(variance[number] + p.eps), 1.0);
    all += own;
    if (lane == 0u) {
      of_gamma[number] = own.x;
      of_beta[number] = own.y;
    }
  }
  if (lane == 0u) {
    dgamma[channel] = all.x;
    dbeta[channel] = all.y;
  }
}
