// The gradients of a layer's weights and bias of the partial sums that products have left:
//
//   dw[co, ci, kh, kw] = sum over splits of part[split, line, column]; 0 where a mask is dead
//   db[co] = sum over splits of part[split, column] behind those, unless there is none
//
// Some invocations share an entry: each adds every so many-th split, in order, and the first adds up what they
// have. Neighbouring entries are neighbouring columns, as the partial sums lie; those of db are behind dw's.
// How lines and columns lie is WeightGrad of src/kernels/convolution/weight_grad.rs.

#expects var part
#expects const WG

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
  share: u32, // invocations that share an entry, a divisor of WG
}

// Entries of a workgroup.
fn entries_of(s: Sums) -> u32 { return WG / s.share; }

var<workgroup> shares: array<f32, WG>;

// The sum of this invocation's entry, for those invocations whose tid is below the number of entries.
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
    var split = tid / entries_of(s);
    var at = first + split * step + (co % s.groups) * s.pack + co / s.groups;
    // Four loads on their way at once.
    let apart = s.share * step;
    for (; split + 3u * s.share < s.splits; split += 4u * s.share) {
      let four = vec4(part[at], part[at + apart], part[at + 2u * apart], part[at + 3u * apart]);
      sum = sum + four.x + four.y + four.z + four.w;
      at += 4u * apart;
    }
    for (; split < s.splits; split += s.share) {
      sum += part[at];
      at += apart;
    }
  }
  if (s.share > 1u) {
    shares[tid] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var at = tid % entries_of(s); at < WG; at += entries_of(s)) { sum += shares[at]; }
  }
  return sum;
}

// Where an entry of dw stands in there.
fn place_in_dw(s: Sums, entry: u32) -> u32 {
  return (entry % s.co * s.ci + entry / s.co % s.ci) * s.taps + entry / (s.co * s.ci);
}
