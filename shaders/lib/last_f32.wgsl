// Operands of f32 with their channels last, in fours (pack_last.wgsl).

alias Four = vec4<f32>;

const FRONT = 1u;
const SCALED = false;

fn find_scales(a: Four, b: Four) {}

fn wide(four: Four) -> vec4<f32> { return four; }

fn unscaled(sum: f32) -> f32 { return sum; }

fn unscaled_b(sum: f32) -> f32 { return sum; }
