// The pointwise operations by their codes, those of src/kernels/pointwise.rs.

fn apply(op: u32, a: f32, b: f32, c: f32) -> f32 {
  switch op {
    case 0u: { return a + b; }
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    case 3u: { return a / b; }
    case 4u: { return max(a, b); }
    case 5u: { return min(a, b); }
    case 6u: { return a + c; }
    case 7u: { return a * c; }
    case 8u: { return c - a; }
    case 9u: { return exp(a); }
    case 10u: { return log(a); }
    case 11u: { return sqrt(a); }
    case 12u: { return abs(a); }
    case 13u: { return 1.0 / a; }
    case 14u: { return max(a, 0.0); }
    case 15u: { return select(c * a, a, a > 0.0); }
    case 16u: { return select(exp_m1(min(a, 0.0)), a, a > 0.0); }
    case 17u: { return tanh_safe(a); }
    case 18u: { return sigmoid(a); }
    case 19u: { return softplus(a); }
    case 20u: { return select(c, 1.0, a > 0.0); }
    case 21u: { return select(a + 1.0, 1.0, a > 0.0); }
    case 22u: { return sign(a); }
    case 23u: { return max(a, c); }
    case 24u: { return min(a, c); }
    case 25u: { return softplus(a) - a * b; }
    default: { return a; }
  }
}
