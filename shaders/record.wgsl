// history[clock mod rows, index] = value
//
// The only invocation does it.

struct Params {
  rows: u32,
  count: u32,
  index: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> value: array<f32>;          // [1]
@group(0) @binding(2) var<storage, read> clock: array<u32>;          // [1]
@group(0) @binding(3) var<storage, read_write> history: array<f32>;  // [rows, count]

@compute @workgroup_size(1)
fn main() {
  history[clock[0] % p.rows * p.count + p.index] = value[0];
}
