// image[n, t] = 1 if draw (n·positions + t) < sigmoid(logits[n, t]), else 0, where keep[n, t] = 0
// and t = clock; the draws are uniform in [0, 1), of step 0
//
// One invocation draws the pixel of every WG-th image of its workgroup's block.

override WG: u32 = 64u;

struct Params {
  n: u32,
  positions: u32,
  seed_lo: u32,
  seed_hi: u32,
  stream: u32,
  domain: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;       // [n, positions]
@group(0) @binding(2) var<storage, read> keep: array<f32>;         // [n, positions]
@group(0) @binding(3) var<storage, read> clock: array<u32>;        // [1]: t
@group(0) @binding(4) var<storage, read_write> image: array<f32>;  // [n, positions]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let t = clock[0];
  if (t >= p.positions) {
    return;
  }
  let r = flat_range(p.n, wg, groups, lane);
  for (var n = r.first; n < r.end; n += WG) {
    let i = n * p.positions + t;
    if (keep[i] == 0.0) {
      let draws = uniforms(philox(vec4(i / 4u, p.stream, 0u, p.domain), p.seed_lo, p.seed_hi));
      image[i] = select(0.0, 1.0, draws[i % 4u] < sigmoid(logits[i]));
    }
  }
}
