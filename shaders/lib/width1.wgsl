// One element at a time; lib/width4.wgsl is the same for four.

alias V = f32;

fn sum_of(v: V) -> f32 {
  return v;
}

const WIDTH = 1u;

fn word(v: V, j: u32) -> f32 { return v; }
fn with_word(v: V, j: u32, x: f32) -> V { return x; }
