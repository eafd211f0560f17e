// The end of a main stage that makes planes four pixels at a time; it has `p`, `r`, `dst` and RESIDUAL.

// Four pixels of a lane's columns: `at` is where they begin, `count` how many columns there are.
fn store(count: u32, at: u32, quads: u32, bias: V, s0: V, s1: V, s2: V, s3: V) {
  for (var j = 0u; j < WIDTH; j += 1u) {
    if (j < count) {
      var value = vec4<f32>(word(s0, j), word(s1, j), word(s2, j), word(s3, j)) + word(bias, j);
      if (RESIDUAL) { value += r[at + j * quads]; }
      let less = select(p.slope * value, vec4<f32>(), p.slope == 0.0);
      dst[at + j * quads] = select(less, value, value > vec4<f32>());
    }
  }
}
