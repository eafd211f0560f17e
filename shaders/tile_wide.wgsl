// A product for a GPU: the block of lib/tile_gather.wgsl or lib/tile_weight_grad.wgsl, which say what
// is multiplied, in registers, as tile.wgsl makes it but with 8 x 8 sums to an invocation, TY lines and
// TX columns apart: four products for every word that is read from workgroup memory, instead of two.

#import operand_$operand
#import tile_$role
#import columns

override TX: u32 = 16;
override TY: u32 = 16;
override BK: u32 = 8;
override BM: u32 = TY * 8;
override BN: u32 = TX * 8;
override THREADS: u32 = TX * TY;
override APART: u32 = TX;
// Elements more than needed per line of a tile, so that a column of lines falls into different banks.
override PAD: u32 = 1;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let block = block_at(wg.x + wg.y * grid.x);
  if (!block.live) { return; }
  prepare(tid);
  begin(block, tid);
  note(block, block.first, tid);
  workgroupBarrier();

  let tx = select(tid % TX, tid / TY, ALONG_M == 1u);
  let ty = select(tid / TX, tid % TY, ALONG_M == 1u);
  // Columns 0 to 3 and 4 to 7 of each line.
  var a0 = vec4<f32>(0.0);
  var b0 = vec4<f32>(0.0);
  var a1 = vec4<f32>(0.0);
  var b1 = vec4<f32>(0.0);
  var a2 = vec4<f32>(0.0);
  var b2 = vec4<f32>(0.0);
  var a3 = vec4<f32>(0.0);
  var b3 = vec4<f32>(0.0);
  var a4 = vec4<f32>(0.0);
  var b4 = vec4<f32>(0.0);
  var a5 = vec4<f32>(0.0);
  var b5 = vec4<f32>(0.0);
  var a6 = vec4<f32>(0.0);
  var b6 = vec4<f32>(0.0);
  var a7 = vec4<f32>(0.0);
  var b7 = vec4<f32>(0.0);
  for (var k0 = block.first; k0 < block.end; k0 += BK) {
    load(block, k0, tid);
    workgroupBarrier();
    note(block, k0 + BK, tid);
    attend(block, tid);
    for (var i = 0u; i < BK; i += 1u) {
      let l = i * A_LINE + ty;
      let c = i * B_LINE + tx;
      let y = vec4(f32(b_tile[c]), f32(b_tile[c + TX]), f32(b_tile[c + 2u * TX]), f32(b_tile[c + 3u * TX]));
      let d = c + 4u * TX;
      let z = vec4(f32(b_tile[d]), f32(b_tile[d + TX]), f32(b_tile[d + 2u * TX]), f32(b_tile[d + 3u * TX]));
      let x0 = f32(a_tile[l]);
      let x1 = f32(a_tile[l + TY]);
      let x2 = f32(a_tile[l + 2u * TY]);
      let x3 = f32(a_tile[l + 3u * TY]);
      a0 += x0 * y;
      b0 += x0 * z;
      a1 += x1 * y;
      b1 += x1 * z;
      a2 += x2 * y;
      b2 += x2 * z;
      a3 += x3 * y;
      b3 += x3 * z;
      let x4 = f32(a_tile[l + 4u * TY]);
      let x5 = f32(a_tile[l + 5u * TY]);
      let x6 = f32(a_tile[l + 6u * TY]);
      let x7 = f32(a_tile[l + 7u * TY]);
      a4 += x4 * y;
      b4 += x4 * z;
      a5 += x5 * y;
      b5 += x5 * z;
      a6 += x6 * y;
      b6 += x6 * z;
      a7 += x7 * y;
      b7 += x7 * z;
    }
    workgroupBarrier();
  }

  var near = array<vec4<f32>, 8>(a0, a1, a2, a3, a4, a5, a6, a7);
  var far = array<vec4<f32>, 8>(b0, b1, b2, b3, b4, b5, b6, b7);
  conclude(block, tid);
  let columns = columns_at(block, tx);
  let others = columns_at(block, tx + 4u * TX);
  for (var i = 0u; i < 8u; i += 1u) {
    let row = row_at(block, ty + TY * i);
    finish_four(row, columns, near[i]);
    finish_four(row, others, far[i]);
  }
}
