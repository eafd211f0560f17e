// What packing with channels last copies at a time: 32 x 32 elements (i, j) of a plane (batch, o) of `src`, through
// workgroup memory where neighbours in src are neighbours in i. i and j run over the channels of either side sorted by
// colour, `pack1` and `pack2` to a colour: channel i is i / pack1 + groups1 * (i % pack1). Those of j may be sorted in src.

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
  let c = i / p.pack1 + p.groups1 * (i % p.pack1);
  let d = j / p.pack2 + p.groups2 * (j % p.pack2);
  let inside = (i < p.groups1 * p.pack1) & (j < p.groups2 * p.pack2) & (c < p.n1) & (d < p.n2);
  let channel = (j / p.pack2) * p.s2_colour + (j % p.pack2) * p.s2_next;
  let value = src[select(0u, at.batch * p.s_batch + at.o * p.s0 + c * p.s1 + channel, inside)];
  return select(0.0, value, inside);
}

struct Where { live: bool, place: Place }

// The square of workgroup `workgroup`.
fn place_of(workgroup: u32) -> Where {
  let across = (p.groups2 * p.pack2 + EDGE - 1u) / EDGE;
  let down = (p.groups1 * p.pack1 + EDGE - 1u) / EDGE;
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
