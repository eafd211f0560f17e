// y[i] = 1 if draw i < probability[i], else 0; the draws are uniform in [0, 1)
//
// One invocation draws every WG-th block of four of its workgroup's range.

#import flat
#import philox
#import nan
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> probability: array<f32>;  // [len]
@group(0) @binding(2) var<storage, read> clock: array<u32>;        // [1]: step
@group(0) @binding(3) var<storage, read_write> y: array<f32>;      // [len]

fn toss(i: u32, draw: f32) {
  if (i < p.len) {
    y[i] = unless_nan(select(0.0, 1.0, draw < probability[i]), probability[i]);
  }
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range((p.len + 3u) / 4u, wg, groups, lane);
  for (var block = r.first; block < r.end; block += WG) {
    let draw = uniforms(philox(vec4(p.noise_first + block, p.noise_stream, clock[0], p.noise_domain), p.noise_seed_lo, p.noise_seed_hi));
    let i = 4u * block;
    toss(i, draw.x);
    toss(i + 1u, draw.y);
    toss(i + 2u, draw.z);
    toss(i + 3u, draw.w);
  }
}
