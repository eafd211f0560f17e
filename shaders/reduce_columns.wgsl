// y[j, o] = scale Σ x[a, i1, b, i2, c] over the terms (i1, i2) of chunk j, with o = (a, b, c)
//
// One invocation computes one (j, o), so that neighbours read neighbours on axis c. Runs of 64
// terms are summed apart, so that long sums stay accurate. An element is a V: one number, or four
// neighbours on axis c (then outputs and c count Vs).

override WG: u32 = 64u;

struct Params {
  outputs: u32,
  r1: u32,
  b: u32,
  r2: u32,
  c: u32,
  chunk: u32,
  chunks: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;        // [a, r1, b, r2, c]
@group(0) @binding(2) var<storage, read_write> y: array<V>;  // [chunks, a, b, c]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let across = (p.outputs + WG - 1u) / WG;
  let id = wg.x + wg.y * groups.x;
  let j = id / across;
  let o = (id - j * across) * WG + lane;
  if (o >= p.outputs || j >= p.chunks) {
    return;
  }
  let ab = o / p.c;
  let a = ab / p.b;
  let origin = (a * p.r1 * p.b + ab % p.b) * p.r2 * p.c + o % p.c;
  let end = min((j + 1u) * p.chunk, p.r1 * p.r2);

  var t = j * p.chunk;
  var i2 = t % p.r2;
  var at = origin + (t / p.r2 * p.b * p.r2 + i2) * p.c;
  var sum = V(0.0);
  while (t < end) {
    let stop = min(end, t + 64u);
    var run = V(0.0);
    for (; t < stop; t += 1u) {
      run += x[at];
      at += p.c;
      i2 += 1u;
      if (i2 == p.r2) {
        i2 = 0u;
        at += (p.b - 1u) * p.r2 * p.c;
      }
    }
    sum += run;
  }
  y[j * p.outputs + o] = p.scale * sum;
}
