// The distribution of a pixel: kind and size as src/kernels/pixels/head.rs has them. The includer says what
// output k of the network is at a pixel, logit(base, k).

#import nan
#import activation
#import elementary
#expects fn logit(base: u32, k: u32) -> f32

struct Head { kind: u32, size: u32, colours: u32 }

const CATEGORICAL = 1u; // size levels: channel k·colours + colour
const MIXTURE = 2u;     // size components: logits; then for each colour means, log-scales and coefficients

// How many outputs a pixel has.
fn channels(head: Head) -> u32 {
  let each = select(head.colours, 1u + head.colours * select(3u, 2u, head.colours == 1u), head.kind == MIXTURE);
  return each * head.size;
}

// A class, and the sum of all weights.
struct Chosen { which: u32, sum: f32 }

// The first of `count` classes at which the cumulated softmax of outputs first, first + step, .. exceeds u.
fn choose(base: u32, first: u32, step: u32, count: u32, u: f32) -> Chosen {
  var largest = logit(base, first);
  for (var k = 1u; k < count; k++) {
    largest = max(largest, logit(base, first + k * step));
  }
  var sum = 0.0;
  for (var k = 0u; k < count; k++) {
    let away = logit(base, first + k * step) - largest;
    sum += unless_nan(exp(away), away);
  }
  let wanted = u * sum;
  var so_far = 0.0;
  var passed = 0u;
  for (var k = 0u; k < count; k++) {
    so_far += exp(logit(base, first + k * step) - largest);
    passed += select(0u, 1u, so_far <= wanted);
  }
  // Where a logit is NaN nothing can be chosen.
  return Chosen(min(passed, count - 1u), sum);
}

// One of 256 levels of [-1, 1] from a logistic variable.
fn logistic(mean: f32, log_scale: f32, u: f32) -> f32 {
  let v = clamp(u, 1e-5, 1.0 - 1e-5);
  let x = mean + exp(larger(log_scale, -7.0)) * (ln(v) - ln(1.0 - v));
  return unless_nan(2.0 * floor((clamp(x, -1.0, 1.0) + 1.0) * 127.5 + 0.5) / 255.0 - 1.0, x);
}

// Colours of a pixel in [0, 1], or NaN where nothing can be drawn: all of them for a mixture, and otherwise colour number `turn` as the first.
fn draw_colours(head: Head, base: u32, turn: u32, u: vec4<f32>) -> vec3<f32> {
  if (head.kind == CATEGORICAL) {
    let chosen = choose(base, turn, head.colours, head.size, u.x);
    return vec3(unless_nan(f32(chosen.which) / f32(head.size - 1u), chosen.sum), 0.0, 0.0);
  }
  if (head.kind != MIXTURE) {
    let one = logit(base, turn);
    return vec3(unless_nan(select(0.0, 1.0, u.x < sigmoid(one)), one), 0.0, 0.0);
  }
  let chosen = choose(base, 0u, 1u, head.size, u.x);
  let m = chosen.which;
  let step = head.size;
  if (head.colours == 1u) {
    let x = logistic(logit(base, m + step), logit(base, m + 2u * step), u.y);
    return vec3(unless_nan((x + 1.0) / 2.0, chosen.sum), 0.0, 0.0);
  }
  // Rows of components from `step` on: mean, log-scale and coefficient of red, then of green and of blue.
  let coefficients = vec3(
    tanh_safe(logit(base, m + 3u * step)),
    tanh_safe(logit(base, m + 6u * step)),
    tanh_safe(logit(base, m + 9u * step)),
  );
  let red = logistic(logit(base, m + step), logit(base, m + 2u * step), u.y);
  let green = logistic(logit(base, m + 4u * step) + coefficients.x * red, logit(base, m + 5u * step), u.z);
  let mean = logit(base, m + 7u * step) + coefficients.y * red + coefficients.z * green;
  let blue = logistic(mean, logit(base, m + 8u * step), u.w);
  let drawn = (vec3(red, green, blue) + 1.0) / 2.0;
  return vec3(unless_nan(drawn.x, chosen.sum), unless_nan(drawn.y, chosen.sum), unless_nan(drawn.z, chosen.sum));
}
