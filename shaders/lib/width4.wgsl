// Four elements at a time; lib/width1.wgsl is the same for one.

alias V = vec4<f32>;

fn sum_of(v: V) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}
