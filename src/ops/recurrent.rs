//! Long short-term memories over the rows and the diagonals of images (van den Oord, Kalchbrenner &
//! Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016, §3.1 to 3.3).
//!
//! A step of the memory is a convolution of the row before and a cell. Where rows are small all
//! steps of an image are one launch; elsewhere they are part of the program. Their gradient goes back
//! through them once more, and the weight's is one convolution's over all.

use super::{ConvSpec, FirstOrderOnly, launch, mismatch};
use crate::graph::{Call, GraphError, Op, Standard, Var};
use crate::kernels::lstm::{LstmCell, LstmCellGrad};
use crate::kernels::memory::{Memory, MemoryGrad};
use crate::kernels::skew::Skew;

#[derive(Debug)]
struct Skewed(Skew);

impl Op for Skewed {
    fn name(&self) -> &'static str {
        "skew"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        Ok(vec![Some(skewed(call.dy(), Skew { back: 1 - self.0.back, ..self.0 }))])
    }

    fn standard(&self) -> Option<Standard> {
        Some(if self.0.back == 1 { Standard::Unskew } else { Standard::Skew })
    }
}

fn skewed(x: &Var, skew: Skew) -> Var {
    let [h, w] = [skew.h, skew.w].map(|d| d as usize);
    let [rows, columns] = if skew.back == 1 { [h, w] } else { [h + w - 1, h] };
    x.graph().apply1(Skewed(skew), launch(skew), &[Some(x)], &[x.shape()[0], x.shape()[1], rows, columns])
}

/// A memory of one launch: x, w -> h, c, gates.
#[derive(Debug)]
struct Whole(Memory, ConvSpec);

impl Op for Whole {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dh, w, [h, c, gates]) = (call.dy(), call.input(1), [0, 1, 2].map(|k| &call.outputs[k]));
        let reads = [dh, w, gates, c].map(Some);
        let dpre = dh.graph().apply1(FirstOrderOnly("lstm"), launch(MemoryGrad(self.0)), &reads, gates.shape());
        let dw = call.wants(1).then(|| h.shift(2, 1).conv2d_weight_grad(&dpre, w.shape(), &self.1));
        Ok(vec![Some(dpre), dw])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Memory { left: self.0.left as usize })
    }
}

/// What the gates are given, x, and the states so far: the inputs of an LSTM over rows are x, w, a
/// row of zeros, and then what went into the gates of each row and its cells' states.
#[derive(Debug)]
struct Rows(ConvSpec);

impl Op for Rows {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn gradient(&self, call: &Call) -> Result<Vec<Option<Var>>, GraphError> {
        let (dy, w, h, zeros) = (call.dy(), call.input(1), &call.outputs[0], call.input(2));
        let steps = h.shape()[2];
        let (mut dc, mut dpre) = (zeros.clone(), Vec::new());
        for t in (0..steps).rev() {
            let mut dh = dy.slice(2, t, 1);
            if let Some(after) = dpre.last() {
                dh = &Var::conv_transpose2d(after, w, None, &self.0, [0, 0]) + &dh;
            }
            let before = if t == 0 { zeros } else { call.input(2 + 2 * t) };
            let given;
            [given, dc] = cell_grad(&dh, &dc, [call.input(3 + 2 * t), before, call.input(4 + 2 * t)]);
            dpre.push(given);
        }
        dpre.reverse();
        let dpre = joined(&dpre);
        let dw = call.wants(1).then(|| h.shift(2, 1).conv2d_weight_grad(&dpre, w.shape(), &self.0));
        Ok(vec![Some(dpre), dw])
    }

    fn standard(&self) -> Option<Standard> {
        Some(Standard::Memory { left: self.0.padding[1] })
    }
}

