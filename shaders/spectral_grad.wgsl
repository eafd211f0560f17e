// dw = (dy - (Σ part) u vᵀ) / sigma
//
// Every workgroup makes the sum, which is short, and computes every WG-th element of its block.

#import flat
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;        // [rows, columns]
@group(0) @binding(2) var<storage, read> u: array<f32>;         // [rows]
@group(0) @binding(3) var<storage, read> v: array<f32>;         // [columns]
@group(0) @binding(4) var<storage, read> sigma: array<f32>;     // [1]
@group(0) @binding(5) var<storage, read> part: array<f32>;      // [chunks]
@group(0) @binding(6) var<storage, read_write> dw: array<f32>;  // [rows, columns]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = 0.0;
  for (var k = lane; k < p.chunks; k += WG) {
    sum += part[k];
  }
  let along = workgroup_sum(lane, vec2(sum, 0.0)).x;
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    dw[i] = (dy[i] - along * u[i / p.columns] * v[i % p.columns]) / sigma[0];
  }
}
