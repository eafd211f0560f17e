// What packing with channels last copies at a time: 32 x 32 elements (i, j) of a plane (batch, o) of `src`, through
// workgroup memory where neighbours in src are neighbours in i. In plane `masked` channels of one side see only those of
// the other whose colour, their index modulo `colours`, comes before their own, or is their own: the rest are zeros.

#expects var src

const EDGE = 32u;
const LINE = EDGE + 1u; // of other banks than the line before

var<workgroup> square: array<f32, EDGE * LINE>;

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

// Fills `square` with the elements of a square, line b of it those of channel i or, without, j: neighbouring invocations
// read along that channel.
fn fill_square(t: Tensor, at: Place, along_i: bool, tid: u32) {
  let a = tid % EDGE;
  for (var b = tid / EDGE; b < EDGE; b += 256u / EDGE) {
    if (along_i) {
      square[a * LINE + b] = element(t, at, at.i0 + a, at.j0 + b);
    } else {
      square[b * LINE + a] = element(t, at, at.i0 + b, at.j0 + a);
    }
  }
}

struct Where { live: bool, place: Place }

// The square of workgroup `workgroup`.
fn place_of(t: Tensor, workgroup: u32) -> Where {
  let across = (t.pack2 + EDGE - 1u) / EDGE;
  let down = (t.pack1 + EDGE - 1u) / EDGE;
  var index = workgroup;
  var at: Place;
  at.j0 = EDGE * (index % across);
  index /= across;
  at.i0 = EDGE * (index % down);
  index /= down;
  at.o = index % t.n0;
  at.batch = index / t.n0;
  return Where(at.batch < t.batch, at);
}
