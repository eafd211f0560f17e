#import edge$edge
#expects var a_tile
#expects const A_LINE
#expects var b_tile
#expects const B_LINE
#expects var c_tile
#expects const C_LINE
#expects const THREADS
#expects fn product(index: u32, tid: u32, subgroup: u32, subgroups: u32)

// Fragments without matrix units, so that coop.wgsl can be held against the reference anywhere: LANES
// invocations stand for a subgroup. Fragments of a tile are where they begin in it; each invocation
// holds the sums e, e + LANES, ... of a fragment c, in row-major order.
override LANES: u32 = 32;

const HELD = EDGE / 2u; // LANES is 2 * EDGE or more

alias FragmentC = array<f32, HELD>;

var<private> lane: u32;
// EDGE, which compilers are not to see: they would write out every term of every fragment.
var<private> terms_of_fragment: u32;

fn zeros() -> FragmentC { return FragmentC(); }

fn fragment_a(at: u32) -> u32 { return at; }

fn fragment_b(at: u32) -> u32 { return at; }

fn multiply_add(a: u32, b: u32, c: FragmentC) -> FragmentC {
  var sums = c;
  for (var i = 0u; i < EDGE * EDGE / LANES; i += 1u) {
    let e = i * LANES + lane;
    var sum = sums[i];
    for (var k = 0u; k < terms_of_fragment; k += 1u) {
      sum += f32(a_tile[a + (e / EDGE) * A_LINE + k]) * f32(b_tile[b + (e % EDGE) * B_LINE + k]);
    }
    sums[i] = sum;
  }
  return sums;
}

fn store_c(c: FragmentC, at: u32) {
  var sums = c;
  for (var i = 0u; i < EDGE * EDGE / LANES; i += 1u) {
    let e = i * LANES + lane;
    c_tile[at + (e / EDGE) * C_LINE + e % EDGE] = sums[i];
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  lane = tid % LANES;
  terms_of_fragment = select(0u, EDGE, grid.x > 0u);
  product(wg.x + wg.y * grid.x, tid, tid / LANES, THREADS / LANES);
}
