// What a lane of the gather form knows of an output: the taps lo..hi that it has, where in the source its
// row begins and its tap 0 stands, and where it goes.

#import gather
#expects var p

struct Output { lo_h: u32, hi_h: u32, lo_v: u32, hi_v: u32, base: u32, y: i32, x: i32, to: u32 }

// The taps lo..hi of an axis that read inside of 0..len when tap 0 reads `first`.
struct Reach { lo: u32, hi: u32 }

fn reach(a: Axis, first: i32, len: u32) -> Reach {
  var lo = 0u;
  while (lo < a.taps && u32(first + a.src_m * i32(lo)) >= len) { lo += 1u; }
  var hi = a.taps;
  while (hi > lo && u32(first + a.src_m * i32(hi - 1u)) >= len) { hi -= 1u; }
  return Reach(lo, hi);
}

// Output m of m_total: `inner` rows side by side, then the pixels, then the other rows. Outputs past
// the end repeat the first and reach nothing.
fn output(h: Axis, v: Axis, m: u32, m_total: u32, batch: u32) -> Output {
  let safe = select(0u, m, m < m_total);
  let side = div(safe, p.inner);
  let units = max(h.units * v.units, 1u);
  let turn = div(side, units);
  let row = turn * p.inner + safe - side * p.inner;
  let unit = side - turn * units;
  let columns = max(v.units, 1u);
  let uy = div(unit, columns);
  let ux = unit - uy * columns;
  let y = h.src0 + h.src_u * i32(uy);
  let x = v.src0 + v.src_u * i32(ux);
  var in_h = reach(h, y, p.sh);
  var in_v = reach(v, x, p.sw);
  if (m >= m_total) {
    in_h = Reach(h.taps, 0u);
    in_v = Reach(v.taps, 0u);
  }
  let to = batch * p.dst_batch + row * p.dst_row + (h.dst0 + h.dst_step * uy) * p.dw + v.dst0 + v.dst_step * ux;
  return Output(in_h.lo, in_h.hi, in_v.lo, in_v.hi, batch * p.src_batch + row * p.src_row, y, x, to);
}
