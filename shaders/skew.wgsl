// y[p,d,i] = x[p,i,d-i], else 0: row i of plane p moved to the right by i, and rows and columns exchanged, so that
// row d of y holds a diagonal; with back y[p,i,j] = x[p,i+j,i]
//
// One invocation moves every WG-th element of the result in its workgroup's range.

#import flat
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [planes,h,w], back [planes,h+w-1,h]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [planes,h+w-1,h], back [planes,h,w]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let image = p.h * p.w;
  let skewed = (p.h + p.w - 1u) * p.h;
  let back = p.back == 1u;
  let r = flat_range(p.planes * select(skewed, image, back), wg, groups, lane);
  for (var e = r.first; e < r.end; e += WG) {
    if (back) {
      let i = e % image / p.w;
      y[e] = x[e / image * skewed + (i + e % p.w) * p.h + i];
    } else {
      let i = e % p.h;
      let j = e % skewed / p.h - i; // left of the image a large number
      var moved = 0.0;
      if (j < p.w) {
        moved = x[e / skewed * image + i * p.w + j];
      }
      y[e] = moved;
    }
  }
}
