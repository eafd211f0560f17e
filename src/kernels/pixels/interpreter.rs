//! The interpreter of the code on the host: in the arithmetic of the reference, in f32 as
//! `--device cpu` computes, and with an error bound beside every number. `shaders/draw_pixels.wgsl`
//! is the one on devices.

use super::draw_pixels::DrawPixels;
use super::pixel_code::{Columns, Instruction, PixelCode, Scheduled, quads};
use super::pixel_distribution::PixelDistribution;
use crate::kernels::pointwise::Operation;
use crate::kernels::{philox, sum_bound};

/// How numbers are added and applied.
pub(super) trait Arithmetic {
    /// A channel of a column.
    type Value: Copy + Default + Send;
    /// A sum of products under way.
    type Sum: Copy + Default;

    /// A number with the error permitted to it.
    fn value(v: f32, error: f32) -> Self::Value;
    /// A value and the error permitted to it.
    fn with_error(v: Self::Value) -> (f32, f32);
    /// sum += x·w.
    fn add(sum: &mut Self::Sum, x: Self::Value, w: f32);
    /// round(sum + bias) + residual.
    fn total(sum: Self::Sum, bias: f32, residual: Self::Value) -> Self::Value;
    /// A pointwise operation.
    fn apply(code: Operation, a: Self::Value, b: Self::Value, c: f32) -> Self::Value;
}

/// Values in f32 and sums in this type: f64 for the reference, which rounds once; f32 throughout
/// for the CPU as a device.
macro_rules! sums_in {
    ($sum:ty) => {
        impl Arithmetic for $sum {
            type Value = f32;
            type Sum = $sum;

            #[inline]
            fn value(v: f32, _error: f32) -> f32 {
                v
            }

            #[inline]
            fn with_error(v: f32) -> (f32, f32) {
                (v, 0.0)
            }

            #[inline]
            fn add(sum: &mut $sum, x: f32, w: f32) {
                *sum += <$sum>::from(x) * <$sum>::from(w);
            }

            #[inline]
            fn total(sum: $sum, bias: f32, residual: f32) -> f32 {
                (sum + <$sum>::from(bias)) as f32 + residual
            }

            fn apply(code: Operation, a: f32, b: f32, c: f32) -> f32 {
                code.apply(a, b, c)
            }
        }
    };
}

sums_in!(f64);
sums_in!(f32);

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

    fn value(v: f32, error: f32) -> (f32, f32) {
        (v, error)
    }

    fn with_error(v: (f32, f32)) -> (f32, f32) {
        v
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
        (f64::total(s.sum, bias, residual.0), error)
    }

    fn apply(code: Operation, a: (f32, f32), b: (f32, f32), c: f32) -> (f32, f32) {
        let y = code.apply(a.0, b.0, c);
        (y, code.error(a, b, c, y))
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
    pub(super) fn run_image<A: Arithmetic>(&self, weights: &[f32], first: u32, image: &mut Image<A>) {
        let p = &self.block;
        let source = philox::Stream::of([p.seed_lo, p.seed_hi], p.domain, p.stream, 0);
        let mut sums = Vec::new();
        let (code, passes, begin) = (&*self.code, self.code.passes() as usize, p.offset as usize);
        let count = code.instructions.len();
        for j in begin..begin + p.count as usize {
            let s = first.saturating_add((j / count / passes) as u32);
            if s >= code.steps() {
                return;
            }
            let Scheduled { sweep, instruction } = &code.instructions[j % count];
            let Some([y, x]) = code.position(*sweep, s) else { continue };
            let position = Position { code, weights, y, x, pass: j / count % passes, source: &source };
            position.run(instruction, image, &mut sums);
        }
    }
}

/// One position of one image.
struct Position<'a> {
    code: &'a PixelCode,
    weights: &'a [f32],
    y: u32,
    x: u32,
    /// Which of a pixel's draws is next.
    pass: usize,
    source: &'a philox::Stream,
}

