// The second half of conv_transpose2d by columns: a first stage made the product of every source
// pixel with every weight, cols[row, dc * taps, sh, sw]; here every output gathers its taps,
//
//   dst[row, col, oy, ox] = act((sum over live taps of cols[row, col * taps + tap, iy, ix] + b[col]) * gate(g) + r)
//
// A workgroup makes 8 neighbouring units of each line of one phase of one channel.

#import nan
#import activate
#import gather
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> cols: array<f32>; // [rows, dc, taps, sh, sw]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [dc]
@group(0) @binding(3) var<storage, read> r: array<f32>; // as dst
@group(0) @binding(4) var<storage, read> g: array<f32>; // as dst
@group(0) @binding(5) var<storage, read_write> dst: array<f32>; // [rows, dc, dh, dw]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let max_w = (p.dw + p.stride_w - 1u) / p.stride_w;
  let blocks = (max_w + 7u) / 8u;
  var at = wg.x + wg.y * grid.x;
  let ux = (at % blocks) * 8u + lane;
  at /= blocks;
  let phase = at % (p.stride_h * p.stride_w);
  at /= p.stride_h * p.stride_w;
  let col = at % p.dc;
  let row = at / p.dc;
  let h = axis(phase / p.stride_w, 1u, p.kh, p.stride_h, p.pad_top, p.dilation_h, p.step_h, p.dh);
  let v = axis(phase % p.stride_w, 1u, p.kw, p.stride_w, p.pad_left, p.dilation_w, p.step_w, p.dw);
  if (row >= p.rows || ux >= v.units) { return; }
  let plane = p.sh * p.sw;
  let origin = (row * p.dc + col) * p.kh * p.kw * plane;
  var bias = 0.0;
  if (p.epilogue_bias != 0u) { bias = b[col]; }
  for (var uy = 0u; uy < h.units; uy += 1u) {
    var sum = bias;
    for (var mh = 0u; mh < h.taps; mh += 1u) {
      let sy = u32(h.src0 + i32(uy) + h.src_m * i32(mh));
      for (var mv = 0u; mv < v.taps; mv += 1u) {
        let sx = u32(v.src0 + i32(ux) + v.src_m * i32(mv));
        let tap = (h.tap0 + mh * h.tap_step) * p.kw + v.tap0 + mv * v.tap_step;
        if (sy < p.sh && sx < p.sw) { sum += cols[origin + tap * plane + sy * p.sw + sx]; }
      }
    }
    let index = row * p.dst_row + col * p.dst_chan + (h.dst0 + h.dst_step * uy) * p.dw + v.dst0 + v.dst_step * ux;
    if (p.epilogue_gate != 0u) { sum *= gate_of(g[index], p.epilogue_gate_slope); }
    if (p.epilogue_residual != 0u) { sum += r[index]; }
    dst[index] = activate(p.epilogue_act_code, p.epilogue_act_slope, sum);
  }
}
