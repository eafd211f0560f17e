// c = f·c' + i·g, h = o·tanh(c), with o, f, i = sigmoid(pre) and g = tanh(pre) of four groups of channels
//
// One invocation computes every WG-th cell of its workgroup's range.

#import flat
#import activation
#import lstm
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pre: array<f32>;      // [n, 4 hidden, positions]
@group(0) @binding(2) var<storage, read> before: array<f32>;   // [n, hidden, positions]: c'
@group(0) @binding(3) var<storage, read_write> h: array<f32>;  // [n, hidden, positions]
@group(0) @binding(4) var<storage, read_write> c: array<f32>;  // [n, hidden, positions]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let cells = p.hidden * p.positions;
  let r = flat_range(p.n * cells, wg, groups, lane);
  for (var e = r.first; e < r.end; e += WG) {
    let gates = gates_of(e, cells);
    let now = gates.f * before[e] + gates.i * gates.g;
    c[e] = now;
    h[e] = gates.o * tanh_safe(now);
  }
}
