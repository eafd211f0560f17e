// The partial sums of conv2d_weight_grad where a workgroup is one subgroup of 8 SIMD lanes of a CPU core:
//
//   part[split, line, column] = sum over the split's terms of x[line's (ci, tap) at term] * dy[column at term]
//
// A workgroup makes 32 lines of 16 columns, an invocation 2 of the columns for all 32. Loads are dear,
// whether all lanes want the same word or not: so lane i loads what lines i, i + 8, ... need, and
// registers hand it to the other lanes.

@group(0) @binding(0) var<uniform> p: WeightGrad;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [n, ci, h, w]
@group(0) @binding(2) var<storage, read> dyt: array<vec2<f32>>; // [n, oh, ow, columns / 2]
@group(0) @binding(3) var<storage, read_write> part: array<vec2<f32>>; // [splits, lines, columns / 2]

// An output pixel and where its x and its dy begin.
struct Place { ox: u32, oy: u32, n: u32 }

fn next(at: Place) -> Place {
  let wrap_x = at.ox + 1u == p.ow;
  let ox = select(at.ox + 1u, 0u, wrap_x);
  let oy = at.oy + select(0u, 1u, wrap_x);
  let wrap_y = oy == p.oh;
  return Place(ox, select(oy, 0u, wrap_y), at.n + select(0u, 1u, wrap_y));
}

// A line's channel plane and tap offsets; the lanes hold different ones.
struct Tap { plane: u32, dy: i32, dx: i32 }

fn tap_of(index: u32, lines: u32) -> Tap {
  let line = line_at(min(index, max(lines, 1u) - 1u));
  return Tap(line.ci * p.h * p.w, i32((line.tap / p.kw) * p.dilation_h) - i32(p.pad_top),
             i32((line.tap % p.kw) * p.dilation_w) - i32(p.pad_left));
}

