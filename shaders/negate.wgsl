// w[i] = -w[i]
//
// One invocation negates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len counts Vs.

#import width$width
#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<V>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    w[i] = -w[i];
  }
}
