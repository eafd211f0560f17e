// The same where there are no matrix units.

#import edge$edge

fn multiplied(tid: u32, subgroup: u32) -> f32 { return f32(EDGE); }
