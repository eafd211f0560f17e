// The halves of y are ELU of x and of -x
//
// One invocation computes every WG-th element of x of its workgroup's range. An element is a V: one
// number, or four neighbours; half counts Vs.

#import flat
#import activate$width
#params

override WG: u32 = 64u;

const ELU = 3u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;        // [outer, half]
@group(0) @binding(2) var<storage, read_write> y: array<V>;  // [outer, 2, half]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.outer * p.half, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let at = i + i / p.half * p.half;
    y[at] = activate_all(ELU, 0.0, x[i]);
    y[at + p.half] = activate_all(ELU, 0.0, -x[i]);
  }
}
