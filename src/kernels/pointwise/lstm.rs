//! One step of a long short-term memory (Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural
//! Computation 1997) behind what activates its gates, as equation 3 of "Pixel Recurrent Neural
//! Networks" (van den Oord, Kalchbrenner & Kavukcuoglu, ICML 2016) has it, and its gradient.

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// pre `[n, 4 hidden, positions]`, before `[n, hidden, positions]` -> h, c
    /// `[n, hidden, positions]`: c = f·before + i·g, h = o·tanh(c), where channels of pre are those
    /// of o, f, i (by sigmoid) and g (by tanh).
    pub struct LstmCell {
        /// Images.
        pub n: u32,
        /// Channels of h and c.
        pub hidden: u32,
        /// Positions.
        pub positions: u32,
    }
}

/// dh, dc `[n, hidden, positions]`, pre `[n, 4 hidden, positions]`, before, c
/// `[n, hidden, positions]` -> dpre `[n, 4 hidden, positions]`, dbefore `[n, hidden, positions]` of
/// the cell.
#[derive(Clone, Copy, Debug)]
pub struct LstmCellGrad(pub LstmCell);

static FORWARD_SHADER: Shader = shader!(LstmCell, "lstm_cell");
static BACKWARD_SHADER: Shader = shader!(LstmCell, "lstm_cell_grad");

static FORWARD: Signature =
    Signature { name: "lstm_cell", reads: &["pre", "before"], writes: &[("h", Access::Write), ("c", Access::Write)] };

static BACKWARD: Signature = Signature {
    name: "lstm_cell_grad",
    reads: &["dh", "dc", "pre", "before", "c"],
    writes: &[("dpre", Access::Write), ("dbefore", Access::Write)],
};

/// The error permitted to a gate: that of the exponential where the sigmoid or tanh is steep.
const GATE_ERROR: f32 = 16.0 * EPS;

impl LstmCell {
    /// Cells of an image, and of all.
    fn sizes(&self) -> [usize; 2] {
        let cells = self.hidden as usize * self.positions as usize;
        [cells, self.n as usize * cells]
    }

    /// o, f, i and g of cell `e`.
    fn gates(&self, pre: &[f32], e: usize) -> [f64; 4] {
        let [cells, _] = self.sizes();
        let at = e / cells * 4 * cells + e % cells;
        let x = |gate: usize| f64::from(pre[at + gate * cells]);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        [sigmoid(x(0)), sigmoid(x(1)), sigmoid(x(2)), x(3).tanh()]
    }
}

/// What becomes of an image's gates o, f, i and g.
fn gates_of(pre: &[f32]) -> [&[f32]; 4] {
    let cells = pre.len() / 4;
    std::array::from_fn(|gate| &pre[gate * cells..][..cells])
}

host::wide! {
    fn forward_of(gates: [&[f32]; 4], before: &[f32], h: &mut [f32], c: &mut [f32]) {
        let [o, f, i, g] = gates;
        let gates = std::iter::zip(std::iter::zip(o, f), std::iter::zip(i, g));
        let states = std::iter::zip(before, std::iter::zip(h, c));
        for (((o, f), (i, g)), (before, (h, c))) in std::iter::zip(gates, states) {
            *c = host::sigmoid(*f) * before + host::sigmoid(*i) * host::tanh(*g);
            *h = host::sigmoid(*o) * host::tanh(*c);
        }
    }
}

host::wide! {
    fn back_through(gates: [&[f32]; 4], states: [&[f32]; 4], dpre: &mut [f32], dbefore: &mut [f32]) {
        let cells = dbefore.len();
        let [o, f, i, g] = gates.map(|gate| &gate[..cells]);
        let [dh, dc, before, c] = states.map(|state| &state[..cells]);
        let (d_o, rest) = dpre.split_at_mut(cells);
        let (d_f, rest) = rest.split_at_mut(cells);
        let (d_i, d_g) = rest.split_at_mut(cells);
        let d_g = &mut d_g[..cells];
        for e in 0..cells {
            let [o, f, i, g] = [host::sigmoid(o[e]), host::sigmoid(f[e]), host::sigmoid(i[e]), host::tanh(g[e])];
            let t = host::tanh(c[e]);
            let s = dc[e] + dh[e] * o * (1.0 - t * t);
            dbefore[e] = s * f;
            d_o[e] = dh[e] * t * o * (1.0 - o);
            d_f[e] = s * before[e] * f * (1.0 - f);
            d_i[e] = s * g * i * (1.0 - i);
            d_g[e] = s * i * (1.0 - g * g);
        }
    }
}

