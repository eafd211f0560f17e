// norm = √Σ v² over the weights of an output, w = v (g / norm)
//
// One workgroup computes one output in two passes; its lanes take every WG-th element. An element
// of v and w is a V: one number, or four neighbours on axis c; c counts Vs.

#import width$width
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> v: array<V>;             // [a, outputs, c]
@group(0) @binding(2) var<storage, read> g: array<f32>;           // [outputs]
@group(0) @binding(3) var<storage, read_write> w: array<V>;       // [a, outputs, c]
@group(0) @binding(4) var<storage, read_write> norm: array<f32>;  // [outputs]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let o = wg.x + wg.y * groups.x;
  if (o >= p.outputs) {
    return;
  }
  let terms = p.a * p.c;
  let first = o * p.c;
  // From a run of c elements to the next.
  let gap = (p.outputs - 1u) * p.c;

  var sum = V(0.0);
  for (var t = lane; t < terms; t += WG) {
    let x = v[first + t + t / p.c * gap];
    sum += x * x;
  }
  let root = sqrt(workgroup_sum(lane, vec2(sum_of(sum), 0.0)).x);
  if (lane == 0u) {
    norm[o] = root;
  }
  let factor = g[o] / root;
  for (var t = lane; t < terms; t += WG) {
    let at = first + t + t / p.c * gap;
    w[at] = v[at] * factor;
  }
}
