// s[i] += rate (scale x[i] - s[i]), where scale is that of the last range that starts at i or before
//
// One invocation updates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len and starts count Vs.

#import width$width
#import flat

override WG: u32 = 64u;

struct EmaParams {
  len: u32,
  rate: f32,
  start1: u32,
  start2: u32,
  start3: u32,
  start4: u32,
  start5: u32,
  start6: u32,
  start7: u32,
  start8: u32,
  start9: u32,
  start10: u32,
  start11: u32,
  start12: u32,
  start13: u32,
  start14: u32,
  start15: u32,
  scale0: f32,
  scale1: f32,
  scale2: f32,
  scale3: f32,
  scale4: f32,
  scale5: f32,
  scale6: f32,
  scale7: f32,
  scale8: f32,
  scale9: f32,
  scale10: f32,
  scale11: f32,
  scale12: f32,
  scale13: f32,
  scale14: f32,
  scale15: f32,
}

@group(0) @binding(0) var<uniform> p: EmaParams;
@group(0) @binding(1) var<storage, read> x: array<V>;        // [len]
@group(0) @binding(2) var<storage, read_write> s: array<V>;  // [len]

fn factor(i: u32) -> f32 {
  var scale = p.scale0;
  scale = select(scale, p.scale1, i >= p.start1);
  scale = select(scale, p.scale2, i >= p.start2);
  scale = select(scale, p.scale3, i >= p.start3);
  scale = select(scale, p.scale4, i >= p.start4);
  scale = select(scale, p.scale5, i >= p.start5);
  scale = select(scale, p.scale6, i >= p.start6);
  scale = select(scale, p.scale7, i >= p.start7);
  scale = select(scale, p.scale8, i >= p.start8);
  scale = select(scale, p.scale9, i >= p.start9);
  scale = select(scale, p.scale10, i >= p.start10);
  scale = select(scale, p.scale11, i >= p.start11);
  scale = select(scale, p.scale12, i >= p.start12);
  scale = select(scale, p.scale13, i >= p.start13);
  scale = select(scale, p.scale14, i >= p.start14);
  scale = select(scale, p.scale15, i >= p.start15);
  return scale;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    s[i] += p.rate * (factor(i) * x[i] - s[i]);
  }
}
