// image[n, colour, t] of what turn r draws from outputs[n, .., t] by lib/head.wgsl, where keep[n, colour, t] = 0 and
// clock = t·passes + r, with element or block (n·passes + r)·positions + t of the stream at step 0
//
// One invocation draws the pixel of every WG-th image of its workgroup's block.

#import flat
#import philox
#import head
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

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) wg: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let head = Head(p.kind, p.size, p.colours);
  let at_once = p.kind == MIXTURE;
  let passes = select(p.colours, 1u, at_once);
  let t = clock[0] / passes;
  let turn = clock[0] % passes;
  if (t >= p.positions) {
    return;
  }
  let channels = channels(head);
  let r = flat_range(p.n, wg, groups, lane);
  for (var n = r.first; n < r.end; n += WG) {
    let e = (n * passes + turn) * p.positions + t;
    let first = select(turn, 0u, at_once);
    let block = uniforms(philox(vec4(select(e / 4u, e, at_once), p.stream, 0u, p.domain), p.seed_lo, p.seed_hi));
    let u = select(vec4(block[e % 4u]), block, at_once);
    let drawn = draw_colours(head, n * channels * p.positions + t, turn, u);
    for (var c = 0u; c < select(1u, p.colours, at_once); c++) {
      let i = (n * p.colours + first + c) * p.positions + t;
      if (keep[i] == 0.0) {
        image[i] = drawn[c];
      }
    }
  }
}
