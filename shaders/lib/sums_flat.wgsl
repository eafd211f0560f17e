// The sums of a subgroup of 8 lanes: 8 * BLOCKS rows of V, row 8 * block + i fed by lane i. One array,
// which newer software drivers keep in memory and index with the loop counter; lib/sums_nested.wgsl is
// the same for older ones, which would do that lane by lane.

var<private> sums: array<V, 8u * BLOCKS>;

fn row_sum(block: u32, i: u32) -> V { return sums[8u * block + i]; }

// Adds four products to every row of a block: a lane's a0 to a3 belong to its row, b0 to b3 to its column.
fn add(block: u32, a0: f32, a1: f32, a2: f32, a3: f32, b0: V, b1: V, b2: V, b3: V) {
  let r = 8u * block;
  sums[r] += subgroupBroadcast(a0, 0u) * b0 + subgroupBroadcast(a1, 0u) * b1 + subgroupBroadcast(a2, 0u) * b2 + subgroupBroadcast(a3, 0u) * b3;
  sums[r + 1u] += subgroupBroadcast(a0, 1u) * b0 + subgroupBroadcast(a1, 1u) * b1 + subgroupBroadcast(a2, 1u) * b2 + subgroupBroadcast(a3, 1u) * b3;
  sums[r + 2u] += subgroupBroadcast(a0, 2u) * b0 + subgroupBroadcast(a1, 2u) * b1 + subgroupBroadcast(a2, 2u) * b2 + subgroupBroadcast(a3, 2u) * b3;
  sums[r + 3u] += subgroupBroadcast(a0, 3u) * b0 + subgroupBroadcast(a1, 3u) * b1 + subgroupBroadcast(a2, 3u) * b2 + subgroupBroadcast(a3, 3u) * b3;
  sums[r + 4u] += subgroupBroadcast(a0, 4u) * b0 + subgroupBroadcast(a1, 4u) * b1 + subgroupBroadcast(a2, 4u) * b2 + subgroupBroadcast(a3, 4u) * b3;
  sums[r + 5u] += subgroupBroadcast(a0, 5u) * b0 + subgroupBroadcast(a1, 5u) * b1 + subgroupBroadcast(a2, 5u) * b2 + subgroupBroadcast(a3, 5u) * b3;
  sums[r + 6u] += subgroupBroadcast(a0, 6u) * b0 + subgroupBroadcast(a1, 6u) * b1 + subgroupBroadcast(a2, 6u) * b2 + subgroupBroadcast(a3, 6u) * b3;
  sums[r + 7u] += subgroupBroadcast(a0, 7u) * b0 + subgroupBroadcast(a1, 7u) * b1 + subgroupBroadcast(a2, 7u) * b2 + subgroupBroadcast(a3, 7u) * b3;
}
