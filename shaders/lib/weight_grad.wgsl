// conv2d_weight_grad as a matrix product: a line is a live entry (tap, ci) of the kernel, a column
// an output channel, a term an output pixel (n, oy, ox):
//
//   dw[line, column] = sum over terms of x[n, ci, oy * stride - pad + kh * dilation, ...] * dy[n, co, oy, ox]
//
// Channels on both sides are sorted by colour, `pack_ci` and `pack` to a colour, because which lines are
// live at the centre tap of a mask depends on the column's colour: first come the `channels` of each of
// `dense` taps, then those of the centre tap up to the last colour that the column's colour sees. Terms are
// split into `splits` chunks of `chunk`; partial sums are part[split, line, column]. The block is
// WeightGrad of src/kernels/convolution/weight_grad.rs.

#expects var p

// How many colours a column of colour `own` sees at the centre tap.
fn centre_colours(own: u32) -> u32 {
  return select(own + p.mask - 1u, 0u, p.mask == 0u);
}

fn line_count(own: u32) -> u32 {
  return p.dense * p.channels + centre_colours(own) * p.pack_ci;
}

// Where ci stands among the channels sorted by colour.
fn position(ci: u32) -> u32 {
  return (ci % p.groups) * p.pack_ci + ci / p.groups;
}

struct Line { ci: u32, tap: u32 }

// The entry of a line; ci is past the last channel where a colour has fewer than `pack_ci`.
fn line_at(index: u32) -> Line {
  let tap = index / p.channels;
  let at = index - tap * p.channels;
  let colour = at / p.pack_ci;
  return Line(colour + p.groups * (at - colour * p.pack_ci), tap);
}
