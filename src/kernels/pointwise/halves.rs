//! Layers whose two halves of channels are made of, or make, one: gates (van den Oord et al.,
//! "Conditional Image Generation with PixelCNN Decoders", NeurIPS 2016, equation 2) and the
//! exponential unit of x beside that of -x (Shang, Sohn, Almeida & Lee, "Understanding and Improving
//! Convolutional Neural Networks via Concatenated Rectified Linear Units", ICML 2016, with ELU).

use super::Operation;
use crate::kernels::activation::{Activation, ActivationBlock};
use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// x `[outer, 2, half]`, residual `[outer, half]` or none -> y `[outer, half]`
    /// = f(x\[first half\]) sigmoid(x\[second half\]) + residual.
    pub struct Gate {
        /// Images.
        pub outer: u32,
        /// Elements of a half of an image.
        pub half: u32,
        /// 1 if a residual is added.
        pub residual: u32,
        /// f: none or tanh.
        pub act: ActivationBlock,
    }
}

/// dy `[outer, half]`, x `[outer, 2, half]` -> dx `[outer, 2, half]` of [`Gate`].
#[derive(Clone, Copy, Debug)]
pub struct GateGrad(pub Gate);

params! {
    /// x `[outer, half]` -> y `[outer, 2, half]`: ELU of x, and of -x.
    pub struct ConcatElu {
        /// Images.
        pub outer: u32,
        /// Elements of an image of x.
        pub half: u32,
    }
}

/// dy, y `[outer, 2, half]` -> dx `[outer, half]` of [`ConcatElu`].
#[derive(Clone, Copy, Debug)]
pub struct ConcatEluGrad(pub ConcatElu);

/// One shader at both widths of its elements.
macro_rules! widths {
    ($block:ty, $name:literal) => {
        [shader!($block, $name, width = "1"), shader!($block, $name as concat!($name, "4"), width = "4")]
    };
}

static GATE: [Shader; 2] = widths!(Gate, "gate");
static GATE_GRAD: [Shader; 2] = widths!(Gate, "gate_grad");
static CONCAT_ELU: [Shader; 2] = widths!(ConcatElu, "concat_elu");
static CONCAT_ELU_GRAD: [Shader; 2] = widths!(ConcatElu, "concat_elu_grad");

static GATE_SIGNATURE: Signature =
    Signature { name: "gate", reads: &["x", "residual"], writes: &[("y", Access::Write)] };
static GATE_GRAD_SIGNATURE: Signature =
    Signature { name: "gate_grad", reads: &["dy", "x"], writes: &[("grad_x", Access::Write)] };
static ELU_SIGNATURE: Signature = Signature { name: "concat_elu", reads: &["x"], writes: &[("y", Access::Write)] };
static ELU_GRAD_SIGNATURE: Signature =
    Signature { name: "concat_elu_grad", reads: &["dy", "y"], writes: &[("grad_x", Access::Write)] };

/// The error permitted to an activation: that of the exponential where it is steep.
const STEEP: f32 = 36.0 * EPS;

/// A recipe of a shader that walks over the elements of a half, four at a time where halves are
/// multiples of four.
fn recipe<P: Params + Copy>(
    shaders: &'static [Shader; 2],
    [outer, half]: [u32; 2],
    block: impl Fn(u32) -> P,
    signature: &'static Signature,
    constants: &[(&'static str, u32)],
    caps: &Caps,
) -> Vec<Recipe> {
    let make = |wide: bool| {
        let half = if wide { half / 4 } else { half };
        let stage = flat(&shaders[usize::from(wide)], &block(half), outer as usize * half as usize, caps);
        let stage = constants.iter().fold(stage, |stage, (name, value)| stage.constant(name, *value));
        Recipe::single(if wide { "vec4" } else { "scalar" }, stage.operands(signature))
    };
    if half.is_multiple_of(4) { vec![make(true), make(false)] } else { vec![make(false)] }
}

/// Images and the length of a half where channels are last, given those of half the channels, those of
/// all, and the same by planes: every pixel has its own two halves.
fn by_pixels(half: Images, whole: Option<Images>, [outer, len]: [u32; 2]) -> Option<[u32; 2]> {
    let Images { channels, plane } = half;
    let twice = Images { channels: 2 * channels, ..half };
    (whole == Some(twice) && len == channels * plane).then_some([outer * plane, channels])
}

fn sigmoid(x: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(x)).exp())
}

