//! Fused pointwise chains: up to [`MAX_STEPS`] operations on up to [`MAX_INPUTS`] operands in one
//! pass over memory.
//!
//! A chain is a short straight-line program over registers: registers `0..MAX_INPUTS` hold the
//! operands, register `MAX_INPUTS + k` the result of step `k`; the last step is the output. The
//! operations and register numbers are override constants of one shader, so every distinct chain
//! is its own pipeline and nothing is interpreted on the device.

pub mod activation;
mod derivative;
mod formula;
pub mod halves;
pub mod lstm;
pub mod memory;
mod operations;

pub use derivative::Term;
pub use formula::Formula;
pub(super) use operations::{ACTIVATE, APPLY, gate, larger};
pub use operations::{Domain, Operation};

use crate::kernels::host::BLOCK;
use crate::kernels::*;
use operations::{over, over_itself};

/// Operands of a chain.
pub const MAX_INPUTS: usize = 6;
/// Operations of a chain.
pub const MAX_STEPS: usize = 8;

/// How an operand of a chain is laid over the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Output elements that share one operand element.
    pub inner: u32,
    /// Operand elements before they repeat.
    pub period: u32,
}

/// y = an operation on y and its constant, or nothing: what behind a kernel is an activation.
pub(super) fn activate(operation: Option<(Operation, f32)>, y: &mut [f32]) {
    if let Some((operation, c)) = operation {
        over_itself(operation, c, y);
    }
}

impl Broadcast {
    /// Elements `first..` of the operand as it is laid over the output.
    fn spread(&self, x: &[f32], first: usize, to: &mut [f32]) {
        let (inner, period) = (self.inner as usize, self.period as usize);
        let mut at = 0;
        while at < to.len() {
            let i = first + at;
            let from = i / inner % period;
            // The rest of a row of the operand, or of the outputs that share one element.
            let run = if inner == 1 { period - from } else { inner - i % inner }.min(to.len() - at);
            match inner {
                1 => to[at..at + run].copy_from_slice(&x[from..from + run]),
                _ => to[at..at + run].fill(x[from]),
            }
            at += run;
        }
    }
}

/// One operation of a chain; `a` and `b` are registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainStep {
    /// What is computed.
    pub code: Operation,
    /// First operand.
    pub a: usize,
    /// Second operand; ignored by unary operations.
    pub b: usize,
    /// The constant.
    pub c: f32,
}

/// A fused chain over `len` output elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointwise {
    /// Output elements.
    pub len: usize,
    /// Operand `k` is element `(i / inner) % period` of read `k`.
    pub inputs: Vec<Broadcast>,
    /// The operations, in order.
    pub steps: Vec<ChainStep>,
}

params! {
    /// The uniform block of `pointwise.wgsl`.
    pub struct PointwiseParams {
        /// Elements.
        pub len: u32,
        /// How often each operand repeats an element.
        pub inner: [u32; MAX_INPUTS],
        /// Elements of each operand.
        pub period: [u32; MAX_INPUTS],
        /// The constant of each step.
        pub c: [f32; MAX_STEPS],
    }
}

static SIGNATURE: Signature =
    Signature { name: "pointwise", reads: &["x0", "x1", "x2", "x3", "x4", "x5"], writes: &[("y", Access::Write)] };
static SCALAR: Shader = shader!(PointwiseParams, "pointwise");
static VEC4: Shader = shader!(PointwiseParams, "pointwise_vec4");

const OPS: [&str; 8] = ["OP0", "OP1", "OP2", "OP3", "OP4", "OP5", "OP6", "OP7"];
const AS: [&str; 8] = ["A0", "A1", "A2", "A3", "A4", "A5", "A6", "A7"];
const BS: [&str; 8] = ["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"];
const KINDS: [&str; 6] = ["K0", "K1", "K2", "K3", "K4", "K5"];

impl Pointwise {
    fn constant(&self, k: usize) -> f32 {
        self.steps.get(k).map_or(0.0, |s| s.c)
    }

