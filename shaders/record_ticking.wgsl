// history[clock mod rows, index + k] = vk[0], and counters, of which the first, c0, is the clock, advance by one: the
// piece in front has them.
//
// The only invocation does it.

#expects fn tick()
#expects var c0
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> v0: array<f32>;             // [1]
@group(0) @binding(2) var<storage, read> v1: array<f32>;             // [1]
@group(0) @binding(3) var<storage, read> v2: array<f32>;             // [1]
@group(0) @binding(4) var<storage, read_write> history: array<f32>;  // [rows, count]

@compute @workgroup_size(1)
fn main() {
  let first = c0[0] % p.rows * p.count + p.index;
  history[first] = v0[0];
  if p.values > 1u { history[first + 1u] = v1[0]; }
  if p.values > 2u { history[first + 2u] = v2[0]; }
  tick();
}
