// s[i] += rate (scale x[pass][i, k] - s[i]) pass by pass and round by round, where scale is that of the last range
// that starts at i or before
//
// One invocation updates every WG-th element of its workgroup's block. An element is a V: one or
// four numbers; len, starts and bases count Vs.

#import width$width
#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;        // of each pass [len, rounds]
@group(0) @binding(2) var<storage, read_write> s: array<V>;  // [len]

fn factor(i: u32) -> f32 {
  var scale = p.scale0;
  scale = select(scale, p.scale1, i >= p.end0);
  scale = select(scale, p.scale2, i >= p.end1);
  scale = select(scale, p.scale3, i >= p.end2);
  scale = select(scale, p.scale4, i >= p.end3);
  scale = select(scale, p.scale5, i >= p.end4);
  scale = select(scale, p.scale6, i >= p.end5);
  scale = select(scale, p.scale7, i >= p.end6);
  scale = select(scale, p.scale8, i >= p.end7);
  scale = select(scale, p.scale9, i >= p.end8);
  scale = select(scale, p.scale10, i >= p.end9);
  scale = select(scale, p.scale11, i >= p.end10);
  scale = select(scale, p.scale12, i >= p.end11);
  scale = select(scale, p.scale13, i >= p.end12);
  scale = select(scale, p.scale14, i >= p.end13);
  scale = select(scale, p.scale15, i >= p.end14);
  return scale;
}

// A pass, whose new values begin at base.
fn follow(i: u32, scale: f32, base: u32, rounds: u32) {
  for (var k = 0u; k < rounds; k++) {
    s[i] += p.rate * (scale * x[base + i * rounds + k] - s[i]);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.len, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let scale = factor(i);
    follow(i, scale, 0u, p.rounds0);
    follow(i, scale, p.base1, p.rounds1);
    follow(i, scale, p.base2, p.rounds2);
    follow(i, scale, p.base3, p.rounds3);
  }
}
