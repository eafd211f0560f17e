// conv2d, conv_transpose2d and matmul as an implicit matrix product for a GPU:
//
//   dst[m, col] = act(sum over k of A[m, k] * B[k, col] + b[col] + r[m, col])
//
// m runs over the outputs of one phase (row, uy, ux), k over (source channel, live tap), the tap
// fastest. A workgroup makes TY * 4 outputs of TX * 4 columns, each invocation 4 x 4 of them; A and
// B pass through workgroup memory BK terms at a time. A workgroup's columns are of one colour, so
// that the centre tap of a mask has one set of live channels: those terms come last.

override TX: u32 = 16;
override TY: u32 = 16;
override BK: u32 = 16;
override THREADS: u32 = TX * TY;
// One word more than needed per line, so that a column of lines falls into different banks.
override A_LINE: u32 = TY * 4 + 1;
override B_LINE: u32 = TX * 4 + 1;
override A_SIZE: u32 = BK * A_LINE;
override B_SIZE: u32 = BK * B_LINE;
// 1: neighbouring invocations load B along k (weights [co,ci,kh,kw]); 0: along the columns.
override ALONG_K: u32 = 1;
// 1: neighbouring invocations make neighbouring outputs of one column; 0: columns of one output.
override ALONG_M: u32 = 1;

@group(0) @binding(0) var<uniform> p: Gather;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc, sh, sw]
@group(0) @binding(2) var<storage, read> w: array<f32>; // sc x dc x taps, strides w_src, w_dst, 1
@group(0) @binding(3) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw]

var<workgroup> a_tile: array<f32, A_SIZE>;
var<workgroup> b_tile: array<f32, B_SIZE>;

// The terms of a workgroup: `dense` live taps over all source channels, then the centre tap over
// the channels of colours lo..hi.
struct Terms { dense: u32, main: u32, total: u32, lo: u32, hi: u32 }

struct Term { c: u32, tap: u32 } // tap: index among the phase's taps

fn terms(h: Axis, v: Axis, own: u32) -> Terms {
  let all = h.taps * v.taps;
  if (p.mask == 0u) { return Terms(all, all * p.sc, all * p.sc, 0u, 0u); }
  let centre = (p.kh / 2u) * p.kw + p.kw / 2u;
  var dense = 0u;
  while (dense < all && raster(h, v, dense) < centre) { dense += 1u; }
  let main = dense * p.sc;
  if (dense == all || raster(h, v, dense) != centre) { return Terms(dense, main, main, 0u, 0u); }
  let see = centre_colours(own);
  var total = main;
  for (var i = see.lo; i < see.hi; i += 1u) { total += colour_count(p.sc, i); }
  return Terms(dense, main, total, see.lo, see.hi);
}

fn raster(h: Axis, v: Axis, t: u32) -> u32 {
  return (h.tap0 + (t / v.taps) * h.tap_step) * p.kw + v.tap0 + (t % v.taps) * v.tap_step;
}