impl Kernel for LstmCell {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let [_, all] = self.sizes();
        Lens { reads: vec![4 * all, all], writes: vec![all, all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[pre, before] = reads else { return };
        let [h, c] = writes else { return };
        for e in 0..h.len() {
            let [o, f, i, g] = self.gates(pre, e);
            let now = f * f64::from(before[e]) + i * g;
            c[e] = now as f32;
            h[e] = (o * now.tanh()) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[pre, before] = reads else { return };
        let [h, c] = writes else { return };
        let [cells, _] = self.sizes();
        let images = h.par_chunks_mut(cells).zip(c.par_chunks_mut(cells)).enumerate();
        images.with_min_len((host::PIECE / cells).max(1)).for_each(|(image, (h, c))| {
            forward_of(gates_of(&pre[image * 4 * cells..][..4 * cells]), &before[image * cells..], h, c);
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        vec![Recipe::single("flat", flat(&FORWARD_SHADER, self, self.sizes()[1], caps).operands(&FORWARD))]
    }

    fn flops(&self) -> u64 {
        4 * self.sizes()[1] as u64
    }

    fn label(&self) -> String {
        format!("h[{},{},{}]", self.n, self.hidden, self.positions)
    }
}

impl Checks for LstmCell {
    fn example(&self, _: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        (0..len).map(|_| 6.0 * draw() - 3.0).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let c = |e: usize| GATE_ERROR * (reads[1][e].abs() + 2.0) + 2.0 * EPS * reference[1][e].abs();
        let h = |e: usize| 2.0 * GATE_ERROR + c(e);
        let all = 0..self.sizes()[1];
        vec![all.clone().map(h).collect(), all.map(c).collect()]
    }
}

impl Kernel for LstmCellGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let [_, all] = self.0.sizes();
        Lens { reads: vec![all, all, 4 * all, all, all], writes: vec![4 * all, all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dh, dc, pre, before, c] = reads else { return };
        let [dpre, dbefore] = writes else { return };
        let (cell, [cells, all]) = (self.0, self.0.sizes());
        for e in 0..all {
            let [o, f, i, g] = cell.gates(pre, e);
            let [dh, dc, before, c] = [dh[e], dc[e], before[e], c[e]].map(f64::from);
            let t = c.tanh();
            let s = dc + dh * o * (1.0 - t * t);
            dbefore[e] = (s * f) as f32;
            let at = e / cells * 4 * cells + e % cells;
            dpre[at] = (dh * t * o * (1.0 - o)) as f32;
            dpre[at + cells] = (s * before * f * (1.0 - f)) as f32;
            dpre[at + 2 * cells] = (s * g * i * (1.0 - i)) as f32;
            dpre[at + 3 * cells] = (s * i * (1.0 - g * g)) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dh, dc, pre, before, c] = reads else { return };
        let [dpre, dbefore] = writes else { return };
        let [cells, _] = self.0.sizes();
        let images = dpre.par_chunks_mut(4 * cells).zip(dbefore.par_chunks_mut(cells)).enumerate();
        images.with_min_len((host::PIECE / cells).max(1)).for_each(|(image, (dpre, dbefore))| {
            let own = image * cells..(image + 1) * cells;
            let states = [dh, dc, before, c].map(|of| &of[own.clone()]);
            back_through(gates_of(&pre[image * 4 * cells..][..4 * cells]), states, dpre, dbefore);
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        vec![Recipe::single("flat", flat(&BACKWARD_SHADER, &self.0, self.0.sizes()[1], caps).operands(&BACKWARD))]
    }

    fn flops(&self) -> u64 {
        22 * self.0.sizes()[1] as u64
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for LstmCellGrad {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        self.0.example(operand, len, draw)
    }

    /// Every factor may err by as much as a gate, and s by three of them.
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let [cells, all] = self.0.sizes();
        let most = |e: usize| reads[0][e].abs() + reads[1][e].abs();
        let errors: Vec<f32> = (0..all).map(|e| 6.0 * GATE_ERROR * most(e)).collect();
        let mut dpre = vec![0.0; 4 * all];
        for (e, (error, before)) in std::iter::zip(&errors, reads[3]).enumerate() {
            let at = e / cells * 4 * cells + e % cells;
            (0..4).for_each(|gate| dpre[at + gate * cells] = *error);
            dpre[at + cells] *= before.abs();
        }
        vec![dpre, errors]
    }
}

const CASES: [[u32; 3]; 5] = [[1, 1, 1], [3, 2, 5], [7, 5, 13], [2, 67, 3], [1024, 3, 23]];

fn forward([n, hidden, positions]: [u32; 3]) -> Box<dyn Kernel> {
    Box::new(LstmCell { n, hidden, positions })
}

fn backward([n, hidden, positions]: [u32; 3]) -> Box<dyn Kernel> {
    Box::new(LstmCellGrad(LstmCell { n, hidden, positions }))
}

/// Odd shapes of [`LstmCell`].
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(forward).into()
}

/// Shapes of the presets for [`LstmCell`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![forward([16, 16, 28])]
}

/// Odd shapes of [`LstmCellGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(backward).into()
}

/// Shapes of the presets for [`LstmCellGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    vec![backward([16, 16, 28])]
}