    fn params(&self) -> PointwiseParams {
        let of = |k: usize, what: fn(&Broadcast) -> u32| self.inputs.get(k).map_or(1, what);
        PointwiseParams {
            len: self.len as u32,
            inner: std::array::from_fn(|k| of(k, |spread| spread.inner)),
            period: std::array::from_fn(|k| of(k, |spread| spread.period)),
            c: std::array::from_fn(|k| self.constant(k)),
        }
    }

    /// How the vec4 shader may load an operand: 1 four neighbours, 2 one element for all four,
    /// 3 four neighbours of a repeating row; 0 not at all.
    fn vec4_kind(&self, s: Broadcast) -> u32 {
        let full = s.inner == 1 && s.period as usize == self.len;
        match s {
            _ if full => 1,
            _ if s.inner.is_multiple_of(4) || s.period == 1 => 2,
            _ if s.inner == 1 && s.period.is_multiple_of(4) => 3,
            _ => 0,
        }
    }

    fn stage(&self, shader: &'static Shader, kinds: &[u32], groups: usize, wg: u32, caps: &Caps) -> Stage {
        let mut stage = Stage::new(shader, &self.params(), grid_1d(groups, caps)).constant("WG", wg);
        stage = stage.constant("COUNT", self.steps.len() as u32);
        for (k, kind) in kinds.iter().enumerate() {
            stage = stage.constant(KINDS[k], *kind);
        }
        for (k, s) in self.steps.iter().enumerate() {
            stage = stage.constant(OPS[k], s.code as u32).constant(AS[k], s.a as u32);
            if s.code.is_binary() {
                stage = stage.constant(BS[k], s.b as u32);
            }
        }
        stage.operands(&SIGNATURE)
    }

    /// Runs the chain on elements `first..` of the output, block by block in f32.
    fn piece(&self, reads: &[&[f32]], first: usize, y: &mut [f32]) {
        let full = |s: &Broadcast| s.inner == 1 && s.period as usize == self.len;
        // Operands that are spread out, and what steps make, but for the last, which is y.
        let mut spread = vec![Vec::new(); self.inputs.len()];
        for (k, s) in self.inputs.iter().enumerate().filter(|(_, s)| !full(s)) {
            spread[k] = vec![if s.period == 1 { reads[k][0] } else { 0.0 }; BLOCK.min(y.len())];
        }
        let mut made = vec![[0.0f32; BLOCK]; self.steps.len() - 1];
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            let (first, len) = (first + block * BLOCK, y.len());
            for (k, s) in self.inputs.iter().enumerate().filter(|(_, s)| !full(s) && s.period > 1) {
                s.spread(reads[k], first, &mut spread[k][..len]);
            }
            for (k, s) in self.steps.iter().enumerate() {
                let (made, rest) = made.split_at_mut(k);
                let register = |r: usize| match (r.checked_sub(MAX_INPUTS), self.inputs.get(r)) {
                    (Some(step), _) => &made[step][..len],
                    (None, Some(s)) if full(s) => &reads[r][first..first + len],
                    _ => &spread[r][..len],
                };
                let (a, b) = (register(s.a), register(if s.code.is_binary() { s.b } else { s.a }));
                over(s.code, a, b, s.c, rest.first_mut().map_or(&mut *y, |to| &mut to[..len]));
            }
        }
    }

    /// Runs the chain on one output element: the registers and, beside each, its error bound.
    fn evaluate(&self, i: usize, reads: &[&[f32]]) -> (f32, f32) {
        let mut regs = [(0.0f32, 0.0f32); MAX_INPUTS + MAX_STEPS];
        for (k, s) in self.inputs.iter().enumerate() {
            regs[k].0 = reads[k][i / s.inner as usize % s.period as usize];
        }
        for (k, s) in self.steps.iter().enumerate() {
            let (a, b) = (regs[s.a], regs[s.b]);
            let y = s.code.apply(a.0, b.0, s.c);
            regs[MAX_INPUTS + k] = (y, s.code.error(a, b, s.c, y));
        }
        regs[MAX_INPUTS + self.steps.len() - 1]
    }
}

