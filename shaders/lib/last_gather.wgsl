// The terms of a block of lib/gather_block.wgsl whose operands have their channels last. k runs over (live tap, source
// channel), the channel fastest, in pieces of WIDE channels: a piece is one load without an address for each channel, and
// whether its tap is inside the image is decided once for all of it.

#expects const BM
#expects const THREADS
#expects const DEPTH // pieces of terms that pass through workgroup memory at a time
#expects const WIDE
#expects const A_FRONT // pieces in front of the source
#expects const ALONG_COLUMNS // 1: weights of a piece's channels stand a line of columns apart; 0: side by side
#import gather_block
#expects var p

// The lines: y and x of the first tap, and where it stands in the source.
var<workgroup> line_from: array<vec4<i32>, BM>;
// The next pieces: y and x from a line's first tap, how far that is in the source, and where their weights stand.
var<workgroup> term_at: array<vec4<i32>, DEPTH>;

// The terms of a workgroup, in pieces.
struct Terms { total: u32 }

// Pieces of a pixel of the source.
fn pieces() -> u32 {
  return p.pack_src / WIDE;
}

// A mask leaves the taps in front of its centre, and B that one as well; of colours there is one.
fn terms(h: Axis, v: Axis, own: u32) -> Terms {
  let all = h.taps * v.taps;
  var live = all;
  if (p.mask != 0u) {
    let end = (p.kh / 2u) * p.kw + p.kw / 2u + p.mask - 1u;
    live = 0u;
    while (live < all && raster(h, v, live) < end) { live += 1u; }
  }
  return Terms(live * pieces());
}

// Notes the lines.
fn note_lines(block: Block, tid: u32) {
  for (var m = tid; m < BM; m += THREADS) {
    let inside = block.m0 + m < block.m_total;
    let at = select(0u, block.m0 + m, inside);
    let row = at / block.units;
    let unit = at - row * block.units;
    let uy = unit / block.v.units;
    let y = block.h.src0 + block.h.src_u * i32(uy);
    let x = block.v.src0 + block.v.src_u * i32(unit - uy * block.v.units);
    let first = i32((block.batch * p.rows + row) * p.sh) + y;
    line_from[m] = vec4(select(NOWHERE, y, inside), x, (first * i32(p.sw) + x) * i32(pieces()) + i32(A_FRONT), 0);
  }
}

// What leads from a piece to where it stands: 1 over the pieces of a tap and the taps of a row of them, and the
// way in the source and in the weights from a row of taps to the next, and from a tap to the next.
struct Steps { over_pieces: f32, over_taps: f32, src_y: i32, src_x: i32, w_y: u32, w_x: u32, w_piece: u32, w_first: u32 }

fn steps(block: Block) -> Steps {
  let pixel = i32(pieces());
  let tap = p.pack_dst * pieces();
  return Steps(1.0 / f32(pieces()), 1.0 / f32(block.v.taps),
    block.h.src_m * i32(p.sw) * pixel, block.v.src_m * pixel,
    block.h.tap_step * p.kw * tap, block.v.tap_step * tap,
    select(1u, p.pack_dst, ALONG_COLUMNS == 1u),
    ((block.batch * p.kh + block.h.tap0) * p.kw + block.v.tap0) * tap);
}

// a / b by 1 / b, for a below 2^20: half is further from the next whole number than products in f32 are off.
fn by(a: u32, over: f32) -> u32 {
  return u32((f32(a) + 0.5) * over);
}

// Notes the pieces from k0 on.
fn note(block: Block, step: Steps, k0: u32, tid: u32) {
  if (tid < DEPTH) {
    let k = k0 + tid;
    let tap = by(k, step.over_pieces);
    let piece = k - tap * pieces();
    let ty = by(tap, step.over_taps);
    let tx = tap - ty * block.v.taps;
    let y = select(NOWHERE, block.h.src_m * i32(ty), k < block.end);
    let place = i32(ty) * step.src_y + i32(tx) * step.src_x + i32(piece);
    let weight = step.w_first + ty * step.w_y + tx * step.w_x + piece * step.w_piece;
    term_at[tid] = vec4(y, block.v.src_m * i32(tx), place, i32(weight));
  }
}
