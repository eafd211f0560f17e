//! A long short-term memory that goes through all rows of an image in one launch: for memories whose
//! rows are so small that a launch for each would leave a device waiting. A step is the convolution
//! of the row before and the cell of [`super::lstm`].

use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[n, 4 hidden, steps, w]`, weights `[4 hidden, hidden, taps]` -> h, c `[n, hidden, steps, w]`,
    /// gates `[n, 4 hidden, steps, w]`: the gates o, f, i (by sigmoid) and g (by tanh) of row t are
    /// made of x\[t\] + the convolution of h\[t - 1\] with the weights, c\[t\] = f·c\[t - 1\] + i·g,
    /// h\[t\] = o·tanh(c\[t\]). Before the first row, and beside all, is 0.
    pub struct Memory {
        /// Images.
        pub n: u32,
        /// Channels of h and c.
        pub hidden: u32,
        /// Rows.
        pub steps: u32,
        /// Positions of a row.
        pub w: u32,
        /// Taps of the convolution.
        pub taps: u32,
        /// Taps before the position itself.
        pub left: u32,
    }
}

/// dh `[n, hidden, steps, w]`, weights, gates and c of [`Memory`] -> dpre `[n, 4 hidden, steps, w]`,
/// the gradient of what its gates were made of, which is that of x.
#[derive(Clone, Copy, Debug)]
pub struct MemoryGrad(pub Memory);

/// For one cell of an invocation, which leaves most of them to a GPU, and for runs and blocks of four,
/// which load less.
static FORWARD_SHADERS: [Shader; 2] = [
    shader!(Memory, "memory" as "memory"; "const TOGETHER = 1u;"),
    shader!(Memory, "memory" as "memory_4"; "const TOGETHER = 4u;"),
];
static BACKWARD_SHADERS: [Shader; 2] = [
    shader!(Memory, "memory_grad" as "memory_grad"; "const TOGETHER = 1u;"),
    shader!(Memory, "memory_grad" as "memory_grad_4"; "const TOGETHER = 4u;"),
];

static FORWARD: Signature = Signature {
    name: "memory",
    reads: &["x", "weights"],
    writes: &[("h", Access::Write), ("c", Access::Write), ("gates", Access::Write)],
};

static BACKWARD: Signature =
    Signature { name: "memory_grad", reads: &["dh", "weights", "gates", "c"], writes: &[("dpre", Access::Write)] };

/// The error permitted to a gate: that of the exponential where the sigmoid or tanh is steep.
const GATE_ERROR: f32 = 16.0 * EPS;
/// Products of a row above which a workgroup for an image takes longer than launches of a whole
/// device for every row.
const MOST_OF_ROW: usize = 1 << 18;
/// Turns of an invocation's loops that every driver takes; one of them ends loops after 65,535.
const MOST_TURNS: u64 = 60_000;

/// Channels of one image, and where a row lies in them.
#[derive(Clone, Copy)]
struct Planes {
    steps: usize,
    w: usize,
}

impl Planes {
    fn row(self, channel: usize, t: usize) -> std::ops::Range<usize> {
        let at = (channel * self.steps + t) * self.w;
        at..at + self.w
    }
}

/// y\[i\] += a·x\[i + by\] where there is such an x.
fn add_moved(y: &mut [f32], a: f32, x: &[f32], by: isize) {
    let len = y.len().saturating_sub(by.unsigned_abs());
    let (to, from) = if by < 0 { (by.unsigned_abs(), 0) } else { (0, by.unsigned_abs()) };
    if len > 0 {
        std::iter::zip(&mut y[to..to + len], &x[from..from + len]).for_each(|(y, x)| *y += a * x);
    }
}

impl Memory {
    /// Whether an image is small enough for one workgroup.
    pub fn is_small(&self) -> bool {
        let row = [4, self.hidden, self.hidden, self.taps, self.w].iter().map(|n| *n as usize).product::<usize>();
        row <= MOST_OF_ROW && self.turns_with(64) <= MOST_TURNS
    }

    /// Turns of an invocation's loops where so many share the cells of a row.
    fn turns_with(&self, wg: u32) -> u64 {
        let cells = u64::from(self.hidden) * u64::from(self.w);
        let each = 2 + u64::from(self.taps) * (1 + 4 * u64::from(self.hidden));
        u64::from(self.steps) * cells.div_ceil(u64::from(wg)) * each
    }

    /// Elements of an image's states.
    fn image(&self) -> usize {
        self.hidden as usize * self.steps as usize * self.w as usize
    }

    fn all(&self) -> usize {
        self.n as usize * self.image()
    }

    fn weights(&self) -> usize {
        4 * self.hidden as usize * self.hidden as usize * self.taps as usize
    }

    fn planes(&self) -> Planes {
        Planes { steps: self.steps as usize, w: self.w as usize }
    }

    fn macs(&self) -> u64 {
        self.all() as u64 * 4 * u64::from(self.hidden) * u64::from(self.taps)
    }

    /// Both ways to share an image's cells among invocations, blocks of `channels` by 1 or 4 positions.
    fn recipes(
        &self,
        shaders: &'static [Shader; 2],
        caps: &Caps,
        tall: [u32; 2],
        bind: impl Fn(Stage) -> Recipe,
    ) -> Vec<Recipe> {
        let recipe = |k: usize| {
            let items = self.hidden.div_ceil(tall[k]) * self.w.div_ceil([1, 4][k]);
            let most = if caps.class == Class::Lanes { 64 } else { 256 };
            let wg = items.next_power_of_two().clamp(8, most);
            let stage = Stage::new(&shaders[k], self, grid_1d(self.n as usize, caps)).constant("WG", wg);
            Recipe { name: ["cells", "blocks"][k], ..bind(stage) }
        };
        let order = if caps.class == Class::Lanes { [1, 0] } else { [0, 1] };
        order.map(recipe).into()
    }

    /// What a position takes from the row before, or gives to it: channels and taps.
    fn taps_at(&self, pos: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [w, left, taps] = [self.w, self.left, self.taps].map(|n| n as usize);
        (0..taps).filter_map(move |tap| {
            let from = (pos + tap).checked_sub(left)?;
            (from < w).then_some((tap, from))
        })
    }

    /// What the gates of channel m at a row and a position are made of, where h is of the same image
    /// and every term goes through `of` first.
    fn pre(&self, x: &[f32], weights: &[f32], h: &[f32], [m, t, pos]: [usize; 3], of: impl Fn(f64) -> f64) -> [f64; 4] {
        let (planes, hidden, taps) = (self.planes(), self.hidden as usize, self.taps as usize);
        std::array::from_fn(|gate| {
            let out = gate * hidden + m;
            let given = of(f64::from(x[planes.row(out, t)][pos]));
            let before = (0..if t == 0 { 0 } else { hidden }).flat_map(|j| self.taps_at(pos).map(move |at| (j, at)));
            let terms = before.map(|(j, (tap, from))| {
                of(f64::from(weights[(out * hidden + j) * taps + tap]) * f64::from(h[planes.row(j, t - 1)][from]))
            });
            given + terms.sum::<f64>()
        })
    }
}

impl Kernel for Memory {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let all = self.all();
        Lens { reads: vec![4 * all, self.weights()], writes: vec![all, all, 4 * all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[x, weights] = reads else { return };
        let [h, c, gates] = writes else { return };
        let (image, planes, hidden) = (self.image(), self.planes(), self.hidden as usize);
        let states = h.par_chunks_mut(image).zip(c.par_chunks_mut(image)).zip(gates.par_chunks_mut(4 * image));
        states.zip(x.par_chunks(4 * image)).for_each(|(((h, c), gates), x)| {
            for t in 0..planes.steps {
                for (m, pos) in (0..hidden).flat_map(|m| (0..planes.w).map(move |pos| (m, pos))) {
                    let pre = self.pre(x, weights, h, [m, t, pos], |term| term);
                    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
                    let [o, f, i, g] = [sigmoid(pre[0]), sigmoid(pre[1]), sigmoid(pre[2]), pre[3].tanh()];
                    let before = if t == 0 { 0.0 } else { f64::from(c[planes.row(m, t - 1)][pos]) };
                    let now = f * before + i * g;
                    c[planes.row(m, t)][pos] = now as f32;
                    h[planes.row(m, t)][pos] = (o * now.tanh()) as f32;
                    for (gate, value) in [o, f, i, g].into_iter().enumerate() {
                        gates[planes.row(gate * hidden + m, t)][pos] = value as f32;
                    }
                }
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[x, weights] = reads else { return };
        let [h, c, gates] = writes else { return };
        let (image, planes, hidden, taps) = (self.image(), self.planes(), self.hidden as usize, self.taps as usize);
        let states = h.par_chunks_mut(image).zip(c.par_chunks_mut(image)).zip(gates.par_chunks_mut(4 * image));
        states.zip(x.par_chunks(4 * image)).for_each(|(((h, c), gates), x)| {
            for t in 0..planes.steps {
                for out in 0..4 * hidden {
                    let pre = &mut gates[planes.row(out, t)];
                    pre.copy_from_slice(&x[planes.row(out, t)]);
                    for j in 0..if t == 0 { 0 } else { hidden } {
                        let (row, before) = (&weights[(out * hidden + j) * taps..][..taps], &h[planes.row(j, t - 1)]);
                        for (tap, a) in row.iter().enumerate() {
                            add_moved(pre, *a, before, tap as isize - self.left as isize);
                        }
                    }
                    let is_gate = out < 3 * hidden;
                    pre.iter_mut().for_each(|x| *x = if is_gate { 1.0 / (1.0 + (-*x).exp()) } else { x.tanh() });
                }
                for (m, pos) in (0..hidden).flat_map(|m| (0..planes.w).map(move |pos| (m, pos))) {
                    let [o, f, i, g] = [0, 1, 2, 3].map(|gate| gates[planes.row(gate * hidden + m, t)][pos]);
                    let before = if t == 0 { 0.0 } else { c[planes.row(m, t - 1)][pos] };
                    let now = f * before + i * g;
                    c[planes.row(m, t)][pos] = now;
                    h[planes.row(m, t)][pos] = o * now.tanh();
                }
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        self.recipes(&FORWARD_SHADERS, caps, [1, 1], |stage| Recipe::single("cells", stage.operands(&FORWARD)))
    }

    fn flops(&self) -> u64 {
        2 * self.macs() + 4 * self.all() as u64
    }

    fn turns(&self) -> u64 {
        self.turns_with(256)
    }

    fn label(&self) -> String {
        let Memory { n, hidden, steps, w, taps, left } = self;
        format!("h[{n},{hidden},{steps},{w}] w[{taps}] left {left}")
    }
}

impl Checks for Memory {
    /// Weights so small that no error grows from row to row.
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let most = if operand == Operand::Read(1) { 2.0 / (self.hidden * self.taps) as f32 } else { 3.0 };
        (0..len).map(|_| most * (2.0 * draw() - 1.0)).collect()
    }

    /// Errors of a row's states are handed to the next.
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[x, weights] = reads else { return Vec::new() };
        let (image, planes, hidden, taps) = (self.image(), self.planes(), self.hidden as usize, self.taps as usize);
        let mut bounds = [self.all(), self.all(), 4 * self.all()].map(|len| vec![0.0f32; len]);
        for n in 0..self.n as usize {
            let [h, c] = [0, 1].map(|k| &reference[k][n * image..][..image]);
            let (x, gates) = (&x[n * 4 * image..][..4 * image], &reference[2][n * 4 * image..][..4 * image]);
            let [eh, ec, eg] = &mut bounds;
            let (eh, ec) = (&mut eh[n * image..][..image], &mut ec[n * image..][..image]);
            let eg = &mut eg[n * 4 * image..][..4 * image];
            for t in 0..planes.steps {
                for (m, pos) in (0..hidden).flat_map(|m| (0..planes.w).map(move |pos| (m, pos))) {
                    let most = self.pre(x, weights, h, [m, t, pos], f64::abs);
                    for (gate, most) in most.iter().enumerate() {
                        let out = gate * hidden + m;
                        let before =
                            (0..if t == 0 { 0 } else { hidden }).flat_map(|j| self.taps_at(pos).map(move |at| (j, at)));
                        let handed: f32 = before
                            .map(|(j, (tap, from))| {
                                weights[(out * hidden + j) * taps + tap].abs() * eh[planes.row(j, t - 1)][from]
                            })
                            .sum();
                        eg[planes.row(out, t)][pos] = GATE_ERROR + sum_bound(hidden * taps + 1, *most as f32) + handed;
                    }
                    let of = |all: &[f32], gate: usize| all[planes.row(gate * hidden + m, t)][pos].abs();
                    let before = |all: &[f32]| if t == 0 { 0.0 } else { all[planes.row(m, t - 1)][pos].abs() };
                    let now = of(gates, 1) * before(ec)
                        + before(c) * of(eg, 1)
                        + of(gates, 2) * of(eg, 3)
                        + of(gates, 3) * of(eg, 2)
                        + 4.0 * EPS * (before(c) + 1.0);
                    ec[planes.row(m, t)][pos] = now;
                    eh[planes.row(m, t)][pos] = now + of(eg, 0) + GATE_ERROR;
                }
            }
        }
        bounds.into()
    }
}

impl MemoryGrad {
    /// What row t is given by the row after it, at a channel and a position.
    fn handed(&self, weights: &[f32], dpre: &[f32], [m, t, pos]: [usize; 3], of: impl Fn(f64) -> f64) -> f64 {
        let Memory { hidden, taps, left, w, .. } = self.0;
        let [hidden, taps, left, w] = [hidden, taps, left, w].map(|n| n as usize);
        let planes = self.0.planes();
        if t + 1 == planes.steps {
            return 0.0;
        }
        let of_gate = |out: usize| {
            let row = &dpre[planes.row(out, t + 1)];
            let term = |tap: usize| {
                let from = (pos + left).checked_sub(tap).filter(|from| *from < w)?;
                Some(of(f64::from(weights[(out * hidden + m) * taps + tap]) * f64::from(row[from])))
            };
            (0..taps).filter_map(term).sum::<f64>()
        };
        (0..4 * hidden).map(of_gate).sum()
    }
}

/// The gradients of o, f, i and g's sums, and of c before.
fn cell_grad([dh, dc]: [f64; 2], [o, f, i, g]: [f64; 4], before: f64, c: f64) -> ([f64; 4], f64) {
    let t = c.tanh();
    let s = dc + dh * o * (1.0 - t * t);
    ([dh * t * o * (1.0 - o), s * before * f * (1.0 - f), s * g * i * (1.0 - i), s * i * (1.0 - g * g)], s * f)
}

impl Kernel for MemoryGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let all = self.0.all();
        Lens { reads: vec![all, self.0.weights(), 4 * all, all], writes: vec![4 * all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dh, weights, gates, c] = reads else { return };
        let (image, planes, hidden) = (self.0.image(), self.0.planes(), self.0.hidden as usize);
        let given = dh.par_chunks(image).zip(gates.par_chunks(4 * image)).zip(c.par_chunks(image));
        writes[0].par_chunks_mut(4 * image).zip(given).for_each(|(dpre, ((dh, gates), c))| {
            let mut dc = vec![0.0f32; hidden * planes.w];
            for t in (0..planes.steps).rev() {
                for (m, pos) in (0..hidden).flat_map(|m| (0..planes.w).map(move |pos| (m, pos))) {
                    let dh = f64::from(dh[planes.row(m, t)][pos]) + self.handed(weights, dpre, [m, t, pos], |x| x);
                    let gates = [0, 1, 2, 3].map(|gate| f64::from(gates[planes.row(gate * hidden + m, t)][pos]));
                    let before = if t == 0 { 0.0 } else { f64::from(c[planes.row(m, t - 1)][pos]) };
                    let dc = &mut dc[m * planes.w + pos];
                    let (pre, handed) =
                        cell_grad([dh, f64::from(*dc)], gates, before, f64::from(c[planes.row(m, t)][pos]));
                    *dc = handed as f32;
                    for (gate, value) in pre.into_iter().enumerate() {
                        dpre[planes.row(gate * hidden + m, t)][pos] = value as f32;
                    }
                }
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dh, weights, gates, c] = reads else { return };
        let (image, planes, hidden) = (self.0.image(), self.0.planes(), self.0.hidden as usize);
        let taps = self.0.taps as usize;
        let given = dh.par_chunks(image).zip(gates.par_chunks(4 * image)).zip(c.par_chunks(image));
        writes[0].par_chunks_mut(4 * image).zip(given).for_each(|(dpre, ((dh, gates), c))| {
            let mut dc = vec![0.0f32; hidden * planes.w];
            let mut sums = vec![0.0f32; planes.w];
            for t in (0..planes.steps).rev() {
                for m in 0..hidden {
                    sums.copy_from_slice(&dh[planes.row(m, t)]);
                    for out in 0..if t + 1 == planes.steps { 0 } else { 4 * hidden } {
                        let (row, after) =
                            (&weights[(out * hidden + m) * taps..][..taps], &dpre[planes.row(out, t + 1)]);
                        for (tap, a) in row.iter().enumerate() {
                            add_moved(&mut sums, *a, after, self.0.left as isize - tap as isize);
                        }
                    }
                    for (pos, dh) in sums.iter().enumerate() {
                        let [o, f, i, g] = [0, 1, 2, 3].map(|gate| gates[planes.row(gate * hidden + m, t)][pos]);
                        let before = if t == 0 { 0.0 } else { c[planes.row(m, t - 1)][pos] };
                        let shown = c[planes.row(m, t)][pos].tanh();
                        let dc = &mut dc[m * planes.w + pos];
                        let s = *dc + dh * o * (1.0 - shown * shown);
                        *dc = s * f;
                        let pre = [
                            dh * shown * o * (1.0 - o),
                            s * before * f * (1.0 - f),
                            s * g * i * (1.0 - i),
                            s * i * (1.0 - g * g),
                        ];
                        for (gate, value) in pre.into_iter().enumerate() {
                            dpre[planes.row(gate * hidden + m, t)][pos] = value;
                        }
                    }
                }
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let cells = self.0.n as usize * self.0.hidden as usize * self.0.w as usize;
        self.0.recipes(&BACKWARD_SHADERS, caps, [1, 4], |stage| Recipe {
            name: "cells",
            scratch: vec![cells],
            stages: vec![stage.operands(&BACKWARD).bind("dc", Slot::ScratchOut(0))],
        })
    }

    fn flops(&self) -> u64 {
        2 * self.0.macs() + 22 * self.0.all() as u64
    }

    fn turns(&self) -> u64 {
        self.0.turns_with(256)
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for MemoryGrad {
    /// Gates as sigmoid and tanh make them, and weights so small that no error grows from row to
    /// row.
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => self.0.example(operand, len, draw),
            Operand::Read(2) => {
                let plane = self.0.image();
                let is_gate = |at: usize| at % (4 * plane) < 3 * plane;
                let of = |(at, u): (usize, f32)| if is_gate(at) { 0.05 + 0.9 * u } else { 1.8 * u - 0.9 };
                (0..len).map(|_| draw()).collect::<Vec<_>>().into_iter().enumerate().map(of).collect()
            }
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    /// Errors of a row's gradients are handed to the row before.
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dh, weights, gates, c] = reads else { return Vec::new() };
        let (image, planes, hidden) = (self.0.image(), self.0.planes(), self.0.hidden as usize);
        let magnitudes: Vec<f32> = weights.iter().map(|w| w.abs()).collect();
        let mut bounds = vec![0.0f32; 4 * self.0.all()];
        for n in 0..self.0.n as usize {
            let of = |all: &'_ [f32], times: usize| all[n * times * image..][..times * image].to_vec();
            let (dh, gates, c, dpre) = (of(dh, 1), of(gates, 4), of(c, 1), of(reference[0], 4));
            let errors = &mut bounds[n * 4 * image..][..4 * image];
            // The magnitude of what goes back through c, and its error.
            let mut back = vec![[0.0f32; 2]; hidden * planes.w];
            for t in (0..planes.steps).rev() {
                for (m, pos) in (0..hidden).flat_map(|m| (0..planes.w).map(move |pos| (m, pos))) {
                    let most = self.handed(weights, &dpre, [m, t, pos], f64::abs) as f32;
                    let most = most + dh[planes.row(m, t)][pos].abs();
                    let handed = self.handed(&magnitudes, errors, [m, t, pos], f64::abs) as f32;
                    let error = sum_bound(4 * hidden * self.0.taps as usize + 1, most) + handed;
                    let [largest, behind] = &mut back[m * planes.w + pos];
                    let before = if t == 0 { 0.0 } else { c[planes.row(m, t - 1)][pos].abs() };
                    let s = *largest + most;
                    let s_error = *behind + error + 3.0 * GATE_ERROR * s;
                    let f = gates[planes.row(hidden + m, t)][pos].abs();
                    (*largest, *behind) = (s * f, s_error * f + 2.0 * EPS * s);
                    for (gate, factor) in [1.0, before, 1.0, 1.0].into_iter().enumerate() {
                        let own = if gate == 0 { error + 2.0 * GATE_ERROR * most } else { s_error };
                        errors[planes.row(gate * hidden + m, t)][pos] =
                            factor * (own + 8.0 * EPS * s) + f32::MIN_POSITIVE;
                    }
                }
            }
        }
        vec![bounds]
    }
}

/// Images, hidden channels, rows, positions, taps, and those before the position.
const CASES: [[u32; 6]; 6] = [
    [1, 1, 1, 1, 1, 0],
    [2, 3, 5, 7, 2, 1],
    [3, 5, 4, 13, 3, 1],
    [1, 67, 3, 3, 3, 2],
    [5, 8, 6, 70, 2, 0],
    [2, 2, 9, 2, 4, 1],
];

fn memory([n, hidden, steps, w, taps, left]: [u32; 6]) -> Memory {
    Memory { n, hidden, steps, w, taps, left }
}

/// Odd shapes of [`Memory`].
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.iter().map(|case| Box::new(memory(*case)) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets for [`Memory`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(memory([16, 16, 55, 28, 2, 1])), Box::new(memory([16, 16, 28, 28, 3, 1]))]
}

/// Odd shapes of [`MemoryGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES.iter().map(|case| Box::new(MemoryGrad(memory(*case))) as Box<dyn Kernel>).collect()
}

/// Shapes of the presets for [`MemoryGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(MemoryGrad(memory([16, 16, 55, 28, 2, 1]))), Box::new(MemoryGrad(memory([16, 16, 28, 28, 3, 1])))]
}