impl Position<'_> {
    /// The first channel of the column [dy, dx] away; `None` outside of the image.
    fn near(&self, of: &Columns, [dy, dx]: [i32; 2]) -> Option<usize> {
        let (y, x) = (self.y.checked_add_signed(dy)?, self.x.checked_add_signed(dx)?);
        (y < self.code.h && x < self.code.w).then(|| 4 * of.at(y, x, self.code.w))
    }

    /// The first channel of the column at this position.
    fn here(&self, of: &Columns) -> usize {
        4 * of.at(self.y, self.x, self.code.w)
    }

    /// What stands at a number of channels from the first of all columns, or of all weights.
    fn read<A: Arithmetic>(&self, of: &Columns, columns: &[A::Value], at: usize) -> A::Value {
        if of.fixed { A::value(self.weights[at], 0.0) } else { columns[at] }
    }

    fn load<A: Arithmetic>(&self, of: &Columns, columns: &[A::Value], channel: usize) -> A::Value {
        self.read::<A>(of, columns, self.here(of) + channel)
    }

    /// Writes `channels` of the current column, and zeros up to the next multiple of four.
    fn store<V: Copy + Default>(
        &self,
        to: &Columns,
        columns: &mut [V],
        channels: u32,
        value: impl Fn(&[V], usize) -> V,
    ) {
        for k in 0..4 * quads(channels) as usize {
            columns[self.here(to) + k] = if k < channels as usize { value(columns, k) } else { V::default() };
        }
    }

    /// Makes a draw of the current pixel where that is not known, and puts the pixel among the
    /// columns.
    fn draw<A: Arithmetic>(&self, [to, logits]: [&Columns; 2], distribution: PixelDistribution, image: &mut Image<A>) {
        let &PixelCode { h, w, colours, .. } = self.code;
        let (positions, t) = ((h * w) as usize, (self.y * w + self.x) as usize);
        let outputs = |k: usize| A::with_error(self.load::<A>(logits, image.columns, k));
        let colours = colours as usize;
        let element = (image.index * distribution.passes(colours) + self.pass) * positions + t;
        let drawn = distribution.draw([colours, self.pass], &outputs, (self.source, element));
        for (colour, (value, error)) in drawn {
            let at = colour * positions + t;
            if image.keep[at] == 0.0 {
                image.pixels[at] = A::value(value, error);
            }
        }
        let pixels = &*image.pixels;
        self.store(to, image.columns, colours as u32, |_, colour| pixels[colour * positions + t]);
    }

    fn run<A: Arithmetic>(&self, instruction: &Instruction, image: &mut Image<A>, sums: &mut Vec<A::Sum>) {
        let columns = &mut *image.columns;
        match instruction {
            Instruction::Conv { to, source, residual, inputs, channels, taps, weights, bias, then } => {
                let (rows, wide) = (4 * quads(*inputs) as usize, 4 * quads(*channels) as usize);
                sums.clear();
                sums.resize(wide, A::Sum::default());
                for (tap, offset) in taps.iter().enumerate() {
                    let Some(at) = self.near(source, *offset) else { continue };
                    let w = &self.weights[4 * *weights as usize + tap * rows * wide..][..rows * wide];
                    for (x, w) in std::iter::zip(&columns[at..][..*inputs as usize], w.chunks_exact(wide)) {
                        std::iter::zip(sums.iter_mut(), w).for_each(|(sum, w)| A::add(sum, *x, *w));
                    }
                }
                let none = A::Value::default();
                self.store(to, columns, *channels, |columns, k| {
                    let residual = residual.map_or(none, |r| self.load::<A>(&r, columns, k));
                    let y = A::total(sums[k], self.weights[4 * *bias as usize + k], residual);
                    then.map_or(y, |(code, c)| A::apply(code, y, none, c))
                });
            }
            Instruction::Pointwise { to, a, b, channels, operation: (code, c) } => {
                self.store(to, columns, *channels, |columns, k| {
                    let a = self.load::<A>(a, columns, k);
                    A::apply(*code, a, b.map_or(a, |b| self.load::<A>(&b, columns, k)), *c)
                });
            }
            Instruction::Join { to, a, b, a_channels, start, channels, offset } => {
                let (near, a_channels) = (self.near(a, *offset), *a_channels as usize);
                self.store(to, columns, *channels, |columns, k| match (*start as usize + k, b) {
                    (k, _) if k < a_channels => {
                        near.map_or_else(Default::default, |at| self.read::<A>(a, columns, at + k))
                    }
                    (k, Some(b)) => self.load::<A>(b, columns, k - a_channels),
                    _ => A::Value::default(),
                });
            }
            Instruction::Draw { to, logits, distribution } => self.draw([to, logits], *distribution, image),
        }
    }
}
