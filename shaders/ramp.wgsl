// y[0] = min(step / steps, 1)
//
// The only invocation does it.

struct Params {
  steps: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;      // [1]: step
@group(0) @binding(2) var<storage, read_write> y: array<f32>;    // [1]

@compute @workgroup_size(1)
fn main() {
  y[0] = select(1.0, f32(clock[0]) / f32(p.steps), clock[0] < p.steps);
}
