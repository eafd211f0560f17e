// The end of a main stage that makes planes four pixels at a time.

#expects const BLOCKS
#expects type V
#expects const WIDTH
#expects fn word(v: V, j: u32) -> f32
#expects const GATE
#expects var g
#expects var p
#expects const RESIDUAL
#expects var r
#expects var dst
#expects fn with_word(v: V, j: u32, x: f32) -> V
#expects var b
#expects fn row_sum(block: u32, i: u32) -> V

// Where each four of a workgroup's pixels goes in its image's first channel.
var<private> dst_at: array<u32, 2u * BLOCKS>;

// y, or x where that is NaN, as lib/nan.wgsl tells it.
fn unless_nan4(y: vec4<f32>, x: vec4<f32>) -> vec4<f32> {
  return select(y, x, (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u));
}

// Four pixels of a lane's columns: `at` is where they begin, `count` how many columns there are.
fn store(count: u32, at: u32, quads: u32, bias: V, s0: V, s1: V, s2: V, s3: V) {
  for (var j = 0u; j < WIDTH; j += 1u) {
    if (j < count) {
      var value = vec4<f32>(word(s0, j), word(s1, j), word(s2, j), word(s3, j)) + word(bias, j);
      if (GATE) {
        let by = g[at + j * quads];
        value *= unless_nan4(select(vec4<f32>(p.epilogue_gate_slope), vec4<f32>(1.0), by > vec4<f32>(0.0)), by);
      }
      if (RESIDUAL) { value += r[at + j * quads]; }
      let less = select(p.epilogue_act_slope * value, vec4<f32>(0.0), p.epilogue_act_slope == 0.0);
      dst[at + j * quads] = unless_nan4(select(less, value, value > vec4<f32>(0.0)), value);
    }
  }
}

// Stores the sums of fours m0 .. of `total` in a lane's columns, which are 8 V from `column`; lanes whose `q0`
// is past the last column, and workgroups that are not live, write nothing.
fn finish(m0: u32, total: u32, quads: u32, q0: u32, column: u32, live: bool) {
  let count = select(0u, p.dc - min(p.dc, q0 * WIDTH), live);
  var bias = V(0.0);
  if (p.epilogue_bias != 0u) {
    for (var j = 0u; j < WIDTH; j += 1u) {
      if (j < count) { bias = with_word(bias, j, b[q0 * WIDTH + j]); }
    }
  }
  let first = column * WIDTH * quads;
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let m = m0 + 2u * block;
    store(select(0u, count, m < total), dst_at[2u * block] + first, quads, bias,
          row_sum(block, 0u), row_sum(block, 1u), row_sum(block, 2u), row_sum(block, 3u));
    store(select(0u, count, m + 1u < total), dst_at[2u * block + 1u] + first, quads, bias,
          row_sum(block, 4u), row_sum(block, 5u), row_sum(block, 6u), row_sum(block, 7u));
  }
}
