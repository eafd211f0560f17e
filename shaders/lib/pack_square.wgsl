// What packing with channels last copies at a time: 32 x 32 elements (i, j) of a plane (batch, o) of `src`, through
// workgroup memory where neighbours in src are neighbours in i. In plane `masked` channels of one side see only those of
// the other whose colour, their index modulo `colours`, comes before their own, or is their own: the rest are zeros.

#expects var p
#expects var src

// 1: neighbouring invocations read along i; 0: along j.
override ALONG_I: u32 = 1;

const EDGE = 32u;
const LINE = EDGE + 1u; // of other banks than the line before

var<workgroup> square: array<f32, EDGE * LINE>;

struct Place { batch: u32, o: u32, i0: u32, j0: u32 }

// The element at i, j.
fn element(at: Place, i: u32, j: u32) -> f32 {
  let seen = select(j, i, p.rows_seen == 1u) % p.colours;
  let own = select(i, j, p.rows_seen == 1u) % p.colours;
  let inside = (i < p.n1) & (j < p.n2) & ((at.o != p.masked) | (seen < own + p.itself));
  let value = src[select(0u, at.batch * p.s_batch + at.o * p.s0 + i * p.s1 + j * p.s2, inside)];
  return select(0.0, value, inside);
}

struct Where { live: bool, place: Place }

// The square of workgroup `workgroup`.
fn place_of(workgroup: u32) -> Where {
  let across = (p.pack2 + EDGE - 1u) / EDGE;
  let down = (p.pack1 + EDGE - 1u) / EDGE;
  var index = workgroup;
  var at: Place;
  at.j0 = EDGE * (index % across);
  index /= across;
  at.i0 = EDGE * (index % down);
  index /= down;
  at.o = index % p.n0;
  at.batch = index / p.n0;
  return Where(at.batch < p.batch, at);
}
