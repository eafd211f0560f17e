// x = act(x) in place, for curved activations behind a lanes variant, whose unrolled rows would
// otherwise hold one copy of the exponential each. One invocation does one element.

struct Activate { len: u32, act: u32, slope: f32 }

@group(0) @binding(0) var<uniform> p: Activate;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [len]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * grid.x) * 8u + lane;
  if (i >= p.len) { return; }
  x[i] = activate(p.act, p.slope, x[i]);
}
