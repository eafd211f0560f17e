// image[n, colour, t] of what turn r draws from outputs[n, .., t] by lib/pixel_distribution.wgsl,
// where keep[n, colour, t] = 0 and clock = t·passes + r, with element or block (n·passes +
// r)·positions + t of the stream at step 0
//
// One invocation draws the pixel of every WG-th image of its workgroup's block.

#import flat
#import pixel_distribution
#params

override WG: u32 = 64u;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> outputs: array<f32>;      // [n, channels, positions]
@group(0) @binding(2) var<storage, read> keep: array<f32>;         // [n, colours, positions]
@group(0) @binding(3) var<storage, read> clock: array<u32>;        // [1]: t·passes + r
@group(0) @binding(4) var<storage, read_write> image: array<f32>;  // [n, colours, positions]

fn logit(base: u32, k: u32) -> f32 {
  return outputs[base + k * p.positions];
}

// How many outputs a pixel has.
fn channels(d: PixelDistribution) -> u32 {
  let of_mixture = 1u + p.colours * select(3u, 2u, p.colours == 1u);
  return select(p.colours, of_mixture, d.kind == LOGISTIC_MIXTURE) * d.size;
}

// How many draws a pixel takes.
fn passes(d: PixelDistribution) -> u32 {
  return select(p.colours, 1u, d.kind == LOGISTIC_MIXTURE);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let distribution = PixelDistribution(p.kind, p.size);
  let passes = passes(distribution);
  let t = clock[0] / passes;
  let turn = clock[0] % passes;
  if (t >= p.positions) {
    return;
  }
  let channels = channels(distribution);
  let r = flat_range(p.n, wg, groups, lane);
  for (var n = r.first; n < r.end; n += WG) {
    let base = n * channels * p.positions + t;
    let drawn = draw_pixel(distribution, base, turn, (n * passes + turn) * p.positions + t);
    for (var c = 0u; c < drawn.count; c++) {
      let i = (n * p.colours + drawn.first + c) * p.positions + t;
      if (keep[i] == 0.0) {
        image[i] = drawn.values[c];
      }
    }
  }
}
