// mean = Σ_j n_j mean_j / Σ_j n_j, var = (Σ_j m2_j + Σ_j n_j (mean_j - mean)²) / Σ_j n_j
// (Chan, Golub & LeVeque 1983), where part[channel, j] = (mean_j, m2_j) and n_j counts chunk j
//
// One workgroup computes one channel; its lanes take every WG-th chunk. Chunks are of p.runs runs of as many elements, and
// only the last of a run is shorter than the others.

#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<vec2<f32>>;      // [c, chunks]
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;      // [c]
@group(0) @binding(3) var<storage, read_write> variance: array<f32>;  // [c]

// The number of elements of chunk j.
fn count(j: u32) -> f32 {
  return f32(min(p.terms / p.runs - j % (p.chunks / p.runs) * p.chunk, p.chunk));
}

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
  let first = channel * p.chunks;
  let origin = part[first].x;
  var sum = 0.0;
  for (var j = lane; j < p.chunks; j += WG) {
    sum += count(j) * (part[first + j].x - origin);
  }
  let centre = origin + workgroup_sum(lane, vec2(sum, 0.0)).x / f32(p.terms);
  var squares = 0.0;
  for (var j = lane; j < p.chunks; j += WG) {
    let d = part[first + j].x - centre;
    squares += part[first + j].y + count(j) * d * d;
  }
  let spread = workgroup_sum(lane, vec2(squares, 0.0)).x / f32(p.terms);
  if (lane == 0u) {
    mean[channel] = centre;
    variance[channel] = spread;
  }
}
