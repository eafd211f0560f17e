// Adds one to counters; which, the piece in front says.
//
// The only invocation does it.

#expects fn tick()
#params

@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(1)
fn main() {
  tick();
}
