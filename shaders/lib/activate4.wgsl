// The activation of a V of lib/width4.wgsl.

#import width4
#import activate

fn activate_all(kind: u32, slope: f32, v: V) -> V {
  return V(
    activate(kind, slope, v.x), activate(kind, slope, v.y),
    activate(kind, slope, v.z), activate(kind, slope, v.w),
  );
}
