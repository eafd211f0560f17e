// What last.wgsl, which makes dy, leaves for the gradient of a batch normalisation, which is spared to read dy and x for its
// sums: of each column of a block
//
//   part[column, group, chunk] = (Σ dy (x - mean), Σ dy) over the block's lines
//
// for batch_norm_grad_combine.wgsl. There is neither bias nor residual: b is mean [columns, groups], and r is x.

#import leaves_sums
#expects const TX
#expects const TY
#expects const THREADS
#expects var b
#expects var r
#expects var a_tile

fn sum_columns(block: Block, tx: u32, ty: u32, q: u32) {
  let count = select(0u, lines_from(block, ty), there(block, q));
  let n = (block.q0 + select(0u, q, there(block, q))) * GROUPS + place_of(block).group;
  let mean = vec4(b[n], b[n + GROUPS], b[n + 2u * GROUPS], b[n + 3u * GROUPS]);
  var along = vec4(0.0);
  var plain = vec4(0.0);
  for (var i = 0u; i < count; i += 1u) {
    let at = row_at(block, ty + TY * i).at + block.q0 + q;
    let dy = written(at);
    along += dy * (vec4(r[at], r[at + 1u], r[at + 2u], r[at + 3u]) - mean);
    plain += dy;
  }
  a_tile[ty * TX + tx] = along;
  a_tile[THREADS + ty * TX + tx] = plain;
  workgroupBarrier();
  if (ty == 0u) {
    along = vec4(0.0);
    plain = vec4(0.0);
    let shares = min(TY, lines_of(block));
    for (var t = 0u; t < shares; t += 1u) {
      along += a_tile[t * TX + tx];
      plain += a_tile[THREADS + t * TX + tx];
    }
    put(block, q, along, plain);
  }
  workgroupBarrier();
}
