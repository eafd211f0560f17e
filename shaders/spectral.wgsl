// sigma = Σ u product, y = w / sigma
//
// Every workgroup makes the sum, which is short, and computes every WG-th element of its block.

#import flat
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;            // [rows, columns]
@group(0) @binding(2) var<storage, read> u: array<f32>;            // [rows]
@group(0) @binding(3) var<storage, read> product: array<f32>;      // [rows]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;      // [rows, columns]
@group(0) @binding(5) var<storage, read_write> sigma: array<f32>;  // [1]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  var sum = 0.0;
  for (var k = lane; k < p.rows; k += WG) {
    sum += u[k] * product[k];
  }
  let value = workgroup_sum(lane, vec2(sum, 0.0)).x;
  if (lane == 0u && wg.x + wg.y == 0u) {
    sigma[0] = value;
  }
  let r = flat_range(p.rows * p.columns, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    y[i] = w[i] / value;
  }
}
