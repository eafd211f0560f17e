// The product of two fragments of ones, by a GPU's matrix units: EDGE everywhere. The aliases stand in front.

#import units$edge
#expects const THREADS

var<workgroup> ones: array<f16, EDGE * EDGE>;
var<workgroup> product: array<f32, EDGE * EDGE>;

fn multiplied(tid: u32, subgroup: u32) -> f32 {
  for (var i = tid; i < EDGE * EDGE; i += THREADS) { ones[i] = 1.0h; }
  workgroupBarrier();
  let a = coopLoad<FragmentA>(&ones[0], EDGE);
  let b = coopLoadT<FragmentB>(&ones[0], EDGE);
  let c = coopMultiplyAdd(a, b, FragmentC());
  if (subgroup == 0u) { coopStoreT(c, &product[0], EDGE); }
  workgroupBarrier();
  return product[tid % (EDGE * EDGE)];
}
