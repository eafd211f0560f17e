// Row by row: o, f, i = sigmoid and g = tanh of x + the convolution of the row of h before,
// c = f c' + i g, h = o tanh(c)
//
// One workgroup computes an image, its invocations every WG-th run of TOGETHER cells of a row. A row is read
// by other invocations than have written it.

#import activation
#expects const TOGETHER
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // [n, 4 hidden, steps, w]
@group(0) @binding(2) var<storage, read> weights: array<f32>;      // [4 hidden, hidden, taps]
@group(0) @binding(3) var<storage, read_write> h: array<f32>;      // [n, hidden, steps, w]
@group(0) @binding(4) var<storage, read_write> c: array<f32>;      // [n, hidden, steps, w]
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;  // [n, 4 hidden, steps, w]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let n = wg.x + wg.y * groups.x;
  if (n >= p.n) {
    return;
  }
  let plane = p.steps * p.w;
  let state = n * p.hidden * plane;
  // From a gate to the next, of what they are made of and of their weights.
  let gate = p.hidden * plane;
  let turn = p.hidden * p.hidden * p.taps;
  let blocks = (p.w + TOGETHER - 1u) / TOGETHER;
  for (var t = 0u; t < p.steps; t++) {
    for (var e = lane; e < p.hidden * blocks; e += WG) {
      let m = e / blocks;
      let first = (e - m * blocks) * TOGETHER;
      let row = m * plane + t * p.w;
      var sums: array<vec4<f32>, TOGETHER>;
      for (var b = 0u; b < TOGETHER; b++) {
        let at = 4u * state + row + min(first + b, p.w - 1u);
        sums[b] = vec4(x[at], x[at + gate], x[at + 2u * gate], x[at + 3u * gate]);
      }
      if (t > 0u) {
        for (var tap = 0u; tap < p.taps; tap++) {
          var k = m * p.hidden * p.taps + tap;
          var source = state + (t - 1u) * p.w;
          // Before the row it wraps around to a number past its end.
          let near = first + tap - p.left;
          for (var j = 0u; j < p.hidden; j++) {
            let weight = vec4(weights[k], weights[k + turn], weights[k + 2u * turn], weights[k + 3u * turn]);
            for (var b = 0u; b < TOGETHER; b++) {
              let value = h[source + min(near + b, p.w - 1u)];
              sums[b] += weight * select(0.0, value, near + b < p.w);
            }
            k += p.taps;
            source += plane;
          }
        }
      }
      for (var b = 0u; b < TOGETHER; b++) {
        let l = first + b;
        if (l < p.w) {
          let at = 4u * state + row + l;
          let o = sigmoid(sums[b].x);
          let f = sigmoid(sums[b].y);
          let i = sigmoid(sums[b].z);
          let g = tanh_safe(sums[b].w);
          gates[at] = o;
          gates[at + gate] = f;
          gates[at + 2u * gate] = i;
          gates[at + 3u * gate] = g;
          let own = state + row + l;
          var before = 0.0;
          if (t > 0u) {
            before = c[own - p.w];
          }
          let now = f * before + i * g;
          c[own] = now;
          h[own] = o * tanh_safe(now);
        }
      }
    }
    storageBarrier();
  }
}
