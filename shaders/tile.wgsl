// A product for a GPU: the block of lib/tile_gather.wgsl or lib/tile_weight_grad.wgsl, which say what
// is multiplied, in registers. Each invocation makes 4 x 4 sums, TY lines and TX columns apart.

#import operand_$operand
#import tile_$role
#import columns

override TX: u32 = 16;
override TY: u32 = 16;
override BK: u32 = 16;
override BM: u32 = TY * 4;
override BN: u32 = TX * 4;
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
  var acc0 = vec4<f32>(0.0);
  var acc1 = vec4<f32>(0.0);
  var acc2 = vec4<f32>(0.0);
  var acc3 = vec4<f32>(0.0);
  for (var k0 = block.first; k0 < block.end; k0 += BK) {
    load(block, k0, tid);
    workgroupBarrier();
    note(block, k0 + BK, tid);
    attend(block, tid);
    for (var i = 0u; i < BK; i += 1u) {
      let a = i * A_LINE + ty;
      let c = i * B_LINE + tx;
      let y = vec4(f32(b_tile[c]), f32(b_tile[c + TX]), f32(b_tile[c + 2u * TX]), f32(b_tile[c + 3u * TX]));
      acc0 += f32(a_tile[a]) * y;
      acc1 += f32(a_tile[a + TY]) * y;
      acc2 += f32(a_tile[a + 2u * TY]) * y;
      acc3 += f32(a_tile[a + 3u * TY]) * y;
    }
    workgroupBarrier();
  }

  conclude(block, tid);
  let columns = columns_at(block, tx);
  finish_four(row_at(block, ty), columns, acc0);
  finish_four(row_at(block, ty + TY), columns, acc1);
  finish_four(row_at(block, ty + 2u * TY), columns, acc2);
  finish_four(row_at(block, ty + 3u * TY), columns, acc3);
}
