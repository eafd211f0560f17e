// For every image, `count` instructions one after the other: number `offset` and those behind it of
// step `clock`, where a step is all instructions of the code in order, once in each of `passes`
// passes. In step s, one that is ahead by k columns makes the column of one value (its channels, in
// fours) at (y, x) = (s / line, s % line - lead + k), line = w + lead, and one that goes back over
// the row above at (s / line - 1, w - 1 - s % line), if there is such a position:
//
//   conv       to = then(sum over taps and inputs of source[y + dy, x + dx] * w[tap, input, channel] + bias + residual)
//   pointwise  to = operation(a, b)
//   join       to = channels start.. of a[y + dy, x + dx] followed by b
//   draw       image[n, colour, t] of what turn r draws from the logits by lib/pixel_distribution.wgsl, with element or
//              block ((first + n)·passes + r)·h·w + t, where keep[n, colour, t] = 0, t = y·w + x
//
// A column of (y, x) is at four base + ((y & mask)·w + x)·step of the image's columns, or of the
// weights where the upper bit of base is set. src/kernels/pixels/instruction.rs declares the
// instructions and writes the piece that gives their words names.
//
// One workgroup owns G images. Of a convolution a lane sums one four of channels for all G over a
// part of the terms, so that a weight is loaded once for G images; parts are put together in
// workgroup memory.

#import apply
#import pixel_distribution
#import instructions
#expects const G
#params

override WG_LOG: u32 = 6u;
override WG: u32 = 1u << WG_LOG;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> code: array<vec4<u32>>;            // of instructions, then 1 a tap
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;         // [tap, ci, co / 4], biases, operands
@group(0) @binding(3) var<storage, read> keep: array<f32>;                  // [n, colours, h w]
@group(0) @binding(4) var<storage, read> clock: array<u32>;                 // [1]
@group(0) @binding(5) var<storage, read_write> image: array<f32>;           // [n, colours, h w]
@group(0) @binding(6) var<storage, read_write> columns: array<vec4<f32>>;   // [n, columns]

var<workgroup> partial: array<vec4<f32>, WG * G>;  // [part, image, four]

struct Position { y: u32, x: u32 }

// The least k with 2^k >= n.
fn log2_up(n: u32) -> u32 {
  return select(firstLeadingBit(n - 1u) + 1u, 0u, n <= 1u);
}

fn at(c: Columns, here: Position) -> u32 {
  return (c.base & ~FIXED) + ((here.y & c.mask) * p.w + here.x) * c.step;
}

// Four q of the column of an operand, of the image whose columns begin at `own`.
fn load(operand: Columns, own: u32, q: u32, here: Position) -> vec4<f32> {
  let i = at(operand, here) + q;
  if (operand.base >= FIXED) {
    return weights[i];
  }
  return columns[own + i];
}

// Writes four q of `channels`; those past the last are zero.
fn store(to: Columns, own: u32, q: u32, here: Position, channels: u32, v: vec4<f32>) {
  let inside = vec4(4u * q) + vec4(0u, 1u, 2u, 3u) < vec4(channels);
  columns[own + at(to, here) + q] = select(vec4(0.0), v, inside);
}

fn apply_all(o: Operation, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
  return vec4(
    apply(o.code, a.x, b.x, o.c),
    apply(o.code, a.y, b.y, o.c),
    apply(o.code, a.z, b.z, o.c),
    apply(o.code, a.w, b.w, o.c),
  );
}

// What a convolution does with a finished sum.
fn finish(k: Conv, own: u32, q: u32, here: Position, sum: vec4<f32>) {
  var v = sum + weights[k.bias + q];
  if (k.residual.base != NOTHING) {
    v += load(k.residual, own, q, here);
  }
  if (k.then.code != NOTHING) {
    v = apply_all(k.then, v, v);
  }
  store(k.to, own, q, here, k.channels, v);
}

// How the lanes share a convolution: 2^q lanes side by side take its fours of channels, and the
// 2^parts such groups of lanes take its terms, 2^c of them the fours of inputs and the others the
// taps.
struct Shares { q: u32, parts: u32, c: u32, fours: u32, inputs: u32 }

fn shares(k: Conv) -> Shares {
  let fours = (k.channels + 3u) / 4u;
  let inputs = (k.inputs + 3u) / 4u;
  let q = min(log2_up(fours), WG_LOG);
  return Shares(q, WG_LOG - q, min(log2_up(inputs), WG_LOG - q), fours, inputs);
}

