// A product of few columns (lib/gather.wgsl, one to four, no mask), for which a tile would be empty space:
//
//   dst[m, col] = act((sum over k of A[m, k] * B[k, col] + b[col]) * gate(g[m, col]) + r[m, col])
//
// m runs over the outputs of one phase (row, uy, ux), k over (live tap, source channel), the channel
// fastest. An invocation makes an output of every column from registers; the workgroup's next BK weights wait
// in workgroup memory, four columns side by side.

#import nan
#import activate
#import gather
#params

override WG: u32 = 64;
override BK: u32 = 64;
override COLUMNS: u32 = 1;
// The epilogue, as in lib/tile_gather.wgsl.
override ACT: u32 = 0;
override BIAS: u32 = 0;
override GATE: u32 = 0;
override RESIDUAL: u32 = 0;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [rows, sc, sh, sw]
@group(0) @binding(2) var<storage, read> w: array<f32>; // sc x dc x taps, strides w_src, w_dst, 1
@group(0) @binding(3) var<storage, read> b: array<f32>; // of columns, or of rows: bias_at
@group(0) @binding(4) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(5) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(6) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw]

var<workgroup> weights: array<vec4<f32>, BK>;

// Fills `weights` with those of channels c0 and on of the tap whose first weight stands at `first`; zeros
// stand where there is no such channel or column.
fn load_weights(first: u32, c0: u32, tid: u32) {
  for (var i = tid; i < BK; i += WG) {
    let c = c0 + i;
    var four = vec4(0.0);
    if (c < p.sc) {
      let at = first + c * p.w_src;
      four.x = w[at];
      if (COLUMNS > 1u) { four.y = w[at + p.w_dst]; }
      if (COLUMNS > 2u) { four.z = w[at + 2u * p.w_dst]; }
      if (COLUMNS > 3u) { four.w = w[at + 3u * p.w_dst]; }
    }
    weights[i] = four;
  }
}

fn finish(index: u32, row: u32, col: u32, sum: f32) {
  var value = sum;
  if (BIAS == 1u) { value += b[bias_at(row, col)]; }
  if (GATE == 1u) { value *= gate_of(g[index], p.epilogue_gate_slope); }
  if (RESIDUAL == 1u) { value += r[index]; }
  dst[index] = activate(ACT, p.epilogue_act_slope, value);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let phases_h = select(1u, p.stride_h, p.transposed != 0u);
  let phases_w = select(1u, p.stride_w, p.transposed != 0u);
  let max_units = ((p.dh + phases_h - 1u) / phases_h) * ((p.dw + phases_w - 1u) / phases_w);
  let blocks = (p.rows * max_units + WG - 1u) / WG;
  let index = wg.x + wg.y * grid.x;
  let phase = index / blocks % (phases_h * phases_w);
  let batch = index / blocks / (phases_h * phases_w);
  let h = axis(phase / phases_w, p.transposed, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase % phases_w, p.transposed, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  let units = h.units * v.units;
  let m = (index % blocks) * WG + tid;
  if ((batch >= p.batch) | ((index % blocks) * WG >= p.rows * units)) { return; }

  let live = m < p.rows * units;
  let safe = select(0u, m, live);
  let row = safe / units;
  let uy = safe % units / v.units;
  let ux = safe % units % v.units;
  let y0 = h.src0 + h.src_u * i32(uy);
  let x0 = v.src0 + v.src_u * i32(ux);
  let image = i32(batch * p.src_batch + row * p.src_row);
  let terms = p.sc;
  let step = p.src_chan;
  var sums = vec4(0.0);
  for (var ty = 0u; ty < h.taps; ty += 1u) {
    for (var tx = 0u; tx < v.taps; tx += 1u) {
      let y = y0 + h.src_m * i32(ty);
      let x = x0 + v.src_m * i32(tx);
      let inside = live & (u32(y) < p.sh) & (u32(x) < p.sw);
      let first = batch * p.w_batch + (h.tap0 + ty * h.tap_step) * p.kw + v.tap0 + tx * v.tap_step;
      for (var c0 = 0u; c0 < terms; c0 += BK) {
        workgroupBarrier();
        load_weights(first, c0, tid);
        workgroupBarrier();
        // Outside of the source there is nothing to add.
        let channels = select(0u, min(BK, terms - c0), inside);
        var at = u32(select(0, image + y * i32(p.sw) + x, inside)) + c0 * step;
        // Four loads on their way at once.
        var i = 0u;
        for (; i + 4u <= channels; i += 4u) {
          let four = vec4(src[at], src[at + step], src[at + 2u * step], src[at + 3u * step]);
          sums += four.x * weights[i];
          sums += four.y * weights[i + 1u];
          sums += four.z * weights[i + 2u];
          sums += four.w * weights[i + 3u];
          at += 4u * step;
        }
        for (; i < channels; i += 1u) {
          sums += src[at] * weights[i];
          at += step;
        }
      }
    }
  }
  if (live) {
    let oy = h.dst0 + h.dst_step * uy;
    let ox = v.dst0 + v.dst_step * ux;
    let at = batch * p.dst_batch + row * p.dst_row + oy * p.dw + ox;
    finish(at, row, 0u, sums.x);
    if (COLUMNS > 1u) { finish(at + p.dst_chan, row, 1u, sums.y); }
    if (COLUMNS > 2u) { finish(at + 2u * p.dst_chan, row, 2u, sums.z); }
    if (COLUMNS > 3u) { finish(at + 3u * p.dst_chan, row, 3u, sums.w); }
  }
}
