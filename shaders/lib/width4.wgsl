// Four elements at a time; lib/width1.wgsl is the same for one.

alias V = vec4<f32>;

fn sum_of(v: V) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

const WIDTH = 4u;

fn word(v: V, j: u32) -> f32 { return v[j]; }

fn with_word(v: V, j: u32, x: f32) -> V {
  var changed = v;
  changed[j] = x;
  return changed;
}

// y, or x where that is NaN, as lib/nan.wgsl tells it.
fn unless_nans(y: V, x: V) -> V {
  return select(y, x, (bitcast<vec4<u32>>(x) & vec4(0x7fffffffu)) > vec4(0x7f800000u));
}
