// No moving average is kept; see lib/averaged.wgsl.

#expects type V

fn keep_average(i: u32, w: V) {}
