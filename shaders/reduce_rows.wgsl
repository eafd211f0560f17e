// y[o, j] = scale Σ x[a, i1, b, i2, c] over the terms (i1, i2) of chunk j, with o = (a, b, c)
//
// One workgroup computes one (o, j); its lanes take every WG-th term. Runs of 64 terms are summed
// apart, so that long sums stay accurate. An element of x is a V: one number, or four neighbours
// on axis r2 (then c is 1 and r2 counts Vs).

#import width$width
#import workgroup_sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;          // [a, r1, b, r2, c]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [a, b, c, chunks]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let id = wg.x + wg.y * groups.x;
  let o = id / p.chunks;
  if (o >= p.outputs) {
    return;
  }
  let ab = o / p.c;
  let a = ab / p.b;
  let origin = (a * p.r1 * p.b + ab % p.b) * p.r2 * p.c + o % p.c;
  let begin = (id - o * p.chunks) * p.chunk;
  let end = min(begin + p.chunk, p.r1 * p.r2);

  var t = begin + lane;
  var i2 = t % p.r2;
  var at = origin + (t / p.r2 * p.b * p.r2 + i2) * p.c;
  // WG terms on, within a row of r2 terms and past its end.
  let jump = WG % p.r2;
  let step = (WG / p.r2 * p.b * p.r2 + jump) * p.c;
  let skip = (p.b - 1u) * p.r2 * p.c;
  var sum = V(0.0);
  while (t < end) {
    let stop = min(end, t + 64u * WG);
    var run = V(0.0);
    for (; t < stop; t += WG) {
      run += x[at];
      let past = i2 + jump >= p.r2;
      i2 = select(i2 + jump, i2 + jump - p.r2, past);
      at += select(step, step + skip, past);
    }
    sum += run;
  }
  let total = workgroup_sum(lane, vec2(sum_of(sum), 0.0)).x;
  if (lane == 0u) {
    y[id] = p.scale * total;
  }
}
