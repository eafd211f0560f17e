// A workgroup's share of x [groups, n, c], c in fours of neighbouring channels: COLUMNS fours of a chunk of rows of one group.
// WG / COLUMNS lanes go through the rows of a four, neighbouring lanes through neighbouring fours.

#expects const WG
#expects var p

// Fours that a workgroup takes, a power of two.
override COLUMNS: u32 = 16u;
override ROWS: u32 = WG / COLUMNS;

struct Share {
  live: bool,  // whether the lane has a four
  four: u32,   // of the row
  group: u32,
  chunk: u32,
  first: u32,  // row of this lane in x
  end: u32,    // row behind the last
}

fn share_of(id: u32, lane: u32) -> Share {
  let across = (p.c + COLUMNS - 1u) / COLUMNS;
  let four = (id % across) * COLUMNS + lane % COLUMNS;
  let chunk = id / across % p.chunks;
  let group = id / across / p.chunks;
  let first = chunk * p.chunk + lane / COLUMNS;
  let end = min((chunk + 1u) * p.chunk, p.n);
  let inside = (four < p.c) & (group < p.groups);
  return Share(inside, four, group, chunk, group * p.n + first, group * p.n + select(0u, end, inside));
}

// The number of the first channel of the four: channel c of group g has the number c·groups + g.
fn number_of(share: Share) -> u32 {
  return 4u * share.four * p.groups + share.group;
}

var<workgroup> columns: array<vec4<f32>, WG>;

// The sums of what the lanes of each four have, in a fixed order. Every lane must call it and gets those of its own.
fn column_sum(lane: u32, value: vec4<f32>) -> vec4<f32> {
  columns[lane] = value;
  workgroupBarrier();
  for (var half = ROWS / 2u; half > 0u; half >>= 1u) {
    if (lane < half * COLUMNS) { columns[lane] += columns[lane + half * COLUMNS]; }
    workgroupBarrier();
  }
  let sum = columns[lane % COLUMNS];
  // The next call must not overwrite what a slower lane has yet to read.
  workgroupBarrier();
  return sum;
}
