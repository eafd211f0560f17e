// Philox-4x32-10 (Salmon et al. 2011), the reference of src/kernels/philox.rs. Element i of a draw is
// word i % 4 of block i / 4; the counter is (block, stream, step, domain), the key the seed.

// (upper, lower) half of a 32x32-bit product, from 16-bit pieces.
fn mul_wide(a: u32, b: u32) -> vec2<u32> {
  let a0 = a & 0xffffu;
  let a1 = a >> 16u;
  let b0 = b & 0xffffu;
  let b1 = b >> 16u;
  let low = a0 * b0;
  let cross0 = a0 * b1;
  let cross1 = a1 * b0;
  let middle = (low >> 16u) + (cross0 & 0xffffu) + (cross1 & 0xffffu);
  return vec2(a1 * b1 + (cross0 >> 16u) + (cross1 >> 16u) + (middle >> 16u), a * b);
}

fn philox_round(c: vec4<u32>, k0: u32, k1: u32) -> vec4<u32> {
  let a = mul_wide(0xd2511f53u, c.x);
  let b = mul_wide(0xcd9e8d57u, c.z);
  return vec4(b.x ^ c.y ^ k0, b.y, a.x ^ c.w ^ k1, a.y);
}

fn philox(counter: vec4<u32>, k0: u32, k1: u32) -> vec4<u32> {
  var c = philox_round(counter, k0, k1);
  c = philox_round(c, k0 + 0x9e3779b9u, k1 + 0xbb67ae85u);
  c = philox_round(c, k0 + 0x3c6ef372u, k1 + 0x76cf5d0au);
  c = philox_round(c, k0 + 0xdaa66d2bu, k1 + 0x32370b8fu);
  c = philox_round(c, k0 + 0x78dde6e4u, k1 + 0xed9eba14u);
  c = philox_round(c, k0 + 0x1715609du, k1 + 0xa9066899u);
  c = philox_round(c, k0 + 0xb54cda56u, k1 + 0x646e171eu);
  c = philox_round(c, k0 + 0x5384540fu, k1 + 0x1fd5c5a3u);
  c = philox_round(c, k0 + 0xf1bbcdc8u, k1 + 0xdb3d7428u);
  return philox_round(c, k0 + 0x8ff34781u, k1 + 0x96a522adu);
}

// Four numbers of a block, uniform in [0, 1) on a grid of 2^-24.
fn uniforms(words: vec4<u32>) -> vec4<f32> {
  return vec4<f32>(words >> vec4(8u)) * 5.9604644775390625e-8;
}
