// y[o, k, i] = 1 if k is the first largest of x[o, 0 .. pieces, i], or the first NaN, else 0
//
// One invocation takes every WG-th column (o, i) of its workgroup's block, all its pieces.

#import flat
#import nan
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [outer, pieces, inner]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [outer, pieces, inner]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.outer * p.inner, wg, groups, lane);
  for (var column = r.first; column < r.end; column += WG) {
    let o = column / p.inner;
    let first = o * p.pieces * p.inner + column - o * p.inner;
    var best = 0u;
    var most = x[first];
    for (var k = 1u; k < p.pieces; k++) {
      let v = x[first + k * p.inner];
      if (v > most || (is_nan(v) && !is_nan(most))) {
        best = k;
        most = v;
      }
    }
    for (var k = 0u; k < p.pieces; k++) {
      y[first + k * p.inner] = select(0.0, 1.0, k == best);
    }
  }
}
