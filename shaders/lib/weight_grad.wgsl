// conv2d_weight_grad as a matrix product: a line is a live entry (ci, tap) of the kernel, a column
// an output channel, a term an output pixel (n, oy, ox):
//
//   dw[line, column] = sum over terms of x[n, ci, oy * stride - pad + kh * dilation, ...] * dy[n, co, oy, ox]
//
// Columns are sorted by colour, `pack` to a colour, because which lines are live at the centre tap
// of a mask depends on it: first come `dense` taps of every ci (tap fastest), then the centre tap of
// the ci whose colour the column's colour sees. Terms are split into `splits` chunks of `chunk`;
// partial sums are part[split, line, column]. The block is src/kernels/weight_grad.rs's.
struct WeightGrad {
  n: u32, ci: u32, h: u32, w: u32, co: u32, kh: u32, kw: u32, oh: u32, ow: u32,
  stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, dilation_h: u32, dilation_w: u32,
  mask: u32, groups: u32,
  dense: u32, lines: u32, pack: u32, columns: u32,
  terms: u32, chunk: u32, splits: u32,
  x_h: u32, x_w: u32,
}

// Channels of ci with this colour.
fn colour_count(colour: u32) -> u32 {
  return (p.ci + p.groups - 1u - colour) / p.groups;
}

// How many colours a column of colour `own` sees at the centre tap.
fn centre_colours(own: u32) -> u32 {
  return select(own + p.mask - 1u, 0u, p.mask == 0u);
}

fn line_count(own: u32) -> u32 {
  var count = p.ci * p.dense;
  for (var i = 0u; i < centre_colours(own); i += 1u) { count += colour_count(i); }
  return count;
}

struct Line { ci: u32, tap: u32 }

fn line_at(index: u32) -> Line {
  let dense = p.ci * p.dense;
  if (index < dense) { return Line(index / p.dense, index % p.dense); }
  var q = index - dense;
  var colour = 0u;
  while (colour + 1u < p.groups && q >= colour_count(colour)) {
    q -= colour_count(colour);
    colour += 1u;
  }
  return Line(colour + p.groups * q, p.dense);
}
