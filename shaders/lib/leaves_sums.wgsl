// What a block of last.wgsl leaves of its columns, and where. Its lines are of rows of one group. Sums are of what the
// invocation has written, which it reads again: held in registers beside the sums of products, they would have the loop
// in front have fewer of them.

#import gather_block
#import columns
#expects fn sum_columns(block: Block, tx: u32, ty: u32, q: u32) // of the four columns from q on
#expects const BM
#expects const TX
#expects const TY
#expects var p
#expects var dst

// Groups of rows.
override GROUPS: u32 = 1;

@group(0) @binding(7) var<storage, read_write> part: array<vec2<f32>>; // [columns, groups, chunks]: a chunk is a block

fn leave(block: Block, tx: u32, ty: u32) {
  // The near columns, and the far where there are some.
  let columns = min(block.columns - block.q0, 8u * TX);
  for (var first = 0u; first < columns; first += 4u * TX) { sum_columns(block, tx, ty, first + 4u * tx); }
}

struct Place { group: u32, chunk: u32, chunks: u32 }

fn place_of(block: Block) -> Place {
  let phases = select(1u, p.stride_h * p.stride_w, p.transposed != 0u);
  let blocks = (block.m_total / GROUPS + BM - 1u) / BM;
  let number = block.m0 / BM;
  return Place(number / blocks, block.phase * blocks + number % blocks, phases * blocks);
}

// Lines of the block that are outputs, and of those every TY-th from line ty on.
fn lines_of(block: Block) -> u32 {
  return min(block.m_total - block.m0, BM);
}

fn lines_from(block: Block, ty: u32) -> u32 {
  return (max(lines_of(block), ty) - ty + TY - 1u) / TY;
}

// Whether there are the four neighbouring columns from `q` on: all of them or none.
fn there(block: Block, q: u32) -> bool {
  return block.q0 + q < block.columns;
}

// What has been written of four columns of a line.
fn written(at: u32) -> vec4<f32> {
  return vec4(dst[at], dst[at + 1u], dst[at + 2u], dst[at + 3u]);
}

// Writes the two sums of the four columns from `q` on.
fn put(block: Block, q: u32, first: vec4<f32>, second: vec4<f32>) {
  if (!there(block, q)) { return; }
  let place = place_of(block);
  for (var j = 0u; j < 4u; j += 1u) {
    part[((block.q0 + q + j) * GROUPS + place.group) * place.chunks + place.chunk] = vec2(first[j], second[j]);
  }
}
