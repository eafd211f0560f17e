// Activation functions and their kin.

#import nan

// e^x - 1 without cancellation near zero: a Taylor series below |x| = 0.35, the exponential above.
fn exp_m1(x: f32) -> f32 {
  let series = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * (0.008333334 + x * (0.0013888889 + x * 0.0001984127))))));
  return select(exp(x) - 1.0, series, abs(x) < 0.35);
}

// tanh x = 1 - 2 / (e^2x + 1), by expm1 so that small x keep their digits; large |x| saturate
// instead of dividing two infinities.
fn tanh_safe(x: f32) -> f32 {
  let t = exp_m1(2.0 * clamp(abs(x), 0.0, 15.0));
  return unless_nan(sign(x) * (t / (t + 2.0)), x);
}

// 1 / (1 + e^-x), by the exponential of a non-positive number only.
fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return unless_nan(select(e, 1.0, x >= 0.0) / (1.0 + e), x);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|); the logarithm by ln(1 + e) = 2 atanh(e / (2 + e)),
// whose series keeps small e exact.
fn softplus(x: f32) -> f32 {
  let e = exp(-abs(x));
  let s = e / (2.0 + e);
  let q = s * s;
  let l = 2.0 * s * (1.0 + q * (0.33333334 + q * (0.2 + q * (0.14285715 + q * (0.11111111 + q * (0.09090909 + q * (0.07692308 + q * 0.06666667)))))));
  return unless_nan(max(x, 0.0) + l, x);
}

fn relu(x: f32) -> f32 { return select(x, 0.0, is_negative(x)); }

fn elu(x: f32) -> f32 { return select(x, exp_m1(min(x, 0.0)), is_negative(x)); }
