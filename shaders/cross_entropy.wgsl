// loss[n, t] = max + ln Σ_k exp(logits[n, k, t] - max) - logits[n, target[n, t], t]
//
// One invocation computes the loss of every WG-th position of its workgroup's block.

#import flat
#import softmax
#import nan
#import elementary
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;      // [n, classes, positions]
@group(0) @binding(2) var<storage, read> labels: array<f32>;      // [n, positions]
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;  // [n, positions]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.n * p.positions, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let c = column_of(i);
    // Bits of NaN mean nothing to `ln`.
    loss[i] = unless_nan(ln(c.sum), c.sum) + (c.largest - logits[c.first + u32(labels[i]) * p.positions]);
  }
}
