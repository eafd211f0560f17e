// da = dy f'(a) s, db = dy f(a) s (1 - s) with s = sigmoid(b), where a and b are the halves of x
//
// One invocation computes every WG-th element of its workgroup's range. An element is a V: one
// number, or four neighbours; half counts Vs.

#import flat
#import activate$width
#params

override WG: u32 = 64u;
// f's code; the activation's numbers are those of lib/activate.
override ACT: u32 = 0u;

const SIGMOID = 5u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<V>;        // [outer, half]
@group(0) @binding(2) var<storage, read> x: array<V>;         // [outer, 2, half]
@group(0) @binding(3) var<storage, read_write> grad_x: array<V>;  // [outer, 2, half]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.outer * p.half, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let at = i + i / p.half * p.half;
    let f = activate_all(ACT, 0.0, x[at]);
    let s = activate_all(SIGMOID, 0.0, x[at + p.half]);
    let passed = dy[i] * s;
    if (ACT == 0u) { grad_x[at] = passed; } else { grad_x[at] = passed * (1.0 - f * f); }
    grad_x[at + p.half] = passed * f * (1.0 - s);
  }
}
