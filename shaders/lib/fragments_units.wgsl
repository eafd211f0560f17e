// Fragments in a GPU's matrix units; the aliases of their types stand in front. A tile keeps the terms of a line, or of
// a column, side by side: for the left factor [line, term] that is row by row, which is what the T says, for the right
// one [term, column] column by column.

#import units$edge
#expects var a_tile
#expects const A_LINE
#expects var b_tile
#expects const B_LINE
#expects var c_tile
#expects const C_LINE
#expects const THREADS
#expects fn product(index: u32, tid: u32, subgroup: u32, subgroups: u32)

fn zeros() -> FragmentC { return FragmentC(); }

fn fragment_a(at: u32) -> FragmentA { return coopLoadT<FragmentA>(&a_tile[at], A_LINE); }

fn fragment_b(at: u32) -> FragmentB { return coopLoad<FragmentB>(&b_tile[at], B_LINE); }

fn multiply_add(a: FragmentA, b: FragmentB, c: FragmentC) -> FragmentC { return coopMultiplyAdd(a, b, c); }

fn store_c(c: FragmentC, at: u32) { coopStoreT(c, &c_tile[at], C_LINE); }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>,
        @builtin(local_invocation_index) tid: u32, @builtin(subgroup_id) subgroup: u32,
        @builtin(num_subgroups) subgroups: u32) {
  product(wg.x + wg.y * grid.x, tid, subgroup, subgroups);
}
