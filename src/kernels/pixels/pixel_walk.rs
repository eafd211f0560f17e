//! The walk over the positions of an image and the instructions at each, on the host: as the twin
//! does it, in f32 as `--device cpu` does, and with an error bound beside every number.

use super::draw_pixels::DrawPixels;
use super::head::Head;
use super::pixel_code::{Home, Instruction, PixelCode, Placed, quads};
use crate::kernels::pointwise::Code;
use crate::kernels::{philox, sum_bound};

/// How numbers are added and applied.
pub(super) trait Arithmetic {
    /// A channel of a column.
    type Value: Copy + Default;
    /// A sum of products under way.
    type Sum: Copy + Default;

    /// A weight as a value.
    fn value(w: f32) -> Self::Value;
    /// sum += x·w.
    fn add(sum: &mut Self::Sum, x: Self::Value, w: f32);
    /// round(sum + bias) + residual.
    fn total(sum: Self::Sum, bias: f32, residual: Self::Value) -> Self::Value;
    /// A pointwise operation.
    fn apply(code: Code, a: Self::Value, b: Self::Value, c: f32) -> Self::Value;
    /// A number with the error permitted to it.
    fn with_error(v: Self::Value) -> (f32, f32);
    /// The value of such a number.
    fn known(v: f32, error: f32) -> Self::Value;
}

/// As the twin counts: sums in f64, rounded once.
pub(super) struct Exact;

impl Arithmetic for Exact {
    type Value = f32;
    type Sum = f64;

    fn value(w: f32) -> f32 {
        w
    }

    fn add(sum: &mut f64, x: f32, w: f32) {
        *sum += f64::from(x) * f64::from(w);
    }

    fn total(sum: f64, bias: f32, residual: f32) -> f32 {
        (sum + f64::from(bias)) as f32 + residual
    }

    fn apply(code: Code, a: f32, b: f32, c: f32) -> f32 {
        code.apply(a, b, c)
    }

    fn with_error(v: f32) -> (f32, f32) {
        (v, 0.0)
    }

    fn known(v: f32, _error: f32) -> f32 {
        v
    }
}

/// In f32 throughout.
pub(super) struct Single;

impl Arithmetic for Single {
    type Value = f32;
    type Sum = f32;

    fn value(w: f32) -> f32 {
        w
    }

    fn add(sum: &mut f32, x: f32, w: f32) {
        *sum += x * w;
    }

    fn total(sum: f32, bias: f32, residual: f32) -> f32 {
        sum + bias + residual
    }

    fn apply(code: Code, a: f32, b: f32, c: f32) -> f32 {
        code.apply(a, b, c)
    }

    fn with_error(v: f32) -> (f32, f32) {
        (v, 0.0)
    }

    fn known(v: f32, _error: f32) -> f32 {
        v
    }
}

/// With the error permitted to each number, given those of the numbers it comes from.
pub(super) struct Bounded;

/// A sum with the magnitudes and errors of its terms.
#[derive(Clone, Copy, Default)]
pub(super) struct BoundedSum {
    sum: f64,
    magnitude: f32,
    error: f32,
    terms: usize,
}

impl Arithmetic for Bounded {
    /// A number and the error permitted to it.
    type Value = (f32, f32);
    type Sum = BoundedSum;

    fn value(w: f32) -> (f32, f32) {
        (w, 0.0)
    }

    fn add(s: &mut BoundedSum, (x, error): (f32, f32), w: f32) {
        s.sum += f64::from(x) * f64::from(w);
        s.magnitude += (x.abs() + error) * w.abs();
        s.error += error * w.abs();
        s.terms += 1;
    }

    fn total(s: BoundedSum, bias: f32, residual: (f32, f32)) -> (f32, f32) {
        let magnitude = s.magnitude + bias.abs() + residual.0.abs() + residual.1;
        let error = sum_bound(s.terms + 2, magnitude) + s.error + residual.1;
        (Exact::total(s.sum, bias, residual.0), error)
    }

    fn apply(code: Code, a: (f32, f32), b: (f32, f32), c: f32) -> (f32, f32) {
        let y = code.apply(a.0, b.0, c);
        (y, code.error(a, b, c, y))
    }

    fn with_error(v: (f32, f32)) -> (f32, f32) {
        v
    }

    fn known(v: f32, error: f32) -> (f32, f32) {
        (v, error)
    }
}

/// One image: its pixels, which of them are known, and its columns.
pub(super) struct Image<'a, A: Arithmetic> {
    pub pixels: &'a mut [A::Value],
    pub keep: &'a [f32],
    pub columns: &'a mut [A::Value],
    /// Its number among those that share a stream.
    pub index: usize,
}

impl DrawPixels {
    /// Runs the block's instructions on an image, where the clock stands at step `first`.
    pub(super) fn walk<A: Arithmetic>(&self, weights: &[f32], first: u32, image: &mut Image<A>) {
        let p = &self.block;
        let source = philox::Stream::of([p.seed_lo, p.seed_hi], p.domain, p.stream, 0);
        let mut sums = Vec::new();
        let passes = self.code.passes();
        let count = self.code.instructions.len();
        let begin = p.offset as usize;
        for j in begin..begin + p.count as usize {
            let (s, at) = (first.saturating_add((j / count) as u32 / passes), j % count);
            if s >= self.code.steps() {
                return;
            }
            let (pass, Placed { turn, instruction }) = ((j / count) as u32 % passes, &self.code.instructions[at]);
            let Some([y, x]) = self.code.position(*turn, s) else { continue };
            let mut step = Step { code: &self.code, weights, y, x };
            match instruction {
                Instruction::Draw { to, logits, head } => {
                    let pass = [pass, passes].map(|v| v as usize);
                    step.draw::<A>((to, logits, *head), &source, image, pass);
                }
                _ => step.run::<A>(instruction, image.columns, &mut sums),
            }
        }
    }
}

