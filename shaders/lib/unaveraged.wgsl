// No moving average is kept; see lib/averaged.wgsl.

fn keep_average(i: u32, w: V) {}
