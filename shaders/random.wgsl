// y[i] = offset + scale · draw i; the draws are uniform in [0, 1) (kind 0) or standard normal (1)
//
// One invocation draws every WG-th block of four of its workgroup's range.

#import flat
#import philox
#import normal
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> clock: array<u32>;    // [1]: step
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range((p.len + 3u) / 4u, wg, groups, lane);
  for (var block = r.first; block < r.end; block += WG) {
    let words = philox(vec4(p.noise_first + block, p.noise_stream, clock[0], p.noise_domain), p.noise_seed_lo, p.noise_seed_hi);
    var draw = uniforms(words);
    if (p.kind == 1u) {
      draw = normals(words);
    }
    let v = p.offset + p.scale * draw;
    let i = 4u * block;
    y[i] = v.x;
    if (i + 1u < p.len) { y[i + 1u] = v.y; }
    if (i + 2u < p.len) { y[i + 2u] = v.z; }
    if (i + 3u < p.len) { y[i + 3u] = v.w; }
  }
}
