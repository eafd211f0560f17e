// The largest finite magnitudes of a product's operand, for lib/scale_f16.wgsl:
//
//   peaks[part] = max |src| over the part; 0 for parts there are not
//
// A workgroup makes one part: neighbouring invocations read neighbouring fours.

#import scale_f16
#params

override WG: u32 = 256;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>; // [len]
@group(0) @binding(2) var<storage, read_write> peaks: array<f32>; // [PARTS]

var<workgroup> found: array<u32, WG>;

// The bits of |v| where they are finite: they have the order of the numbers.
fn magnitudes(v: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(v) & vec4(0x7fffffffu);
  return select(vec4(0u), bits, bits < vec4(INFINITE));
}

fn largest(v: vec4<u32>) -> u32 { return max(max(v.x, v.y), max(v.z, v.w)); }

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let part = wg.x + wg.y * grid.x;
  if (part >= p.parts) { return; }
  let fours = (p.len + 3u) / 4u;
  let chunk = (fours + p.parts - 1u) / p.parts;
  let end = min((part + 1u) * chunk, fours);

  var most = vec4<u32>(0u);
  for (var i = part * chunk + tid; i < end; i += WG) {
    // The last four may reach behind the end.
    let inside = vec4(4u * i) + vec4(0u, 1u, 2u, 3u) < vec4(p.len);
    most = max(most, select(vec4(0u), magnitudes(src[i]), inside));
  }
  found[tid] = largest(most);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (tid < half) { found[tid] = max(found[tid], found[tid + half]); }
    workgroupBarrier();
  }
  if (tid == 0u) { peaks[part] = bitcast<f32>(found[0]); }
  if (part == 0u) {
    for (var i = p.parts + tid; i < PARTS; i += WG) { peaks[i] = 0.0; }
  }
}
