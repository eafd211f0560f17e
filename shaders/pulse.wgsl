// y = 1 where t mod period = phase at clock t, else 0
//
// The only invocation does it.

#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;    // [1]: t
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [1]

@compute @workgroup_size(1)
fn main() {
  y[0] = select(0.0, 1.0, clock[0] % p.period == p.phase);
}
