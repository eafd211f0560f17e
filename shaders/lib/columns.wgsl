// What the products in registers share: four columns at a time.

#expects type Column
#expects type Block
#expects fn column_at(block: Block, q: u32) -> Column
#expects const APART
#expects type Row
#expects fn finish(row: Row, column: Column, sum: f32)

// Four columns of the block, APART of each other.
struct Columns { a: Column, b: Column, c: Column, d: Column }

fn columns_at(block: Block, q: u32) -> Columns {
  return Columns(
    column_at(block, q), column_at(block, q + APART), column_at(block, q + 2u * APART),
    column_at(block, q + 3u * APART));
}

// The sums of a line in these columns.
fn finish_four(row: Row, columns: Columns, sums: vec4<f32>) {
  finish(row, columns.a, sums.x);
  finish(row, columns.b, sums.y);
  finish(row, columns.c, sums.z);
  finish(row, columns.d, sums.w);
}
