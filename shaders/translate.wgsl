// y[i,c,r,q] = x[i,c,r-v,q-u] where that is inside the image, else 0; (v, u) is drawn for each image i,
// v from -most_v..=most_v and u from -most_u..=most_u, and has the other sign with back.
//
// One invocation moves every WG-th element of its workgroup's range.

#import flat
#import philox
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n,c,h,w]
@group(0) @binding(2) var<storage, read> clock: array<u32>;    // [1]: step
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n,c,h,w]

fn moves(word: u32, most: u32) -> i32 {
  let d = i32(word % (2u * most + 1u)) - i32(most);
  return select(d, -d, p.back == 1u);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let plane = p.h * p.w;
  let r = flat_range(p.n * p.c * plane, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let words = philox(vec4(p.noise_first + i / (p.c * plane), p.noise_stream, clock[0], p.noise_domain), p.noise_seed_lo, p.noise_seed_hi);
    let row = i32(i % plane / p.w) - moves(words.x, p.most_v);
    let column = i32(i % p.w) - moves(words.y, p.most_u);
    var moved = 0.0;
    if (row >= 0 && row < i32(p.h) && column >= 0 && column < i32(p.w)) {
      moved = x[i / plane * plane + u32(row) * p.w + u32(column)];
    }
    y[i] = moved;
  }
}