/// One position of one image.
struct Step<'a> {
    code: &'a PixelCode,
    weights: &'a [f32],
    y: u32,
    x: u32,
}

impl Step<'_> {
    /// The first channel of the column [dy, dx] away; `None` outside of the image.
    fn near(&self, home: &Home, [dy, dx]: [i32; 2]) -> Option<usize> {
        let (y, x) = (self.y.checked_add_signed(dy)?, self.x.checked_add_signed(dx)?);
        (y < self.code.h && x < self.code.w).then(|| 4 * home.at(y, x, self.code.w))
    }

    fn load<A: Arithmetic>(&self, home: &Home, columns: &[A::Value], channel: usize) -> A::Value {
        let at = 4 * home.at(self.y, self.x, self.code.w) + channel;
        if home.fixed { A::value(self.weights[at]) } else { columns[at] }
    }

    /// Writes `channels` of the current column, and zeros up to the next multiple of four.
    fn store<A: Arithmetic>(
        &self,
        home: &Home,
        columns: &mut [A::Value],
        channels: u32,
        mut value: impl FnMut(usize) -> A::Value,
    ) {
        let at = 4 * home.at(self.y, self.x, self.code.w);
        let column = columns[at..][..4 * quads(channels) as usize].iter_mut().enumerate();
        column.for_each(|(k, to)| *to = if k < channels as usize { value(k) } else { A::Value::default() });
    }

    /// Draws what `pass` is to draw of the current pixel where that is not known, and puts the pixel among the
    /// columns.
    fn draw<A: Arithmetic>(
        &self,
        (to, logits, head): (&Home, &Home, Head),
        source: &philox::Stream,
        image: &mut Image<A>,
        pass: [usize; 2],
    ) {
        let PixelCode { h, w, colours, .. } = self.code;
        let (positions, t) = ((h * w) as usize, (self.y * w + self.x) as usize);
        let u = head.uniforms(source, image.index, [positions, t], pass);
        let outputs = |k: usize| A::with_error(self.load::<A>(logits, image.columns, k));
        let drawn = head.draw(*colours as usize, pass[0], &outputs, u);
        for k in 0..drawn.count {
            let at = (drawn.first + k) * positions + t;
            if image.keep[at] == 0.0 {
                image.pixels[at] = A::known(drawn.values[k], drawn.errors[k]);
            }
        }
        let pixels = &*image.pixels;
        self.store::<A>(to, image.columns, *colours, |colour| pixels[colour * positions + t]);
    }

    fn run<A: Arithmetic>(&mut self, instruction: &Instruction, columns: &mut [A::Value], sums: &mut Vec<A::Sum>) {
        match instruction {
            Instruction::Conv { to, from, ci, co, taps, weights, bias, residual, then } => {
                let (rows, wide) = (4 * quads(*ci) as usize, 4 * quads(*co) as usize);
                sums.clear();
                sums.resize(wide, A::Sum::default());
                for (tap, shift) in taps.iter().enumerate() {
                    let Some(at) = self.near(from, *shift) else { continue };
                    let w = &self.weights[4 * *weights as usize + tap * rows * wide..][..rows * wide];
                    for (x, w) in std::iter::zip(&columns[at..][..*ci as usize], w.chunks_exact(wide)) {
                        std::iter::zip(sums.iter_mut(), w).for_each(|(sum, w)| A::add(sum, *x, *w));
                    }
                }
                let none = A::Value::default();
                let result: Vec<A::Value> = (0..*co as usize)
                    .map(|k| {
                        let residual = residual.map_or(none, |r| self.load::<A>(&r, columns, k));
                        let y = A::total(sums[k], self.weights[4 * *bias as usize + k], residual);
                        then.map_or(y, |(code, c)| A::apply(code, y, none, c))
                    })
                    .collect();
                self.store::<A>(to, columns, *co, |k| result[k]);
            }
            Instruction::Pointwise { to, a, b, channels, code, c } => {
                let result: Vec<A::Value> = (0..*channels as usize)
                    .map(|k| {
                        let a = self.load::<A>(a, columns, k);
                        A::apply(*code, a, b.map_or(a, |b| self.load::<A>(&b, columns, k)), *c)
                    })
                    .collect();
                self.store::<A>(to, columns, *channels, |k| result[k]);
            }
            Instruction::Join { to, a, a_channels, b, start, channels, shift } => {
                let near = self.near(a, *shift);
                let result: Vec<A::Value> = (*start as usize..(start + channels) as usize)
                    .map(|k| match (near, b) {
                        (Some(at), _) if k < *a_channels as usize => {
                            if a.fixed {
                                A::value(self.weights[at + k])
                            } else {
                                columns[at + k]
                            }
                        }
                        (_, Some(b)) if k >= *a_channels as usize => {
                            self.load::<A>(b, columns, k - *a_channels as usize)
                        }
                        _ => A::Value::default(),
                    })
                    .collect();
                self.store::<A>(to, columns, *channels, |k| result[k]);
            }
            Instruction::Draw { .. } => {}
        }
    }
}
