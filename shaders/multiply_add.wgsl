// What a device can multiply and add: twelve numbers a_j go through `turns` times 32 steps in registers,
//
//   a_j <- a_j * 0.999 + 0.001, from a_j = x[i] + j;   y[i] = sum over j of a_j
//
// One invocation makes one y.

override WG: u32 = 64u;

struct Params {
  len: u32,
  turns: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [len]

struct Twelve { a: vec4<f32>, b: vec4<f32>, c: vec4<f32> }

fn next(v: Twelve) -> Twelve {
  let m = vec4<f32>(0.999);
  let s = vec4<f32>(0.001);
  return Twelve(fma(v.a, m, s), fma(v.b, m, s), fma(v.c, m, s));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * grid.x) * WG + lane;
  if (i >= p.len) { return; }
  var v = Twelve(x[i] + vec4<f32>(0.0, 1.0, 2.0, 3.0), x[i] + vec4<f32>(4.0, 5.0, 6.0, 7.0),
                 x[i] + vec4<f32>(8.0, 9.0, 10.0, 11.0));
  for (var t = 0u; t < p.turns; t += 1u) {
    v = next(next(next(next(next(next(next(next(v))))))));
    v = next(next(next(next(next(next(next(next(v))))))));
    v = next(next(next(next(next(next(next(next(v))))))));
    v = next(next(next(next(next(next(next(next(v))))))));
  }
  let sum = v.a + v.b + v.c;
  y[i] = (sum.x + sum.y) + (sum.z + sum.w);
}
