// dy with its channels innermost and sorted by colour, for variants whose lanes are output channels:
//
//   dyt[n, oy, ox, own, j] = dy[n, co = own + groups * j, oy, ox], 0 where co is past the end
//
// One invocation copies one column of RUN pixels.

override RUN: u32 = 16;

@group(0) @binding(0) var<uniform> p: WeightGrad;
@group(0) @binding(1) var<storage, read> dy: array<f32>; // [n, co, oh, ow]
@group(0) @binding(2) var<storage, read_write> dyt: array<f32>; // [n, oh, ow, columns]

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
  let plane = p.oh * p.ow;
  let blocks = (p.columns + 7u) / 8u;
  let runs = (plane + RUN - 1u) / RUN;
  var at = wg.x + wg.y * grid.x;
  let column = (at % blocks) * 8u + lane;
  at /= blocks;
  let run = at % runs;
  let n = at / runs;
  if (column >= p.columns || n >= p.n) { return; }
  let co = column / p.pack + p.groups * (column % p.pack);
  for (var pixel = run * RUN; pixel < min(run * RUN + RUN, plane); pixel += 1u) {
    var value = 0.0;
    if (co < p.co) { value = dy[(n * p.co + co) * plane + pixel]; }
    dyt[(n * plane + pixel) * p.columns + column] = value;
  }
}
