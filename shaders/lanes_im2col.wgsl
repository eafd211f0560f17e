// The source of a convolution of few channels as a matrix, so that lanes have whole fours of terms:
//
//   full[row, oy, ox, k] = src[row, c, oy * stride - pad + kh * dilation, ...] for k = c * taps + kh * kw + kw
//
// and 0 outside of the plane or past the last term. One invocation makes the terms of one output pixel.

#import gather
#params

override TAPS: u32 = 1; // live ones
override TERMS: u32 = 1;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc, sh, sw]
@group(0) @binding(2) var<storage, read_write> full: array<vec4<f32>>; // [rows, dh, dw, quads]

fn at(origin: u32, y: u32, x: u32, k: u32) -> f32 {
  let c = k / TAPS;
  let tap = k - c * TAPS;
  let kh = tap / p.kw;
  let sy = y + kh * p.dilation_h;
  let sx = x + (tap - kh * p.kw) * p.dilation_w;
  var value = 0.0;
  if (k < TERMS && sy < p.sh && sx < p.sw) { value = src[origin + c * p.src_chan + sy * p.sw + sx]; }
  return value;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let pixel = (wg.x + wg.y * grid.x) * 8u + lane;
  if (pixel >= p.rows * p.dh * p.dw) { return; }
  let line = pixel / p.dw;
  let row = line / p.dh;
  // Left of or above the plane these wrap around and lie outside all the same.
  let y = (line - row * p.dh) * p.stride_h - p.pad_top;
  let x = (pixel - line * p.dw) * p.stride_w - p.pad_left;
  let origin = row * p.src_row;
  for (var q = 0u; q < p.quads; q += 1u) {
    full[pixel * p.quads + q] = vec4<f32>(at(origin, y, x, 4u * q), at(origin, y, x, 4u * q + 1u),
                                          at(origin, y, x, 4u * q + 2u), at(origin, y, x, 4u * q + 3u));
  }
}
