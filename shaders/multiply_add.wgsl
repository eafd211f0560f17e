// What a device can multiply and add in f32 or f16, which Sum in front says: twelve numbers a_j go through
// `turns` times 32 steps in registers,
//
//   a_j <- a_j * factor + x[i], from a_j = x[i] + j;   y[i] = sum over j of a_j
//
// One invocation makes one y. An instruction may take one number that all invocations share, and some compilers
// do not keep a second one in registers but move it there for every step: so the factor comes from the parameters,
// and what is added is the invocation's own.

#expects type Sum
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]

struct Twelve { a: vec4<Sum>, b: vec4<Sum>, c: vec4<Sum> }

fn next(v: Twelve, m: vec4<Sum>, s: vec4<Sum>) -> Twelve {
  return Twelve(fma(v.a, m, s), fma(v.b, m, s), fma(v.c, m, s));
}

fn eight(v: Twelve, m: vec4<Sum>, s: vec4<Sum>) -> Twelve {
  let half = next(next(next(next(v, m, s), m, s), m, s), m, s);
  return next(next(next(next(half, m, s), m, s), m, s), m, s);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * grid.x) * WG + lane;
  if (i >= p.len) { return; }
  let m = vec4<Sum>(Sum(p.factor));
  let s = vec4<Sum>(Sum(x[i]));
  let from0 = x[i] + vec4<f32>(0.0, 1.0, 2.0, 3.0);
  let from4 = x[i] + vec4<f32>(4.0, 5.0, 6.0, 7.0);
  let from8 = x[i] + vec4<f32>(8.0, 9.0, 10.0, 11.0);
  var v = Twelve(vec4<Sum>(from0), vec4<Sum>(from4), vec4<Sum>(from8));
  for (var t = 0u; t < p.turns; t += 1u) {
    v = eight(eight(eight(eight(v, m, s), m, s), m, s), m, s);
  }
  let sum = vec4<f32>(v.a) + vec4<f32>(v.b) + vec4<f32>(v.c);
  y[i] = (sum.x + sum.y) + (sum.z + sum.w);
}
