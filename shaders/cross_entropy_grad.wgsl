// dlogits[n, k, t] = (softmax(logits[n, :, t])[k] - [k = target[n, t]]) dloss[n, t]
//
// One invocation computes all classes of every WG-th position of its workgroup's block.

#import flat
#import softmax
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dloss: array<f32>;          // [n, positions]
@group(0) @binding(2) var<storage, read> logits: array<f32>;         // [n, classes, positions]
@group(0) @binding(3) var<storage, read> labels: array<f32>;         // [n, positions]
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;  // [n, classes, positions]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let r = flat_range(p.n * p.positions, wg, groups, lane);
  for (var i = r.first; i < r.end; i += WG) {
    let c = column_of(i);
    let hit = c.first + u32(labels[i]) * p.positions;
    let d = dloss[i];
    for (var at = c.first; at < c.end; at += p.positions) {
      dlogits[at] = (exp(logits[at] - c.largest) / c.sum - select(0.0, 1.0, at == hit)) * d;
    }
  }
}
