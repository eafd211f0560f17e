// With s = dc + dh·o·(1 - tanh²c): dc' = s·f; d pre of o = dh·tanh(c)·o·(1 - o), of f = s·c'·f·(1 - f),
// of i = s·g·i·(1 - i), of g = s·i·(1 - g²)
//
// One invocation computes every WG-th cell of its workgroup's range.

#import flat
#import activation
#import lstm
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dh: array<f32>;             // [n, hidden, positions]
@group(0) @binding(2) var<storage, read> dc: array<f32>;             // [n, hidden, positions]
@group(0) @binding(3) var<storage, read> pre: array<f32>;            // [n, 4 hidden, positions]
@group(0) @binding(4) var<storage, read> before: array<f32>;         // [n, hidden, positions]: c'
@group(0) @binding(5) var<storage, read> c: array<f32>;              // [n, hidden, positions]
@group(0) @binding(6) var<storage, read_write> dpre: array<f32>;     // [n, 4 hidden, positions]
@group(0) @binding(7) var<storage, read_write> dbefore: array<f32>;  // [n, hidden, positions]

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
    let t = tanh_safe(c[e]);
    let s = dc[e] + dh[e] * gates.o * (1.0 - t * t);
    dbefore[e] = s * gates.f;
    let at = e / cells * 4u * cells + e % cells;
    dpre[at] = dh[e] * t * gates.o * (1.0 - gates.o);
    dpre[at + cells] = s * before[e] * gates.f * (1.0 - gates.f);
    dpre[at + 2u * cells] = s * gates.g * gates.i * (1.0 - gates.i);
    dpre[at + 3u * cells] = s * gates.i * (1.0 - gates.g * gates.g);
  }
}