impl Kernel for Pointwise {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let mut reads: Vec<usize> = self.inputs.iter().map(|s| s.period as usize).collect();
        reads.resize(MAX_INPUTS, 0);
        Lens { reads, writes: vec![self.len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (i, y) in writes[0].iter_mut().enumerate() {
            let mut regs = [0.0f32; MAX_INPUTS + MAX_STEPS];
            for (k, s) in self.inputs.iter().enumerate() {
                regs[k] = reads[k][i / s.inner as usize % s.period as usize];
            }
            for (k, s) in self.steps.iter().enumerate() {
                regs[MAX_INPUTS + k] = s.code.apply(regs[s.a], regs[s.b], s.c);
            }
            *y = regs[MAX_INPUTS + self.steps.len() - 1];
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        host::pieces(writes[0], |first, y| self.piece(reads, first, y));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wg = if caps.class == Class::Lanes { 8 } else { 64 };
        let mut all = Vec::new();
        let kinds: Vec<u32> = self.inputs.iter().map(|s| self.vec4_kind(*s)).collect();
        if self.len.is_multiple_of(4) && !kinds.contains(&0) {
            let turns = if caps.class == Class::Lanes { (self.len / 4096).clamp(1, 16) } else { 1 };
            let groups = (self.len / 4).div_ceil(wg as usize * turns);
            let stage = self.stage(&VEC4, &kinds, groups, wg, caps).constant("TURNS", turns as u32);
            all.push(Recipe::single("vec4", stage));
        }
        let kinds: Vec<u32> =
            self.inputs.iter().map(|s| u32::from(s.inner == 1 && s.period as usize == self.len)).collect();
        let kinds: Vec<u32> = kinds.iter().map(|full| if *full == 1 { 1 } else { 2 }).collect();
        let groups = self.len.div_ceil(wg as usize);
        all.push(Recipe::single("scalar", self.stage(&SCALAR, &kinds, groups, wg, caps)));
        all
    }

    /// What is laid over whole images has them in any order, as long as all have the same.
    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let images = operands[MAX_INPUTS]?;
        let Images { channels, plane } = images;
        let mut last = vec![false; MAX_INPUTS + 1];
        let mut inputs = self.inputs.clone();
        for (k, spread) in inputs.iter_mut().enumerate() {
            let Broadcast { inner, period } = *spread;
            match (inner, period) {
                (1, period) if period as usize == self.len => last[k] = operands[k] == Some(images),
                (_, 1) => last[k] = true,
                (inner, _) if inner.is_multiple_of(channels * plane) => last[k] = true,
                (inner, period) if [inner, period] == [plane, channels] => {
                    (*spread, last[k]) = (Broadcast { inner: 1, period: channels }, true);
                }
                _ => {}
            }
        }
        last[MAX_INPUTS] = last[..inputs.len()].iter().all(|last| *last);
        let kernel = Arc::new(Pointwise { inputs, ..self.clone() });
        last[MAX_INPUTS].then_some(ChannelsLast { kernel, operands: last })
    }

    fn flops(&self) -> u64 {
        (self.len * self.steps.len()) as u64
    }

    fn label(&self) -> String {
        let steps: Vec<&str> = self.steps.iter().map(|s| s.code.name()).collect();
        let spread = |s: &Broadcast| match (s.inner, s.period) {
            (1, p) if p as usize == self.len => "full".to_string(),
            (_, 1) => "scalar".to_string(),
            (inner, period) => format!("{period}x{inner}"),
        };
        let inputs: Vec<String> = self.inputs.iter().map(spread).collect();
        format!("y[{}] {} of {}", self.len, steps.join("."), inputs.join(","))
    }
}

impl Checks for Pointwise {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        // Every second operand is kept away from zero so that quotients stay finite; of the others some are 0, where
        // masks and signs have their edge.
        let positive = self.steps.iter().any(|s| s.code.domain() == Domain::Positive);
        let second = operand == Operand::Read(1);
        let map = |u: f32| {
            if positive {
                0.1 + 3.0 * u
            } else if second {
                0.2 + 2.0 * u
            } else {
                let x = 6.0 * u - 3.0;
                if x.abs() < 0.1 { 0.0 } else { x }
            }
        };
        (0..len).map(|_| map(draw())).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        vec![(0..reference[0].len()).map(|i| self.evaluate(i, reads).1 + f32::MIN_POSITIVE).collect()]
    }
}

