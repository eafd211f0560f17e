// Row by row from the last: dh and the transposed convolution of the row of dpre behind; with
// s = dc + dh o (1 - tanh² c): dc' = s f, and dpre of o = dh tanh(c) o (1 - o), of f = s c' f (1 - f),
// of i = s g i (1 - i), of g = s i (1 - g²)
//
// One workgroup computes an image, its invocations every WG-th block of TOGETHER channels and as many positions of a
// row. A row is read by other invocations than have written it; dc by the same.

#import activation
#expects const TOGETHER
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dh: array<f32>;          // [n, hidden, steps, w]
@group(0) @binding(2) var<storage, read> weights: array<f32>;     // [4 hidden, hidden, taps]
@group(0) @binding(3) var<storage, read> gates: array<f32>;       // [n, 4 hidden, steps, w]
@group(0) @binding(4) var<storage, read> c: array<f32>;           // [n, hidden, steps, w]
@group(0) @binding(5) var<storage, read_write> dpre: array<f32>;  // [n, 4 hidden, steps, w]
@group(0) @binding(6) var<storage, read_write> dc: array<f32>;    // [n, hidden, w]

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
  let gate = p.hidden * plane;
  let cells = p.hidden * p.w;
  let blocks = (p.w + TOGETHER - 1u) / TOGETHER;
  let tall = (p.hidden + TOGETHER - 1u) / TOGETHER;
  for (var back = 0u; back < p.steps; back++) {
    let t = p.steps - 1u - back;
    for (var e = lane; e < tall * blocks; e += WG) {
      let m0 = e / blocks * TOGETHER;
      let first = e % blocks * TOGETHER;
      // Of channel m0 + a and position first + b at a·TOGETHER + b.
      var sums: array<f32, TOGETHER * TOGETHER>;
      if (back > 0u) {
        for (var tap = 0u; tap < p.taps; tap++) {
          var k = tap;
          var source = 4u * state + (t + 1u) * p.w;
          // Before the row it wraps around to a number past its end.
          let near = first + p.left - tap;
          for (var j = 0u; j < 4u * p.hidden; j++) {
            var values: array<f32, TOGETHER>;
            for (var b = 0u; b < TOGETHER; b++) {
              values[b] = select(0.0, dpre[source + min(near + b, p.w - 1u)], near + b < p.w);
            }
            for (var a = 0u; a < TOGETHER; a++) {
              let weight = weights[k + min(m0 + a, p.hidden - 1u) * p.taps];
              for (var b = 0u; b < TOGETHER; b++) {
                sums[a * TOGETHER + b] += weight * values[b];
              }
            }
            k += p.hidden * p.taps;
            source += plane;
          }
        }
      }
      for (var a = 0u; a < TOGETHER; a++) {
        for (var b = 0u; b < TOGETHER; b++) {
          let m = m0 + a;
          let l = first + b;
          if (m < p.hidden && l < p.w) {
            let row = m * plane + t * p.w + l;
            let own = state + row;
            let at = 4u * state + row;
            let passed = dh[own] + sums[a * TOGETHER + b];
            let o = gates[at];
            let f = gates[at + gate];
            let i = gates[at + 2u * gate];
            let g = gates[at + 3u * gate];
            let shown = tanh_safe(c[own]);
            let kept = n * cells + m * p.w + l;
            var s = passed * o * (1.0 - shown * shown);
            if (back > 0u) {
              s += dc[kept];
            }
            dc[kept] = s * f;
            var before = 0.0;
            if (t > 0u) {
              before = c[own - p.w];
            }
            dpre[at] = passed * shown * o * (1.0 - o);
            dpre[at + gate] = s * before * f * (1.0 - f);
            dpre[at + 2u * gate] = s * g * i * (1.0 - i);
            dpre[at + 3u * gate] = s * i * (1.0 - g * g);
          }
        }
      }
    }
    storageBarrier();
  }
}
