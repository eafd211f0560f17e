// The weights of a convolution or the columns of b, output channels innermost and sorted by colour,
// for variants whose lanes are output channels:
//
//   packed[batch, tap, colour, q, own, j] = w[batch, c = colour + groups * q, col = own + groups * j, tap]
//
// and 0 where c or col is past the end. One invocation copies one column of RUN values of q.

#import gather
#params

override RUN: u32 = 16;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>; // sc x dc x taps, strides w_src, w_dst, 1
@group(0) @binding(2) var<storage, read_write> packed: array<f32>; // [batch, taps, groups, pack_src, groups, pack_dst]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let columns = p.groups * p.pack_dst;
  let blocks = (columns + 7u) / 8u;
  let runs = (p.pack_src + RUN - 1u) / RUN;
  let taps = p.kh * p.kw;
  var at = wg.x + wg.y * grid.x;
  let tap = at % taps;
  at /= taps;
  let column = (at % blocks) * 8u + lane;
  at /= blocks;
  let run = at % runs;
  let colour = (at / runs) % p.groups;
  let batch = at / (runs * p.groups);
  if (column >= columns || batch >= p.batch) { return; }
  let col = column / p.pack_dst + p.groups * (column % p.pack_dst);
  let line = ((batch * taps + tap) * p.groups + colour) * p.pack_src;
  let origin = batch * p.w_batch + col * p.w_dst + tap;
  for (var q = run * RUN; q < min(run * RUN + RUN, p.pack_src); q += 1u) {
    let c = colour + p.groups * q;
    var value = 0.0;
    if (c < p.sc && col < p.dc) { value = w[origin + c * p.w_src]; }
    packed[(line + q) * columns + column] = value;
  }
}
