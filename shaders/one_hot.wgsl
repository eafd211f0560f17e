// y[r,c] = 1 where byte first + r is c, else 0; byte i is bits 8 (i % 4) and up of word i / 4
//
// One invocation computes every WG-th element of its workgroup's block.

#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;    // [words]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [rows, classes]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.rows * p.classes, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let byte = p.first + i / p.classes;
    let label = (words[byte / 4u] >> (8u * (byte % 4u))) & 255u;
    y[i] = select(0.0, 1.0, label == i % p.classes);
  }
}
