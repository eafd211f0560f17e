// The gates of an LSTM from what activates them, by sigmoid and tanh; channel g·hidden + k of pre is gate g of
// cell k: out, forget, in, and the candidate.

#import activation
#expects var pre

struct Gates { o: f32, f: f32, i: f32, g: f32 }

// Those of cell e = (n·hidden + k)·positions + l, with `cells` = hidden·positions of an image.
fn gates_of(e: u32, cells: u32) -> Gates {
  let at = e / cells * 4u * cells + e % cells;
  return Gates(
    sigmoid(pre[at]),
    sigmoid(pre[at + cells]),
    sigmoid(pre[at + 2u * cells]),
    tanh_safe(pre[at + 3u * cells]),
  );
}
