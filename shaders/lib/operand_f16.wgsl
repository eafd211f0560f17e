// Tiles of f16, scaled and rounded (lib/scale_f16.wgsl) on their way into workgroup memory.

enable f16;
#import scale_f16
#expects const PEAKS
#expects const THREADS

alias Operand = f16;

@group(0) @binding(PEAKS) var<storage, read> a_peaks: array<f32>; // [PARTS]
@group(0) @binding(PEAKS + 1) var<storage, read> b_peaks: array<f32>; // [PARTS]

var<workgroup> peak: array<atomic<u32>, 2>;
var<private> scale: vec2<f32>; // of a, of b
var<private> inverse: vec2<f32>;

// Finds both scales. Magnitudes are compared as integers, which have the same order.
fn prepare(tid: u32) {
  if (tid < 2u) { atomicStore(&peak[tid], 0u); }
  workgroupBarrier();
  for (var at = tid * 4u; at < PARTS; at += THREADS * 4u) {
    let a = max(max(a_peaks[at], a_peaks[at + 1u]), max(a_peaks[at + 2u], a_peaks[at + 3u]));
    let b = max(max(b_peaks[at], b_peaks[at + 1u]), max(b_peaks[at + 2u], b_peaks[at + 3u]));
    atomicMax(&peak[0], bitcast<u32>(a));
    atomicMax(&peak[1], bitcast<u32>(b));
  }
  workgroupBarrier();
  let powers = vec2(power_of(atomicLoad(&peak[0])), power_of(atomicLoad(&peak[1])));
  scale = bitcast<vec2<f32>>(powers << vec2(23u));
  inverse = bitcast<vec2<f32>>((vec2(254u) - powers) << vec2(23u));
}

fn operand_a(value: f32) -> f16 { return f16(rounded(value * scale.x)); }

fn operand_b(value: f32) -> f16 { return f16(rounded(value * scale.y)); }

fn unscaled(sum: f32) -> f32 { return sum * inverse.x * inverse.y; }

// The same for a sum of elements of b alone.
fn unscaled_b(sum: f32) -> f32 { return sum * inverse.y; }
