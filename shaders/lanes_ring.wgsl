// A source with its channels innermost, sorted by colour, and zeros around its planes:
//
//   full[batch, row, y, x, colour, q] = src[batch, row, c = colour + groups * q, y - ring_top, x - ring_left]
//
// and 0 outside of the plane or past the last channel. One invocation copies RUN fours of channels of
// one pixel.

#import gather
#params

override RUN: u32 = 16;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // strides src_batch, src_row, src_chan
@group(0) @binding(2) var<storage, read_write> full: array<vec4<f32>>; // [batch, rows, full_h, full_w, quads]

fn at(origin: u32, inside: bool, channel: u32) -> f32 {
  let colour = channel / p.pack_src;
  let c = colour + p.groups * (channel - colour * p.pack_src);
  var value = 0.0;
  if (inside && c < p.sc) { value = src[origin + c * p.src_chan]; }
  return value;
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let pixels = p.batch * p.rows * p.full_h * p.full_w;
  let blocks = (pixels + 7u) / 8u;
  let index = wg.x + wg.y * grid.x;
  let run = index / blocks;
  let pixel = (index - run * blocks) * 8u + lane;
  if (pixel >= pixels) { return; }
  let line = pixel / p.full_w;
  let plane = line / p.full_h;
  let batch = plane / p.rows;
  let y = line - plane * p.full_h - p.ring_top;
  let x = pixel - line * p.full_w - p.ring_left;
  let inside = y < p.sh && x < p.sw;
  let origin = batch * p.src_batch + (plane - batch * p.rows) * p.src_row + y * p.sw + x;
  for (var q = run * RUN; q < min(run * RUN + RUN, p.quads); q += 1u) {
    full[pixel * p.quads + q] = vec4<f32>(at(origin, inside, 4u * q), at(origin, inside, 4u * q + 1u),
                                          at(origin, inside, 4u * q + 2u), at(origin, inside, 4u * q + 3u));
  }
}
