//! Kernels: parameter struct, CPU twin, cases, cost and variants, one file each, in modules by kind.
//!
//! A *kernel* is what is computed: named reads and writes, a parameter block, and a CPU twin that
//! is the plain textbook loop nest with f64 accumulation. A *variant* is how a device computes it:
//! a [`Recipe`] of one or more [`Stage`]s, each one `.wgsl` entry point with its override
//! constants, bindings and grid. Every variant of a kernel is held against the same twin.
//!
//! A kernel may stand in any crate: [`params!`](crate::params) declares its block, [`Shader::new`] takes its WGSL, which
//! imports limn's pieces as [`compose`] says, and [`flat`] launches it. [`crate::check::check`] holds it against its twin.
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

pub mod compose;
mod launch;
mod library;
mod params;
pub mod philox;
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
pub use compose::ComposeError;
pub(crate) use convolution::matrix;
#[doc(no_inline)]
pub use convolution::{conv, conv_transpose2d, conv2d, conv2d_weight_grad, depthwise, matmul};
pub use launch::{
    exact, example_clock, exp_error, expm1_error, flat, normal_error, rate, rate_error, scales_exactly, step,
};
#[doc(no_inline)]
pub use measuring::{multiply_add, multiply_add_matrix, subgroups};
#[doc(no_inline)]
pub use movement::{advance, concat, copy, decode_u8, fill, one_hot, pulse, ramp, record, resample, strided};
#[doc(no_inline)]
pub use optimisers::{adam, clip, ema, rmsprop, sgd};
pub use params::{Field, Layout, Params, Part, Word, words};
#[doc(no_inline)]
pub use pixels::{draw_pixels, head, pixel_code, sample_pixel, skew};
#[doc(no_inline)]
pub use pointwise::{activation, lstm};
#[doc(no_inline)]
pub use random::{dropout, reparameterize, translate};
#[doc(no_inline)]
pub use reductions::{batch_norm, cross_entropy, largest, reduce};
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

/// What variants may rely on: the class and the limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// What the device is like.
    pub class: Class,
    /// Workgroups per grid dimension.
    pub max_groups: u32,
    /// Invocations per workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_bytes: u32,
    /// Storage bindings per stage.
    pub max_storage_bindings: u32,
    /// Bytes one storage binding may span.
    pub max_binding_bytes: u64,
    /// Invocations per subgroup where it is always the same and WGSL's subgroup operations are
    /// there, 0 otherwise.
    pub subgroup: u32,
    /// Whether the compiler of a [`Class::Lanes`] device unrolls loops over nested arrays, and
    /// indexes a flat one lane by lane. Mesa before 24; newer ones are the other way round.
    pub nested_arrays: bool,
    /// What is asked for: with [`Precision::Mixed`] variants with operands in f16 come first.
    pub precision: Precision,
    /// Whether shaders may compute in f16.
    pub f16: bool,
    /// Matrix units that multiply f16 and add in f32.
    pub coop: Option<Coop>,
}

/// How the convolution family and `matmul` compute. Tensors are f32 either way, and so are sums.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// In f32.
    #[default]
    Full,
    /// Operands of products are rounded to f16, scaled by a power of two to their tensor's largest.
    Mixed,
}

/// Cooperative matrices: products of square fragments by a subgroup's matrix units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coop {
    /// Lines and columns of a fragment, 8 or 16.
    pub edge: u32,
    /// Invocations a subgroup is expected to have; any number gives right results.
    pub subgroup: u32,
    /// 0 for matrix units. Otherwise ordinary invocations stand in for them, so many to a subgroup:
    /// tests hold the shaders' index arithmetic against the twins where there are none.
    pub emulated: u32,
}

/// The two kinds of device for which a different shape of kernel is fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A software rasteriser: invocations are SIMD lanes of a CPU core, workgroup memory is
    /// ordinary memory, and loads go lane by lane.
    Lanes,
    /// A GPU with wide warps and workgroup memory.
    Gpu,
}

impl Caps {
    /// WebGPU's default limits, which at least one variant of every kernel must fit.
    pub const WEBGPU: Caps = Caps {
        class: Class::Gpu,
        max_groups: 65535,
        max_invocations: 256,
        max_workgroup_bytes: 16384,
        max_storage_bindings: 8,
        max_binding_bytes: 128 << 20,
        subgroup: 0,
        nested_arrays: false,
        precision: Precision::Full,
        f16: false,
        coop: None,
    };
}

