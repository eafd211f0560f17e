//! Parameter blocks: the uniform that a shader sees as `p`, declared once, in Rust.

use bytemuck::Pod;
use std::fmt::Write;

/// What a field of a parameter block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One word: `u32`, `i32` or `f32`.
    Word(&'static str),
    /// So many of the same, which WGSL sees as fields with a number behind their name: `c0`, `c1`.
    Array(&'static Layout, usize),
    /// A block of its own, whose fields WGSL sees with this one's name in front: `noise_seed`,
    /// `noise_stream`.
    Block(&'static [Field]),
}

/// A field of a parameter block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in Rust, with which its name in WGSL begins.
    pub name: &'static str,
    /// Byte offset in the Rust struct.
    pub offset: usize,
    /// What it is.
    pub layout: Layout,
}

/// What may be a field of a parameter block: words, arrays of fields, and other blocks.
pub trait Part: Pod {
    /// What it is.
    const LAYOUT: Layout;
}

impl Part for u32 {
    const LAYOUT: Layout = Layout::Word("u32");
}

impl Part for i32 {
    const LAYOUT: Layout = Layout::Word("i32");
}

impl Part for f32 {
    const LAYOUT: Layout = Layout::Word("f32");
}

impl<T: Part, const N: usize> Part for [T; N]
where
    [T; N]: Pod,
{
    const LAYOUT: Layout = Layout::Array(&T::LAYOUT, N);
}

/// A `#[repr(C)]` struct of 32-bit words that a shader sees as `var<uniform> p: Params`;
/// [`params!`](crate::params) declares one.
pub trait Params: Pod {
    /// Its fields in order.
    const FIELDS: &'static [Field];
}

/// A word of a parameter block as WGSL sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Name of the member of WGSL's struct.
    pub name: String,
    /// `u32`, `i32` or `f32`.
    pub ty: &'static str,
    /// Byte offset.
    pub offset: usize,
}

/// The words of a parameter block, in order.
pub fn words(fields: &[Field]) -> Vec<Word> {
    let mut found = Vec::new();
    for field in fields {
        add(field.name.into(), field.offset, &field.layout, &mut found);
    }
    found
}

/// Adds the words of a field, and tells how many bytes they are.
fn add(name: String, offset: usize, layout: &Layout, found: &mut Vec<Word>) -> usize {
    match layout {
        Layout::Word(ty) => {
            found.push(Word { name, ty, offset });
            4
        }
        Layout::Array(of, count) => {
            (0..*count).fold(0, |bytes, i| bytes + add(format!("{name}{i}"), offset + bytes, of, found))
        }
        Layout::Block(fields) => {
            let one = |f: &Field| add(format!("{name}_{}", f.name), offset + f.offset, &f.layout, found);
            fields.iter().map(one).sum()
        }
    }
}

/// The block as a struct of WGSL.
pub(super) fn wgsl(fields: &[Field]) -> String {
    let mut text = String::from("struct Params {\n");
    for word in words(fields) {
        let _ = writeln!(text, "  {}: {},", word.name, word.ty);
    }
    text + "}\n"
}

/// Declares a parameter block: a `repr(C)` struct of words, arrays and other blocks, which a shader
/// gets as `struct Params` by the line `#params` at its head, and which is held against that struct
/// when a pipeline is made.
///
/// ```
/// limn::params! {
///     /// Which numbers are drawn.
///     pub struct Noise {
///         /// Of the generator.
///         pub seed: [u32; 2],
///         /// Which of the draws of a step.
///         pub stream: u32,
///     }
/// }
/// limn::params! {
///     /// x `[len]` -> y = x + scale · noise.
///     pub struct Jitter {
///         /// Elements.
///         pub len: u32,
///         /// Of the noise.
///         pub scale: f32,
///         /// The shader has `p.noise_seed0`, `p.noise_seed1` and `p.noise_stream`.
///         pub noise: Noise,
///     }
/// }
/// ```
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$doc:meta])* $of:vis $field:ident: $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq)]
        $vis struct $name { $($(#[$doc])* $of $field: $ty,)* }

        const _: () = {
            const fn is_part<T: $crate::kernels::Part>() {}
            $(is_part::<$ty>();)*
            assert!(0 $(+ ::std::mem::size_of::<$ty>())* == ::std::mem::size_of::<$name>());
        };
        // SAFETY: the fields are plain old data, which `Part` asks for, and there is nothing
        // between them.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernels::bytemuck::Zeroable for $name {}
        // SAFETY: as above, and the struct is `repr(C)`.
        #[allow(unsafe_code)]
        unsafe impl $crate::kernels::bytemuck::Pod for $name {}

        impl $crate::kernels::Params for $name {
            const FIELDS: &'static [$crate::kernels::Field] = &[$($crate::kernels::Field {
                name: stringify!($field),
                offset: ::std::mem::offset_of!($name, $field),
                layout: <$ty as $crate::kernels::Part>::LAYOUT,
            },)*];
        }
        impl $crate::kernels::Part for $name {
            const LAYOUT: $crate::kernels::Layout =
                $crate::kernels::Layout::Block(<$name as $crate::kernels::Params>::FIELDS);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    params! {
        struct Inner {
            seed: [u32; 2],
            level: f32,
        }
    }

    params! {
        struct Outer {
            len: u32,
            inner: Inner,
            pairs: [Inner; 2],
            by: i32,
        }
    }

    #[test]
    fn arrays_and_blocks_are_words_one_after_the_other() {
        let words = words(Outer::FIELDS);
        let told: Vec<String> =
            words.iter().map(|word| format!("{}: {} @{}", word.name, word.ty, word.offset)).collect();
        let expected = [
            "len: u32 @0",
            "inner_seed0: u32 @4",
            "inner_seed1: u32 @8",
            "inner_level: f32 @12",
            "pairs0_seed0: u32 @16",
            "pairs0_seed1: u32 @20",
            "pairs0_level: f32 @24",
            "pairs1_seed0: u32 @28",
            "pairs1_seed1: u32 @32",
            "pairs1_level: f32 @36",
            "by: i32 @40",
        ];
        assert_eq!(told, expected);
        assert_eq!(size_of::<Outer>(), 44);
        let inner = Inner { seed: [1, 2], level: 0.5 };
        let outer = Outer { len: 3, inner, pairs: [inner; 2], by: -1 };
        let bytes: Vec<u32> = bytemuck::cast_slice(bytemuck::bytes_of(&outer)).to_vec();
        assert_eq!(bytes, [3, 1, 2, 0.5f32.to_bits(), 1, 2, 0.5f32.to_bits(), 1, 2, 0.5f32.to_bits(), u32::MAX]);
    }

    #[test]
    fn a_block_is_a_struct_of_wgsl() {
        let text = wgsl(Inner::FIELDS);
        assert_eq!(text, "struct Params {\n  seed0: u32,\n  seed1: u32,\n  level: f32,\n}\n");
    }
}
