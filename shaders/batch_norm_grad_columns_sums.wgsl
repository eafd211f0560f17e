// batch_norm_grad_sums.wgsl of samples of one pixel, whose channels are neighbours:
//
//   part[channel, j] = (Σ dy (x - mean), Σ dy), both over chunk j
//
// One workgroup computes some channels of one chunk of rows (lib/columns_block.wgsl).

#import columns_block
#params

override WG: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;          // [groups, n, c]
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;           // [groups, n, c]
@group(0) @binding(3) var<storage, read> mean: array<f32>;              // [4 c, groups]
@group(0) @binding(4) var<storage, read_write> part: array<vec2<f32>>;  // [4 c, groups, chunks]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let share = share_of(wg.x + wg.y * groups.x, lane);
  // Lanes without a four have no rows either.
  let n = select(0u, number_of(share), share.live);
  let g = select(0u, p.groups, share.live);
  let centre = vec4(mean[n], mean[n + g], mean[n + 2u * g], mean[n + 3u * g]);
  var along = vec4(0.0);
  var plain = vec4(0.0);
  for (var row = share.first; row < share.end; row += ROWS) {
    let i = row * p.c + share.four;
    let d = dy[i];
    along += d * (x[i] - centre);
    plain += d;
  }
  let sum_along = column_sum(lane, along);
  let sum_plain = column_sum(lane, plain);
  if (share.live & (lane < COLUMNS)) {
    for (var q = 0u; q < 4u; q += 1u) {
      let number = number_of(share) + q * p.groups;
      part[number * p.chunks + share.chunk] = vec2(sum_along[q], sum_plain[q]);
    }
  }
}
