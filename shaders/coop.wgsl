// A product for a GPU with matrix units: the block of lib/tile_gather.wgsl or lib/tile_weight_grad.wgsl,
// which say what is multiplied, in fragments of EDGE x EDGE (lib/fragments*.wgsl) that a subgroup holds
// together. The block is ROWS x COLUMNS tiles of 2 x 2 fragments. A subgroup makes a tile at a time; if
// there are fewer subgroups than tiles, whatever the subgroups' size, all of it is gone through again.

#import operand_f16
#import fragments_$units
#import tile_$role

override ROWS: u32 = 2;
override COLUMNS: u32 = 2;
override BK: u32 = 32;
override BM: u32 = ROWS * 2 * EDGE;
override BN: u32 = COLUMNS * 2 * EDGE;
override THREADS: u32 = 128;
// Lines start at multiples of 16 bytes, which fragments want, and not all in the same bank.
override PAD: u32 = 8;
override C_SIZE: u32 = ROWS * COLUMNS * EDGE * C_LINE;

const C_LINE = EDGE + 4u;

// One fragment of every subgroup: [ROWS * COLUMNS, EDGE, C_LINE].
var<workgroup> c_tile: array<f32, C_SIZE>;

// Finishes the sums in c_tile: fragment (i, j) of the tiles from `first` on, of as many as there are subgroups.
fn finish_all(block: Block, first: u32, subgroups: u32, i: u32, j: u32, tid: u32) {
  let tiles = min(subgroups, ROWS * COLUMNS - first);
  for (var e = tid; e < tiles * EDGE * EDGE; e += THREADS) {
    let slot = e / (EDGE * EDGE);
    let fast = e % EDGE;
    let slow = (e / EDGE) % EDGE;
    let m = select(slow, fast, ALONG_M == 1u);
    let q = select(fast, slow, ALONG_M == 1u);
    let line = (((first + slot) / COLUMNS) * 2u + i) * EDGE + m;
    let column = (((first + slot) % COLUMNS) * 2u + j) * EDGE + q;
    finish(row_at(block, line), column_at(block, column), c_tile[(slot * EDGE + m) * C_LINE + q]);
  }
}

// The block of workgroup `index`, by `subgroups` subgroups of which this is number `subgroup`.
fn product(index: u32, tid: u32, subgroup: u32, subgroups: u32) {
  let block = block_at(index);
  if (!block.live) { return; }
  prepare(tid);
  for (var first = 0u; first < ROWS * COLUMNS; first += subgroups) {
    begin(block, tid);
    note(block, block.first, tid);
    workgroupBarrier();

    // A subgroup without a tile of its own repeats another's, for its place in the barriers' order.
    let tile = (first + subgroup) % (ROWS * COLUMNS);
    let line = (tile / COLUMNS) * 2u * EDGE;
    let column = (tile % COLUMNS) * 2u * EDGE;
    var c00 = zeros();
    var c01 = zeros();
    var c10 = zeros();
    var c11 = zeros();
    for (var k0 = block.first; k0 < block.end; k0 += BK) {
      load(block, k0, tid);
      workgroupBarrier();
      note(block, k0 + BK, tid);
      attend(block, tid);
      for (var i = 0u; i < BK; i += EDGE) {
        let a0 = fragment_a(i * A_LINE + line);
        let a1 = fragment_a(i * A_LINE + line + EDGE);
        let b0 = fragment_b(i * B_LINE + column);
        let b1 = fragment_b(i * B_LINE + column + EDGE);
        c00 = multiply_add(a0, b0, c00);
        c01 = multiply_add(a0, b1, c01);
        c10 = multiply_add(a1, b0, c10);
        c11 = multiply_add(a1, b1, c11);
      }
      workgroupBarrier();
    }

    // A further pass finds the same.
    if (first == 0u) { conclude(block, tid); }
    let slot = subgroup * EDGE * C_LINE;
    let own = first + subgroup < ROWS * COLUMNS;
    if (own) { store_c(c00, slot); }
    workgroupBarrier();
    finish_all(block, first, subgroups, 0u, 0u, tid);
    workgroupBarrier();
    if (own) { store_c(c01, slot); }
    workgroupBarrier();
    finish_all(block, first, subgroups, 0u, 1u, tid);
    workgroupBarrier();
    if (own) { store_c(c10, slot); }
    workgroupBarrier();
    finish_all(block, first, subgroups, 1u, 0u, tid);
    workgroupBarrier();
    if (own) { store_c(c11, slot); }
    workgroupBarrier();
    finish_all(block, first, subgroups, 1u, 1u, tid);
  }
}
