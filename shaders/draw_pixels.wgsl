// For every image, `count` instructions one after the other: number `offset` and those behind it of step `clock`,
// where a step is all instructions of the code in order, once in each of `passes` turns. In step s, one that is
// ahead by k columns makes the column of one value (its channels, in fours) at
// (y, x) = (s / line, s % line - lead + k), line = w + lead, and one that goes back over the row above at
// (s / line - 1, w - 1 - s % line), if there is such a position:
//
//   conv       to = then(sum over taps and ci of from[y + dy, x + dx, ci] * w[tap, ci, co] + bias[co] + b[co])
//   pointwise  to = code(a, b, c)
//   join       to = channels start.. of a[y + dy, x + dx] followed by b
//   draw       image[n, colour, t] of what turn r draws from the outputs a by lib/head.wgsl, with element or
//              block ((first + n)·passes + r)·h·w + t, where keep[n, colour, t] = 0, t = y·w + x
//
// A column of (y, x) is at four base + ((y & mask)·w + x)·step of the image's columns, or of the weights
// where the upper bit of base is set. src/kernels/pixels/pixel_code.rs writes the code.
//
// One workgroup owns G images. Of a convolution a lane sums one four of channels for all G over a part of
// the terms, so that a weight is loaded once for G images; parts are put together in workgroup memory.

#import apply
#import philox
#import head
#expects const G
#params

override WG_LOG: u32 = 6u;
override WG: u32 = 1u << WG_LOG;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> code: array<vec4<u32>>;            // 5 an instruction, then 1 a tap
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;         // [tap, ci, co / 4], biases, operands
@group(0) @binding(3) var<storage, read> keep: array<f32>;                  // [n, colours, h w]
@group(0) @binding(4) var<storage, read> clock: array<u32>;                 // [1]
@group(0) @binding(5) var<storage, read_write> image: array<f32>;           // [n, colours, h w]
@group(0) @binding(6) var<storage, read_write> columns: array<vec4<f32>>;   // [n, columns]

var<workgroup> partial: array<vec4<f32>, WG * G>;  // [part, image, four]

// The five fours of an instruction: its kind and `to`; a and a number; b and whether it is there; two more, of
// which the last word is how far ahead it is.
struct Instruction { to: vec4<u32>, a: vec4<u32>, b: vec4<u32>, c: vec4<u32>, d: vec4<u32> }

struct Position { y: u32, x: u32 }

const FIXED = 0x80000000u;
const BACK = 0xffffffffu;    // in place of how far ahead: back over the row above, from the right
const NOTHING = 0xffffffffu; // the kind of an instruction that is outside of the image

// The least k with 2^k >= n.
fn log2_up(n: u32) -> u32 {
  return select(firstLeadingBit(n - 1u) + 1u, 0u, n <= 1u);
}

fn at(base: u32, step: u32, mask: u32, here: Position) -> u32 {
  return (base & ~FIXED) + ((here.y & mask) * p.w + here.x) * step;
}

// Four q of the column of operand (base, step, mask, _) of the image whose columns begin at `own`.
fn load(operand: vec4<u32>, own: u32, q: u32, here: Position) -> vec4<f32> {
  let i = at(operand.x, operand.y, operand.z, here) + q;
  if (operand.x >= FIXED) {
    return weights[i];
  }
  return columns[own + i];
}

// Writes four q of `channels`; those past the last are zero.
fn store(to: vec4<u32>, own: u32, q: u32, here: Position, channels: u32, v: vec4<f32>) {
  let inside = vec4(4u * q) + vec4(0u, 1u, 2u, 3u) < vec4(channels);
  columns[own + at(to.y, to.z, to.w, here) + q] = select(vec4(0.0), v, inside);
}

fn apply_all(op: u32, a: vec4<f32>, b: vec4<f32>, c: f32) -> vec4<f32> {
  return vec4(apply(op, a.x, b.x, c), apply(op, a.y, b.y, c), apply(op, a.z, b.z, c), apply(op, a.w, b.w, c));
}

