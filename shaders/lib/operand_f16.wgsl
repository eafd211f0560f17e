// Tiles of f16: an operand times a power of two, rounded to nearest, such that the largest of its
// tensor comes to lie in [2^14, 2^15). Nothing overflows, and only what is below 2^-28 of the largest
// may be lost as a subnormal. Products are exact in f32, and so is the division by both powers in the end.
//
// `peaks` is operand_peaks.wgsl's: the largest finite |a|, then the largest |b|, each in PARTS parts.

enable f16;
#expects const PEAKS
#expects const THREADS

alias Operand = f16;

const PARTS = 256u;
const INFINITE = 0x7f800000u; // the exponent of infinities and NaNs

@group(0) @binding(PEAKS) var<storage, read> peaks: array<f32>; // [2, PARTS]

var<workgroup> peak: array<atomic<u32>, 2>;
var<private> scale: vec2<f32>; // of a, of b
var<private> inverse: vec2<f32>;

// Finds both scales. Magnitudes are compared as integers, which have the same order.
fn prepare(tid: u32) {
  if (tid < 2u) { atomicStore(&peak[tid], 0u); }
  workgroupBarrier();
  for (var at = tid * 4u; at < 2u * PARTS; at += THREADS * 4u) {
    let four = max(max(peaks[at], peaks[at + 1u]), max(peaks[at + 2u], peaks[at + 3u]));
    atomicMax(&peak[at / PARTS], bitcast<u32>(four));
  }
  workgroupBarrier();
  // 2^(14 - e) for a largest value in [2^e, 2^(e+1)), by their exponent bits; both inverses are normal.
  let largest = vec2(atomicLoad(&peak[0]), atomicLoad(&peak[1]));
  let exponent = min(vec2(268u) - (largest >> vec2(23u)), vec2(253u));
  scale = bitcast<vec2<f32>>(exponent << vec2(23u));
  inverse = bitcast<vec2<f32>>((vec2(254u) - exponent) << vec2(23u));
}

// The nearest number of 11 bits, ties to even: left to themselves, devices round f16 either way. What
// is not finite stays so.
fn rounded(value: f32) -> f32 {
  let bits = bitcast<u32>(value);
  let near = (bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u;
  return bitcast<f32>(select(near, bits, (bits & INFINITE) == INFINITE));
}

fn operand_a(value: f32) -> f16 { return f16(rounded(value * scale.x)); }

fn operand_b(value: f32) -> f16 { return f16(rounded(value * scale.y)); }

fn unscaled(sum: f32) -> f32 { return sum * inverse.x * inverse.y; }

// The same for a sum of elements of b alone.
fn unscaled_b(sum: f32) -> f32 { return sum * inverse.y; }
