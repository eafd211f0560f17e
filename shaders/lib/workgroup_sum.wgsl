// The sum of two numbers over a workgroup of WG lanes (a power of two), in a fixed order. Every
// lane must call it and every lane gets the sums.

#expects const WG

var<workgroup> partial: array<vec2<f32>, WG>;

fn workgroup_sum(lane: u32, value: vec2<f32>) -> vec2<f32> {
  partial[lane] = value;
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half >>= 1u) {
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
    workgroupBarrier();
  }
  let sum = partial[0];
  // The next call must not overwrite what a slower lane has yet to read.
  workgroupBarrier();
  return sum;
}