// What a convolution does with a finished sum.
fn finish(k: Instruction, own: u32, q: u32, here: Position, sum: vec4<f32>) {
  var v = sum + weights[k.d.x + q];
  if (k.b.w != 0u) {
    v += load(k.b, own, q, here);
  }
  store(k.to, own, q, here, k.c.x, apply_all(k.d.y, v, v, bitcast<f32>(k.d.z)));
}

// How the lanes share a convolution: 2^q lanes side by side take its fours of channels, and the
// 2^parts such groups of lanes take its terms, 2^c of them the fours of ci and the others the taps.
struct Shares { q: u32, parts: u32, c: u32 }

fn shares(k: Instruction) -> Shares {
  let q = min(log2_up((k.c.x + 3u) / 4u), WG_LOG);
  return Shares(q, WG_LOG - q, min(log2_up(k.a.w), WG_LOG - q));
}

// The sums of lane's part of the terms, for each image: into `partial`, or finished where it is the only part.
fn multiply(k: Instruction, first: u32, lane: u32, here: Position) {
  let s = shares(k);
  let fours = (k.c.x + 3u) / 4u;
  let part = lane >> s.q;
  let c_first = part & ((1u << s.c) - 1u);
  let tap_first = part >> s.c;
  let tap_step = 1u << (s.parts - s.c);
  for (var q = lane & ((1u << s.q) - 1u); q < fours; q += WG) {
    var sums: array<vec4<f32>, G>;
    for (var g = 0u; g < G; g++) {
      sums[g] = vec4(0.0);
    }
    for (var tap = tap_first; tap < k.c.w; tap += tap_step) {
      let shift = code[k.c.z + tap].xy;
      let there = Position(here.y + shift.x, here.x + shift.y);
      if (there.y < p.h && there.x < p.w) {
        let source = at(k.a.x, k.a.y, k.a.z, there);
        let w = k.c.y + tap * 4u * k.a.w * fours + q;
        for (var c = c_first; c < k.a.w; c += 1u << s.c) {
          let row = w + 4u * c * fours;
          let w0 = weights[row];
          let w1 = weights[row + fours];
          let w2 = weights[row + 2u * fours];
          let w3 = weights[row + 3u * fours];
          for (var g = 0u; g < G; g++) {
            let x = columns[min(first + g, p.n - 1u) * p.columns + source + c];
            sums[g] += x.x * w0 + x.y * w1 + x.z * w2 + x.w * w3;
          }
        }
      }
    }
    for (var g = 0u; g < G; g++) {
      if (s.parts > 0u) {
        partial[(((part * G) + g) << s.q) + q] = sums[g];
      } else if (first + g < p.n) {
        finish(k, (first + g) * p.columns, q, here, sums[g]);
      }
    }
  }
}

// Puts the parts of a convolution's sums together.
fn combine(k: Instruction, first: u32, lane: u32, here: Position) {
  let s = shares(k);
  let fours = (k.c.x + 3u) / 4u;
  for (var i = lane; i < G << s.q; i += WG) {
    let g = i >> s.q;
    let q = i & ((1u << s.q) - 1u);
    if (q < fours && first + g < p.n) {
      var sum = vec4(0.0);
      for (var part = 0u; part < 1u << s.parts; part++) {
        sum += partial[(((part * G) + g) << s.q) + q];
      }
      finish(k, (first + g) * p.columns, q, here, sum);
    }
  }
}

fn pointwise(k: Instruction, own: u32, lane: u32, here: Position) {
  for (var q = lane; 4u * q < k.c.x; q += WG) {
    let a = load(k.a, own, q, here);
    var b = a;
    if (k.b.w != 0u) {
      b = load(k.b, own, q, here);
    }
    store(k.to, own, q, here, k.c.x, apply_all(k.d.y, a, b, bitcast<f32>(k.d.z)));
  }
}

