// The partial sums of conv2d_weight_grad for a kernel of one tap, where a workgroup is one subgroup of 8
// SIMD lanes of a CPU core and both operands are read as they lie:
//
//   part[split, ci, co] = sum over the split's pixels of x[n, ci, pixel] * dy[n, co, pixel]
//
// A workgroup makes 8 * BLOCKS lines (channels of x) of 8 V columns (channels of dy), four neighbouring
// pixels of a plane at a time: lane i loads those of line 8 block + i and of its own columns, and registers
// hand the former to the lanes.

#import width$width
#import sums_$sums
#import weight_grad
#import put_lines
#expects const BLOCKS
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n, ci, h * w / 4]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [n, co, h * w / 4]
@group(0) @binding(3) var<storage, read_write> part: array<V>; // [splits, lines, columns / V]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let line_blocks = (p.lines + 8u * BLOCKS - 1u) / (8u * BLOCKS);
  let row = p.columns / WIDTH;
  let column_blocks = (row + 7u) / 8u;
  let index = wg.x + wg.y * grid.x;
  let above = index / line_blocks;
  let line0 = (index - above * line_blocks) * 8u * BLOCKS;
  let split = above / column_blocks;
  let q0 = (above - split * column_blocks) * 8u + lane;
  // Lanes past the last line or column repeat it and write nothing.
  let column = min(q0, row - 1u);

  let quads = p.h * p.w / 4u;
  var line_at: array<u32, BLOCKS>;
  for (var block = 0u; block < BLOCKS; block += 1u) {
    line_at[block] = min(line0 + 8u * block + lane, p.ci - 1u) * quads;
  }
  var column_at: array<u32, WIDTH>;
  for (var j = 0u; j < WIDTH; j += 1u) {
    column_at[j] = min(column * WIDTH + j, p.co - 1u) * quads;
  }

  // Workgroups past the end do nothing, in a loop without turns.
  let first = min(split * p.chunk, p.terms) / 4u;
  let end = min(split * p.chunk + p.chunk, p.terms) / 4u;
  var n = first / quads;
  var quad = first - n * quads;
  for (var k = first; k < end; k += 1u) {
    let xn = n * p.ci * quads + quad;
    let yn = n * p.co * quads + quad;
    quad += 1u;
    if (quad == quads) {
      quad = 0u;
      n += 1u;
    }
    var d0 = V(0.0);
    var d1 = V(0.0);
    var d2 = V(0.0);
    var d3 = V(0.0);
    for (var j = 0u; j < WIDTH; j += 1u) {
      let pixels = dy[yn + column_at[j]];
      d0 = with_word(d0, j, pixels.x);
      d1 = with_word(d1, j, pixels.y);
      d2 = with_word(d2, j, pixels.z);
      d3 = with_word(d3, j, pixels.w);
    }
    for (var block = 0u; block < BLOCKS; block += 1u) {
      let pixels = x[xn + line_at[block]];
      add(block, pixels.x, pixels.y, pixels.z, pixels.w, d0, d1, d2, d3);
    }
  }

  let last = select(0u, p.lines, split < p.splits && q0 < row);
  let at = split * p.lines * row + column;
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let line = line0 + 8u * block;
    put_block(block, line, 1u, last, at);
  }
}
