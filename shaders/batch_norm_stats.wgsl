// part[channel, j] = (mean of chunk j, Σ (x - that mean)² over chunk j)
//
// One workgroup computes one (channel, j) in two passes over its chunk; its lanes take every WG-th
// element. An element of x is a V: one number, or four neighbours on axis hw; hw and chunk count
// Vs.

#import width$width
#import workgroup_sum
#import walk
#import nan
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;                   // [groups, n, c, hw]
@group(0) @binding(2) var<storage, read_write> part: array<vec2<f32>>;  // [c, groups, chunks]

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
  let terms = f32(end - first) * sum_of(V(1.0));
  let begin = walk_from(first + lane, channel);
  let step = walk_step();

  var sum = V(0.0);
  for (var at = begin; at.t < end; at = next(at, step)) {
    sum += x[at.i];
  }
  let rough = workgroup_sum(lane, vec2(sum_of(sum), 0.0)).x / terms;
  sum = V(0.0);
  var squares = V(0.0);
  for (var at = begin; at.t < end; at = next(at, step)) {
    let d = x[at.i] - rough;
    sum += d;
    squares += d * d;
  }
  let total = workgroup_sum(lane, vec2(sum_of(sum), sum_of(squares)));
  if (lane == 0u) {
    let off = total.x / terms;
    let below = total.y - total.x * off;
    part[id] = vec2(rough + off, unless_nan(max(below, 0.0), below));
  }
}
