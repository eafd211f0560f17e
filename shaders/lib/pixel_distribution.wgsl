// What is drawn of a pixel, as src/kernels/pixels/pixel_distribution.rs has it. The includer says
// what output k of the network is at a pixel, logit(base, k).

#import nan
#import activation
#import elementary
#import philox
#import distributions
#expects fn logit(base: u32, k: u32) -> f32
#expects var p: Params, with the colours of a pixel and the stream of random numbers

// A class, and the sum of all weights.
struct Chosen { which: u32, sum: f32 }

// The first of `count` classes at which the cumulated softmax of outputs first, first + step, ..
// exceeds u.
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
  let v = clamp(u, MARGIN, 1.0 - MARGIN);
  let x = mean + exp(larger(log_scale, LEAST_LOG_SCALE)) * (ln(v) - ln(1.0 - v));
  return unless_nan(2.0 * floor((clamp(x, -1.0, 1.0) + 1.0) * 127.5 + 0.5) / 255.0 - 1.0, x);
}

// Colours first .. first + count of a pixel in [0, 1], or NaN where nothing can be drawn.
struct Drawn { first: u32, count: u32, values: vec3<f32> }

// Draw number `turn` of a pixel whose outputs are at `base`: all colours of a mixture, and
// otherwise colour `turn`, by block `e` of the stream at step 0 or by its element `e`.
fn draw_pixel(d: PixelDistribution, base: u32, turn: u32, e: u32) -> Drawn {
  let at_once = d.kind == LOGISTIC_MIXTURE;
  let block = uniforms(philox(vec4(select(e / 4u, e, at_once), p.stream, 0u, p.domain), p.seed_lo, p.seed_hi));
  let u = select(vec4(block[e % 4u]), block, at_once);
  return Drawn(select(turn, 0u, at_once), select(1u, p.colours, at_once), draw_colours(d, base, turn, u));
}

fn draw_colours(d: PixelDistribution, base: u32, turn: u32, u: vec4<f32>) -> vec3<f32> {
  if (d.kind == CATEGORICAL) {
    let chosen = choose(base, turn, p.colours, d.size, u.x);
    return vec3(unless_nan(f32(chosen.which) / f32(d.size - 1u), chosen.sum), 0.0, 0.0);
  }
  if (d.kind != LOGISTIC_MIXTURE) {
    // Of no distribution that there is, nothing can be drawn.
    let one = select(not_a_number(), logit(base, turn), d.kind == BERNOULLI);
    return vec3(unless_nan(select(0.0, 1.0, u.x < sigmoid(one)), one), 0.0, 0.0);
  }
  let chosen = choose(base, 0u, 1u, d.size, u.x);
  let m = chosen.which;
  let step = d.size;
  if (p.colours == 1u) {
    let x = logistic(logit(base, m + step), logit(base, m + 2u * step), u.y);
    return vec3(unless_nan((x + 1.0) / 2.0, chosen.sum), 0.0, 0.0);
  }
  // Rows of components from `step` on: mean, log-scale and coefficient of red, then of green and of
  // blue.
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