/// What a stage's storage binding refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The kernel's i-th read.
    Read(usize),
    /// The kernel's i-th write.
    Write(usize),
    /// The recipe's i-th scratch buffer, only read by this stage.
    ScratchIn(usize),
    /// The recipe's i-th scratch buffer, written by this stage.
    ScratchOut(usize),
}

/// One dispatch: an entry point, its constants, its parameter block, its bindings and its grid.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The shader; its entry point is always called `main`.
    pub shader: &'static Shader,
    /// Values of `override` constants. Stages that differ in these are different pipelines.
    pub constants: Vec<(&'static str, f64)>,
    /// The bytes of the uniform block at binding 0 (variable `p`).
    pub params: Vec<u8>,
    /// The fields of that block, held against the WGSL struct.
    pub fields: &'static [Field],
    /// Storage bindings from binding 1 on: the WGSL variable's name and what is bound there.
    pub bind: Vec<(&'static str, Slot)>,
    /// Workgroups per dimension.
    pub grid: [u32; 3],
}

impl Stage {
    /// A stage of `shader` with the uniform block `params` and no bindings yet.
    pub fn new<P: Params>(shader: &'static Shader, params: &P, grid: [u32; 3]) -> Self {
        Stage {
            shader,
            constants: Vec::new(),
            params: bytemuck::bytes_of(params).to_vec(),
            fields: P::FIELDS,
            bind: Vec::new(),
            grid,
        }
    }

    /// Adds a storage binding; order of calls is order of bindings.
    pub fn bind(mut self, name: &'static str, slot: Slot) -> Self {
        self.bind.push((name, slot));
        self
    }

    /// Sets an override constant.
    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }
}

/// What multiplies and adds. Each has a ceiling of its own on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// Invocations that add in f32, whatever their operands were rounded to before.
    F32,
    /// Invocations that add in f16.
    F16,
    /// Matrix units.
    Matrix,
}

/// One way to compute a kernel: scratch buffers (elements) and the stages that run in order.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Variant name, unique within the kernel, e.g. `lanes_channels`.
    pub name: &'static str,
    /// Elements of each scratch buffer; contents are undefined before the first stage.
    pub scratch: Vec<usize>,
    /// The dispatches, in order.
    pub stages: Vec<Stage>,
}

impl Recipe {
    /// A variant of a single stage without scratch.
    pub fn single(name: &'static str, stage: Stage) -> Self {
        Recipe { name, scratch: Vec::new(), stages: vec![stage] }
    }

    /// Whether it rounds operands to f16.
    pub fn mixed(&self) -> bool {
        self.stages.iter().any(|stage| stage.shader.has("f16"))
    }

    /// What most of its arithmetic is done by.
    pub fn arithmetic(&self) -> Arithmetic {
        let any = |what: fn(&Shader) -> bool| self.stages.iter().any(|stage| what(stage.shader));
        if any(|shader| shader.has("wgpu_cooperative_matrix")) {
            Arithmetic::Matrix
        } else if any(Shader::sums_in_f16) {
            Arithmetic::F16
        } else {
            Arithmetic::F32
        }
    }
}

/// A kernel with its parameters filled in.
pub trait Kernel: Debug + Send + Sync {
    /// Name, reads and writes.
    fn signature(&self) -> &'static Signature;

    /// Element counts of every read and write for these parameters.
    fn lens(&self) -> Lens;

