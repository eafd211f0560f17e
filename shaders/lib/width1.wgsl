// One element at a time; lib/width4.wgsl is the same for four.

alias V = f32;

fn sum_of(v: V) -> f32 {
  return v;
}

const WIDTH = 1u;

fn word(v: V, j: u32) -> f32 { return v; }
fn with_word(v: V, j: u32, x: f32) -> V { return x; }

// y, or x where that is NaN, as lib/nan.wgsl tells it.
fn unless_nans(y: V, x: V) -> V {
  return select(y, x, (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u);
}