// The sums of lane's part of the terms, for each image: into `partial`, or finished where it is the
// only part.
fn multiply(k: Conv, s: Shares, first: u32, lane: u32, here: Position) {
  let fours = s.fours;
  let part = lane >> s.q;
  let c_first = part & ((1u << s.c) - 1u);
  let tap_first = part >> s.c;
  let tap_step = 1u << (s.parts - s.c);
  for (var q = lane & ((1u << s.q) - 1u); q < fours; q += WG) {
    var sums: array<vec4<f32>, G>;
    for (var g = 0u; g < G; g++) {
      sums[g] = vec4(0.0);
    }
    for (var tap = tap_first; tap < k.taps.count; tap += tap_step) {
      let offset = code[k.taps.first + tap].xy;
      let there = Position(here.y + offset.x, here.x + offset.y);
      if (there.y < p.h && there.x < p.w) {
        let source = at(k.source, there);
        let w = k.weights + tap * 4u * s.inputs * fours + q;
        for (var c = c_first; c < s.inputs; c += 1u << s.c) {
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
fn combine(k: Conv, s: Shares, first: u32, lane: u32, here: Position) {
  for (var i = lane; i < G << s.q; i += WG) {
    let g = i >> s.q;
    let q = i & ((1u << s.q) - 1u);
    if (q < s.fours && first + g < p.n) {
      var sum = vec4(0.0);
      for (var part = 0u; part < 1u << s.parts; part++) {
        sum += partial[(((part * G) + g) << s.q) + q];
      }
      finish(k, (first + g) * p.columns, q, here, sum);
    }
  }
}

fn pointwise(k: Pointwise, own: u32, lane: u32, here: Position) {
  for (var q = lane; 4u * q < k.channels; q += WG) {
    let a = load(k.a, own, q, here);
    var b = a;
    if (k.b.base != NOTHING) {
      b = load(k.b, own, q, here);
    }
    store(k.to, own, q, here, k.channels, apply_all(k.operation, a, b));
  }
}

fn join(k: Join, own: u32, lane: u32, here: Position) {
  let there = Position(here.y + k.offset.y, here.x + k.offset.x);
  let inside = there.y < p.h && there.x < p.w;
  for (var q = lane; 4u * q < k.channels; q += WG) {
    var v = vec4(0.0);
    for (var j = 0u; j < 4u; j++) {
      let channel = k.start + 4u * q + j;
      if (channel < k.a_channels) {
        if (inside) {
          let value = load(k.a, own, channel / 4u, there)[channel % 4u];
          v = select(v, vec4(value), vec4(0u, 1u, 2u, 3u) == vec4(j));
        }
      } else if (k.b.base != NOTHING) {
        let behind = channel - k.a_channels;
        let value = load(k.b, own, behind / 4u, here)[behind % 4u];
        v = select(v, vec4(value), vec4(0u, 1u, 2u, 3u) == vec4(j));
      }
    }
    store(k.to, own, q, here, k.channels, v);
  }
}

// Output k of the network in the column at `base`.
fn logit(base: u32, k: u32) -> f32 {
  return columns[base + k / 4u][k % 4u];
}

fn draw(k: Draw, n: u32, turn: u32, here: Position) {
  let positions = p.h * p.w;
  let t = here.y * p.w + here.x;
  let own = n * p.columns;
  let e = ((p.first + n) * p.passes + turn) * positions + t;
  let drawn = draw_pixel(k.distribution, own + at(k.logits, here), turn, e);
  for (var c = 0u; c < drawn.count; c++) {
    let i = (n * p.colours + drawn.first + c) * positions + t;
    if (keep[i] == 0.0) {
      image[i] = drawn.values[c];
    }
  }
  // Where there are fewer colours the last one stands in for those past it, which store() leaves
  // out.
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
    let turn = j % a_step / instructions;
    let w = words(j % instructions);
    let ahead = ahead_of(w);
    // Above and to the left of the image differences are large numbers.
    let drawn = Position(s / line, s % line + ahead - lead);
    let above = Position(s / line - 1u, width - 1u - s % line);
    let swept = ahead == BACK;
    let here = Position(select(drawn.y, above.y, swept), select(drawn.x, above.x, swept));
    let kind = select(NOTHING, kind_of(w), here.y < height && here.x < width);
    let conv = as_conv(w);
    let share = shares(conv);
    if (kind == CONV) {
      multiply(conv, share, first, lane, here);
    }
    workgroupBarrier();
    if (kind == CONV && share.parts > 0u) {
      combine(conv, share, first, lane, here);
    }
    if (kind == POINTWISE || kind == JOIN) {
      for (var n = first; n < min(first + G, images); n++) {
        if (kind == POINTWISE) {
          pointwise(as_pointwise(w), n * stride, lane, here);
        } else {
          join(as_join(w), n * stride, lane, here);
        }
      }
    }
    if (lane < G && first + lane < images) {
      if (kind == DRAW) {
        draw(as_draw(w), first + lane, turn, here);
      } else if (kind >= KINDS && kind != NOTHING) {
        // No such instruction: what is no number is found by whoever reads the images.
        image[first + lane] = not_a_number();
      }
    }
    storageBarrier();
    workgroupBarrier();
  }
}