/// One row of cells: [h, c] of [n,hidden,1,w].
fn cell(pre: &Var, before: &Var) -> [Var; 2] {
    let [n, hidden, rows, w] = match before.four("lstm_cell") {
        Ok(extents) => extents,
        Err(failed) => return [failed.clone(), failed],
    };
    let kernel = LstmCell { n: n as u32, hidden: hidden as u32, positions: (rows * w) as u32 };
    let shape = before.shape();
    let made =
        pre.graph().apply(FirstOrderOnly("lstm_cell"), launch(kernel), &[Some(pre), Some(before)], &[shape, shape]);
    [made[0].clone(), made[1].clone()]
}

/// [dpre, dbefore] of a row of cells, from the states [pre, before, c].
fn cell_grad(dh: &Var, dc: &Var, [pre, before, c]: [&Var; 3]) -> [Var; 2] {
    let [n, hidden, rows, w] = match before.four("lstm_cell_grad") {
        Ok(extents) => extents,
        Err(failed) => return [failed.clone(), failed],
    };
    let kernel = LstmCellGrad(LstmCell { n: n as u32, hidden: hidden as u32, positions: (rows * w) as u32 });
    let reads = [dh, dc, pre, before, c].map(Some);
    let shapes = [pre.shape(), before.shape()];
    let made = dh.graph().apply(FirstOrderOnly("lstm_cell_grad"), launch(kernel), &reads, &shapes);
    [made[0].clone(), made[1].clone()]
}

/// Rows one below the other, joined in pairs so that each is copied few times.
fn joined(rows: &[Var]) -> Var {
    match rows {
        [row] => row.clone(),
        _ => {
            let (above, below) = rows.split_at(rows.len() / 2);
            joined(above).concat(&joined(below), 2)
        }
    }
}

/// h and c at every pixel, from what the gates are given there and from the states at pixels
/// before: `state` makes, of the earlier h, what is added to the gates, and `cell` moves the
/// earlier c to the pixel that it is kept for.
fn tied(x: &Var, state: impl Fn(&Var) -> Var, moved: impl Fn(&Var) -> Var) -> Var {
    let graph = x.graph();
    let [n, gates, rows, w] = match x.four("lstm") {
        Ok(extents) => extents,
        Err(failed) => return failed,
    };
    let hidden = gates / 4;
    let [h, c] = [(); 2].map(|()| graph.earlier(&[n, hidden, rows, w]));
    let pre = &state(&h) + x;
    let gate = |k: usize| pre.slice(1, k * hidden, hidden);
    let [o, f, i] = [0, 1, 2].map(|k| gate(k).sigmoid());
    let c_now = &(&f * &moved(&c)) + &(&i * &gate(3).tanh());
    let h_now = &o * &c_now.tanh();
    graph.tie(&h, &h_now);
    graph.tie(&c, &c_now);
    h_now
}

impl Var {
    /// `[n,c,h,w]` by its diagonals, [n,c,h+w-1,h]: row d holds pixels (i, d - i), and zeros where
    /// there are none.
    pub fn skew(&self) -> Var {
        let [n, c, h, w] = match self.four("skew") {
            Ok(extents) => extents,
            Err(failed) => return failed,
        };
        skewed(self, Skew { planes: (n * c) as u32, h: h as u32, w: w as u32, back: 0 })
    }

    /// `[n,c,h,w]` from its diagonals [n,c,h+w-1,h].
    pub fn unskew(&self) -> Var {
        let &[n, c, d, h] = self.shape() else {
            return self.graph().fail(mismatch("unskew", &[self.shape()], "x must be [n,c,d,h]"), self.shape());
        };
        if d < h || h == 0 {
            let error = mismatch("unskew", &[self.shape()], "there must be as many diagonals as rows or more");
            return self.graph().fail(error, self.shape());
        }
        skewed(self, Skew { planes: (n * c) as u32, h: h as u32, w: (d + 1 - h) as u32, back: 1 })
    }

