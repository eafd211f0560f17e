// What packing with channels last copies at a time: a block of DOWN x ACROSS elements (i, j) of a plane (batch, o) of
// `src`, as square as few j allow, through workgroup memory, for neighbours in src may be neighbours in i. In plane `masked` channels of one side see only those of
// the other whose colour, their index modulo `colours`, comes before their own, or is their own: the rest are zeros.

#expects var src

override ACROSS: u32 = 32; // 4, 8, 16 or 32
override DOWN: u32 = 1024 / ACROSS;
override LINE: u32 = ACROSS + 1; // of other banks than the line before
override SQUARE: u32 = DOWN * LINE;

var<workgroup> square: array<f32, SQUARE>;

// The tensor: the fields of PackLast of src/kernels/convolution/pack.rs, and where it starts.
struct Tensor {
  first: u32, batch: u32, n0: u32, n1: u32, pack1: u32, n2: u32, pack2: u32, s_batch: u32, s0: u32, s1: u32, s2: u32,
  masked: u32, colours: u32, itself: u32, rows_seen: u32,
}

struct Place { batch: u32, o: u32, i0: u32, j0: u32 }

// The element at i, j.
fn element(t: Tensor, at: Place, i: u32, j: u32) -> f32 {
  let seen = select(j, i, t.rows_seen == 1u) % t.colours;
  let own = select(i, j, t.rows_seen == 1u) % t.colours;
  let inside = (i < t.n1) & (j < t.n2) & ((at.o != t.masked) | (seen < own + t.itself));
  let place = t.first + at.batch * t.s_batch + at.o * t.s0 + i * t.s1 + j * t.s2;
  let value = src[select(0u, place, inside)];
  return select(0.0, value, inside);
}

// Fills `square` with the elements of a block, line i of it those of row i: neighbouring invocations read along i or,
// without, along j.
fn fill_square(t: Tensor, at: Place, along_i: bool, tid: u32) {
  for (var e = tid; e < 1024u; e += 256u) {
    let i = select(e / ACROSS, e % DOWN, along_i);
    let j = select(e % ACROSS, e / DOWN, along_i);
    square[i * LINE + j] = element(t, at, at.i0 + i, at.j0 + j);
  }
}

struct Where { live: bool, place: Place }

// The block of workgroup `workgroup`.
fn place_of(t: Tensor, workgroup: u32) -> Where {
  let across = (t.pack2 + ACROSS - 1u) / ACROSS;
  let down = (t.pack1 + DOWN - 1u) / DOWN;
  var index = workgroup;
  var at: Place;
  at.j0 = ACROSS * (index % across);
  index /= across;
  at.i0 = DOWN * (index % down);
  index /= down;
  at.o = index % t.n0;
  at.batch = index / t.n0;
  return Where(at.batch < t.batch, at);
}