fn slope_of_elu(y: f32) -> f32 {
    Operation::EluSlope.apply(y, y, 0.0)
}

host::wide! {
    fn open(first: &[f32], second: &[f32], is_tanh: bool, y: &mut [f32]) {
        match is_tanh {
            true => {
                for (y, (a, b)) in std::iter::zip(y, std::iter::zip(first, second)) {
                    *y = host::tanh(*a) * host::sigmoid(*b);
                }
            }
            false => {
                for (y, (a, b)) in std::iter::zip(y, std::iter::zip(first, second)) {
                    *y = a * host::sigmoid(*b);
                }
            }
        }
    }
}

host::wide! {
    fn back_through_gate(dy: &[f32], x: &[f32], is_tanh: bool, dx: &mut [f32]) {
        let half = dy.len();
        let ((a, b), (da, db)) = (x.split_at(half), dx.split_at_mut(half));
        let (b, db) = (&b[..half], &mut db[..half]);
        match is_tanh {
            true => {
                for i in 0..half {
                    let (f, s) = (host::tanh(a[i]), host::sigmoid(b[i]));
                    da[i] = dy[i] * (1.0 - f * f) * s;
                    db[i] = dy[i] * f * s * (1.0 - s);
                }
            }
            false => {
                for i in 0..half {
                    let s = host::sigmoid(b[i]);
                    da[i] = dy[i] * s;
                    db[i] = dy[i] * a[i] * s * (1.0 - s);
                }
            }
        }
    }
}

host::wide! {
    fn elus_of(x: &[f32], y: &mut [f32]) {
        let (first, second) = y.split_at_mut(x.len());
        for (x, (a, b)) in std::iter::zip(x, std::iter::zip(first, second)) {
            // One of the two is above zero, and is what it was.
            let below = host::exp_m1(-x.abs());
            (*a, *b) = if *x > 0.0 { (*x, below) } else { (below, -*x) };
        }
    }
}

host::wide! {
    fn back_through_elus(dy: &[f32], y: &[f32], dx: &mut [f32]) {
        let half = dx.len();
        let ((da, db), (a, b)) = (dy.split_at(half), (y.split_at(half)));
        let (db, b) = (&db[..half], &b[..half]);
        let slope = |y: f32| if y > 0.0 { 1.0 } else { y + 1.0 };
        for i in 0..half {
            dx[i] = da[i] * slope(a[i]) - db[i] * slope(b[i]);
        }
    }
}

impl Gate {
    fn sizes(&self) -> [usize; 2] {
        let half = self.half as usize;
        [half, self.outer as usize * half]
    }

    fn is_tanh(&self) -> bool {
        self.act.activation() == Activation::Tanh
    }

    fn first(&self, x: f32) -> f64 {
        if self.is_tanh() { f64::from(x).tanh() } else { f64::from(x) }
    }
}

