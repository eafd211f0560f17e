// The gradients of a layer's weights and bias of the partial sums that products have left:
//
//   dw[co, ci, kh, kw] = sum over splits of part[split, line, column]; 0 where a mask is dead
//   db[co] = sum over splits of part[split, column] behind those, unless there is none
//
// SHARE invocations make an entry: each adds every SHARE-th split, in order, and the first adds up what they
// have. Neighbouring entries are neighbouring columns, as the partial sums lie; those of db are behind dw's.
// How lines and columns lie is WeightGrad of src/kernels/convolution/weight_grad.rs.

#expects var part
#expects const WG
#expects const SHARE

override ENTRIES: u32 = WG / SHARE;

const NONE = 0xffffffffu;

struct Sums {
  part: u32, // first element of the partial sums
  dw: u32, // of the gradients
  db: u32, // NONE where there is none
  co: u32, ci: u32, taps: u32,
  splits: u32, lines: u32, columns: u32,
  groups: u32, pack_ci: u32, pack: u32, // colours as channels are sorted, and channels of each
  line_tap: u32, line_chan: u32, // lines from a tap, and from a channel, to the next
  dead: u32, dense: u32, colours: u32, // the mask, the taps in front of its centre, and its colours
}

var<workgroup> shares: array<f32, WG>;

// The sum of this invocation's entry, for those invocations whose tid is below ENTRIES.
fn sum_parts(s: Sums, entry: u32, tid: u32) -> f32 {
  let weights = s.co * s.ci * s.taps;
  let bias = (s.db != NONE) & (entry >= weights) & (entry < weights + s.co);
  let co = entry % s.co;
  let ci = (entry / s.co) % s.ci;
  let tap = entry / (s.co * s.ci);
  let centre = (s.dead != 0u) & (tap == s.dense) & (ci % s.colours < co % s.colours + s.dead - 1u);
  let line = tap * s.line_tap + ((ci % s.groups) * s.pack_ci + ci / s.groups) * s.line_chan;
  let step = select(s.lines * s.columns, s.columns, bias);
  let first = s.part + select(line * s.columns, s.splits * s.lines * s.columns, bias);
  var sum = 0.0;
  if (((entry < weights) & ((tap < s.dense) | centre)) | bias) {
    var split = tid / ENTRIES;
    var at = first + split * step + (co % s.groups) * s.pack + co / s.groups;
    // Four loads on their way at once.
    for (; split + 3u * SHARE < s.splits; split += 4u * SHARE) {
      let four = vec4(part[at], part[at + SHARE * step], part[at + 2u * SHARE * step], part[at + 3u * SHARE * step]);
      sum = sum + four.x + four.y + four.z + four.w;
      at += 4u * SHARE * step;
    }
    for (; split < s.splits; split += SHARE) {
      sum += part[at];
      at += SHARE * step;
    }
  }
  if (SHARE > 1u) {
    shares[tid] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var at = tid % ENTRIES; at < WG; at += ENTRIES) { sum += shares[at]; }
  }
  return sum;
}

// Where an entry of dw stands in there.
fn place_in_dw(s: Sums, entry: u32) -> u32 {
  return (entry % s.co * s.ci + entry / s.co % s.ci) * s.taps + entry / (s.co * s.ci);
}
