// What is not a number stays so. It is told by its bits: max, min and clamp may leave it out, and compilers may take
// every comparison for one of numbers.

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }

// Whether x is -0 or less; no NaN is, of either sign.
fn is_negative(x: f32) -> bool { return bitcast<u32>(x) - 0x80000000u <= 0x7f800000u; }

// Of bits that compilers do not see, since WGSL knows no such literal.
fn not_a_number() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}

// y, or x where that is NaN.
fn unless_nan(y: f32, x: f32) -> f32 { return select(y, x, is_nan(x)); }

fn larger(a: f32, b: f32) -> f32 { return unless_nan(unless_nan(max(a, b), b), a); }

fn smaller(a: f32, b: f32) -> f32 { return unless_nan(unless_nan(min(a, b), b), a); }

// 1 where g > 0, elsewhere what a gate leaves there.
fn gate_of(g: f32, closed: f32) -> f32 { return unless_nan(select(closed, 1.0, g > 0.0), g); }
