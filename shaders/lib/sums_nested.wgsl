// As lib/sums_flat.wgsl, in arrays of one block each: older software drivers unroll a loop over an array
// that is as long as the loop, and then keep its elements in registers.

var<private> sums: array<array<V, 8>, BLOCKS>;

fn row_sum(block: u32, i: u32) -> V { return sums[block][i]; }

// Adds four products to every row of a block: a lane's a0 to a3 belong to its row, b0 to b3 to its column.
fn add(block: u32, a0: f32, a1: f32, a2: f32, a3: f32, b0: V, b1: V, b2: V, b3: V) {
  sums[block][0] += subgroupBroadcast(a0, 0u) * b0 + subgroupBroadcast(a1, 0u) * b1 + subgroupBroadcast(a2, 0u) * b2 + subgroupBroadcast(a3, 0u) * b3;
  sums[block][1] += subgroupBroadcast(a0, 1u) * b0 + subgroupBroadcast(a1, 1u) * b1 + subgroupBroadcast(a2, 1u) * b2 + subgroupBroadcast(a3, 1u) * b3;
  sums[block][2] += subgroupBroadcast(a0, 2u) * b0 + subgroupBroadcast(a1, 2u) * b1 + subgroupBroadcast(a2, 2u) * b2 + subgroupBroadcast(a3, 2u) * b3;
  sums[block][3] += subgroupBroadcast(a0, 3u) * b0 + subgroupBroadcast(a1, 3u) * b1 + subgroupBroadcast(a2, 3u) * b2 + subgroupBroadcast(a3, 3u) * b3;
  sums[block][4] += subgroupBroadcast(a0, 4u) * b0 + subgroupBroadcast(a1, 4u) * b1 + subgroupBroadcast(a2, 4u) * b2 + subgroupBroadcast(a3, 4u) * b3;
  sums[block][5] += subgroupBroadcast(a0, 5u) * b0 + subgroupBroadcast(a1, 5u) * b1 + subgroupBroadcast(a2, 5u) * b2 + subgroupBroadcast(a3, 5u) * b3;
  sums[block][6] += subgroupBroadcast(a0, 6u) * b0 + subgroupBroadcast(a1, 6u) * b1 + subgroupBroadcast(a2, 6u) * b2 + subgroupBroadcast(a3, 6u) * b3;
  sums[block][7] += subgroupBroadcast(a0, 7u) * b0 + subgroupBroadcast(a1, 7u) * b1 + subgroupBroadcast(a2, 7u) * b2 + subgroupBroadcast(a3, 7u) * b3;
}
