// A lane's walk over the elements of one channel of an [n, c, hw] tensor, WG elements at a step.

struct Walk {
  t: u32,       // element of the channel, in [0, n hw)
  i: u32,       // element of the tensor
  column: u32,  // t modulo hw
}

fn next(at: Walk) -> Walk {
  let jump = WG % p.hw;
  var to = Walk(at.t + WG, at.i + WG / p.hw * p.c * p.hw + jump, at.column + jump);
  if (to.column >= p.hw) {
    to.column -= p.hw;
    to.i += (p.c - 1u) * p.hw;
  }
  return to;
}
