// The partial sums of conv2d_weight_grad where a workgroup is one subgroup of 8 SIMD lanes of a CPU core:
//
//   part[split, line, column] = sum over the split's pixels of x[pixel + line's tap, line's c] * dy[pixel, column]
//
// A workgroup makes 8 * BLOCKS lines of 8 V columns, four pixels at a time. A load costs several times a
// multiplication and costs less per word in fours: so lane i loads four channels, which are the lines
// 4 i to 4 i + 3 of four blocks, and registers hand them to the lanes, which hold columns. `x` has its
// channels innermost and zeros around its planes; lines go tap by tap, its channels within.

#import width$width
#import sums_$sums
#import weight_grad
#import put_lines
#expects const BLOCKS
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n, x_h, x_w, quads]
@group(0) @binding(2) var<storage, read> dyt: array<V>; // [terms, columns / V]
@group(0) @binding(3) var<storage, read_write> part: array<V>; // [splits, lines, columns / V]

// An output pixel, and where its window begins in x.
struct Place { ox: u32, oy: u32, n: u32 }

fn next(at: Place) -> Place {
  let wrap_x = at.ox + 1u == p.ow;
  let ox = select(at.ox + 1u, 0u, wrap_x);
  let oy = at.oy + select(0u, 1u, wrap_x);
  let wrap_y = oy == p.oh;
  return Place(ox, select(oy, 0u, wrap_y), at.n + select(0u, 1u, wrap_y));
}

// Past the last image there is nothing to read: any place will do, as dy counts as zero.
fn window(at: Place) -> u32 {
  return ((min(at.n, p.n - 1u) * p.x_h + at.oy * p.stride_h) * p.x_w + at.ox * p.stride_w) * (p.channels / 4u);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let line_blocks = (p.lines + 8u * BLOCKS - 1u) / (8u * BLOCKS);
  let colour_line = p.pack / WIDTH;
  let colour_blocks = (colour_line + 7u) / 8u;
  var index = wg.x + wg.y * grid.x;
  let line0 = (index % line_blocks) * 8u * BLOCKS;
  index /= line_blocks;
  let own = (index % (colour_blocks * p.groups)) / colour_blocks;
  let q0 = (index % colour_blocks) * 8u + lane;
  let split = index / (colour_blocks * p.groups);
  let lines = line_count(own);
  let row = p.columns / WIDTH;
  // Lanes past the last column repeat it and write nothing.
  let column = own * colour_line + min(q0, colour_line - 1u);

  // Where a lane's four channels stand from the beginning of a window; lanes past the last line read
  // the first.
  let quads = p.channels / 4u;
  var from_window: array<u32, BLOCKS / 4u>;
  for (var g = 0u; g < BLOCKS / 4u; g += 1u) {
    let quad = line0 / 4u + 8u * g + lane;
    let tap = quad / quads;
    let kh = tap / p.kw;
    let at = (kh * p.dilation_h * p.x_w + (tap - kh * p.kw) * p.dilation_w) * quads + quad - tap * quads;
    from_window[g] = select(0u, at, 4u * quad < lines);
  }

  // Four pixels of a lane's line in each block.
  var a: array<vec4<f32>, BLOCKS>;
  // Workgroups past the end do nothing, in a loop without turns.
  let first = min(split * p.chunk, p.terms);
  let end = select(first, min(first + p.chunk, p.terms), line0 < lines);
  var place = Place(first % p.ow, (first / p.ow) % p.oh, first / (p.ow * p.oh));
  for (var k = first; k < end; k += 4u) {
    let place1 = next(place);
    let place2 = next(place1);
    let place3 = next(place2);
    let x0 = window(place);
    let x1 = window(place1);
    let x2 = window(place2);
    let x3 = window(place3);
    place = next(place3);
    let dy0 = dyt[k * row + column];
    let dy1 = select(V(0.0), dyt[min(k + 1u, end - 1u) * row + column], k + 1u < end);
    let dy2 = select(V(0.0), dyt[min(k + 2u, end - 1u) * row + column], k + 2u < end);
    let dy3 = select(V(0.0), dyt[min(k + 3u, end - 1u) * row + column], k + 3u < end);
    for (var g = 0u; g < BLOCKS / 4u; g += 1u) {
      let a0 = x[x0 + from_window[g]];
      let a1 = x[x1 + from_window[g]];
      let a2 = x[x2 + from_window[g]];
      let a3 = x[x3 + from_window[g]];
      a[4u * g] = vec4<f32>(a0.x, a1.x, a2.x, a3.x);
      a[4u * g + 1u] = vec4<f32>(a0.y, a1.y, a2.y, a3.y);
      a[4u * g + 2u] = vec4<f32>(a0.z, a1.z, a2.z, a3.z);
      a[4u * g + 3u] = vec4<f32>(a0.w, a1.w, a2.w, a3.w);
    }
    for (var block = 0u; block < BLOCKS; block += 1u) {
      add(block, a[block].x, a[block].y, a[block].z, a[block].w, dy0, dy1, dy2, dy3);
    }
  }

  let last = select(0u, lines, split < p.splits && q0 < colour_line);
  let at = split * p.lines * row + column;
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let line = line0 + (block / 4u) * 32u + block % 4u;
    put_block(block, line, 4u, last, at);
  }
}
