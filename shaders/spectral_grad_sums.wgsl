// part[j] = Σ dy y over chunk j
//
// One workgroup computes one chunk; its lanes take every WG-th element.

#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;          // [rows, columns]
@group(0) @binding(2) var<storage, read> y: array<f32>;           // [rows, columns]
@group(0) @binding(3) var<storage, read_write> part: array<f32>;  // [chunks]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let j = wg.x + wg.y * groups.x;
  if (j >= p.chunks) {
    return;
  }
  let end = min((j + 1u) * p.chunk, p.len);
  var sum = 0.0;
  for (var i = j * p.chunk + lane; i < end; i += WG) {
    sum += dy[i] * y[i];
  }
  let total = workgroup_sum(lane, vec2(sum, 0.0)).x;
  if (lane == 0u) {
    part[j] = total;
  }
}