fn join(k: Instruction, own: u32, lane: u32, here: Position) {
  let there = Position(here.y + k.c.z, here.x + k.c.w);
  let inside = there.y < p.h && there.x < p.w;
  for (var q = lane; 4u * q < k.c.x; q += WG) {
    var v = vec4(0.0);
    for (var j = 0u; j < 4u; j++) {
      let channel = k.c.y + 4u * q + j;
      if (channel < k.a.w) {
        if (inside) {
          let value = load(k.a, own, channel / 4u, there)[channel % 4u];
          v = select(v, vec4(value), vec4(0u, 1u, 2u, 3u) == vec4(j));
        }
      } else if (k.b.w != 0u) {
        let value = load(k.b, own, (channel - k.a.w) / 4u, here)[(channel - k.a.w) % 4u];
        v = select(v, vec4(value), vec4(0u, 1u, 2u, 3u) == vec4(j));
      }
    }
    store(k.to, own, q, here, k.c.x, v);
  }
}

// Output k of the network in the column at `base`.
fn logit(base: u32, k: u32) -> f32 {
  return columns[base + k / 4u][k % 4u];
}

fn draw(k: Instruction, n: u32, turn: u32, here: Position) {
  let positions = p.h * p.w;
  let t = here.y * p.w + here.x;
  let own = n * p.columns;
  let e = ((p.first + n) * p.passes + turn) * positions + t;
  let head = Head(k.c.y, k.c.z, k.c.x);
  let at_once = head.kind == MIXTURE;
  let block = uniforms(philox(vec4(select(e / 4u, e, at_once), p.stream, 0u, p.domain), p.seed_lo, p.seed_hi));
  let u = select(vec4(block[e % 4u]), block, at_once);
  let drawn = draw_colours(head, own + at(k.a.x, k.a.y, k.a.z, here), turn, u);
  let first = select(turn, 0u, at_once);
  for (var c = 0u; c < select(1u, p.colours, at_once); c++) {
    let i = (n * p.colours + first + c) * positions + t;
    if (keep[i] == 0.0) {
      image[i] = drawn[c];
    }
  }
  // Where there are fewer colours the last one stands in for those past it, which store() leaves out.
  let colour = min(vec4(0u, 1u, 2u, 3u), vec4(p.colours - 1u));
  let i = (vec4(n * p.colours) + colour) * positions + t;
  store(k.to, own, 0u, here, p.colours, vec4(image[i.x], image[i.y], image[i.z], image[i.w]));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let images = p.n;
  let height = p.h;
  let width = p.w;
  let lead = p.lead;
  let instructions = p.instructions;
  let passes = p.passes;
  let offset = p.offset;
  let end = p.offset + p.count;
  let stride = p.columns;
  let first = (wg.x + wg.y * groups.x) * G;
  if (first >= images) {
    return;
  }
  let line = width + lead;
  let a_step = passes * instructions;
  for (var j = offset; j < end; j++) {
    let s = clock[0] + j / a_step;
    if (s >= height * line) {
      return;
    }
    let i = j % instructions;
    let turn = j % a_step / instructions;
    let k = Instruction(code[5u * i], code[5u * i + 1u], code[5u * i + 2u], code[5u * i + 3u], code[5u * i + 4u]);
    // Above and to the left of the image differences are large numbers.
    let drawn = Position(s / line, s % line + k.d.w - lead);
    let above = Position(s / line - 1u, width - 1u - s % line);
    let swept = k.d.w == BACK;
    let here = Position(select(drawn.y, above.y, swept), select(drawn.x, above.x, swept));
    let kind = select(NOTHING, k.to.x, here.y < height && here.x < width);
    if (kind == 0u) {
      multiply(k, first, lane, here);
    }
    workgroupBarrier();
    if (kind == 0u && shares(k).parts > 0u) {
      combine(k, first, lane, here);
    }
    if (kind == 1u || kind == 2u) {
      for (var n = first; n < min(first + G, images); n++) {
        if (kind == 1u) {
          pointwise(k, n * stride, lane, here);
        } else {
          join(k, n * stride, lane, here);
        }
      }
    }
    if (kind == 3u && lane < G && first + lane < images) {
      draw(k, first + lane, turn, here);
    }
    storageBarrier();
    workgroupBarrier();
  }
}
