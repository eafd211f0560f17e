// The activation of a V of lib/width1.wgsl.

#import width1
#import activate

fn activate_all(kind: u32, slope: f32, v: V) -> V {
  return activate(kind, slope, v);
}
