// dmu = dz + dkl mu, dlogvar = ½ (dz eps exp(logvar / 2) + dkl expm1(logvar)), eps drawn again
//
// One invocation computes every WG-th block of four elements of its workgroup's range.

#import flat
#import philox
#import normal
#import activation
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dz: array<f32>;             // [rows, d]
@group(0) @binding(2) var<storage, read> dkl: array<f32>;            // [rows]
@group(0) @binding(3) var<storage, read> mu: array<f32>;             // [rows, d]
@group(0) @binding(4) var<storage, read> logvar: array<f32>;         // [rows, d]
@group(0) @binding(5) var<storage, read> clock: array<u32>;          // [1]: step
@group(0) @binding(6) var<storage, read_write> dmu: array<f32>;      // [rows, d]
@group(0) @binding(7) var<storage, read_write> dlogvar: array<f32>;  // [rows, d]

fn element(i: u32, eps: f32) {
  if (i < p.rows * p.d) {
    let k = dkl[i / p.d];
    let v = logvar[i];
    dmu[i] = dz[i] + k * mu[i];
    dlogvar[i] = 0.5 * (dz[i] * eps * exp(0.5 * v) + k * exp_m1(v));
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range((p.rows * p.d + 3u) / 4u, wg, groups, lane);
  for (var block = r.first; block < r.end; block += WG) {
    let eps = normals(philox(vec4(p.noise_first + block, p.noise_stream, clock[0], p.noise_domain), p.noise_seed_lo, p.noise_seed_hi));
    let i = 4u * block;
    element(i, eps.x);
    element(i + 1u, eps.y);
    element(i + 2u, eps.z);
    element(i + 3u, eps.w);
  }
}
