// grad_x = da s(a) - db s(b), where a and b are the halves of y, and s(y) the slope of ELU where it is
// y: 1 above 0, y + 1 elsewhere
//
// One invocation computes every WG-th element of x of its workgroup's range. An element is a V: one
// number, or four neighbours; half counts Vs.

#import flat
#import width$width
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;        // [outer, 2, half]
@group(0) @binding(2) var<storage, read> y: array<V>;         // [outer, 2, half]
@group(0) @binding(3) var<storage, read_write> grad_x: array<V>;  // [outer, half]

fn slope(y: V) -> V {
  return select(y + 1.0, V(1.0), y > V(0.0));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.outer * p.half, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let at = i + i / p.half * p.half;
    grad_x[i] = dy[at] * slope(y[at]) - dy[at + p.half] * slope(y[at + p.half]);
  }
}
