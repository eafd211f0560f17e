// Operands in f16: times a power of two, rounded to nearest, such that the largest of a tensor comes to lie in
// [2^14, 2^15). Nothing overflows, and only what is below 2^-28 of the largest may be lost as a subnormal. Products are
// exact in f32, and so is the division by both powers in the end. peaks.wgsl finds the largest finite magnitude in
// PARTS parts.

const PARTS = 256u;
const INFINITE = 0x7f800000u; // the exponent of infinities and NaNs

// The exponent bits of 2^(14 - e) for a largest value in [2^e, 2^(e+1)), given as its bits. Those of the inverse, which
// is normal too, are 254 less these.
fn power_of(largest: u32) -> u32 {
  return min(268u - (largest >> 23u), 253u);
}

// The nearest number of 11 bits, ties to even: left to themselves, devices round f16 either way. What
// is not finite stays so.
fn rounded(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  let near = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  return bitcast<f32>(select(near, bits, (bits & INFINITE) == INFINITE));
}
