// z[o, k, i] = x[o, k, i] where k < a, y[o, k - a, i] elsewhere
//
// One invocation copies every WG-th element of its workgroup's block; it divides once and steps on.

#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [outer, a, inner]
@group(0) @binding(2) var<storage, read> y: array<f32>;        // [outer, b, inner]
@group(0) @binding(3) var<storage, read_write> z: array<f32>;  // [outer, a + b, inner]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let a = p.a * p.inner;
  let b = p.b * p.inner;
  let r = flat_range(p.outer * (a + b), wg, groups, lane);
  let jump_o = WG / (a + b);
  let jump_k = WG % (a + b);
  var o = r.first / (a + b);
  var k = r.first % (a + b);
  for (var i = r.first; i < r.end; i += WG) {
    if (k < a) {
      z[i] = x[o * a + k];
    } else {
      z[i] = y[o * b + k - a];
    }
    o += jump_o;
    k += jump_k;
    if (k >= a + b) {
      k -= a + b;
      o += 1u;
    }
  }
}
