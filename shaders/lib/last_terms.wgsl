// The terms of conv2d_weight_grad (lib/weight_grad.wgsl) whose operands have their channels last, in pieces of WIDE channels.

#expects const BK // terms that pass through workgroup memory at a time
#expects const WIDE
#expects var p

// 1: there are more terms than `by` takes with one multiplication.
override MANY: u32 = 0;

// The next terms: y and x of the first tap, and where that and the pixel of dy stand, in pieces.
var<workgroup> term_at: array<vec4<i32>, BK>;

const NOWHERE: i32 = 0x20000000; // outside of every x: the y of a term or line that is none

// a / b, or by 1 / b for a below 2^20: half is further from the next whole number than products in f32 are off.
fn by(a: u32, b: u32, over: f32) -> u32 {
  if (MANY == 1u) { return a / b; }
  return u32((f32(a) + 0.5) * over);
}

// The pixels of an image of dy, 1 over them and over those of a row; pieces of a row and of a pixel of x, of a pixel of dy.
struct Steps { plane: u32, over_plane: f32, over_ow: f32, row: i32, pixel: i32, columns: u32 }

fn steps() -> Steps {
  let plane = p.oh * p.ow;
  let pixel = i32(p.channels / WIDE);
  return Steps(plane, 1.0 / f32(plane), 1.0 / f32(p.ow), pixel * i32(p.w), pixel, p.columns / WIDE);
}

// Notes the terms from k0 on. There are at least as many invocations.
fn note(step: Steps, k0: u32, end: u32, tid: u32) {
  if (tid < BK) {
    let k = k0 + tid;
    let n = by(k, step.plane, step.over_plane);
    let pixel = k - n * step.plane;
    let oy = by(pixel, p.ow, step.over_ow);
    let y = i32(oy * p.stride_h) - i32(p.pad_top);
    let x = i32((pixel - oy * p.ow) * p.stride_w) - i32(p.pad_left);
    let place = (i32(n * p.h) + y) * step.row + x * step.pixel;
    term_at[tid] = vec4(select(NOWHERE, y, k < end), x, place, i32(k * step.columns));
  }
}
