// multiply_add_matrix.wgsl without matrix units, in f32:
//
//   c[s, m, n] = turns * sum over k of a[m, k] * b[k, n]     by as many additions
//
// One invocation makes one sum.

#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;        // [2E, E]
@group(0) @binding(2) var<storage, read> b: array<f32>;        // [E, 4E]
@group(0) @binding(3) var<storage, read_write> c: array<f32>;  // [subgroups, 2E, 4E]

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * grid.x) * WG + lane;
  if (i >= p.subgroups * 8u * p.edge * p.edge) { return; }
  let columns = 4u * p.edge;
  let m = (i / columns) % (2u * p.edge);
  let n = i % columns;
  var sum = 0.0;
  for (var t = 0u; t < p.turns; t += 1u) {
    for (var k = 0u; k < p.edge; k += 1u) { sum = fma(a[m * p.edge + k], b[k * columns + n], sum); }
  }
  c[i] = sum;
}
