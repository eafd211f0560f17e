// A flat loop over `items`: each workgroup takes one contiguous block of them, and its lanes take
// neighbours, so that loads coalesce and no two workgroups share a cache line but at the seams.
// The grid decides how many items fall to an invocation. `for (i = first; i < end; i += WG)`.

#expects const WG

struct Range {
  first: u32,
  end: u32,
}

fn flat_range(items: u32, wg: vec3<u32>, groups: vec3<u32>, lane: u32) -> Range {
  let total = groups.x * groups.y;
  let block = (items + total * WG - 1u) / (total * WG) * WG;
  let start = (wg.x + wg.y * groups.x) * block;
  return Range(start + lane, min(start + block, items));
}
