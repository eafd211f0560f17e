// seen = [subgroups of this workgroup, size of one, a number that the units made, as its bits]
//
// A single workgroup of THREADS invocations. What drivers compile a shader for hangs on the size of its workgroups and on
// what it does, so it multiplies fragments as those do that want to know; lib/probe_*.wgsl say how.

#import probe_$units
#params

override THREADS: u32 = 128;

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;  // [3]

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) tid: u32, @builtin(subgroup_id) subgroup: u32,
        @builtin(num_subgroups) subgroups: u32, @builtin(subgroup_size) size: u32) {
  let made = multiplied(tid, subgroup);
  if (tid == 0u) {
    seen[0] = subgroups;
    seen[1] = size;
    seen[2] = bitcast<u32>(made);
  }
}
