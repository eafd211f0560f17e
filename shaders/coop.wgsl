// A product for a GPU with matrix units: the block of lib/coop_gather.wgsl or lib/coop_weight_grad.wgsl, which say what is
// multiplied, in fragments of EDGE x EDGE (lib/fragments*.wgsl) that a subgroup holds together. Operands come packed in
// f16, and tiles have the terms of a line, or of a column, side by side, so that what an invocation holds of a fragment
// is few wide loads. The block is ROWS x COLUMNS tiles of 4 x 2 fragments. A subgroup makes a tile at a time; if there
// are fewer subgroups than tiles, whatever the subgroups' size, all of it is gone through again.

#import fragments_$units
#import coop_$role

override ROWS: u32 = 2;
override COLUMNS: u32 = 2;
override THREADS: u32 = 128;
override BM: u32 = ROWS * 4 * EDGE;
override BN: u32 = COLUMNS * 2 * EDGE;
// Invocations to each of the tiles in the end.
override SHARE: u32 = THREADS / (ROWS * COLUMNS);

// Terms that pass through workgroup memory at a time. Lines start at multiples of 16 bytes, which wide loads want, and
// not all in the same bank.
const BK = 32u;
const A_LINE = BK + 8u;
const B_LINE = BK + 8u;
const C_LINE = EDGE + 4u;
override A_SIZE: u32 = BM * A_LINE;
override B_SIZE: u32 = BN * B_LINE;
override C_SIZE: u32 = ROWS * COLUMNS * EDGE * C_LINE;

var<workgroup> a_tile: array<f16, A_SIZE>;
var<workgroup> b_tile: array<f16, B_SIZE>;
// One fragment of every subgroup: [ROWS * COLUMNS, EDGE, C_LINE].
var<workgroup> c_tile: array<f32, C_SIZE>;

// Finishes the sums in c_tile: fragment (i, j) of the tiles from `first` on, of as many as there are subgroups.
fn finish_all(block: Block, first: u32, subgroups: u32, i: u32, j: u32, tid: u32) {
  let slot = tid / SHARE;
  let tile = first + slot;
  if ((slot < subgroups) & (tile < ROWS * COLUMNS)) {
    let line = ((tile / COLUMNS) * 4u + i) * EDGE;
    let column = ((tile % COLUMNS) * 2u + j) * EDGE;
    for (var e = tid % SHARE; e < EDGE * EDGE; e += SHARE) {
      let m = select(e / EDGE, e % EDGE, ALONG_M == 1u);
      let q = select(e % EDGE, e / EDGE, ALONG_M == 1u);
      finish_at(block, line + m, column + q, c_tile[(slot * EDGE + m) * C_LINE + q]);
    }
  }
}

// The block of workgroup `index`, by `subgroups` subgroups of which this is number `subgroup`.
fn product(index: u32, tid: u32, subgroup: u32, subgroups: u32) {
  let block = block_at(index);
  if (!block.live) { return; }
  begin(block, tid);
  let step = steps_of(block);
  for (var first = 0u; first < ROWS * COLUMNS; first += subgroups) {
    note_terms(block, step, block.first, tid);
    workgroupBarrier();

    // A subgroup without a tile of its own repeats another's, for its place in the barriers' order.
    let tile = (first + subgroup) % (ROWS * COLUMNS);
    let line = (tile / COLUMNS) * 4u * EDGE * A_LINE;
    let column = (tile % COLUMNS) * 2u * EDGE * B_LINE;
    var c00 = zeros();
    var c01 = zeros();
    var c10 = zeros();
    var c11 = zeros();
    var c20 = zeros();
    var c21 = zeros();
    var c30 = zeros();
    var c31 = zeros();
    for (var k0 = block.first; k0 < block.end; k0 += STEP) {
      load(block, tid);
      workgroupBarrier();
      note_terms(block, step, k0 + STEP, tid);
      attend(block, tid);
      for (var k = 0u; k < BK; k += EDGE) {
        let b0 = fragment_b(column + k);
        let b1 = fragment_b(column + EDGE * B_LINE + k);
        let a0 = fragment_a(line + k);
        let a1 = fragment_a(line + EDGE * A_LINE + k);
        let a2 = fragment_a(line + 2u * EDGE * A_LINE + k);
        let a3 = fragment_a(line + 3u * EDGE * A_LINE + k);
        c00 = multiply_add(a0, b0, c00);
        c01 = multiply_add(a0, b1, c01);
        c10 = multiply_add(a1, b0, c10);
        c11 = multiply_add(a1, b1, c11);
        c20 = multiply_add(a2, b0, c20);
        c21 = multiply_add(a2, b1, c21);
        c30 = multiply_add(a3, b0, c30);
        c31 = multiply_add(a3, b1, c31);
      }
      workgroupBarrier();
    }

    // A further pass finds the same.
    if (first == 0u) { conclude(block, tid); }
    let slot = subgroup * EDGE * C_LINE;
    let own = first + subgroup < ROWS * COLUMNS;
    for (var part = 0u; part < 8u; part += 1u) {
      if (own) {
        switch part {
          case 0u: { store_c(c00, slot); }
          case 1u: { store_c(c01, slot); }
          case 2u: { store_c(c10, slot); }
          case 3u: { store_c(c11, slot); }
          case 4u: { store_c(c20, slot); }
          case 5u: { store_c(c21, slot); }
          case 6u: { store_c(c30, slot); }
          default: { store_c(c31, slot); }
        }
      }
      workgroupBarrier();
      finish_all(block, first, subgroups, part / 2u, part % 2u, tid);
      workgroupBarrier();
    }
  }
}
