// Writes a square of lib/pack_square.wgsl in f32: `to` is the tensor's first word, a four of zeros in front of it.

#import pack_square
#expects var dst

fn put_square(t: Tensor, at: Place, to: u32, tid: u32) {
  if ((at.batch + at.o + at.i0 + at.j0 == 0u) & (tid < 4u)) { dst[to + tid] = 0.0; }
  for (var e = tid; e < 1024u; e += 256u) {
    let i = at.i0 + e / ACROSS;
    let j = at.j0 + e % ACROSS;
    if ((i < t.pack1) & (j < t.pack2)) {
      dst[to + 4u + ((at.batch * t.n0 + at.o) * t.pack1 + i) * t.pack2 + j] = square[(e / ACROSS) * LINE + e % ACROSS];
    }
  }
}
