// Nobody wants more of last.wgsl than what comes of its sums.

#expects type Block

fn leave(block: Block, tx: u32, ty: u32) {}
