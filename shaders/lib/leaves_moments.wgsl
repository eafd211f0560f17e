// What last.wgsl leaves for a batch normalisation, which is spared to read all of x for its statistics: of each column of a
// block
//
//   part[column, group, chunk] = (mean of the block's lines, Σ (sum - that mean)² over them)
//
// for batch_norm_combine.wgsl. There is no epilogue.

#import leaves_sums
#expects const TX
#expects const TY
#expects const THREADS
#expects var a_tile

fn sum_columns(block: Block, tx: u32, ty: u32, q: u32) {
  let count = select(0u, lines_from(block, ty), there(block, q));
  var mean = vec4(0.0);
  for (var i = 0u; i < count; i += 1u) { mean += written(row_at(block, ty + TY * i).at + block.q0 + q); }
  mean /= f32(max(count, 1u));
  var square = vec4(0.0);
  for (var i = 0u; i < count; i += 1u) {
    let d = written(row_at(block, ty + TY * i).at + block.q0 + q) - mean;
    square += d * d;
  }
  a_tile[ty * TX + tx] = mean;
  a_tile[THREADS + ty * TX + tx] = square;
  workgroupBarrier();
  // Of means of so many lines each (Chan, Golub & LeVeque 1983).
  if (ty == 0u) {
    let shares = min(TY, lines_of(block));
    var all = vec4(0.0);
    for (var t = 0u; t < shares; t += 1u) { all += f32(lines_from(block, t)) * a_tile[t * TX + tx]; }
    all /= f32(lines_of(block));
    var squares = vec4(0.0);
    for (var t = 0u; t < shares; t += 1u) {
      let d = a_tile[t * TX + tx] - all;
      squares += a_tile[THREADS + t * TX + tx] + f32(lines_from(block, t)) * (d * d);
    }
    put(block, q, all, squares);
  }
  workgroupBarrier();
}