impl Kernel for Gate {
    fn signature(&self) -> &'static Signature {
        &GATE_SIGNATURE
    }

    fn lens(&self) -> Lens {
        let [_, all] = self.sizes();
        Lens { reads: vec![2 * all, self.residual as usize * all], writes: vec![all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let ([x, residual], [half, _]) = ([reads[0], reads[1]], self.sizes());
        writes[0].par_chunks_mut(half).zip(x.par_chunks(2 * half)).enumerate().for_each(|(image, (y, x))| {
            let (first, second) = x.split_at(half);
            for (i, (y, (a, b))) in std::iter::zip(y, std::iter::zip(first, second)).enumerate() {
                let beside = residual.get(image * half + i).map_or(0.0, |r| f64::from(*r));
                *y = (self.first(*a) * sigmoid(*b) + beside) as f32;
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let ([x, residual], [half, _]) = ([reads[0], reads[1]], self.sizes());
        let images = writes[0].par_chunks_mut(half).zip(x.par_chunks(2 * half)).enumerate();
        images.with_min_len((host::PIECE / half).max(1)).for_each(|(image, (y, x))| {
            let (first, second) = x.split_at(half);
            for (k, y) in y.chunks_mut(host::BLOCK).enumerate() {
                let at = k * host::BLOCK..k * host::BLOCK + y.len();
                open(&first[at.clone()], &second[at.clone()], self.is_tanh(), y);
                if let Some(residual) = residual.get(image * half + at.start..image * half + at.end) {
                    host::add(y, residual);
                }
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let block = |half| Gate { half, ..*self };
        recipe(
            &GATE,
            [self.outer, self.half],
            block,
            &GATE_SIGNATURE,
            &[("ACT", self.act.code), ("RESIDUAL", self.residual)],
            caps,
        )
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let half = operands[2]?;
        let residual = self.residual == 0 || operands[1] == Some(half);
        let [outer, inner] = by_pixels(half, operands[0], [self.outer, self.half]).filter(|_| residual)?;
        let kernel = Arc::new(Gate { outer, half: inner, ..*self });
        Some(ChannelsLast { kernel, operands: vec![true; 3] })
    }

    fn flops(&self) -> u64 {
        4 * self.sizes()[1] as u64
    }

    fn label(&self) -> String {
        let f = if self.is_tanh() { " tanh" } else { "" };
        let residual = if self.residual == 0 { "" } else { " +residual" };
        format!("x[{},2,{}]{f}{residual}", self.outer, self.half)
    }

    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        let fits = epilogue == Epilogue::Residual && self.residual == 0;
        fits.then(|| Fused { kernel: std::sync::Arc::new(Gate { residual: 1, ..*self }), read: Some(1) })
    }
}

impl Checks for Gate {
    fn example(&self, _: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        (0..len).map(|_| 6.0 * draw() - 3.0).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let [half, _] = self.sizes();
        let bound = |(i, y): (usize, &f32)| {
            let beside = reads[1].get(i).map_or(0.0, |r| r.abs());
            let most = (self.first(reads[0][i / half * 2 * half + i % half]).abs() as f32).max(EPS);
            2.0 * STEEP * most + 2.0 * EPS * (y.abs() + beside)
        };
        vec![reference[0].iter().enumerate().map(bound).collect()]
    }
}

impl Kernel for GateGrad {
    fn signature(&self) -> &'static Signature {
        &GATE_GRAD_SIGNATURE
    }

    fn lens(&self) -> Lens {
        let [_, all] = self.0.sizes();
        Lens { reads: vec![all, 2 * all], writes: vec![2 * all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, x] = reads else { return };
        let [half, _] = self.0.sizes();
        let given = dy.par_chunks(half).zip(x.par_chunks(2 * half));
        writes[0].par_chunks_mut(2 * half).zip(given).for_each(|(dx, (dy, x))| {
            let ((a, b), (da, db)) = (x.split_at(half), dx.split_at_mut(half));
            for i in 0..half {
                let (f, s, dy) = (self.0.first(a[i]), sigmoid(b[i]), f64::from(dy[i]));
                let slope = if self.0.is_tanh() { 1.0 - f * f } else { 1.0 };
                da[i] = (dy * slope * s) as f32;
                db[i] = (dy * f * s * (1.0 - s)) as f32;
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, x] = reads else { return };
        let [half, _] = self.0.sizes();
        let images = writes[0].par_chunks_mut(2 * half).zip(dy.par_chunks(half).zip(x.par_chunks(2 * half)));
        images.with_min_len((host::PIECE / half).max(1)).for_each(|(dx, (dy, x))| {
            back_through_gate(dy, x, self.0.is_tanh(), dx);
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let block = |half| Gate { half, ..self.0 };
        recipe(&GATE_GRAD, [self.0.outer, self.0.half], block, &GATE_GRAD_SIGNATURE, &[("ACT", self.0.act.code)], caps)
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let same = operands[1] == operands[2];
        let [outer, half] = by_pixels(operands[0]?, operands[1], [self.0.outer, self.0.half]).filter(|_| same)?;
        let kernel = Arc::new(GateGrad(Gate { outer, half, ..self.0 }));
        Some(ChannelsLast { kernel, operands: vec![true; 3] })
    }

    fn flops(&self) -> u64 {
        10 * self.0.sizes()[1] as u64
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for GateGrad {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        self.0.example(operand, len, draw)
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let [half, _] = self.0.sizes();
        let bound = |i: usize| {
            let (image, at) = (i / (2 * half), i % half);
            let first = self.0.first(reads[1][image * 2 * half + at]).abs() as f32;
            3.0 * STEEP * reads[0][image * half + at].abs() * first.max(1.0)
        };
        vec![(0..reference[0].len()).map(bound).collect()]
    }
}

impl Kernel for ConcatElu {
    fn signature(&self) -> &'static Signature {
        &ELU_SIGNATURE
    }

    fn lens(&self) -> Lens {
        let all = self.outer as usize * self.half as usize;
        Lens { reads: vec![all], writes: vec![2 * all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let half = self.half as usize;
        writes[0].par_chunks_mut(2 * half).zip(reads[0].par_chunks(half)).for_each(|(y, x)| {
            let (first, second) = y.split_at_mut(half);
            for ((a, b), x) in std::iter::zip(std::iter::zip(first, second), x) {
                [*a, *b] = [*x, -*x].map(|x| Activation::Elu.apply(x));
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let half = self.half as usize;
        let images = writes[0].par_chunks_mut(2 * half).zip(reads[0].par_chunks(half));
        images.with_min_len((host::PIECE / half).max(1)).for_each(|(y, x)| elus_of(x, y));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let block = |half| ConcatElu { half, ..*self };
        recipe(&CONCAT_ELU, [self.outer, self.half], block, &ELU_SIGNATURE, &[], caps)
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let [outer, half] = by_pixels(operands[0]?, operands[1], [self.outer, self.half])?;
        Some(ChannelsLast { kernel: Arc::new(ConcatElu { outer, half }), operands: vec![true; 2] })
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.outer) * u64::from(self.half)
    }

    fn label(&self) -> String {
        format!("x[{},{}]", self.outer, self.half)
    }
}

impl Checks for ConcatElu {
    fn example(&self, _: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        (0..len).map(|_| 6.0 * draw() - 3.0).collect()
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        vec![reference[0].iter().map(|y| STEEP * y.abs() + 4.0 * EPS).collect()]
    }
}

impl Kernel for ConcatEluGrad {
    fn signature(&self) -> &'static Signature {
        &ELU_GRAD_SIGNATURE
    }

    fn lens(&self) -> Lens {
        let all = self.0.outer as usize * self.0.half as usize;
        Lens { reads: vec![2 * all, 2 * all], writes: vec![all] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, y] = reads else { return };
        let half = self.0.half as usize;
        let given = dy.par_chunks(2 * half).zip(y.par_chunks(2 * half));
        writes[0].par_chunks_mut(half).zip(given).for_each(|(dx, (dy, y))| {
            for (i, dx) in dx.iter_mut().enumerate() {
                *dx = dy[i] * slope_of_elu(y[i]) - dy[half + i] * slope_of_elu(y[half + i]);
            }
        });
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, y] = reads else { return };
        let half = self.0.half as usize;
        let images = writes[0].par_chunks_mut(half).zip(dy.par_chunks(2 * half).zip(y.par_chunks(2 * half)));
        images.with_min_len((host::PIECE / half).max(1)).for_each(|(dx, (dy, y))| back_through_elus(dy, y, dx));
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let block = |half| ConcatElu { half, ..self.0 };
        recipe(&CONCAT_ELU_GRAD, [self.0.outer, self.0.half], block, &ELU_GRAD_SIGNATURE, &[], caps)
    }

    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let same = operands[0] == operands[1];
        let [outer, half] = by_pixels(operands[2]?, operands[0], [self.0.outer, self.0.half]).filter(|_| same)?;
        Some(ChannelsLast { kernel: Arc::new(ConcatEluGrad(ConcatElu { outer, half })), operands: vec![true; 3] })
    }

    fn flops(&self) -> u64 {
        5 * u64::from(self.0.outer) * u64::from(self.0.half)
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for ConcatEluGrad {
    /// What ELU makes is above -1.
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let lowest = if operand == Operand::Read(1) { -0.95 } else { -3.0 };
        (0..len).map(|_| lowest + 4.0 * draw()).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let half = self.0.half as usize;
        let bound = |i: usize| {
            let at = i / half * 2 * half + i % half;
            4.0 * EPS * (reads[0][at].abs() + reads[0][at + half].abs())
        };
        vec![(0..reference[0].len()).map(bound).collect()]
    }
}

const CASES: [[u32; 2]; 5] = [[1, 1], [3, 35], [5, 64], [70_001, 3], [2, 40_004]];
const SHAPES: [[u32; 2]; 2] = [[128, 50_176], [16, 163_840]];

fn gate([outer, half]: [u32; 2], act: Activation, residual: u32) -> Gate {
    Gate { outer, half, residual, act: act.into() }
}

/// Both kinds of gates of these shapes, the second with a residual.
fn gates(sizes: &[[u32; 2]]) -> impl Iterator<Item = Gate> {
    sizes.iter().flat_map(|size| [gate(*size, Activation::Tanh, 0), gate(*size, Activation::Identity, 1)])
}

fn boxed(kernels: impl Iterator<Item = impl Kernel + 'static>) -> Vec<Box<dyn Kernel>> {
    kernels.map(|kernel| Box::new(kernel) as Box<dyn Kernel>).collect()
}

fn elus(sizes: &[[u32; 2]]) -> impl Iterator<Item = ConcatElu> {
    sizes.iter().map(|&[outer, half]| ConcatElu { outer, half })
}

/// Odd shapes of [`Gate`].
pub fn gate_cases() -> Vec<Box<dyn Kernel>> {
    boxed(gates(&CASES))
}

/// Shapes of the presets for [`Gate`].
pub fn gate_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(gates(&SHAPES))
}

/// Odd shapes of [`GateGrad`].
pub fn gate_grad_cases() -> Vec<Box<dyn Kernel>> {
    boxed(gates(&CASES).map(|gate| GateGrad(Gate { residual: 0, ..gate })))
}

/// Shapes of the presets for [`GateGrad`].
pub fn gate_grad_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(gates(&SHAPES).map(|gate| GateGrad(Gate { residual: 0, ..gate })))
}

/// Odd shapes of [`ConcatElu`].
pub fn elu_cases() -> Vec<Box<dyn Kernel>> {
    boxed(elus(&CASES))
}

/// Shapes of the presets for [`ConcatElu`].
pub fn elu_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(elus(&SHAPES))
}

/// Odd shapes of [`ConcatEluGrad`].
pub fn elu_grad_cases() -> Vec<Box<dyn Kernel>> {
    boxed(elus(&CASES).map(ConcatEluGrad))
}

/// Shapes of the presets for [`ConcatEluGrad`].
pub fn elu_grad_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(elus(&SHAPES).map(ConcatEluGrad))
}
