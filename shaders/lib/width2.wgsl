// Two elements at a time; lib/width1.wgsl is the same for one.

alias V = vec2<f32>;

fn sum_of(v: V) -> f32 {
  return v.x + v.y;
}

const WIDTH = 2u;

fn word(v: V, j: u32) -> f32 { return v[j]; }

fn with_word(v: V, j: u32, x: f32) -> V {
  var changed = v;
  changed[j] = x;
  return changed;
}

// y, or x where that is NaN, as lib/nan.wgsl tells it.
fn unless_nans(y: V, x: V) -> V {
  return select(y, x, (bitcast<vec2<u32>>(x) & vec2(0x7fffffffu)) > vec2(0x7f800000u));
}
