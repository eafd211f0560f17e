// Lays out the weights of some layers for products with channels last, a workgroup to a square of a layer's tap:
//
//   packed of a layer: [tap, i, j] = w[co, ci, tap], 0 where there is none or a mask leaves it out
//
// i is ci and j is co, or the other way round; both go up to multiples of four. In front of each layer is a four of
// zeros, behind it zeros to where the next can be bound.

#import layers
#import pack_words
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [len]
@group(0) @binding(2) var<storage, read_write> dst: array<f32>; // [words]

// The first workgroup of the layers up to this one.
fn first_of(found: vec2<u32>, number: u32, first: u32, index: u32) -> vec2<u32> {
  return select(found, vec2(number, first), index >= first);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = wg.x + wg.y * grid.x;
  // The layer's number, and its first workgroup.
  var found = first_of(vec2(0u), 1u, p.first0, index);
  found = first_of(found, 2u, p.first1, index);
  found = first_of(found, 3u, p.first2, index);
  found = first_of(found, 4u, p.first3, index);
  found = first_of(found, 5u, p.first4, index);
  found = first_of(found, 6u, p.first5, index);
  found = first_of(found, 7u, p.first6, index);
  found = first_of(found, 8u, p.first7, index);
  found = first_of(found, 9u, p.first8, index);
  found = first_of(found, 10u, p.first9, index);
  found = first_of(found, 11u, p.first10, index);
  found = first_of(found, 12u, p.first11, index);
  found = first_of(found, 13u, p.first12, index);
  found = first_of(found, 14u, p.first13, index);
  found = first_of(found, 15u, p.first14, index);
  let own = layer(found.x);
  let co = own.z & 0xffffu;
  let ci = own.z >> 16u;
  let taps = own.w & 0xffffu;
  let by_outputs = (own.w & 0x10000u) != 0u;
  let mask = (own.w >> 17u) & 3u;
  let rows = select(ci, co, by_outputs);
  let columns = select(co, ci, by_outputs);
  let masked = select(0xffffffffu, taps / 2u, mask != 0u);
  let tensor = Tensor(own.x, 1u, taps, rows, (rows + 3u) & 0xfffffffcu, columns, (columns + 3u) & 0xfffffffcu,
    0u, 1u, select(taps, ci * taps, by_outputs), select(ci * taps, taps, by_outputs),
    masked, max(own.w >> 20u, 1u), select(1u, mask - 1u, mask != 0u), select(1u, 0u, by_outputs));
  let square_at = place_of(tensor, index - found.y);
  if (!square_at.live) { return; }
  fill_square(tensor, square_at.place, !by_outputs, tid);
  workgroupBarrier();
  put_square(tensor, square_at.place, own.y, tid);
  // Behind the layer, up to the next multiple of 64 words.
  let end = 4u + taps * tensor.pack1 * tensor.pack2;
  if ((index == found.y) & (end + tid < ((end + 63u) & 0xffffffc0u))) { dst[own.y + end + tid] = 0.0; }
}
