// history[clock mod rows, index + k] = vk[0]
//
// The only invocation does it.

#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;          // [1]
@group(0) @binding(2) var<storage, read> v0: array<f32>;             // [1]
@group(0) @binding(3) var<storage, read> v1: array<f32>;             // [1]
@group(0) @binding(4) var<storage, read> v2: array<f32>;             // [1]
@group(0) @binding(5) var<storage, read> v3: array<f32>;             // [1]
@group(0) @binding(6) var<storage, read> v4: array<f32>;             // [1]
@group(0) @binding(7) var<storage, read> v5: array<f32>;             // [1]
@group(0) @binding(8) var<storage, read_write> history: array<f32>;  // [rows, count]

@compute @workgroup_size(1)
fn main() {
  let first = clock[0] % p.rows * p.count + p.index;
  history[first] = v0[0];
  if p.values > 1u { history[first + 1u] = v1[0]; }
  if p.values > 2u { history[first + 2u] = v2[0]; }
  if p.values > 3u { history[first + 3u] = v3[0]; }
  if p.values > 4u { history[first + 4u] = v4[0]; }
  if p.values > 5u { history[first + 5u] = v5[0]; }
}
