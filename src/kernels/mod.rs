//! Kernels: parameter struct, CPU reference, cases, cost and variants, one file each, in modules by
//! kind.
//!
//! A *kernel* is what is computed: named reads and writes, a parameter block, and a CPU reference
//! that is the plain textbook loop nest with f64 accumulation. A *variant* is how a device computes
//! it: a [`Recipe`] of one or more [`Stage`]s, each one `.wgsl` entry point with its override
//! constants, bindings and grid. Every variant of a kernel is held against the same reference.
//!
//! A kernel may stand in any crate: [`params!`](crate::params) declares its block, [`Shader::new`]
//! takes its WGSL, which imports limn's pieces as [`compose`] says, and [`flat`] launches it.
//! [`crate::check::check`] holds it against its reference.
//!
//! Nothing in this module or below it knows about a GPU API.
//!
//! ```
//! use limn::kernels::{Caps, Kernel, matmul::MatMul};
//!
//! let product = MatMul::new(1, 3, 1);
//! println!("{} {}: {} operations", product.signature().name, product.label(), product.flops());
//! for recipe in product.variants(&Caps::WEBGPU) {
//!     println!("  {} in {} stages", recipe.name, recipe.stages.len());
//! }
//! let mut c = [0.0];
//! product.cpu(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], &[], &[], &[]], &mut [&mut c]);
//! assert_eq!(c, [32.0]);
//! ```

mod caps;
mod checks;
pub mod compose;
mod fuse;
mod host;
mod launch;
mod library;
mod list;
mod params;
pub mod philox;
mod recipe;
mod shader;

pub mod convolution;
pub mod measuring;
pub mod movement;
pub mod optimisers;
pub mod pixels;
pub mod pointwise;
pub mod random;
pub mod reductions;

pub use crate::params;
#[doc(hidden)]
pub use bytemuck;
pub use caps::{Caps, Class, Coop, Precision};
pub use checks::{Checks, EPS, Operand, sum_bound};
pub use compose::ComposeError;
#[doc(no_inline)]
pub use convolution::layers::MAX_LAYERS;
pub use convolution::{
    conv, conv_transpose2d, conv2d, conv2d_weight_grad, depthwise, matmul, pack_weights, sum_weight_grads,
};
pub(crate) use convolution::{last, matrix};
pub use fuse::{Epilogue, Fused};
pub use launch::{
    exact, example_clock, example_with_clock, exp_error, expm1_error, flat, grid_1d, normal_error, scales_exactly, step,
};
pub use list::{Entry, all};
#[doc(no_inline)]
pub use measuring::{multiply_add, multiply_add_matrix, subgroups};
#[doc(no_inline)]
pub use movement::{
    advance, concat, copy, decode_u8, fill, mean_of_ranks, one_hot, pulse, ramp, record, resample, strided,
};
#[doc(no_inline)]
pub use optimisers::{adam, clip, ema, rmsprop, sgd};
pub use params::{Field, Layout, Params, Part, Word, words};
#[doc(no_inline)]
pub use pixels::{at_pixel, draw_pixels, pixel_code, pixel_distribution, sample_pixel, skew};
#[doc(no_inline)]
pub use pointwise::{activation, halves, lstm, memory};
#[doc(no_inline)]
pub use random::{dropout, reparameterize, translate};
pub(crate) use recipe::APART;
pub use recipe::{Arithmetic, Recipe, Slot, Stage};
pub(crate) use reductions::columns;
#[doc(no_inline)]
pub use reductions::{batch_norm, batch_norm_grad, cross_entropy, largest, reduce, spectral, weight_norm};
pub use shader::Shader;
pub(crate) use shader::shader;

use std::fmt::Debug;
use std::sync::Arc;

/// How a kernel touches one of its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every element is overwritten; what was there before is never looked at.
    Write,
    /// Updated in place: the old contents matter (optimisers, running statistics).
    Update,
}

/// The name of a kernel and of everything it touches, in order.
#[derive(Debug)]
pub struct Signature {
    /// Kernel name, e.g. `conv2d`.
    pub name: &'static str,
    /// Names of the read bindings.
    pub reads: &'static [&'static str],
    /// Names and access of the write bindings.
    pub writes: &'static [(&'static str, Access)],
}

