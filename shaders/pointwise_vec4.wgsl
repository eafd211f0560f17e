#import apply
#import pointwise
#params

// y[i] = step_n(... step_0(x0, x1, ...)): a fused pointwise chain, see lib/pointwise.wgsl.
//   xk [period_k]   element (i / inner_k) % period_k belongs to output i
//   y  [len]        len is a multiple of four
// One invocation computes TURNS times four neighbours. Kinds: 1 neighbours of the operand itself, 2 one
// element for all four, 3 neighbours of a row that repeats.
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> x3: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> x4: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> x5: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y: array<vec4<f32>>;

fn apply4(op: u32, a: vec4<f32>, b: vec4<f32>, c: f32) -> vec4<f32> {
  return vec4<f32>(apply(op, a.x, b.x, c), apply(op, a.y, b.y, c), apply(op, a.z, b.z, c), apply(op, a.w, b.w, c));
}

// Fours that an invocation computes, WG apart: software devices pay for every workgroup.
override TURNS: u32 = 1u;

fn four(q: u32) {
  let i = 4u * q;
  var r: array<vec4<f32>, 14>;
  if K0 == 1u { r[0] = x0[q]; }
  else if K0 == 2u { let j = (i / p.inner0) % p.period0; r[0] = vec4<f32>(x0[j / 4u][j % 4u]); }
  else if K0 == 3u { r[0] = x0[(i % p.period0) / 4u]; }
  if K1 == 1u { r[1] = x1[q]; }
  else if K1 == 2u { let j = (i / p.inner1) % p.period1; r[1] = vec4<f32>(x1[j / 4u][j % 4u]); }
  else if K1 == 3u { r[1] = x1[(i % p.period1) / 4u]; }
  if K2 == 1u { r[2] = x2[q]; }
  else if K2 == 2u { let j = (i / p.inner2) % p.period2; r[2] = vec4<f32>(x2[j / 4u][j % 4u]); }
  else if K2 == 3u { r[2] = x2[(i % p.period2) / 4u]; }
  if K3 == 1u { r[3] = x3[q]; }
  else if K3 == 2u { let j = (i / p.inner3) % p.period3; r[3] = vec4<f32>(x3[j / 4u][j % 4u]); }
  else if K3 == 3u { r[3] = x3[(i % p.period3) / 4u]; }
  if K4 == 1u { r[4] = x4[q]; }
  else if K4 == 2u { let j = (i / p.inner4) % p.period4; r[4] = vec4<f32>(x4[j / 4u][j % 4u]); }
  else if K4 == 3u { r[4] = x4[(i % p.period4) / 4u]; }
  if K5 == 1u { r[5] = x5[q]; }
  else if K5 == 2u { let j = (i / p.inner5) % p.period5; r[5] = vec4<f32>(x5[j / 4u][j % 4u]); }
  else if K5 == 3u { r[5] = x5[(i % p.period5) / 4u]; }
  r[6] = apply4(OP0, r[A0], r[B0], p.c0);
  if COUNT > 1u { r[7] = apply4(OP1, r[A1], r[B1], p.c1); }
  if COUNT > 2u { r[8] = apply4(OP2, r[A2], r[B2], p.c2); }
  if COUNT > 3u { r[9] = apply4(OP3, r[A3], r[B3], p.c3); }
  if COUNT > 4u { r[10] = apply4(OP4, r[A4], r[B4], p.c4); }
  if COUNT > 5u { r[11] = apply4(OP5, r[A5], r[B5], p.c5); }
  if COUNT > 6u { r[12] = apply4(OP6, r[A6], r[B6], p.c6); }
  if COUNT > 7u { r[13] = apply4(OP7, r[A7], r[B7], p.c7); }
  y[q] = r[5u + COUNT];
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) nwg: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = (wg.x + wg.y * nwg.x) * WG * TURNS + lane;
  // An end that the compiler does not know: unrolled, the loop takes it a second.
  let end = min(p.len / 4u, first + WG * TURNS);
  for (var q = first; q < end; q += WG) { four(q); }
}
