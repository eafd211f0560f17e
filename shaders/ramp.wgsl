// y = start + (end - start) min(t per_step, 1) at clock t
//
// The only invocation does it.

#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;    // [1]: t
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [1]

@compute @workgroup_size(1)
fn main() {
  y[0] = p.start + (p.end - p.start) * min(f32(clock[0]) * p.per_step, 1.0);
}
