// y[o] = x[offset + Σ_k t_k / div_k stride_k] with t_k = o_k mul_k + add_k; 0 where some t_k is
// negative, not divisible by div_k, or past div_k size_k
//
// One invocation gathers every WG-th output of its workgroup's block. It divides once to find its
// coordinates, then adds the coordinates of WG with carries.

override WG: u32 = 64u;

struct Params {
  out0: u32,
  out1: u32,
  out2: u32,
  out3: u32,
  mul0: i32,
  mul1: i32,
  mul2: i32,
  mul3: i32,
  add0: i32,
  add1: i32,
  add2: i32,
  add3: i32,
  div0: u32,
  div1: u32,
  div2: u32,
  div3: u32,
  size0: u32,
  size1: u32,
  size2: u32,
  size3: u32,
  stride0: u32,
  stride1: u32,
  stride2: u32,
  stride3: u32,
  offset: u32,
  input_len: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [input_len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [out0, out1, out2, out3]

const OUTSIDE: u32 = 0xffffffffu;

// The input elements to skip on one axis for output coordinate o, or OUTSIDE.
fn along(o: u32, mul: i32, add: i32, div: u32, size: u32, stride: u32) -> u32 {
  let t = i32(o) * mul + add;
  if (t < 0) {
    return OUTSIDE;
  }
  var at = u32(t);
  if (div != 1u) {
    at = at / div;
    if (at * div != u32(t)) {
      return OUTSIDE;
    }
  }
  return select(OUTSIDE, at * stride, at < size);
}

// The coordinates of output element i.
fn coordinates(i: u32) -> vec4<u32> {
  let i2 = i / p.out3;
  let i1 = i2 / p.out2;
  let i0 = i1 / p.out1;
  return vec4(i0, i1 - i0 * p.out1, i2 - i1 * p.out2, i - i2 * p.out3);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.out0 * p.out1 * p.out2 * p.out3, wg, groups, lane);
  var o = coordinates(r.first);
  let jump = coordinates(WG);
  for (var i = r.first; i < r.end; i += WG) {
    let s0 = along(o.x, p.mul0, p.add0, p.div0, p.size0, p.stride0);
    let s1 = along(o.y, p.mul1, p.add1, p.div1, p.size1, p.stride1);
    let s2 = along(o.z, p.mul2, p.add2, p.div2, p.size2, p.stride2);
    let s3 = along(o.w, p.mul3, p.add3, p.div3, p.size3, p.stride3);
    if (s0 == OUTSIDE || s1 == OUTSIDE || s2 == OUTSIDE || s3 == OUTSIDE) {
      y[i] = 0.0;
    } else {
      y[i] = x[p.offset + s0 + s1 + s2 + s3];
    }
    o += jump;
    if (o.w >= p.out3) {
      o.w -= p.out3;
      o.z += 1u;
    }
    if (o.z >= p.out2) {
      o.z -= p.out2;
      o.y += 1u;
    }
    if (o.y >= p.out1) {
      o.y -= p.out1;
      o.x += 1u;
    }
  }
}
