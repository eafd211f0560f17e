// The pointwise operations by their codes, those of src/kernels/pointwise/mod.rs.

#import nan
#import activation

fn apply(op: u32, a: f32, b: f32, c: f32) -> f32 {
  switch op {
    case 0u: { return a + b; }
    case 1u: { return a - b; }
    case 2u: { return a * b; }
    case 3u: { return a / b; }
    case 4u: { return larger(a, b); }
    case 5u: { return smaller(a, b); }
    case 6u: { return a + c; }
    case 7u: { return a * c; }
    case 8u: { return c - a; }
    case 9u: { return unless_nan(exp(a), a); }
    case 10u: { return unless_nan(log(a), a); }
    case 11u: { return unless_nan(sqrt(a), a); }
    case 12u: { return abs(a); }
    case 13u: { return 1.0 / a; }
    case 14u: { return relu(a); }
    case 15u: { return select(c * a, a, a > 0.0); }
    case 16u: { return elu(a); }
    case 17u: { return tanh_safe(a); }
    case 18u: { return sigmoid(a); }
    case 19u: { return softplus(a); }
    case 20u: { return gate_of(a, c); }
    case 21u: { return select(a + 1.0, 1.0, a > 0.0); }
    case 22u: { return unless_nan(sign(a), a); }
    case 23u: { return larger(a, c); }
    case 24u: { return smaller(a, c); }
    case 25u: { return softplus(a) - a * b; }
    default: { return a; }
  }
}
