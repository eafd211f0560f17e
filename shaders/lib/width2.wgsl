// Two elements at a time, for products; lib/width1.wgsl is the same for one.

alias V = vec2<f32>;

const WIDTH = 2u;

fn word(v: V, j: u32) -> f32 { return v[j]; }

fn with_word(v: V, j: u32, x: f32) -> V {
  var changed = v;
  changed[j] = x;
  return changed;
}
