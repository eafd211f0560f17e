// y[i] = byte i / 255 · scale + shift; byte i is bits 8 (i % 4) and up of word i / 4
//
// One invocation decodes the four bytes of every WG-th word of its workgroup's block.

#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;    // [words]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range((p.len + 3u) / 4u, wg, groups, lane);
  for (var block = r.first; block < r.end; block += WG) {
    let bytes = vec4<f32>((vec4(words[block]) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u));
    let v = bytes / 255.0 * p.scale + p.shift;
    let i = 4u * block;
    y[i] = v.x;
    if (i + 1u < p.len) { y[i + 1u] = v.y; }
    if (i + 2u < p.len) { y[i + 2u] = v.z; }
    if (i + 3u < p.len) { y[i + 3u] = v.w; }
  }
}
