// part[channel, j] = (Σ dy (x - mean), Σ dy), both over chunk j
//
// One workgroup computes one (channel, j); its lanes take every WG-th element. An element of dy and
// x is a V: one number, or four neighbours on axis hw; hw and chunk count Vs.

#import width$width
#import workgroup_sum
#import walk
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;                  // [groups, n, c, hw]
@group(0) @binding(2) var<storage, read> x: array<V>;                   // [groups, n, c, hw]
@group(0) @binding(3) var<storage, read> mean: array<f32>;              // [c, groups]
@group(0) @binding(4) var<storage, read_write> part: array<vec2<f32>>;  // [c, groups, chunks]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = wg.x + wg.y * groups.x;
  let channel = id / p.chunks;
  if (channel >= p.c * p.groups) {
    return;
  }
  let first = (id - channel * p.chunks) * p.chunk;
  let end = min(first + p.chunk, p.n * p.hw);
  let begin = walk_from(first + lane, channel);
  let step = walk_step();
  let centre = mean[channel];
  var along = V(0.0);
  var plain = V(0.0);
  for (var at = begin; at.t < end; at = next(at, step)) {
    let d = dy[at.i];
    along += d * (x[at.i] - centre);
    plain += d;
  }
  let sums = workgroup_sum(lane, vec2(sum_of(along), sum_of(plain)));
  if (lane == 0u) { part[id] = sums; }
}
