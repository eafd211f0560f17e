// A lane's walk over the elements of one channel of a group of an [groups, n, c, hw] tensor, WG elements
// at a step. Channel c of group g has the number c·groups + g.

#expects var p
#expects const WG

struct Walk {
  t: u32,       // element of the channel, in [0, n hw)
  i: u32,       // element of the tensor
  column: u32,  // t modulo hw
}

// Where element t of the channel of this number is.
fn walk_from(t: u32, number: u32) -> Walk {
  let n = t / p.hw;
  let image = number % p.groups * p.n + n;
  return Walk(t, (image * p.c + number / p.groups) * p.hw + (t - n * p.hw), t - n * p.hw);
}

// What a step adds when it stays within a plane: computed once, for it divides.
fn walk_step() -> Walk {
  return walk_from(WG, 0u);
}

fn next(at: Walk, step: Walk) -> Walk {
  let column = at.column + step.column;
  let i = at.i + step.i;
  let past = column >= p.hw;
  return Walk(at.t + WG, select(i, i + (p.c - 1u) * p.hw, past), select(column, column - p.hw, past));
}
