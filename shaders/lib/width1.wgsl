// One element at a time; lib/width4.wgsl is the same for four.

alias V = f32;

fn sum_of(v: V) -> f32 {
  return v;
}
