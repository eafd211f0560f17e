// y[n,c,i,j] = b[c] + sum over (r,s) of w[c,r,s] * x[n,c, i*stride - pad + r, j*stride - pad + s], 0 outside x
//
// One invocation makes every WG-th output of its workgroup's range.

#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n,c,h,w]
@group(0) @binding(2) var<storage, read> w: array<f32>;        // [c,kh,kw]
@group(0) @binding(3) var<storage, read> b: array<f32>;        // [c]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // [n,c,oh,ow]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let plane = p.oh * p.ow;
  let r = flat_range(p.n * p.c * plane, wg, groups, lane);
  for (var at = r.first; at < r.end; at += WG) {
    let channel = at / plane;
    let c = channel % p.c;
    let i = at % plane / p.ow * p.stride;
    let j = at % p.ow * p.stride;
    // Taps from the first to the one behind the last that lie within x.
    let top = max(i, p.pad) - i;
    let left = max(j, p.pad) - j;
    let bottom = min(p.kh, p.h + p.pad - i);
    let right = min(p.kw, p.w + p.pad - j);
    var sum = b[c];
    for (var tr = top; tr < bottom; tr++) {
      let row = (channel * p.h + i + tr - p.pad) * p.w + j - p.pad;
      let taps = (c * p.kh + tr) * p.kw;
      for (var tc = left; tc < right; tc++) {
        sum += w[taps + tc] * x[row + tc];
      }
    }
    y[at] = sum;
  }
}
