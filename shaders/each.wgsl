// A product of few images (lib/gather.wgsl, no mask): an invocation makes an output from its first term to its last.
//
//   dst[m, col] = act((sum over k of A[m, k] * B[k, col] + b[col]) * gate(g[m, col]) + r[m, col])
//
// Nothing is shared and nobody waits, so that there is little to compile: for a program that runs once, that is
// what takes long.

#import nan
#import activate
#import gather
#params

override WG: u32 = 64;
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

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = (wg.x + wg.y * grid.x) * WG + tid;
  if (index >= p.part) { return; }
  // The position is the fastest, then the column, the row, the product.
  let plane = p.dh * p.dw;
  let oy = index % plane / p.dw;
  let ox = index % p.dw;
  let col = index / plane % p.dc;
  let row = index / plane / p.dc % p.rows;
  let batch = index / plane / p.dc / p.rows;

  let phase_h = select(0u, (oy + p.pad_top) % p.stride_h, p.transposed != 0u);
  let phase_w = select(0u, (ox + p.pad_left) % p.stride_w, p.transposed != 0u);
  let h = axis(phase_h, p.transposed, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase_w, p.transposed, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  let y0 = h.src0 + h.src_u * i32((oy - h.dst0) / h.dst_step);
  let x0 = v.src0 + v.src_u * i32((ox - v.dst0) / v.dst_step);
  let image = batch * p.src_batch + row * p.src_row;
  let first = batch * p.w_batch + col * p.w_dst;
  var sum = 0.0;
  for (var ty = 0u; ty < h.taps; ty += 1u) {
    let y = u32(y0 + h.src_m * i32(ty));
    for (var tx = 0u; tx < v.taps; tx += 1u) {
      let x = u32(x0 + v.src_m * i32(tx));
      // Outside of the source there is nothing to add.
      let channels = select(0u, p.sc, (y < p.sh) & (x < p.sw));
      var at = image + y * p.sw + x;
      var weight = first + (h.tap0 + ty * h.tap_step) * p.kw + v.tap0 + tx * v.tap_step;
      for (var c = 0u; c < channels; c += 1u) {
        sum += src[at] * w[weight];
        at += p.src_chan;
        weight += p.w_src;
      }
    }
  }

  let at = batch * p.dst_batch + row * p.dst_row + col * p.dst_chan + oy * p.dw + ox;
  if (BIAS == 1u) { sum += b[bias_at(row, col)]; }
  if (GATE == 1u) { sum *= gate_of(g[at], p.epilogue_gate_slope); }
  if (RESIDUAL == 1u) { sum += r[at]; }
  dst[at] = activate(ACT, p.epilogue_act_slope, sum);
}
