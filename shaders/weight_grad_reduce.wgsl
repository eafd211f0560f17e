// The second stage of conv2d_weight_grad:
//
//   dw[co, ci, kh, kw] = sum over splits of part[split, line, column]; 0 where a mask is dead
//   db[co] = sum over splits of part[split, column] behind those, with BIAS
//
// SHARE invocations make one entry of dw: each adds every SHARE-th split, in order, and the first adds up
// what they have. Neighbouring entries are neighbouring columns, as the partial sums lie.

#import weight_grad
#params

override WG: u32 = 64;
override SHARE: u32 = 1;
override BIAS: u32 = 0;
override ENTRIES: u32 = WG / SHARE;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> part: array<f32>; // [splits, lines, columns], [splits, columns]
@group(0) @binding(2) var<storage, read_write> dw: array<f32>; // [co, ci, kh, kw]
@group(0) @binding(3) var<storage, read_write> db: array<f32>; // [co]

var<workgroup> shares: array<f32, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let entry = (wg.x + wg.y * grid.x) * ENTRIES + tid % ENTRIES;
  let taps = p.kh * p.kw;
  let weights = p.co * p.ci * taps;
  let bias = (BIAS == 1u) & (entry >= weights) & (entry < weights + p.co);
  let live = entry < weights;
  let co = entry % p.co;
  let ci = (entry / p.co) % p.ci;
  let tap = entry / (p.co * p.ci);
  let own = co % p.groups;
  let centre = (p.dead != 0u) & (tap == p.dense) & (ci % p.colours < co % p.colours + p.dead - 1u);
  let line = tap * p.line_tap + position(ci) * p.line_chan;
  let step = select(p.lines * p.columns, p.columns, bias);
  let first = select(line * p.columns, p.splits * p.lines * p.columns, bias);
  var sum = 0.0;
  if ((live & ((tap < p.dense) | centre)) | bias) {
    var split = tid / ENTRIES;
    var at = first + split * step + own * p.pack + co / p.groups;
    // Four loads on their way at once.
    for (; split + 3u * SHARE < p.splits; split += 4u * SHARE) {
      let four = vec4(part[at], part[at + SHARE * step], part[at + 2u * SHARE * step], part[at + 3u * SHARE * step]);
      sum = sum + four.x + four.y + four.z + four.w;
      at += 4u * SHARE * step;
    }
    for (; split < p.splits; split += SHARE) {
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
  if (tid < ENTRIES) {
    if (live) { dw[(co * p.ci + ci) * taps + tap] = sum; }
    if (bias) { db[co] = sum; }
  }
}
