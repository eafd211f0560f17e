// Operands of f16 with their channels last, in fours (pack_last_f16.wgsl): scaled by powers of two. In front of each is a
// four of zeros, and in the last of those in front what the inverse of its power has for exponent bits.

enable f16;

alias Four = vec4<f16>;

const FRONT = 4u;
const SCALED = true;

var<private> inverse: vec2<f32>; // of the powers of a, of b

fn find_scales(a: Four, b: Four) {
  inverse = bitcast<vec2<f32>>(vec2(u32(a.x), u32(b.x)) << vec2(23u));
}

fn wide(four: Four) -> vec4<f32> { return vec4<f32>(four); }

fn unscaled(sum: f32) -> f32 { return sum * inverse.x * inverse.y; }

// The same for a sum of elements of b alone.
fn unscaled_b(sum: f32) -> f32 { return sum * inverse.y; }
