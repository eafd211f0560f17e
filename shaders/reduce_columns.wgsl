// y[j, o] = scale Σ x[a, i1, b, i2, c] over the terms (i1, i2) of chunk j, with o = (a, b, c)
//
// One invocation computes every WG-th (j, o) of its workgroup's block, so that neighbours read
// neighbours on axis c. Runs of 64 terms are summed apart, so that long sums stay accurate. An
// element is a V: one number, or four neighbours on axis c (then outputs and c count Vs).

#import width$width
#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;        // [a, r1, b, r2, c]
@group(0) @binding(2) var<storage, read_write> y: array<V>;  // [chunks, a, b, c]

// The sum of terms [begin, end) of output o.
fn sum_terms(o: u32, begin: u32, end: u32) -> V {
  let ab = o / p.c;
  let a = ab / p.b;
  var i2 = begin % p.r2;
  var at = ((a * p.r1 + begin / p.r2) * p.b + (ab - a * p.b)) * p.r2 * p.c + i2 * p.c + (o - ab * p.c);
  let skip = (p.b - 1u) * p.r2 * p.c;
  var sum = V(0.0);
  var t = begin;
  while (t < end) {
    let stop = min(end, t + 64u);
    var run = V(0.0);
    for (; t < stop; t += 1u) {
      run += x[at];
      i2 += 1u;
      let past = i2 == p.r2;
      at += select(p.c, p.c + skip, past);
      i2 = select(i2, 0u, past);
    }
    sum += run;
  }
  return sum;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.outputs * p.chunks, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let j = i / p.outputs;
    y[i] = p.scale * sum_terms(i - j * p.outputs, j * p.chunk, min((j + 1u) * p.chunk, p.r1 * p.r2));
  }
}
