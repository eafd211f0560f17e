// The moving average of its weights that an optimiser keeps: average += r (w - average) with the rate
// r = max(average_rate, average_warm / (average_warm + 1 + clock)).
// The shader behind says by AVERAGE which binding it is; lib/unaveraged.wgsl is the same for none.

#expects const AVERAGE
#expects type V
#expects var p
#expects var clock

@group(0) @binding(AVERAGE) var<storage, read_write> average: array<V>;  // [len]

// Element i of the average follows the weight w.
fn keep_average(i: u32, w: V) {
  let rate = max(p.average_rate, p.average_warm / (p.average_warm + 1.0 + f32(clock[0])));
  average[i] += rate * (w - average[i]);
}
