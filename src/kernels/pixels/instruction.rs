//! The instructions of a [`PixelCode`](super::pixel_code::PixelCode), each declared once, here.
//!
//! From one declaration come the variant of [`Instruction`], which the compiler writes and the
//! interpreter reads; the words that devices read; and the WGSL that gives these words their names
//! again: `struct Conv` with the same fields and `fn as_conv`, in the piece `instructions` that
//! `shaders/draw_pixels.wgsl` imports (`limn shader draw_pixels` shows it). The words are the kind,
//! when it runs, and the fields in order.

use super::pixel_distribution::PixelDistribution;
use crate::kernels::pointwise::Operation;
use std::fmt;
use std::sync::LazyLock;

/// Fours of channels that hold `channels`.
pub fn quads(channels: u32) -> u32 {
    channels.div_ceil(4)
}

/// Where the columns of a value lie: that of (y, x) is at four number
/// base + ((y & mask)·w + x)·step of an image's columns, or of the weights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// Among the weights, the same for every image.
    pub fixed: bool,
    /// First four.
    pub base: u32,
    /// Fours from a column to its right neighbour; 0 where only the current one is kept.
    pub step: u32,
    /// Rows kept less one, where they are a power of two; all ones where every row is.
    pub mask: u32,
}

impl Columns {
    /// The four where the column of (y, x) begins in images `w` wide.
    pub fn at(&self, y: u32, x: u32, w: u32) -> usize {
        self.base as usize + (((y & self.mask) * w + x) * self.step) as usize
    }
}

/// `c3` for an image's columns from four 3 on, `w3` for weights, and how many rows are kept of what
/// is read later.
impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", if self.fixed { 'w' } else { 'c' }, self.base)?;
        match self.mask {
            _ if self.step == 0 => Ok(()),
            u32::MAX => f.write_str("[all rows]"),
            mask => write!(f, "[{} rows]", mask + 1),
        }
    }
}

/// The upper bit of the base of columns among the weights.
const FIXED: u32 = 1 << 31;
/// In place of a base or of an operation's code: there is none.
const NOTHING: u32 = u32::MAX;
/// In place of how far ahead an instruction is: it goes back over the row above.
const BACK: u32 = u32::MAX;

/// When an instruction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// With the pixel that is drawn, so many columns to the right of it.
    Ahead(u32),
    /// In a sweep from the last column to the first of the row above, before anything else of a
    /// row.
    Back,
}

/// A struct of WGSL: its name, and the names and types of its words; of a single word that word's
/// type.
type Struct = (&'static str, &'static [(&'static str, &'static str)]);

/// The taps of a code as words, a four each, and the number of the first four.
struct Taps {
    first: usize,
    words: Vec<u32>,
}

/// A field of an instruction: what it is in WGSL, and its words.
trait Field {
    const WGSL: Struct;
    fn words(&self, taps: &mut Taps) -> Vec<u32>;
}

macro_rules! fields {
    ($($ty:ty: $name:literal { $($word:literal: $of:literal),* }, |$own:ident, $taps:ident| $words:expr;)*) => {$(
        impl Field for $ty {
            const WGSL: Struct = ($name, &[$(($word, $of)),*]);

            fn words(&self, $taps: &mut Taps) -> Vec<u32> {
                let $own = self;
                $words.to_vec()
            }
        }
    )*};
}

fields! {
    u32: "u32" { "": "u32" }, |n, _taps| [*n];
    Columns: "Columns" { "base": "u32", "step": "u32", "mask": "u32" },
        |c, _taps| [c.base | if c.fixed { FIXED } else { 0 }, c.step, c.mask];
    (Operation, f32): "Operation" { "code": "u32", "c": "f32" }, |o, _taps| [o.0 as u32, o.1.to_bits()];
    // Differences to the left and above are large numbers, which wrap.
    [i32; 2]: "Offset" { "y": "u32", "x": "u32" }, |o, _taps| o.map(|d| d as u32);
    Vec<[i32; 2]>: "Taps" { "first": "u32", "count": "u32" }, |all, taps| {
        let first = taps.first + taps.words.len() / 4;
        taps.words.extend(all.iter().flat_map(|[y, x]| [*y as u32, *x as u32, 0, 0]));
        [first as u32, all.len() as u32]
    };
    PixelDistribution: "PixelDistribution" { "kind": "u32", "size": "u32" }, |d, _taps| PixelDistribution::words(*d);
}

impl<T: Field> Field for Option<T> {
    const WGSL: Struct = T::WGSL;

