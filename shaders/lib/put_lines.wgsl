// The end of the main stages of conv2d_weight_grad on lanes.

#expects type V
#expects var part
#expects var p
#expects const WIDTH
#expects fn row_sum(block: u32, i: u32) -> V

fn put(line: u32, end: u32, at: u32, sum: V) {
  if (line < end) { part[at + line * (p.columns / WIDTH)] = sum; }
}

// Stores the eight rows of a block as lines `line`, `line + apart` and so on, those below `end`.
fn put_block(block: u32, line: u32, apart: u32, end: u32, at: u32) {
  put(line, end, at, row_sum(block, 0u));
  put(line + apart, end, at, row_sum(block, 1u));
  put(line + 2u * apart, end, at, row_sum(block, 2u));
  put(line + 3u * apart, end, at, row_sum(block, 3u));
  put(line + 4u * apart, end, at, row_sum(block, 4u));
  put(line + 5u * apart, end, at, row_sum(block, 5u));
  put(line + 6u * apart, end, at, row_sum(block, 6u));
  put(line + 7u * apart, end, at, row_sum(block, 7u));
}