fn load(t: Tap, at: Place, more: bool) -> f32 {
  let sy = u32(t.dy + i32(at.oy * p.stride_h));
  let sx = u32(t.dx + i32(at.ox * p.stride_w));
  let inside = more && sy < p.h && sx < p.w;
  return select(0.0, x[select(0u, at.n * p.ci * p.h * p.w + t.plane + sy * p.w + sx, inside)], inside);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let line_blocks = (p.lines + 31u) / 32u;
  let colour_line = p.pack / 2u;
  let colour_blocks = (colour_line + 7u) / 8u;
  var at = wg.x + wg.y * grid.x;
  let line0 = (at % line_blocks) * 32u;
  at /= line_blocks;
  let own = (at % (colour_blocks * p.groups)) / colour_blocks;
  let q0 = (at % colour_blocks) * 8u + lane;
  let split = at / (colour_blocks * p.groups);
  let lines = line_count(own);
  let row = p.columns / 2u;
  // Lanes past the last column repeat it and write nothing.
  let column = own * colour_line + min(q0, colour_line - 1u);

  // Workgroups past the end do nothing, in a loop without turns.
  let first = min(split * p.chunk, p.terms);
  let end = select(first, min(first + p.chunk, p.terms), line0 < lines);
  let t0 = tap_of(line0 + 0u + lane, lines);
  let t1 = tap_of(line0 + 8u + lane, lines);
  let t2 = tap_of(line0 + 16u + lane, lines);
  let t3 = tap_of(line0 + 24u + lane, lines);
  var place = Place(first % p.ow, (first / p.ow) % p.oh, first / (p.ow * p.oh));
  var a0 = vec2<f32>();
  var a1 = vec2<f32>();
  var a2 = vec2<f32>();
  var a3 = vec2<f32>();
  var a4 = vec2<f32>();
  var a5 = vec2<f32>();
  var a6 = vec2<f32>();
  var a7 = vec2<f32>();
  var a8 = vec2<f32>();
  var a9 = vec2<f32>();
  var a10 = vec2<f32>();
  var a11 = vec2<f32>();
  var a12 = vec2<f32>();
  var a13 = vec2<f32>();
  var a14 = vec2<f32>();
  var a15 = vec2<f32>();
  var a16 = vec2<f32>();
  var a17 = vec2<f32>();
  var a18 = vec2<f32>();
  var a19 = vec2<f32>();
  var a20 = vec2<f32>();
  var a21 = vec2<f32>();
  var a22 = vec2<f32>();
  var a23 = vec2<f32>();
  var a24 = vec2<f32>();
  var a25 = vec2<f32>();
  var a26 = vec2<f32>();
  var a27 = vec2<f32>();
  var a28 = vec2<f32>();
  var a29 = vec2<f32>();
  var a30 = vec2<f32>();
  var a31 = vec2<f32>();
  for (var k = first; k < end; k += 4u) {
    let p0 = place;
    let p1 = next(p0);
    let p2 = next(p1);
    let p3 = next(p2);
    place = next(p3);
    let g0 = dyt[k * row + column];
    let x0_0 = load(t0, p0, true);
    let x1_0 = load(t1, p0, true);
    let x2_0 = load(t2, p0, true);
    let x3_0 = load(t3, p0, true);
    // Past the last term x counts as zero, and dy is read where it surely is.
    let g1 = dyt[min(k + 1u, end - 1u) * row + column];
    let x0_1 = load(t0, p1, k + 1u < end);
    let x1_1 = load(t1, p1, k + 1u < end);
    let x2_1 = load(t2, p1, k + 1u < end);
    let x3_1 = load(t3, p1, k + 1u < end);
    let g2 = dyt[min(k + 2u, end - 1u) * row + column];
    let x0_2 = load(t0, p2, k + 2u < end);
    let x1_2 = load(t1, p2, k + 2u < end);
    let x2_2 = load(t2, p2, k + 2u < end);
    let x3_2 = load(t3, p2, k + 2u < end);
    let g3 = dyt[min(k + 3u, end - 1u) * row + column];
    let x0_3 = load(t0, p3, k + 3u < end);
    let x1_3 = load(t1, p3, k + 3u < end);
    let x2_3 = load(t2, p3, k + 3u < end);
    let x3_3 = load(t3, p3, k + 3u < end);
    a0 += subgroupBroadcast(x0_0, 0u) * g0 + subgroupBroadcast(x0_1, 0u) * g1 + subgroupBroadcast(x0_2, 0u) * g2 + subgroupBroadcast(x0_3, 0u) * g3;
    a1 += subgroupBroadcast(x0_0, 1u) * g0 + subgroupBroadcast(x0_1, 1u) * g1 + subgroupBroadcast(x0_2, 1u) * g2 + subgroupBroadcast(x0_3, 1u) * g3;
    a2 += subgroupBroadcast(x0_0, 2u) * g0 + subgroupBroadcast(x0_1, 2u) * g1 + subgroupBroadcast(x0_2, 2u) * g2 + subgroupBroadcast(x0_3, 2u) * g3;
    a3 += subgroupBroadcast(x0_0, 3u) * g0 + subgroupBroadcast(x0_1, 3u) * g1 + subgroupBroadcast(x0_2, 3u) * g2 + subgroupBroadcast(x0_3, 3u) * g3;
    a4 += subgroupBroadcast(x0_0, 4u) * g0 + subgroupBroadcast(x0_1, 4u) * g1 + subgroupBroadcast(x0_2, 4u) * g2 + subgroupBroadcast(x0_3, 4u) * g3;
    a5 += subgroupBroadcast(x0_0, 5u) * g0 + subgroupBroadcast(x0_1, 5u) * g1 + subgroupBroadcast(x0_2, 5u) * g2 + subgroupBroadcast(x0_3, 5u) * g3;
    a6 += subgroupBroadcast(x0_0, 6u) * g0 + subgroupBroadcast(x0_1, 6u) * g1 + subgroupBroadcast(x0_2, 6u) * g2 + subgroupBroadcast(x0_3, 6u) * g3;
    a7 += subgroupBroadcast(x0_0, 7u) * g0 + subgroupBroadcast(x0_1, 7u) * g1 + subgroupBroadcast(x0_2, 7u) * g2 + subgroupBroadcast(x0_3, 7u) * g3;
    a8 += subgroupBroadcast(x1_0, 0u) * g0 + subgroupBroadcast(x1_1, 0u) * g1 + subgroupBroadcast(x1_2, 0u) * g2 + subgroupBroadcast(x1_3, 0u) * g3;
    a9 += subgroupBroadcast(x1_0, 1u) * g0 + subgroupBroadcast(x1_1, 1u) * g1 + subgroupBroadcast(x1_2, 1u) * g2 + subgroupBroadcast(x1_3, 1u) * g3;
    a10 += subgroupBroadcast(x1_0, 2u) * g0 + subgroupBroadcast(x1_1, 2u) * g1 + subgroupBroadcast(x1_2, 2u) * g2 + subgroupBroadcast(x1_3, 2u) * g3;
    a11 += subgroupBroadcast(x1_0, 3u) * g0 + subgroupBroadcast(x1_1, 3u) * g1 + subgroupBroadcast(x1_2, 3u) * g2 + subgroupBroadcast(x1_3, 3u) * g3;
    a12 += subgroupBroadcast(x1_0, 4u) * g0 + subgroupBroadcast(x1_1, 4u) * g1 + subgroupBroadcast(x1_2, 4u) * g2 + subgroupBroadcast(x1_3, 4u) * g3;
    a13 += subgroupBroadcast(x1_0, 5u) * g0 + subgroupBroadcast(x1_1, 5u) * g1 + subgroupBroadcast(x1_2, 5u) * g2 + subgroupBroadcast(x1_3, 5u) * g3;
    a14 += subgroupBroadcast(x1_0, 6u) * g0 + subgroupBroadcast(x1_1, 6u) * g1 + subgroupBroadcast(x1_2, 6u) * g2 + subgroupBroadcast(x1_3, 6u) * g3;
    a15 += subgroupBroadcast(x1_0, 7u) * g0 + subgroupBroadcast(x1_1, 7u) * g1 + subgroupBroadcast(x1_2, 7u) * g2 + subgroupBroadcast(x1_3, 7u) * g3;
    a16 += subgroupBroadcast(x2_0, 0u) * g0 + subgroupBroadcast(x2_1, 0u) * g1 + subgroupBroadcast(x2_2, 0u) * g2 + subgroupBroadcast(x2_3, 0u) * g3;
    a17 += subgroupBroadcast(x2_0, 1u) * g0 + subgroupBroadcast(x2_1, 1u) * g1 + subgroupBroadcast(x2_2, 1u) * g2 + subgroupBroadcast(x2_3, 1u) * g3;
    a18 += subgroupBroadcast(x2_0, 2u) * g0 + subgroupBroadcast(x2_1, 2u) * g1 + subgroupBroadcast(x2_2, 2u) * g2 + subgroupBroadcast(x2_3, 2u) * g3;
    a19 += subgroupBroadcast(x2_0, 3u) * g0 + subgroupBroadcast(x2_1, 3u) * g1 + subgroupBroadcast(x2_2, 3u) * g2 + subgroupBroadcast(x2_3, 3u) * g3;
    a20 += subgroupBroadcast(x2_0, 4u) * g0 + subgroupBroadcast(x2_1, 4u) * g1 + subgroupBroadcast(x2_2, 4u) * g2 + subgroupBroadcast(x2_3, 4u) * g3;
    a21 += subgroupBroadcast(x2_0, 5u) * g0 + subgroupBroadcast(x2_1, 5u) * g1 + subgroupBroadcast(x2_2, 5u) * g2 + subgroupBroadcast(x2_3, 5u) * g3;
    a22 += subgroupBroadcast(x2_0, 6u) * g0 + subgroupBroadcast(x2_1, 6u) * g1 + subgroupBroadcast(x2_2, 6u) * g2 + subgroupBroadcast(x2_3, 6u) * g3;
    a23 += subgroupBroadcast(x2_0, 7u) * g0 + subgroupBroadcast(x2_1, 7u) * g1 + subgroupBroadcast(x2_2, 7u) * g2 + subgroupBroadcast(x2_3, 7u) * g3;
    a24 += subgroupBroadcast(x3_0, 0u) * g0 + subgroupBroadcast(x3_1, 0u) * g1 + subgroupBroadcast(x3_2, 0u) * g2 + subgroupBroadcast(x3_3, 0u) * g3;
    a25 += subgroupBroadcast(x3_0, 1u) * g0 + subgroupBroadcast(x3_1, 1u) * g1 + subgroupBroadcast(x3_2, 1u) * g2 + subgroupBroadcast(x3_3, 1u) * g3;
    a26 += subgroupBroadcast(x3_0, 2u) * g0 + subgroupBroadcast(x3_1, 2u) * g1 + subgroupBroadcast(x3_2, 2u) * g2 + subgroupBroadcast(x3_3, 2u) * g3;
    a27 += subgroupBroadcast(x3_0, 3u) * g0 + subgroupBroadcast(x3_1, 3u) * g1 + subgroupBroadcast(x3_2, 3u) * g2 + subgroupBroadcast(x3_3, 3u) * g3;
    a28 += subgroupBroadcast(x3_0, 4u) * g0 + subgroupBroadcast(x3_1, 4u) * g1 + subgroupBroadcast(x3_2, 4u) * g2 + subgroupBroadcast(x3_3, 4u) * g3;
    a29 += subgroupBroadcast(x3_0, 5u) * g0 + subgroupBroadcast(x3_1, 5u) * g1 + subgroupBroadcast(x3_2, 5u) * g2 + subgroupBroadcast(x3_3, 5u) * g3;
    a30 += subgroupBroadcast(x3_0, 6u) * g0 + subgroupBroadcast(x3_1, 6u) * g1 + subgroupBroadcast(x3_2, 6u) * g2 + subgroupBroadcast(x3_3, 6u) * g3;
    a31 += subgroupBroadcast(x3_0, 7u) * g0 + subgroupBroadcast(x3_1, 7u) * g1 + subgroupBroadcast(x3_2, 7u) * g2 + subgroupBroadcast(x3_3, 7u) * g3;
  }

  var acc = array<vec2<f32>, 32>(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31);
  let last = select(line0, lines, split < p.splits && q0 < colour_line);
  for (var i = 0u; i < 32u && line0 + i < last; i += 1u) {
    part[(split * p.lines + line0 + i) * row + column] = acc[i];
  }
}
