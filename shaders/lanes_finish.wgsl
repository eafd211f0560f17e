// x = act(x * gate(g) + r) in place, with gate(g) 1 where g > 0 and p.epilogue_gate_slope elsewhere: what a lanes variant leaves
// of its epilogue. Its unrolled rows would hold a copy of an exponential each, and lanes that hold channels
// would read g word by word, a plane apart.
//
// One invocation does every WG-th element of its workgroup's block. An element is a V: one or four
// numbers; len counts Vs.

#import width$width
#import flat
#import activate$width
#params

override WG: u32 = 8u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>; // [len]
@group(0) @binding(2) var<storage, read> r: array<V>; // [len]
@group(0) @binding(3) var<storage, read_write> x: array<V>; // [len]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let all = flat_range(p.len, wg, grid, lane);
  for (var i = all.first; i < all.end; i += WG) {
    var value = x[i];
    if (p.epilogue_gate != 0u) { value *= unless_nans(select(V(p.epilogue_gate_slope), V(1.0), g[i] > V(0.0)), g[i]); }
    if (p.epilogue_residual != 0u) { value += r[i]; }
    x[i] = activate_all(p.epilogue_act_code, p.epilogue_act_slope, value);
  }
}
