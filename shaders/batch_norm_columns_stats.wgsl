// batch_norm_stats.wgsl of samples of one pixel, whose channels are neighbours:
//
//   part[channel, j] = (mean of chunk j, Σ (x - that mean)² over chunk j)
//
// One workgroup computes some channels of one chunk of rows (lib/columns_block.wgsl) in two passes.

#import columns_block
#import nan
#params

override WG: u32 = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;           // [groups, n, c]
@group(0) @binding(2) var<storage, read_write> part: array<vec2<f32>>;  // [4 c, groups, chunks]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let share = share_of(wg.x + wg.y * groups.x, lane);
  let terms = f32(min(p.chunk, p.n - min(share.chunk * p.chunk, p.n)));
  var sum = vec4(0.0);
  for (var row = share.first; row < share.end; row += ROWS) {
    sum += x[row * p.c + share.four];
  }
  let rough = column_sum(lane, sum) / terms;
  sum = vec4(0.0);
  var squares = vec4(0.0);
  for (var row = share.first; row < share.end; row += ROWS) {
    let d = x[row * p.c + share.four] - rough;
    sum += d;
    squares += d * d;
  }
  let total = column_sum(lane, sum);
  let square = column_sum(lane, squares);
  if (share.live & (lane < COLUMNS)) {
    let off = total / terms;
    let below = square - total * off;
    for (var q = 0u; q < 4u; q += 1u) {
      let number = number_of(share) + q * p.groups;
      part[number * p.chunks + share.chunk] = vec2(rough[q] + off[q], unless_nan(max(below[q], 0.0), below[q]));
    }
  }
}