fn chain(len: usize, inputs: &[(u32, u32)], steps: &[(Operation, usize, usize, f32)]) -> Box<dyn Kernel> {
    Box::new(Pointwise {
        len,
        inputs: inputs.iter().map(|&(inner, period)| Broadcast { inner, period }).collect(),
        steps: steps.iter().map(|&(code, a, b, c)| ChainStep { code, a, b, c }).collect(),
    })
}

/// Every operation alone, long chains, every way to broadcast, tails, and more than 65535 groups.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    use Operation::*;
    let r = MAX_INPUTS;
    let alone = |&code: &Operation| match code.is_binary() {
        true => chain(64, &[(1, 64), (1, 64)], &[(code, 0, 1, code.example())]),
        false => chain(131, &[(1, 131)], &[(code, 0, 0, code.example())]),
    };
    let mut all: Vec<_> = Operation::ALL.iter().map(alone).collect();
    all.push(chain(1, &[(1, 1)], &[(Tanh, 0, 0, 0.0)]));
    // Broadcasts of [2, 3, 4, 5]: per channel, per sample, a row, a scalar; and their vec4 kin.
    all.push(chain(120, &[(1, 120), (20, 3)], &[(Mul, 0, 1, 0.0)]));
    all.push(chain(120, &[(1, 120), (60, 2)], &[(Sub, 0, 1, 0.0)]));
    all.push(chain(120, &[(1, 120), (1, 5), (120, 1)], &[(Mul, 0, 1, 0.0), (Add, r, 2, 0.0)]));
    all.push(chain(168, &[(1, 168), (1, 12), (7, 24)], &[(Div, 0, 1, 0.0), (Add, 2, r, 0.0)]));
    all.push(chain(77, &[(77, 1), (1, 77), (1, 11)], &[(Mul, 0, 1, 0.0), (Add, r, 2, 0.0)]));
    // Every operand spread in every way, with rows that are fours and with one that is not.
    let sum = [(Add, 0, 1, 0.0), (Mul, r, 2, 0.0), (Sub, r + 1, 3, 0.0), (Add, r + 2, 4, 0.0), (Max, r + 3, 5, 0.0)];
    for row in [5, 12] {
        let mut spread = [(1, 120), (20, 3), (60, 2), (1, row), (4, 30), (120, 1)];
        for _ in 0..spread.len() {
            all.push(chain(120, &spread, &sum));
            spread.rotate_left(1);
        }
    }
    // bce_with_logits, the gradient of tanh, and a chain that fills every step and operand.
    all.push(chain(1000, &[(1, 1000), (1, 1000)], &[(Softplus, 0, 0, 0.0), (Mul, 0, 1, 0.0), (Sub, r, r + 1, 0.0)]));
    all.push(chain(36, &[(1, 36), (1, 36)], &[(Mul, 1, 1, 0.0), (RsubC, r, 0, 1.0), (Mul, 0, r + 1, 0.0)]));
    let full = [(1, 52); MAX_INPUTS];
    let long = [
        (Add, 0, 1, 0.0),
        (Mul, r, 2, 0.0),
        (Sub, r + 1, 3, 0.0),
        (MulC, r + 2, 0, 0.1),
        (Tanh, r + 3, 0, 0.0),
        (Add, r + 4, 4, 0.0),
        (Max, r + 5, 5, 0.0),
        (Sub, r + 6, r, 0.0),
    ];
    all.push(chain(52, &full, &long));
    all.push(chain(524_289, &[(1, 524_289)], &[(MulC, 0, 0, 0.5)]));
    all
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    use Operation::*;
    let r = MAX_INPUTS;
    let n = 64 * 64 * 14 * 14;
    vec![
        chain(n, &[(1, n as u32)], &[(LeakyRelu, 0, 0, 0.2)]),
        chain(n, &[(1, n as u32), (1, n as u32)], &[(ReluMask, 1, 0, 0.2), (Mul, 0, r, 0.0)]),
        chain(n, &[(1, n as u32), (196, 64)], &[(Mul, 0, 1, 0.0)]),
        chain(128 * 784, &[(1, 128 * 784); 2], &[(Softplus, 0, 0, 0.0), (Mul, 0, 1, 0.0), (Sub, r, r + 1, 0.0)]),
    ]
}
