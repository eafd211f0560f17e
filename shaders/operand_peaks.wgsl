// The largest finite magnitudes of a product's operands, for lib/operand_f16.wgsl:
//
//   peaks[part] = max |a| over the part, peaks[PARTS + part] = max |b|; 0 for parts there are not
//
// A workgroup makes one part, of a or of b: neighbouring invocations read neighbouring fours.

#params

override WG: u32 = 256;

const PARTS = 256u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>; // [a_len]
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>; // [b_len]
@group(0) @binding(3) var<storage, read_write> peaks: array<f32>; // [2, PARTS]

var<workgroup> found: array<u32, WG>;

// The bits of |v| where they are finite: they have the order of the numbers.
fn magnitudes(v: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(v) & vec4(0x7fffffffu);
  return select(vec4(0u), bits, bits < vec4(0x7f800000u));
}

fn largest(v: vec4<u32>) -> u32 { return max(max(v.x, v.y), max(v.z, v.w)); }

// The last four may reach behind the end.
fn of_a(i: u32) -> vec4<u32> {
  return select(vec4(0u), magnitudes(a[i]), vec4(4u * i) + vec4(0u, 1u, 2u, 3u) < vec4(p.a_len));
}

fn of_b(i: u32) -> vec4<u32> {
  return select(vec4(0u), magnitudes(b[i]), vec4(4u * i) + vec4(0u, 1u, 2u, 3u) < vec4(p.b_len));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let at = wg.x + wg.y * grid.x;
  let second = at >= p.a_parts;
  let part = select(at, at - p.a_parts, second);
  let parts = select(p.a_parts, p.b_parts, second);
  if (part >= parts) { return; }
  let fours = (select(p.a_len, p.b_len, second) + 3u) / 4u;
  let chunk = (fours + parts - 1u) / parts;
  let end = min((part + 1u) * chunk, fours);

  var most = vec4<u32>(0u);
  if (second) {
    for (var i = part * chunk + tid; i < end; i += WG) { most = max(most, of_b(i)); }
  } else {
    for (var i = part * chunk + tid; i < end; i += WG) { most = max(most, of_a(i)); }
  }
  found[tid] = largest(most);
  workgroupBarrier();
  for (var half = WG / 2u; half > 0u; half /= 2u) {
    if (tid < half) { found[tid] = max(found[tid], found[tid + half]); }
    workgroupBarrier();
  }
  let first = select(0u, PARTS, second);
  if (tid == 0u) { peaks[first + part] = bitcast<f32>(found[0]); }
  if (part == 0u) {
    for (var i = parts + tid; i < PARTS; i += WG) { peaks[first + i] = 0.0; }
  }
}
