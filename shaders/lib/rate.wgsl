// The learning rate: lr_start exp(t lr_ln_decay) at update t, times the schedule's factor at training
// step s: at x = min(s lr_per_step, 1) of its way
//   exp(x lr_ln_end)                                  where lr_cosine is 0, and
//   lr_end + (1 - lr_end) (1 + cos πx) / 2            where it is 1,
// times min((s + 1) lr_warm, 1) while it warms up. What lr_per_step or lr_warm is 0 for is left out.

#import elementary
#expects var p
#expects var clock
#expects var steps

fn learning_rate() -> f32 {
  var rate = p.lr_start * exp(f32(clock[0]) * p.lr_ln_decay);
  let s = f32(steps[0]);
  if (p.lr_per_step > 0.0) {
    let x = min(s * p.lr_per_step, 1.0);
    let falls = 0.5 + 0.5 * cos_sin_turn(0.5 * x).x;
    rate *= select(exp(x * p.lr_ln_end), p.lr_end + (1.0 - p.lr_end) * falls, p.lr_cosine == 1u);
  }
  if (p.lr_warm > 0.0) {
    rate *= min((s + 1.0) * p.lr_warm, 1.0);
  }
  return rate;
}
