//! Seeded inputs of a kernel, and what its reference makes of them.

use crate::kernels::{Access, Kernel, Lens, Operand, Precision, philox};
use std::cell::OnceCell;

/// Seeded inputs of a kernel and what its reference makes of them.
pub struct Example {
    /// Each read.
    pub reads: Vec<Vec<f32>>,
    /// Each write before the launch; NaN where it is only written.
    pub old: Vec<Vec<f32>>,
    /// What the launch is held against.
    pub reference: Reference,
    seed: u64,
    /// Whether all reads are whole numbers, and what a kernel that sums makes of them must be the
    /// reference's.
    pub(super) whole: bool,
    /// The reference of variants that round operands to f16, once one is checked.
    mixed: OnceCell<Reference>,
    /// The same kernel's example of whole numbers, once one is asked for.
    wholes: OnceCell<Box<Example>>,
}

/// What a launch is held against.
pub enum Reference {
    /// Each write after the reference ran, and the permitted error of each of its elements.
    All(Vec<Vec<f32>>, Vec<Vec<f32>>),
    /// Some elements of the first write, the reference's values there and the permitted errors.
    Sampled(Vec<usize>, Vec<[f32; 2]>),
    /// Nothing: it is only timed.
    Nothing,
}

/// Draws after which the inputs repeat, so that large ones cost no time: a prime, so that no
/// mistake in an index falls on an equal number.
const PERIOD: usize = 65_521;
/// Elements looked at where the reference is not asked for all.
const SPOTS: usize = 300;

/// So many elements of an operand, of numbers in [0, 1).
type Values<'a> = dyn Fn(Operand, usize, &mut dyn FnMut() -> f32) -> Vec<f32> + 'a;

impl Example {
    /// Draws inputs; nothing is known of the outputs, which start as `blank`.
    pub fn inputs(kernel: &dyn Kernel, seed: u64, blank: f32) -> Example {
        Example::drawn(kernel, seed, blank, &|operand, len, draw| kernel.example(operand, len, draw))
    }

    /// The same with what `values` makes of each operand.
    fn drawn(kernel: &dyn Kernel, seed: u64, blank: f32, values: &Values<'_>) -> Example {
        let Lens { reads, writes } = kernel.lens();
        let fill = |operand, len: usize, stream| {
            let source = philox::Stream { seed, domain: 9, stream, step: 0, first: 0 };
            let mut table: Vec<f32> = Vec::new();
            let mut next = 0;
            let mut draw = || {
                if table.len() < PERIOD {
                    table.push(source.uniform(table.len()));
                }
                next += 1;
                table[(next - 1) % PERIOD]
            };
            values(operand, len, &mut draw)
        };
        let reads = reads.iter().enumerate().map(|(i, n)| fill(Operand::Read(i), *n, i as u32)).collect();
        let old = std::iter::zip(&writes, kernel.signature().writes)
            .enumerate()
            .map(|(i, (n, (_, access)))| match access {
                Access::Write => vec![blank; *n],
                Access::Update => fill(Operand::Write(i), *n, 64 + i as u32),
            })
            .collect();
        let (mixed, wholes) = (OnceCell::new(), OnceCell::new());
        Example { reads, old, reference: Reference::Nothing, seed, whole: false, mixed, wholes }
    }

    /// Draws inputs and runs the reference.
    pub fn new(kernel: &dyn Kernel, seed: u64) -> Example {
        Example::inputs(kernel, seed, f32::NAN).with_reference(kernel)
    }

    /// Draws inputs and asks the reference for some elements, or for all if it cannot give single
    /// ones.
    pub fn sampled(kernel: &dyn Kernel, seed: u64) -> Example {
        Example::inputs(kernel, seed, f32::NAN).with_spots(kernel)
    }

    /// For a kernel that [sums](crate::kernels::Checks::sums): draws small whole numbers, none of
    /// them zero, and runs the reference. Sums of their products are exact in f32 while magnitudes
    /// add up to less than 2^24, and so are the numbers themselves in f16, so that results must be
    /// equal.
    pub fn whole(kernel: &dyn Kernel, seed: u64) -> Example {
        Example::wholes(kernel, seed).with_reference(kernel)
    }

    /// The same, and asks the reference for some elements, or for all if it cannot give single
    /// ones.
    pub fn whole_spots(kernel: &dyn Kernel, seed: u64) -> Example {
        Example::wholes(kernel, seed).with_spots(kernel)
    }

    fn wholes(kernel: &dyn Kernel, seed: u64) -> Example {
        let value = |u: f32| [-2.0, -1.0, 1.0, 2.0][(4.0 * u) as usize % 4];
        let example = Example::drawn(kernel, seed, f32::NAN, &|_, len, draw| (0..len).map(|_| value(draw())).collect());
        Example { whole: true, ..example }
    }

    fn with_reference(mut self, kernel: &dyn Kernel) -> Example {
        let mut reference = self.old.clone();
        kernel.cpu(&slices(&self.reads), &mut reference.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>());
        let bounds = match self.whole {
            true => reference.iter().map(|write| vec![0.0; write.len()]).collect(),
            false => kernel.bounds(&slices(&self.reads), &slices(&self.old), &slices(&reference)),
        };
        self.reference = Reference::All(reference, bounds);
        self
    }

    fn with_spots(mut self, kernel: &dyn Kernel) -> Example {
        let len = kernel.lens().writes[0];
        let draws = philox::Stream { seed: self.seed, domain: 9, stream: 128, step: 0, first: 0 };
        let anywhere = (0..SPOTS).map(|i| ((draws.uniform(i) * len as f32) as usize).min(len - 1));
        let ends = [0, len / 2, len - 1];
        let at: Vec<usize> = ends.into_iter().chain(anywhere).collect();
        match kernel.sampled(&slices(&self.reads), &at, Precision::Full) {
            Some(sampled) => {
                self.reference = Reference::Sampled(at, sampled);
                self
            }
            None => self.with_reference(kernel),
        }
    }

    /// An example of whole numbers beside this one, with as much of a reference, if the kernel
    /// sums.
    pub(super) fn beside(&self, kernel: &dyn Kernel) -> Option<&Example> {
        let make = || match &self.reference {
            Reference::Sampled(..) => Box::new(Example::whole_spots(kernel, self.seed)),
            Reference::All(..) | Reference::Nothing => Box::new(Example::whole(kernel, self.seed)),
        };
        kernel.sums().then(|| &**self.wholes.get_or_init(make))
    }

    /// What a variant is held against, which may round operands to f16 or not.
    pub(super) fn reference(&self, kernel: &dyn Kernel, mixed: bool) -> &Reference {
        if !mixed || self.whole {
            return &self.reference;
        }
        self.mixed.get_or_init(|| {
            let reads = slices(&self.reads);
            match &self.reference {
                Reference::All(reference, _) => {
                    let bounds = kernel.mixed_bounds(&reads, &slices(&self.old), &slices(reference));
                    Reference::All(reference.clone(), bounds)
                }
                Reference::Sampled(at, _) => {
                    let sampled = kernel.sampled(&reads, at, Precision::Mixed).unwrap_or_default();
                    Reference::Sampled(at.clone(), sampled)
                }
                Reference::Nothing => Reference::Nothing,
            }
        })
    }
}

pub(super) fn slices(data: &[Vec<f32>]) -> Vec<&[f32]> {
    data.iter().map(Vec::as_slice).collect()
}
