// y[o] = x[offset + Σ_k t_k / div_k stride_k] with t_k = o_k mul_k + add_k; 0 where some t_k is
// negative, not divisible by div_k, or past div_k size_k
//
// One invocation gathers every WG-th output of its workgroup's block. It divides once to find its
// coordinates, then adds the coordinates of WG with carries.

#import flat
#params

override WG: u32 = 64u;
// 0 where every div_k is 1: division is slow on some devices.
override DIVIDES: u32 = 1u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [input_len]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [out0, out1, out2, out3]

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
  let mul = vec4(p.mul0, p.mul1, p.mul2, p.mul3);
  let add = vec4(p.add0, p.add1, p.add2, p.add3);
  let div = vec4(p.div0, p.div1, p.div2, p.div3);
  let size = vec4(p.size0, p.size1, p.size2, p.size3);
  let stride = vec4(p.stride0, p.stride1, p.stride2, p.stride3);
  let jump = coordinates(WG);
  var o = coordinates(r.first);
  for (var i = r.first; i < r.end; i += WG) {
    // A negative coordinate is a huge one.
    let t = vec4<u32>(vec4<i32>(o) * mul + add);
    var at = t;
    var hits = t < vec4(0x80000000u);
    if (DIVIDES != 0u) {
      at = t / div;
      hits = hits & (at * div == t);
    }
    let inside = all(hits & (at < size));
    let steps = at * stride;
    let index = select(0u, p.offset + steps.x + steps.y + steps.z + steps.w, inside);
    y[i] = select(0.0, x[index], inside);

    o += jump;
    let past3 = o.w >= p.out3;
    o.w = select(o.w, o.w - p.out3, past3);
    o.z += u32(past3);
    let past2 = o.z >= p.out2;
    o.z = select(o.z, o.z - p.out2, past2);
    o.y += u32(past2);
    let past1 = o.y >= p.out1;
    o.y = select(o.y, o.y - p.out1, past1);
    o.x += u32(past1);
  }
}