    fn words(&self, taps: &mut Taps) -> Vec<u32> {
        let nothing = || (0..T::WGSL.1.len()).map(|k| if k == 0 { NOTHING } else { 0 }).collect();
        self.as_ref().map_or_else(nothing, |some| some.words(taps))
    }
}

macro_rules! instructions {
    ($(#[$meta:meta])* pub enum Instruction {
        $($(#[$doc:meta])* $kind:ident { $($(#[$about:meta])* $field:ident: $ty:ty,)* })*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum Instruction {
            $($(#[$doc])* $kind { $($(#[$about])* $field: $ty,)* },)*
        }

        /// The name of every kind of instruction, by its number, and its fields.
        const KINDS: &[(&str, &[(&str, Struct)])] =
            &[$((stringify!($kind), &[$((stringify!($field), <$ty>::WGSL)),*])),*];

        impl Instruction {
            /// The name of its kind, and the words of its fields.
            fn words(&self, taps: &mut Taps) -> (&'static str, Vec<u32>) {
                match self {
                    $(Instruction::$kind { $($field),* } => (stringify!($kind), [$($field.words(taps)),*].concat()),)*
                }
            }
        }
    };
}

instructions! {
    /// One instruction: makes the column `to` of a value at the current position.
    pub enum Instruction {
        /// to = then(Σ over taps and inputs of source\[y + dy, x + dx, input\] · w\[tap, input,
        /// channel\] + bias\[channel\] + residual\[channel\]); outside of the image there are
        /// zeros.
        Conv {
            /// The result.
            to: Columns,
            /// What is read through the taps.
            source: Columns,
            /// What is added before `then`.
            residual: Option<Columns>,
            /// Channels read.
            inputs: u32,
            /// Channels made.
            channels: u32,
            /// Rows and columns from the current position to each tap.
            taps: Vec<[i32; 2]>,
            /// The four where w \[taps, 4·quads(inputs), 4·quads(channels)\] begins.
            weights: u32,
            /// The four where bias \[4·quads(channels)\] begins.
            bias: u32,
            /// A pointwise operation at the end, with its constant.
            then: Option<(Operation, f32)>,
        }
        /// to = operation(a, b), channel by channel.
        Pointwise {
            /// The result.
            to: Columns,
            /// First operand.
            a: Columns,
            /// Second operand of a binary operation.
            b: Option<Columns>,
            /// Channels.
            channels: u32,
            /// What is computed, and its constant.
            operation: (Operation, f32),
        }
        /// Channels start .. start + channels of a\[y + dy, x + dx\] followed by b\[y, x\].
        Join {
            /// The result.
            to: Columns,
            /// What comes first.
            a: Columns,
            /// What follows.
            b: Option<Columns>,
            /// Channels of `a`.
            a_channels: u32,
            /// The first channel taken.
            start: u32,
            /// Channels taken.
            channels: u32,
            /// Rows and columns from the current position to that read in a; zeros outside of the
            /// image.
            offset: [i32; 2],
        }
        /// Draws the pixel from its logits where it is not known. What follows sees it.
        Draw {
            /// Where the image's own columns lie.
            to: Columns,
            /// The logits.
            logits: Columns,
            /// The distribution.
            distribution: PixelDistribution,
        }
    }
}

/// Fours of words that an instruction takes: as many as the longest.
fn fours() -> usize {
    let words = |fields: &[(_, Struct)]| 2 + fields.iter().map(|(_, of)| of.1.len()).sum::<usize>();
    KINDS.iter().map(|(_, fields)| words(fields)).max().unwrap_or(0).div_ceil(4)
}

/// The code as devices read it: every instruction, then every tap.
pub(super) fn words<'a>(code: impl ExactSizeIterator<Item = (Sweep, &'a Instruction)>) -> Vec<u32> {
    let mut taps = Taps { first: fours() * code.len(), words: Vec::new() };
    let mut all = Vec::new();
    for (k, (sweep, instruction)) in code.enumerate() {
        let (kind, fields) = instruction.words(&mut taps);
        let number = KINDS.iter().take_while(|(name, _)| *name != kind).count() as u32;
        all.extend([number, if let Sweep::Ahead(columns) = sweep { columns } else { BACK }]);
        all.extend(fields);
        all.resize(4 * fours() * (k + 1), 0);
    }
    [all, taps.words].concat()
}

/// The piece `instructions`: constants, a struct for each kind and its fields, and what makes it of
/// words.
pub(crate) static WGSL: LazyLock<String> = LazyLock::new(|| {
    let joined = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<_>>().join(", ");
    let members = |all: &[(&str, &str)]| joined(&mut all.iter().map(|(name, ty)| format!("{name}: {ty}")));
    let word = |k: usize| format!("w.v{}.{}", k / 4, ["x", "y", "z", "w"][k % 4]);
    let (fours, count, kind, ahead) = (fours(), KINDS.len(), word(0), word(1));
    let words = joined(&mut (0..fours).map(|k| format!("v{k}: vec4<u32>")));
    let loads = joined(&mut (0..fours).map(|k| format!("code[{fours}u * i + {k}u]")));
    let mut text = format!(
        "// Made of the declarations in src/kernels/pixels/instruction.rs.\n
#import distributions
#expects var code: array<vec4<u32>>\n
const FIXED = {FIXED:#x}u;\nconst NOTHING = {NOTHING:#x}u;\nconst BACK = {BACK:#x}u;\nconst KINDS = {count}u;\n
struct Words {{ {words} }}
fn words(i: u32) -> Words {{ return Words({loads}); }}
fn kind_of(w: Words) -> u32 {{ return {kind}; }}
fn ahead_of(w: Words) -> u32 {{ return {ahead}; }}\n\n"
    );
    let mut known = vec![PixelDistribution::WGSL, u32::WGSL];
    for (number, (kind, fields)) in KINDS.iter().enumerate() {
        for (_, of) in *fields {
            if !known.contains(of) {
                known.push(*of);
                text += &format!("struct {} {{ {} }}\n", of.0, members(of.1));
            }
        }
        let own: Vec<_> = fields.iter().map(|(name, of)| (*name, of.0)).collect();
        let mut next = 2..;
        let part = |((_, ty), k): (&(&str, &str), usize)| match *ty {
            "f32" => format!("bitcast<f32>({})", word(k)),
            _ => word(k),
        };
        let values = joined(&mut fields.iter().map(|(_, (name, parts))| {
            let parts = joined(&mut parts.iter().zip(&mut next).map(part));
            if *name == "u32" { parts } else { format!("{name}({parts})") }
        }));
        let (constant, lower, members) = (kind.to_uppercase(), kind.to_lowercase(), members(&own));
        text += &format!(
            "const {constant} = {number}u;\nstruct {kind} {{ {members} }}
fn as_{lower}(w: Words) -> {kind} {{ return {kind}({values}); }}\n\n"
        );
    }
    text
});

impl Instruction {
    /// Products for one image.
    pub(super) fn products(&self) -> u64 {
        match self {
            Instruction::Conv { inputs, channels, taps, .. } => {
                u64::from(*inputs) * u64::from(*channels) * taps.len() as u64
            }
            _ => 0,
        }
    }

    /// How often, at most, a lane of the smallest workgroup goes through a loop for it.
    pub fn turns(&self) -> u64 {
        const LANES: u32 = 8;
        const IMAGES: u64 = 8;
        let shared = |fours: u32| u64::from(fours.div_ceil(LANES));
        let log2_up = |n: u32| n.next_power_of_two().ilog2();
        let own = match self {
            Instruction::Conv { inputs, channels, taps, .. } => {
                let (fours, terms) = (quads(*channels), quads(*inputs));
                let q = log2_up(fours).min(3);
                let c = log2_up(terms).min(3 - q);
                let taps = u64::from((taps.len() as u32).div_ceil(1 << (3 - q - c)));
                let products = taps * (1 + u64::from(terms.div_ceil(1 << c)) * (1 + IMAGES));
                let combine = u64::from((IMAGES as u32 * (1 << q)).div_ceil(LANES)) * (1 + (1 << (3 - q)));
                shared(fours) * (1 + 2 * IMAGES + products) + combine
            }
            Instruction::Pointwise { channels, .. } => IMAGES * (1 + shared(quads(*channels))),
            Instruction::Join { channels, .. } => IMAGES * (1 + 5 * shared(quads(*channels))),
            Instruction::Draw { distribution, .. } => 4 + 3 * u64::from(distribution.classes()),
        };
        1 + own
    }

    /// Sets the weights to zero by which a convolution multiplies what stands past its last
    /// channel.
    pub(super) fn clear_padding(&self, all: &mut [f32]) {
        let Instruction::Conv { inputs, channels, taps, weights, .. } = self else { return };
        let [inputs, rows, wide] = [*inputs, 4 * quads(*inputs), 4 * quads(*channels)].map(|n| n as usize);
        let own = all[4 * *weights as usize..].chunks_exact_mut(wide).take(rows * taps.len());
        own.enumerate().filter(|(row, _)| row % rows >= inputs).for_each(|(_, row)| row.fill(0.0));
    }
}
