// Lays out the weights of some layers for products with channels last, a workgroup to a square of a layer's tap:
//
//   packed of a layer: [tap, i, j] = w[co, ci, tap], 0 where there is none or a mask leaves it out
//
// i is ci and j is co, or the other way round; both go up to multiples of four. In front of each layer is a four of
// zeros, behind it zeros to where the next can be bound.

#import find_layer
#import pack_words
#import packed_layers
#params

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> src: array<f32>; // [len]
@group(0) @binding(2) var<storage, read_write> dst: array<f32>; // [words]

// Layer of src/kernels/convolution/pack_weights.rs.
struct Layer { src: u32, dst: u32, channels: u32, kind: u32 }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32) {
  let index = wg.x + wg.y * grid.x;
  let found = find_layer(index);
  let own = layer(found.number);
  let co = own.channels & 0xffffu;
  let ci = own.channels >> 16u;
  let taps = own.kind & 0xffffu;
  let by_outputs = (own.kind & 0x10000u) != 0u;
  let mask = (own.kind >> 17u) & 3u;
  let rows = select(ci, co, by_outputs);
  let columns = select(co, ci, by_outputs);
  let masked = select(0xffffffffu, taps / 2u, mask != 0u);
  let tensor = Tensor(own.src, 1u, taps, rows, (rows + 3u) & 0xfffffffcu, columns, (columns + 3u) & 0xfffffffcu,
    0u, 1u, select(taps, ci * taps, by_outputs), select(ci * taps, taps, by_outputs),
    masked, max(own.kind >> 20u, 1u), select(1u, mask - 1u, mask != 0u), select(1u, 0u, by_outputs));
  let square_at = place_of(tensor, index - found.first);
  if (!square_at.live) { return; }
  fill_square(tensor, square_at.place, !by_outputs, tid);
  workgroupBarrier();
  put_square(tensor, square_at.place, own.dst, tid);
  // Behind the layer, up to the next multiple of 64 words.
  let end = 4u + taps * tensor.pack1 * tensor.pack2;
  if ((index == found.first) & (end + tid < ((end + 63u) & 0xffffffc0u))) { dst[own.dst + end + tid] = 0.0; }
}
