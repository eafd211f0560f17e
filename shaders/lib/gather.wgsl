// conv2d, conv_transpose2d and matmul in one form: every output gathers
//
//   dst[row, col, oy, ox] = act((sum over taps and source channels c of
//                               src[row, c, iy, ix] * w[c, col, tap]  + b[col]) * gate(g) + r)
//
// with gate(g) 1 where g > 0 and p.epilogue_gate_slope elsewhere. A row is an image (or a row of a), a column an output
// channel (or a column of b). The block is Gather of src/kernels/convolution/gather.rs.

#expects var p

// a / b for a and b below 2^24, where f32 is exact: an integer division costs several times as much.
fn div(a: u32, b: u32) -> u32 {
  let q = u32(f32(a) / f32(b));
  let rest = i32(a - q * b);
  return q + select(0u, 1u, rest >= i32(b)) - select(0u, 1u, rest < 0);
}

fn rem(a: u32, b: u32) -> u32 {
  return a - div(a, b) * b;
}

// Where the bias of an output stands.
fn bias_at(row: u32, col: u32) -> u32 {
  return row * p.bias_row + col / p.bias_plane;
}

// One axis of one phase. Output u (of `units`) of the phase stands at dst0 + u * dst_step; its
// m-th live tap (of `taps`) is tap0 + m * tap_step and reads src0 + u * src_u + m * src_m.
//
// A convolution has one phase. A transposed convolution of stride s has s: the outputs with
// (position + pad) % s == phase share their live taps, an arithmetic progression of step
// s / gcd(s, dilation), so that no tap that falls between two inputs is ever visited.
struct Axis { dst0: u32, dst_step: u32, units: u32, src0: i32, src_u: i32, src_m: i32, tap0: u32, tap_step: u32, taps: u32 }

// Axis lengths, strides and dilations are below 2^24, so that `div` holds.
fn axis(phase: u32, transposed: u32, k: u32, stride: u32, pad: u32, dilation: u32, step: u32, dst_len: u32) -> Axis {
  var found = Axis(0u, 1u, dst_len, -i32(pad), i32(stride), i32(dilation), 0u, 1u, k);
  if (transposed != 0u) {
    let dst0 = rem(phase + stride - rem(pad, stride), stride);
    let units = select(0u, div(dst_len - dst0 + stride - 1u, stride), dst0 < dst_len);
    var tap0 = 0u;
    while (tap0 < step && rem(tap0 * dilation, stride) != phase) { tap0 += 1u; }
    let taps = select(0u, div(k - tap0 + step - 1u, step), tap0 < step && tap0 < k);
    // Both are divisible by stride once the phase is taken off.
    let src0 = i32(div(dst0 + pad - phase, stride)) - i32(div(max(tap0 * dilation, phase) - phase, stride));
    found = Axis(dst0, stride, units, src0, 1, -i32(div(step * dilation, stride)), tap0, step, taps);
  }
  return found;
}

// The colours of source channels that a destination channel of colour `own` sees at the centre tap:
// from x to y the earlier ones (mask B: and its own), from y back to x the later ones.
struct Colours { lo: u32, hi: u32 }

fn centre_colours(own: u32) -> Colours {
  let inclusive = p.mask - 1u;
  let before = p.transposed == 0u;
  return Colours(select(own + 1u - inclusive, 0u, before), select(p.groups, own + inclusive, before));
}

// Channels of colour `colour` among `channels`.
fn colour_count(channels: u32, colour: u32) -> u32 {
  return div(channels + p.groups - 1u - colour, p.groups);
}
