// clock[0] += 1
//
// The only invocation does it.

struct Params {
  pad: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> clock: array<u32>;  // [1]

@compute @workgroup_size(1)
fn main() {
  clock[0] += 1u;
}