    /// The CPU twin. `reads` and `writes` have the lengths of [`Kernel::lens`]. Every element of an
    /// [`Access::Write`] is overwritten.
    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]);

    /// The kernel on the CPU as a device, from the same to the same: in f32 by a matrix library where
    /// that pays, the twin elsewhere. Every run gives the same bits.
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

    /// Turns of loops that an invocation goes through at most, where so few of them work that this, not the
    /// arithmetic of all, says how long a launch takes; 0 elsewhere.
    fn turns(&self) -> u64 {
        0
    }

    /// The shape for people: `x[64,1,28,28] w[64,1,4,4] stride 2 pad 1`.
    fn label(&self) -> String;

    /// The same kernel with an activation applied to its first write, if it can take one.
    fn with_activation(&self, act: activation::Activation) -> Option<Arc<dyn Kernel>> {
        let _ = act;
        None
    }

    /// The same kernel adding an operand of its output's shape before the activation, and the
    /// index of the read it arrives by, if it can.
    fn with_residual(&self) -> Option<(Arc<dyn Kernel>, usize)> {
        None
    }

    /// The same kernel with its result multiplied by a gate, before any residual: 1 where an operand of
    /// its output's shape is above 0 and `slope` elsewhere. And the index of the read it arrives by.
    fn with_gate(&self, slope: f32) -> Option<(Arc<dyn Kernel>, usize)> {
        let _ = slope;
        None
    }

    /// The same on `len` elements of each long operand, if it does the same to every element: a device whose
    /// bindings do not take the whole of it can then do it piece by piece. Its recipes have no scratch.
    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        let _ = len;
        None
    }

    /// What the kernel does at one position of an image, if it works on each alone or reads others at
    /// fixed distances; images can then be drawn pixel by pixel without computing anything twice.
    fn at_pixel(&self) -> Option<pixel_code::AtPixel<'_>> {
        None
    }

    /// What `limn check` feeds operand `operand` with: by default uniform in [-1, 1), never zeros.
    /// Kernels whose operands mean something else (class indices, variances, counters, packed
    /// bytes) say what. `draw(n)` yields n uniforms in [0, 1).
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let _ = operand;
        (0..len).map(|_| 2.0 * draw() - 1.0).collect()
    }

    /// The largest permitted |GPU - twin| for every element of every write, given the reads, the
    /// old contents of the writes, and what the twin made of them. Sums use [`sum_bound`] with the
    /// sum of the magnitudes of their terms; the default suits short pointwise formulas.
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let _ = (reads, old);
        twin.iter().map(|y| y.iter().map(|v| 1e-6 + 8e-6 * v.abs()).collect()).collect()
    }

    /// The same for variants that round operands to f16; those of other kernels do not.
    fn mixed_bounds(&self, reads: &[&[f32]], old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        self.bounds(reads, old, twin)
    }

    /// Whether every write is a sum of products of its reads, or of its reads alone, times powers of two at most: of
    /// whole numbers it then makes such without rounding, in whatever order it adds them, and a term that is left
    /// out or counted twice shows.
    fn sums(&self) -> bool {
        false
    }

    /// Elements `at` of the first write as the twin would have them, and their permitted errors in this
    /// precision, without the rest: for kernels whose twin takes seconds at the sizes people train with.
    fn spots(&self, reads: &[&[f32]], at: &[usize], precision: Precision) -> Option<Vec<[f32; 2]>> {
        let _ = (reads, at, precision);
        None
    }
}

/// Which operand [`Kernel::example`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The i-th read.
    Read(usize),
    /// The old contents of the i-th write (only asked for [`Access::Update`]).
    Write(usize),
}

/// Unit round-off of f32.
pub const EPS: f32 = f32::EPSILON / 2.0;

/// Error bound of an f32 sum of `terms` products in any order whose magnitudes sum to `magnitude`:
/// γ_n = n·u / (1 - n·u) applied to Σ|terms| (Higham, Accuracy and Stability, §4.2), plus one unit
/// for the final rounding of the twin. Real sums stay far below it; a dropped term does not.
pub fn sum_bound(terms: usize, magnitude: f32) -> f32 {
    let n = (terms + 2) as f32 * EPS;
    (n / (1.0 - n.min(0.5))) * magnitude + f32::MIN_POSITIVE
}

/// Splits `groups` workgroups over x and y so that no dimension exceeds `caps.max_groups`.
/// A shader recovers the linear index as `wg.x + wg.y * num_workgroups.x` and must ignore indices
/// past its end.
pub fn grid_1d(groups: usize, caps: &Caps) -> [u32; 3] {
    let max = caps.max_groups as usize;
    let groups = groups.max(1);
    let y = groups.div_ceil(max);
    [groups.div_ceil(y) as u32, y as u32, 1]
}

/// One entry of the list of kernels: its name and the cases it is checked with.
pub struct Entry {
    /// Kernel name; masked convolutions are entries of their own.
    pub name: &'static str,
    /// Odd shapes: 1x1, primes, edges, more than 65535 workgroups, strides that do not divide.
    pub cases: fn() -> Vec<Box<dyn Kernel>>,
    /// Shapes of the presets, for `limn bench`.
    pub shapes: fn() -> Vec<Box<dyn Kernel>>,
}

