#import apply
#import pointwise
#params

// y[i] = step_n(... step_0(x0, x1, ...)): a fused pointwise chain, see lib/pointwise.wgsl.
//   xk [period_k]   element (i / inner_k) % period_k belongs to output i
//   y  [len]
// One invocation computes one element.
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<f32>;
@group(0) @binding(2) var<storage, read> x1: array<f32>;
@group(0) @binding(3) var<storage, read> x2: array<f32>;
@group(0) @binding(4) var<storage, read> x3: array<f32>;
@group(0) @binding(5) var<storage, read> x4: array<f32>;
@group(0) @binding(6) var<storage, read> x5: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.x + wg.y * nwg.x) * WG + lane;
  if i >= p.len { return; }
  var r: array<f32, 14>;
  if K0 == 1u { r[0] = x0[i]; } else if K0 == 2u { r[0] = x0[(i / p.inner0) % p.period0]; }
  if K1 == 1u { r[1] = x1[i]; } else if K1 == 2u { r[1] = x1[(i / p.inner1) % p.period1]; }
  if K2 == 1u { r[2] = x2[i]; } else if K2 == 2u { r[2] = x2[(i / p.inner2) % p.period2]; }
  if K3 == 1u { r[3] = x3[i]; } else if K3 == 2u { r[3] = x3[(i / p.inner3) % p.period3]; }
  if K4 == 1u { r[4] = x4[i]; } else if K4 == 2u { r[4] = x4[(i / p.inner4) % p.period4]; }
  if K5 == 1u { r[5] = x5[i]; } else if K5 == 2u { r[5] = x5[(i / p.inner5) % p.period5]; }
  r[6] = apply(OP0, r[A0], r[B0], p.c0);
  if COUNT > 1u { r[7] = apply(OP1, r[A1], r[B1], p.c1); }
  if COUNT > 2u { r[8] = apply(OP2, r[A2], r[B2], p.c2); }
  if COUNT > 3u { r[9] = apply(OP3, r[A3], r[B3], p.c3); }
  if COUNT > 4u { r[10] = apply(OP4, r[A4], r[B4], p.c4); }
  if COUNT > 5u { r[11] = apply(OP5, r[A5], r[B5], p.c5); }
  if COUNT > 6u { r[12] = apply(OP6, r[A6], r[B6], p.c6); }
  if COUNT > 7u { r[13] = apply(OP7, r[A7], r[B7], p.c7); }
  y[i] = r[5u + COUNT];
}
