// The moving average of its weights that an optimiser keeps: average += average_rate (w - average).
// The shader behind says by AVERAGE which binding it is; lib/unaveraged.wgsl is the same for none.

@group(0) @binding(AVERAGE) var<storage, read_write> average: array<V>;  // [len]

// Element i of the average follows the weight w.
fn keep_average(i: u32, w: V) {
  average[i] += p.average_rate * (w - average[i]);
}