/// Every kernel, in the order `limn check` runs them.
pub fn all() -> Vec<Entry> {
    macro_rules! entries {
        ($($name:literal: $cases:path, $shapes:path;)*) => {
            vec![$(Entry { name: $name, cases: $cases, shapes: $shapes },)*]
        };
    }
    entries! {
        "conv2d": conv2d::cases, conv2d::shapes;
        "conv_transpose2d": conv_transpose2d::cases, conv_transpose2d::shapes;
        "conv2d_weight_grad": conv2d_weight_grad::cases, conv2d_weight_grad::shapes;
        "masked_conv2d": conv2d::masked_cases, conv2d::masked_shapes;
        "masked_conv_transpose2d": conv_transpose2d::masked_cases, conv_transpose2d::masked_shapes;
        "masked_conv2d_weight_grad": conv2d_weight_grad::masked_cases, conv2d_weight_grad::masked_shapes;
        "depthwise_conv2d": depthwise::cases, depthwise::shapes;
        "matmul": matmul::cases, matmul::shapes;
        "pointwise": pointwise::cases, pointwise::shapes;
        "reduce_sum": reduce::cases, reduce::shapes;
        "batch_norm": batch_norm::cases, batch_norm::shapes;
        "batch_norm_grad": batch_norm::grad_cases, batch_norm::grad_shapes;
        "reparameterize": reparameterize::cases, reparameterize::shapes;
        "reparameterize_grad": reparameterize::grad_cases, reparameterize::grad_shapes;
        "random": random::random_cases, random::random_shapes;
        "fill": fill::cases, fill::shapes;
        "bernoulli": random::bernoulli_cases, random::bernoulli_shapes;
        "dropout": dropout::cases, dropout::shapes;
        "lstm_cell": lstm::cases, lstm::shapes;
        "lstm_cell_grad": lstm::grad_cases, lstm::grad_shapes;
        "skew": skew::cases, skew::shapes;
        "translate": translate::cases, translate::shapes;
        "largest": largest::cases, largest::shapes;
        "ramp": ramp::cases, ramp::shapes;
        "pulse": pulse::cases, pulse::shapes;
        "cross_entropy": cross_entropy::cases, cross_entropy::shapes;
        "cross_entropy_grad": cross_entropy::grad_cases, cross_entropy::grad_shapes;
        "strided": strided::cases, strided::shapes;
        "concat": concat::cases, concat::shapes;
        "upsample": resample::upsample_cases, resample::upsample_shapes;
        "avg_pool": resample::avg_pool_cases, resample::avg_pool_shapes;
        "sgd": sgd::cases, sgd::shapes;
        "rmsprop": rmsprop::cases, rmsprop::shapes;
        "adam": adam::cases, adam::shapes;
        "ema": ema::cases, ema::shapes;
        "clip": clip::cases, clip::shapes;
        "decode_u8": decode_u8::cases, decode_u8::shapes;
        "one_hot": one_hot::cases, one_hot::shapes;
        "advance": advance::cases, advance::shapes;
        "copy": copy::cases, copy::shapes;
        "record": record::cases, record::shapes;
        "multiply_add": multiply_add::cases, multiply_add::shapes;
        "multiply_add_matrix": multiply_add_matrix::cases, multiply_add_matrix::shapes;
        "sample_pixel": sample_pixel::cases, sample_pixel::shapes;
        "draw_pixels": draw_pixels::cases, draw_pixels::shapes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// A shader calls an operand what its kernel's signature calls it. Those whose parameter block serves several
    /// kernels have names of their own, as has an operand that is scratch in other variants.
    #[test]
    fn names_in_wgsl_are_those_of_the_signature() {
        let lanes = Caps { class: Class::Lanes, max_workgroup_bytes: 32768, subgroup: 8, ..Caps::WEBGPU };
        let large = Caps { max_storage_bindings: 64, ..Caps::WEBGPU };
        let mut serves: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        let mut scratch = BTreeSet::new();
        let mut bound = BTreeSet::new();
        for kernel in all().iter().flat_map(|entry| (entry.cases)()) {
            let signature = kernel.signature();
            let recipes =
                [Caps::WEBGPU, lanes, large].iter().flat_map(|caps| kernel.variants(caps)).collect::<Vec<_>>();
            for stage in recipes.iter().flat_map(|recipe| &recipe.stages) {
                let shader = stage.shader.name;
                let block = stage.fields.as_ptr().addr();
                serves.entry(block).or_default().insert(signature.name);
                for (name, slot) in &stage.bind {
                    match slot {
                        Slot::Read(i) => drop(bound.insert((block, shader, *name, signature.reads[*i]))),
                        Slot::Write(i) => drop(bound.insert((block, shader, *name, signature.writes[*i].0))),
                        Slot::ScratchIn(_) | Slot::ScratchOut(_) => drop(scratch.insert((shader, *name))),
                    }
                }
            }
        }
        assert!(bound.len() > 150, "{} bindings", bound.len());
        let differ = bound.iter().filter(|(block, shader, name, said)| {
            name != said && serves[block].len() == 1 && !scratch.contains(&(*shader, *name))
        });
        let differ: Vec<_> = differ.map(|(_, shader, name, said)| format!("{shader}: {name} is {said}")).collect();
        assert!(differ.is_empty(), "{differ:#?}");
    }
}