fn term(all: Terms, k: u32) -> Term {
  if (k < all.main) { return Term(k / all.dense, k % all.dense); }
  var q = k - all.main;
  var colour = all.lo;
  while (colour + 1u < all.hi && q >= colour_count(p.sc, colour)) {
    q -= colour_count(p.sc, colour);
    colour += 1u;
  }
  return Term(colour + p.groups * q, all.dense);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let phases_h = select(1u, p.stride_h, p.transposed != 0u);
  let phases_w = select(1u, p.stride_w, p.transposed != 0u);
  let max_units = ((p.dh + phases_h - 1u) / phases_h) * ((p.dw + phases_w - 1u) / phases_w);
  let m_blocks = (p.rows * max_units + TY * 4u - 1u) / (TY * 4u);
  let colour_blocks = (p.pack_dst + TX * 4u - 1u) / (TX * 4u);

  // Neighbouring workgroups share their rows of A.
  var at = wg.x + wg.y * grid.x;
  let column_block = at % (colour_blocks * p.groups);
  at /= colour_blocks * p.groups;
  let m_block = at % m_blocks;
  at /= m_blocks;
  let phase = at % (phases_h * phases_w);
  let batch = at / (phases_h * phases_w);

  let h = axis(phase / phases_w, p.transposed, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase % phases_w, p.transposed, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  let units = h.units * v.units;
  let m_total = p.rows * units;
  let m0 = m_block * TY * 4u;
  if (batch >= p.batch || m0 >= m_total) { return; }
  let own = column_block / colour_blocks;
  let q0 = (column_block % colour_blocks) * TX * 4u;
  let columns = colour_count(p.dc, own);
  let all = terms(h, v, own);

  // The output whose line of A this invocation loads; TY * 4 divides the number of invocations
  // or is divided by it.
  let lines = TY * 4u;
  let m_load = m0 + tid % lines;
  let loads = m_load < m_total;
  let m_safe = select(0u, m_load, loads);
  let unit = m_safe % units;
  let sy0 = h.src0 + h.src_u * i32(unit / v.units);
  let sx0 = v.src0 + v.src_u * i32(unit % v.units);
  let src0 = batch * p.src_batch + (m_safe / units) * p.src_row;

  let tx = select(tid % TX, tid / TY, ALONG_M == 1u);
  let ty = select(tid / TX, tid % TY, ALONG_M == 1u);
  var acc0 = vec4<f32>();
  var acc1 = vec4<f32>();
  var acc2 = vec4<f32>();
  var acc3 = vec4<f32>();

  for (var k0 = 0u; k0 < all.total; k0 += BK) {
    for (var i = tid / lines; i < BK; i += THREADS / lines) {
      var value = 0.0;
      if (loads && k0 + i < all.total) {
        let t = term(all, k0 + i);
        let sy = sy0 + h.src_m * i32(t.tap / v.taps);
        let sx = sx0 + v.src_m * i32(t.tap % v.taps);
        if (sy >= 0 && sy < i32(p.sh) && sx >= 0 && sx < i32(p.sw)) {
          value = src[src0 + t.c * p.src_chan + u32(sy) * p.sw + u32(sx)];
        }
      }
      a_tile[i * A_LINE + tid % lines] = value;
    }
    for (var e = tid; e < BK * TX * 4u; e += THREADS) {
      let i = select(e / (TX * 4u), e % BK, ALONG_K == 1u);
      let j = select(e % (TX * 4u), e / BK, ALONG_K == 1u);
      var value = 0.0;
      if (k0 + i < all.total && q0 + j < columns) {
        let t = term(all, k0 + i);
        let col = own + p.groups * (q0 + j);
        value = w[batch * p.w_batch + t.c * p.w_src + col * p.w_dst + raster(h, v, t.tap)];
      }
      b_tile[i * B_LINE + j] = value;
    }
    workgroupBarrier();
    for (var i = 0u; i < BK; i += 1u) {
      let a = i * A_LINE + ty;
      let c = i * B_LINE + tx;
      let y = vec4(b_tile[c], b_tile[c + TX], b_tile[c + 2u * TX], b_tile[c + 3u * TX]);
      acc0 += a_tile[a] * y;
      acc1 += a_tile[a + TY] * y;
      acc2 += a_tile[a + 2u * TY] * y;
      acc3 += a_tile[a + 3u * TY] * y;
    }
    workgroupBarrier();
  }

  var acc = array<vec4<f32>, 4>(acc0, acc1, acc2, acc3);
  for (var i = 0u; i < 4u; i += 1u) {
    let m = m0 + ty + TY * i;
    if (m >= m_total) { break; }
    let u = m % units;
    let oy = h.dst0 + h.dst_step * (u / v.units);
    let ox = v.dst0 + v.dst_step * (u % v.units);
    let place = batch * p.dst_batch + (m / units) * p.dst_row + oy * p.dw + ox;
    for (var j = 0u; j < 4u; j += 1u) {
      let q = q0 + tx + TX * j;
      if (q >= columns) { break; }
      let col = own + p.groups * q;
      let index = place + col * p.dst_chan;
      var value = acc[i][j];
      if (p.has_bias != 0u) { value += b[col]; }
      if (p.has_residual != 0u) { value += r[index]; }
      dst[index] = activate(p.act, p.slope, value);
    }
  }
}
