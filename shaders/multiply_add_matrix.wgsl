// What a device's matrix units can multiply and add: the product of a [2E, E] and b [E, 4E] is added up `turns` times
// in fragments of E x E (EDGE; lib/fragments*.wgsl) that stay in registers, eight sums to a subgroup,
//
//   c[s, m, n] = turns * sum over k of a[m, k] * b[k, n]
//
// once for each of `subgroups` subgroups s, of which a workgroup is expected to have SUBGROUPS. If it has fewer,
// whatever their size, all of it is gone through again.

enable f16;
#import fragments_$units
#params

override SUBGROUPS: u32 = 4;
override THREADS: u32 = 128;
override C_SIZE: u32 = SUBGROUPS * EDGE * C_LINE;

// Lines start at multiples of 16 bytes, which fragments want.
const A_LINE = EDGE;
const B_LINE = EDGE;
const C_LINE = EDGE + 4u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;        // [2E, E]
@group(0) @binding(2) var<storage, read> b: array<f32>;        // [E, 4E]
@group(0) @binding(3) var<storage, read_write> c: array<f32>;  // [subgroups, 2E, 4E]

var<workgroup> a_tile: array<f16, 2u * EDGE * A_LINE>;  // [m, k]
var<workgroup> b_tile: array<f16, 4u * EDGE * B_LINE>;  // [n, k]
var<workgroup> c_tile: array<f32, C_SIZE>;         // one fragment of every subgroup

// Writes the fragment (i, j) of every subgroup, of which `count` are wanted and the first is number `first` of all.
fn put(fragment: FragmentC, i: u32, j: u32, own: bool, subgroup: u32, first: u32, count: u32, tid: u32) {
  if (own) { store_c(fragment, subgroup * EDGE * C_LINE); }
  workgroupBarrier();
  for (var e = tid; e < count * EDGE * EDGE; e += THREADS) {
    let line = (e / EDGE) % EDGE;
    let at = (e / (EDGE * EDGE)) * EDGE + line;
    c[((first + e / (EDGE * EDGE)) * 2u * EDGE + i * EDGE + line) * 4u * EDGE + j * EDGE + e % EDGE]
      = c_tile[at * C_LINE + e % EDGE];
  }
  workgroupBarrier();
}

// The sums of workgroup `index`, by `subgroups` subgroups of which this is number `subgroup`.
fn product(index: u32, tid: u32, subgroup: u32, subgroups: u32) {
  let begin = index * SUBGROUPS;
  if (begin >= p.subgroups) { return; }
  let wanted = min(SUBGROUPS, p.subgroups - begin);
  for (var e = tid; e < 2u * EDGE * EDGE; e += THREADS) { a_tile[e] = f16(a[e]); }
  for (var e = tid; e < 4u * EDGE * EDGE; e += THREADS) {
    b_tile[(e % (4u * EDGE)) * B_LINE + e / (4u * EDGE)] = f16(b[e]);
  }
  workgroupBarrier();
  let a0 = fragment_a(0u);
  let a1 = fragment_a(EDGE * A_LINE);
  let b0 = fragment_b(0u);
  let b1 = fragment_b(EDGE * B_LINE);
  let b2 = fragment_b(2u * EDGE * B_LINE);
  let b3 = fragment_b(3u * EDGE * B_LINE);
  for (var done = 0u; done < SUBGROUPS; done += subgroups) {
    var c00 = zeros();
    var c01 = zeros();
    var c02 = zeros();
    var c03 = zeros();
    var c10 = zeros();
    var c11 = zeros();
    var c12 = zeros();
    var c13 = zeros();
    for (var t = 0u; t < p.turns; t += 1u) {
      c00 = multiply_add(a0, b0, c00);
      c01 = multiply_add(a0, b1, c01);
      c02 = multiply_add(a0, b2, c02);
      c03 = multiply_add(a0, b3, c03);
      c10 = multiply_add(a1, b0, c10);
      c11 = multiply_add(a1, b1, c11);
      c12 = multiply_add(a1, b2, c12);
      c13 = multiply_add(a1, b3, c13);
    }
    let own = done + subgroup < SUBGROUPS;
    let count = select(0u, min(subgroups, wanted - done), done < wanted);
    put(c00, 0u, 0u, own, subgroup, begin + done, count, tid);
    put(c01, 0u, 1u, own, subgroup, begin + done, count, tid);
    put(c02, 0u, 2u, own, subgroup, begin + done, count, tid);
    put(c03, 0u, 3u, own, subgroup, begin + done, count, tid);
    put(c10, 1u, 0u, own, subgroup, begin + done, count, tid);
    put(c11, 1u, 1u, own, subgroup, begin + done, count, tid);
    put(c12, 1u, 2u, own, subgroup, begin + done, count, tid);
    put(c13, 1u, 3u, own, subgroup, begin + done, count, tid);
  }
}
