// z = mu + exp(logvar / 2) eps, kl = ½ Σ_d (mu² + expm1(logvar) - logvar), eps ~ N(0, 1)
//
// One workgroup computes every (number of workgroups)-th row; one invocation draws every WG-th
// block of four numbers that touches the row. A block across two rows is drawn by both.

#import philox
#import normal
#import activation
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mu: array<f32>;        // [rows, d]
@group(0) @binding(2) var<storage, read> logvar: array<f32>;    // [rows, d]
@group(0) @binding(3) var<storage, read> clock: array<u32>;     // [1]: step
@group(0) @binding(4) var<storage, read_write> z: array<f32>;   // [rows, d]
@group(0) @binding(5) var<storage, read_write> kl: array<f32>;  // [rows]

// Writes z at element i of the row [start, end) and returns its share of the KL term.
fn element(i: u32, start: u32, end: u32, eps: f32) -> f32 {
  if (i < start || i >= end) {
    return 0.0;
  }
  let m = mu[i];
  let v = logvar[i];
  z[i] = m + exp(0.5 * v) * eps;
  return 0.5 * (m * m + (exp_m1(v) - v));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  for (var row = wg.x + wg.y * groups.x; row < p.rows; row += groups.x * groups.y) {
    let start = row * p.d;
    let end = start + p.d;
    var sum = 0.0;
    for (var block = start / 4u + lane; 4u * block < end; block += WG) {
      let eps = normals(philox(vec4(p.noise_first + block, p.noise_stream, clock[0], p.noise_domain), p.noise_seed_lo, p.noise_seed_hi));
      let i = 4u * block;
      sum += (element(i, start, end, eps.x) + element(i + 1u, start, end, eps.y))
           + (element(i + 2u, start, end, eps.z) + element(i + 3u, start, end, eps.w));
    }
    let total = workgroup_sum(lane, vec2(sum, 0.0)).x;
    if (lane == 0u) {
      kl[row] = total;
    }
  }
}