    /// A memory that goes through the rows of x [n,4 hidden,h,w] from the first to the last: the
    /// gates of row t are given x\[t\] + the convolution of row t - 1 of the result [n,hidden,h,w]
    /// with w [4 hidden,hidden,1,k], where `left` zeros stand before the row and k - 1 - left
    /// behind it. Channels of x are those of the gates out, forget, in and of the candidate.
    fn lstm(&self, w: &Var, left: usize) -> Var {
        let graph = self.graph();
        let (Ok([n, _, steps, wide]), Ok([_, hidden, _, k])) = (self.four("lstm"), w.four("lstm")) else {
            return self.clone();
        };
        let spec = ConvSpec { padding: [0, left, 0, k - 1 - left], ..ConvSpec::default() };
        let [images, channels, rows, columns, taps, before] = [n, hidden, steps, wide, k, left].map(|d| d as u32);
        let whole = Memory { n: images, hidden: channels, steps: rows, w: columns, taps, left: before };
        if whole.is_small() {
            let state = [n, hidden, steps, wide];
            let shapes = [&state, &state, self.shape()];
            return graph.apply(Whole(whole, spec), launch(whole), &[Some(self), Some(w)], &shapes).remove(0);
        }
        let zeros = graph.constant(&[n, hidden, 1, wide], 0.0);
        let mut states = vec![zeros.clone()];
        let mut rows: Vec<Var> = Vec::new();
        for t in 0..steps {
            let mut pre = self.slice(2, t, 1);
            if let Some(h) = rows.last() {
                pre = &h.conv2d(w, None, &spec) + &pre;
            }
            let [h, c] = cell(&pre, states.last().unwrap_or(&zeros));
            states.extend([pre, c]);
            rows.push(h);
        }
        let inputs: Vec<&Var> = [self, w].into_iter().chain(&states).collect();
        let [states] = graph.stand_for(Rows(spec), [&joined(&rows)], &inputs);
        states
    }

    /// A sentence about shapes that an LSTM cannot take, as a failure of the graph.
    fn lstm_fault(&self, w: &Var, taps: usize) -> Option<Var> {
        let fits = match (self.shape(), w.shape()) {
            (&[_, gates, h, wide], &[out, hidden, 1, k]) => {
                gates == out && gates == 4 * hidden && h * wide > 0 && k == taps
            }
            _ => false,
        };
        let why = format!("x must be [n,4 hidden,h,w] and w [4 hidden,hidden,1,{taps}]");
        (!fits).then(|| self.graph().fail(mismatch("lstm", &[self.shape(), w.shape()], why), self.shape()))
    }

    /// Row LSTM (§3.2): the gates of a pixel are given x [n,4 hidden,h,w] there, and the
    /// convolution with w [4 hidden,hidden,1,3] of the row above. The result is `[n,hidden,h,w]`.
    pub fn row_lstm(&self, w: &Var) -> Var {
        if let Some(failed) = self.lstm_fault(w, 3) {
            return failed;
        }
        if !self.graph().is_per_pixel() {
            return self.lstm(w, 1);
        }
        let spec = ConvSpec { padding: [0, 1, 0, 1], ..ConvSpec::default() };
        tied(self, |h| h.shift(2, 1).conv2d(w, None, &spec), |c| c.shift(2, 1))
    }

    /// Diagonal LSTM (§3.3): the gates of a pixel are given x [n,4 hidden,h,w] there, and by w
    /// [4 hidden,hidden,1,2] the states above and to the left; with `mirrored` above and to the
    /// right. Beyond the image states are zero. The result is `[n,hidden,h,w]`.
    pub fn diagonal_lstm(&self, w: &Var, mirrored: bool) -> Var {
        if let Some(failed) = self.lstm_fault(w, 2) {
            return failed;
        }
        if !self.graph().is_per_pixel() {
            let over = |x: &Var| x.skew().lstm(w, 1).unskew();
            return if mirrored { over(&self.flip(3)).flip(3) } else { over(self) };
        }
        let beside = |v: &Var| v.shift(3, if mirrored { -1 } else { 1 });
        let tap = |k: usize| w.slice(3, k, 1);
        let one = ConvSpec::default();
        let state = |h: &Var| &h.shift(2, 1).conv2d(&tap(0), None, &one) + &beside(h).conv2d(&tap(1), None, &one);
        tied(self, state, beside)
    }
}
