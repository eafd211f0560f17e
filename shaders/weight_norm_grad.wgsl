// dg = Σ dw v / norm over the weights of an output, dv = (g / norm) (dw - v dg / norm)
//
// One workgroup computes one output in two passes; its lanes take every WG-th element. An element
// of dw, v and dv is a V: one number, or four neighbours on axis c; c counts Vs.

#import width$width
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dw: array<V>;          // [a, outputs, c]
@group(0) @binding(2) var<storage, read> v: array<V>;           // [a, outputs, c]
@group(0) @binding(3) var<storage, read> g: array<f32>;         // [outputs]
@group(0) @binding(4) var<storage, read> norm: array<f32>;      // [outputs]
@group(0) @binding(5) var<storage, read_write> dv: array<V>;    // [a, outputs, c]
@group(0) @binding(6) var<storage, read_write> dg: array<f32>;  // [outputs]

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
    let at = first + t + t / p.c * gap;
    sum += dw[at] * v[at];
  }
  let by_length = workgroup_sum(lane, vec2(sum_of(sum), 0.0)).x / norm[o];
  if (lane == 0u) {
    dg[o] = by_length;
  }
  let factor = g[o] / norm[o];
  let along = by_length / norm[o];
  for (var t = lane; t < terms; t += WG) {
    let at = first + t + t / p.c * gap;
    dv[at] = factor * (dw[at] - v[at] * along);
  }
}
