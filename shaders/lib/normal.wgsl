#import philox
#import elementary

// Four standard normal numbers of a block, by Box and Muller on the word pairs (0, 1) and (2, 3).
fn normals(words: vec4<u32>) -> vec4<f32> {
  let u = uniforms(words);
  let radius = sqrt(vec2(-2.0 * ln(1.0 - u.x), -2.0 * ln(1.0 - u.z)));
  return vec4(radius.x * cos_sin_turn(u.y), radius.y * cos_sin_turn(u.w));
}
