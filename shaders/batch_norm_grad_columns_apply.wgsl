// batch_norm_grad_apply.wgsl of samples of one pixel, whose channels are neighbours:
//
//   grad_x = gamma / sqrt(var + eps) (dy - (dbeta + (x - mean) / sqrt(var + eps) dgamma) / n), where
//   dgamma and dbeta are those of its group
//
// A workgroup computes some channels of one chunk of rows (lib/columns_block.wgsl).

#import columns_block
#params

override WG: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;           // [groups, n, c]
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;            // [groups, n, c]
@group(0) @binding(3) var<storage, read> gamma: array<f32>;              // [4 c]
@group(0) @binding(4) var<storage, read> mean: array<f32>;               // [4 c, groups]
@group(0) @binding(5) var<storage, read> variance: array<f32>;           // [4 c, groups]
@group(0) @binding(6) var<storage, read_write> grad_x: array<vec4<f32>>;  // [groups, n, c]
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;       // [4 c, groups], only read
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;        // [4 c, groups], only read

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
  let rstd = inverseSqrt(vec4(variance[n], variance[n + g], variance[n + 2u * g], variance[n + 3u * g]) + p.eps);
  let factor = vec4(gamma[c], gamma[c + 1u], gamma[c + 2u], gamma[c + 3u]) * rstd;
  let along = vec4(dgamma[n], dgamma[n + g], dgamma[n + 2u * g], dgamma[n + 3u * g]) / f32(p.n);
  let plain = vec4(dbeta[n], dbeta[n + g], dbeta[n + 2u * g], dbeta[n + 3u * g]) / f32(p.n);
  for (var row = share.first; row < share.end; row += ROWS) {
    let i = row * p.c + share.four;
    grad_x[i] = factor * (dy[i] - plain - (x[i] - centre) * rstd * along);
  }
}