/// Element counts (32-bit words) of every read and write, in the order of the [`Signature`].
/// A length of zero means "absent": an optional operand such as a bias that this call lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    /// Elements of each read.
    pub reads: Vec<usize>,
    /// Elements of each write.
    pub writes: Vec<usize>,
}

/// Arithmetic and traffic one launch cannot do without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations (a multiply-add counts two). Dead taps of a mask do not count.
    pub flops: u64,
    /// Bytes read and written when every operand is touched once.
    pub bytes: u64,
}

/// Images among a kernel's operands: `[n, channels, plane]`, which may stand as `[n, plane, channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    /// Channels.
    pub channels: u32,
    /// Pixels.
    pub plane: u32,
}

/// A kernel some of whose operands have their channels last.
#[derive(Clone, Debug)]
pub struct ChannelsLast {
    /// The kernel.
    pub kernel: Arc<dyn Kernel>,
    /// Which operands these are, reads before writes.
    pub operands: Vec<bool>,
}

/// A kernel with its parameters filled in: what it is. How it is checked says [`Checks`].
pub trait Kernel: Checks + Debug + Send + Sync {
    /// Name, reads and writes.
    fn signature(&self) -> &'static Signature;

    /// Element counts of every read and write for these parameters.
    fn lens(&self) -> Lens;

    /// The CPU reference. `reads` and `writes` have the lengths of [`Kernel::lens`]. Every element
    /// of an [`Access::Write`] is overwritten.
    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]);

    /// The kernel on the CPU as a device, from the same to the same: where that pays in f32, by a
    /// matrix library or by loops as wide as the processor's vectors, the reference elsewhere. Every
    /// run gives the same bits, whatever the number of threads.
    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.cpu(reads, writes);
    }

    /// Every variant that is legal on a device with these capabilities, the best guess first.
    /// Never empty for [`Caps::WEBGPU`].
    fn variants(&self, caps: &Caps) -> Vec<Recipe>;

    /// Arithmetic of one launch.
    fn flops(&self) -> u64;

    /// Arithmetic and minimal traffic.
    fn cost(&self) -> Cost {
        let Lens { reads, writes } = self.lens();
        let updated: usize = std::iter::zip(&writes, self.signature().writes)
            .filter(|(_, (_, access))| *access == Access::Update)
            .map(|(len, _)| *len)
            .sum();
        let words = reads.iter().sum::<usize>() + writes.iter().sum::<usize>() + updated;
        Cost { flops: self.flops(), bytes: 4 * words as u64 }
    }

    /// Turns of loops that an invocation goes through at most, where so few of them work that this,
    /// not the arithmetic of all, says how long a launch takes; 0 elsewhere.
    fn turns(&self) -> u64 {
        0
    }

    /// The shape for people: `x[64,1,28,28] w[64,1,4,4] stride 2 pad 1`.
    fn label(&self) -> String;

    /// The same kernel with this done to its first write, if it can.
    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        let _ = epilogue;
        None
    }

    /// The same on `len` elements of each long operand, if it does the same to every element: a
    /// device whose bindings do not take the whole of it can then do it piece by piece. Its recipes
    /// have no scratch.
    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        let _ = len;
        None
    }

    /// Whether it is where ranks that train together take a mean: the program is cut there.
    fn is_mean_of_ranks(&self) -> bool {
        false
    }

    /// The same kernel where those of its operands, reads before writes, that are given as images have
    /// their channels last, as far as it can take them so; `None` if it can take none. Operands that are
    /// absent, or of which it does not matter, count as they are asked for.
    fn channels_last(&self, operands: &[Option<Images>]) -> Option<ChannelsLast> {
        let _ = operands;
        None
    }

    /// The first of the neighbouring elements of its only read, if all that it does is copy them: they
    /// may as well be read where they lie.
    fn piece(&self) -> Option<usize> {
        None
    }

    /// What the kernel does at one position of an image, if it works on each alone or reads others
    /// at fixed distances; images can then be drawn pixel by pixel without computing anything
    /// twice.
    fn at_pixel(&self) -> Option<at_pixel::AtPixel> {
        None
    }
}
