// As lib/sums_flat.wgsl, in arrays of one block each: older software drivers unroll a loop over an array
// that is as long as the loop, and then keep its elements in registers.

#expects type V
#expects const BLOCKS

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

// Adds eight products to every row of a block: term i of rows 0 to 3 in lane i's `one`, of rows 4 to 7 in its
// `two`; w0 to w7 belong to its column.
fn add_lanes(block: u32, one: vec4<f32>, two: vec4<f32>, w0: V, w1: V, w2: V, w3: V, w4: V, w5: V, w6: V, w7: V) {
  sums[block][0] += subgroupBroadcast(one.x, 0u) * w0 + subgroupBroadcast(one.x, 1u) * w1 + subgroupBroadcast(one.x, 2u) * w2 + subgroupBroadcast(one.x, 3u) * w3 + subgroupBroadcast(one.x, 4u) * w4 + subgroupBroadcast(one.x, 5u) * w5 + subgroupBroadcast(one.x, 6u) * w6 + subgroupBroadcast(one.x, 7u) * w7;
  sums[block][1] += subgroupBroadcast(one.y, 0u) * w0 + subgroupBroadcast(one.y, 1u) * w1 + subgroupBroadcast(one.y, 2u) * w2 + subgroupBroadcast(one.y, 3u) * w3 + subgroupBroadcast(one.y, 4u) * w4 + subgroupBroadcast(one.y, 5u) * w5 + subgroupBroadcast(one.y, 6u) * w6 + subgroupBroadcast(one.y, 7u) * w7;
  sums[block][2] += subgroupBroadcast(one.z, 0u) * w0 + subgroupBroadcast(one.z, 1u) * w1 + subgroupBroadcast(one.z, 2u) * w2 + subgroupBroadcast(one.z, 3u) * w3 + subgroupBroadcast(one.z, 4u) * w4 + subgroupBroadcast(one.z, 5u) * w5 + subgroupBroadcast(one.z, 6u) * w6 + subgroupBroadcast(one.z, 7u) * w7;
  sums[block][3] += subgroupBroadcast(one.w, 0u) * w0 + subgroupBroadcast(one.w, 1u) * w1 + subgroupBroadcast(one.w, 2u) * w2 + subgroupBroadcast(one.w, 3u) * w3 + subgroupBroadcast(one.w, 4u) * w4 + subgroupBroadcast(one.w, 5u) * w5 + subgroupBroadcast(one.w, 6u) * w6 + subgroupBroadcast(one.w, 7u) * w7;
  sums[block][4] += subgroupBroadcast(two.x, 0u) * w0 + subgroupBroadcast(two.x, 1u) * w1 + subgroupBroadcast(two.x, 2u) * w2 + subgroupBroadcast(two.x, 3u) * w3 + subgroupBroadcast(two.x, 4u) * w4 + subgroupBroadcast(two.x, 5u) * w5 + subgroupBroadcast(two.x, 6u) * w6 + subgroupBroadcast(two.x, 7u) * w7;
  sums[block][5] += subgroupBroadcast(two.y, 0u) * w0 + subgroupBroadcast(two.y, 1u) * w1 + subgroupBroadcast(two.y, 2u) * w2 + subgroupBroadcast(two.y, 3u) * w3 + subgroupBroadcast(two.y, 4u) * w4 + subgroupBroadcast(two.y, 5u) * w5 + subgroupBroadcast(two.y, 6u) * w6 + subgroupBroadcast(two.y, 7u) * w7;
  sums[block][6] += subgroupBroadcast(two.z, 0u) * w0 + subgroupBroadcast(two.z, 1u) * w1 + subgroupBroadcast(two.z, 2u) * w2 + subgroupBroadcast(two.z, 3u) * w3 + subgroupBroadcast(two.z, 4u) * w4 + subgroupBroadcast(two.z, 5u) * w5 + subgroupBroadcast(two.z, 6u) * w6 + subgroupBroadcast(two.z, 7u) * w7;
  sums[block][7] += subgroupBroadcast(two.w, 0u) * w0 + subgroupBroadcast(two.w, 1u) * w1 + subgroupBroadcast(two.w, 2u) * w2 + subgroupBroadcast(two.w, 3u) * w3 + subgroupBroadcast(two.w, 4u) * w4 + subgroupBroadcast(two.w, 5u) * w5 + subgroupBroadcast(two.w, 6u) * w6 + subgroupBroadcast(two.w, 7u) * w7;
}
