// The partial sums of conv2d_weight_grad for kernels three wide that keep the size, masked or not, where a
// workgroup is one subgroup of 8 SIMD lanes of a CPU core and both operands are read as they lie:
//
//   part[split, 3 kh + kw, ci, co] = sum over the split's pixels of x[n, ci, y + kh - pad_top, x + kw - 1] * dy[n, co, y, x]
//
// A workgroup makes a row of the kernel, 8 * CHANNELS channels of x and 8 V of dy, four neighbouring pixels
// at a time: lane i loads those of channel 8 k + i once for the three taps, which see them shifted by one.

#import width$width
#import sums_$sums
#import weight_grad
#import put_lines
#expects const BLOCKS
#params

const CHANNELS = BLOCKS / 3u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // [n, ci, h, w / 4]
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>; // [n, co, h, w / 4]
@group(0) @binding(3) var<storage, read_write> part: array<V>; // [splits, lines, columns / V]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let kernel_rows = (p.lines / p.ci + 2u) / 3u;
  let channel_blocks = (p.ci + 8u * CHANNELS - 1u) / (8u * CHANNELS);
  let row = p.columns / WIDTH;
  let column_blocks = (row + 7u) / 8u;
  var index = wg.x + wg.y * grid.x;
  let kh = index % kernel_rows;
  index /= kernel_rows;
  let c0 = (index % channel_blocks) * 8u * CHANNELS;
  index /= channel_blocks;
  let split = index / column_blocks;
  let q0 = (index - split * column_blocks) * 8u + lane;
  // Lanes past the last channel or column repeat it and write nothing.
  let column = min(q0, row - 1u);
  let taps = p.lines / p.ci - 3u * kh;
  let rise = i32(kh) - i32(p.pad_top);

  let turns = p.w / 4u;
  let quads = p.h * turns;
  var channel_at: array<u32, CHANNELS>;
  for (var k = 0u; k < CHANNELS; k += 1u) {
    channel_at[k] = min(c0 + 8u * k + lane, p.ci - 1u) * quads;
  }
  var column_at: array<u32, WIDTH>;
  for (var j = 0u; j < WIDTH; j += 1u) {
    column_at[j] = min(column * WIDTH + j, p.co - 1u) * quads;
  }
  var before: array<f32, CHANNELS>;
  var here: array<vec4<f32>, CHANNELS>;

  // Chunks are whole rows. Workgroups past the end do nothing, in a loop without turns.
  let end = min(split * p.chunk + p.chunk, p.terms) / p.w;
  for (var at = min(split * p.chunk, p.terms) / p.w; at < end; at += 1u) {
    let n = at / p.h;
    let y = at - n * p.h;
    let source = i32(y) + rise;
    let inside = u32(source) < p.h;
    let xn = n * p.ci * quads + select(0u, u32(source), inside) * turns;
    let yn = n * p.co * quads + y * turns;
    for (var k = 0u; k < CHANNELS; k += 1u) {
      before[k] = 0.0;
      here[k] = select(vec4<f32>(0.0), x[xn + channel_at[k]], inside);
    }
    // Rows that read outside of the plane add nothing.
    let steps = select(0u, turns, inside);
    for (var turn = 0u; turn < steps; turn += 1u) {
      var d0 = V(0.0);
      var d1 = V(0.0);
      var d2 = V(0.0);
      var d3 = V(0.0);
      for (var j = 0u; j < WIDTH; j += 1u) {
        let pixels = dy[yn + turn + column_at[j]];
        d0 = with_word(d0, j, pixels.x);
        d1 = with_word(d1, j, pixels.y);
        d2 = with_word(d2, j, pixels.z);
        d3 = with_word(d3, j, pixels.w);
      }
      let more = turn + 1u < turns;
      for (var k = 0u; k < CHANNELS; k += 1u) {
        let four = here[k];
        let next = x[xn + channel_at[k] + min(turn + 1u, turns - 1u)];
        add(k, before[k], four.x, four.y, four.z, d0, d1, d2, d3);
        if (taps > 1u) { add(CHANNELS + k, four.x, four.y, four.z, four.w, d0, d1, d2, d3); }
        if (taps > 2u) {
          add(2u * CHANNELS + k, four.y, four.z, four.w, select(0.0, next.x, more), d0, d1, d2, d3);
        }
        before[k] = four.w;
        here[k] = next;
      }
    }
  }

  let writes = split < p.splits && q0 < row;
  let at = split * p.lines * row + column;
  for (var block = 0u; block < BLOCKS; block += 1u) {
    let kw = block / CHANNELS;
    let c = c0 + 8u * (block - kw * CHANNELS);
    let line = (3u * kh + kw) * p.ci + c;
    // Past the last channel of this tap stand those of the next.
    let last = select(0u, min(p.lines, (3u * kh + kw + 1u) * p.ci), writes && kw < taps);
    put_block(block, line, 1u, last, at);
  }
}
