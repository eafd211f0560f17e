// batch_norm_apply.wgsl of samples of one pixel, whose channels are neighbours:
//
//   y = act(gamma (x - mean) / sqrt(var + eps) + beta)
//
// A workgroup computes some channels of one chunk of rows (lib/columns_block.wgsl).

#import columns_block
#import activate4
#params

override WG: u32 = 256u;
// The activation's code, here once more so that only its own branch is compiled.
override ACT: u32 = 0u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // [groups, n, c]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;           // [4 c]
@group(0) @binding(3) var<storage, read> beta: array<f32>;            // [4 c]
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;   // [groups, n, c]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>;      // [4 c, groups], only read
@group(0) @binding(6) var<storage, read_write> variance: array<f32>;  // [4 c, groups], only read

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let share = share_of(wg.x + wg.y * groups.x, lane);
  if (!share.live) { return; }
  let c = 4u * share.four;
  let n = number_of(share);
  let g = p.groups;
  let centre = vec4(mean[n], mean[n + g], mean[n + 2u * g], mean[n + 3u * g]);
  let spread = vec4(variance[n], variance[n + g], variance[n + 2u * g], variance[n + 3u * g]);
  let factor = vec4(gamma[c], gamma[c + 1u], gamma[c + 2u], gamma[c + 3u]) * inverseSqrt(spread + p.eps);
  let shift = vec4(beta[c], beta[c + 1u], beta[c + 2u], beta[c + 3u]);
  for (var row = share.first; row < share.end; row += ROWS) {
    let i = row * p.c + share.four;
    y[i] = activate_all(ACT, p.act_slope, (x[i] - centre) * factor + shift);
  }
}
