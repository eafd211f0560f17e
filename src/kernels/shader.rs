//! Shader sources and parameter blocks.

use bytemuck::Pod;

/// A WGSL source file with the library pieces it stands on.
#[derive(Debug)]
pub struct Shader {
    /// File name without `.wgsl`, or another name if the file is used with different pieces.
    pub name: &'static str,
    /// Pieces of `shaders/lib/` that go in front, then the file itself: WGSL has no include.
    pub parts: &'static [&'static str],
}

impl Shader {
    /// The whole module.
    pub fn source(&self) -> String {
        self.parts.concat()
    }

    /// Whether the module enables a WGSL extension.
    pub fn has(&self, extension: &str) -> bool {
        self.begins(&format!("enable {extension};"))
    }

    /// Whether it adds in f16, which a shader's first piece says by what `Sum` stands for.
    pub fn sums_in_f16(&self) -> bool {
        self.begins("alias Sum = f16;")
    }

    /// Whether the first piece has this line.
    fn begins(&self, wanted: &str) -> bool {
        self.parts.first().is_some_and(|part| part.lines().any(|line| line == wanted))
    }
}

/// One 32-bit field of a parameter block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Field name, the same in Rust and WGSL.
    pub name: &'static str,
    /// Byte offset in the Rust struct.
    pub offset: usize,
    /// `u32`, `i32` or `f32`.
    pub ty: &'static str,
}

/// A `#[repr(C)]` struct of 32-bit scalars that a shader sees as `var<uniform> p`.
pub trait Params: Pod {
    /// Its fields in order.
    const FIELDS: &'static [Field];
}

/// Declares a parameter block: a `repr(C)` Pod struct and the list of fields that is held against
/// the WGSL struct when a pipeline is made.
macro_rules! params {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $ty:ident,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }
        impl $crate::kernels::Params for $name {
            const FIELDS: &'static [$crate::kernels::Field] = &[$($crate::kernels::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field),
                ty: stringify!($ty),
            },)*];
        }
    };
}
pub(crate) use params;

/// Names a shader of `shaders/` and the pieces of `shaders/lib/` in front of it. The same file with
/// other pieces (another width of its elements, say) is another shader: `"adam" as "adam4"`. A piece
/// of text may come first: `"lanes" as "lanes_8"; "const BLOCKS = 8u;";`.
macro_rules! shader {
    ($name:literal $(, $lib:expr)*) => {
        $crate::kernels::shader!($name as $name $(, $lib)*)
    };
    ($name:literal as $id:expr $(; $text:expr;)? $(, $lib:expr)*) => {
        $crate::kernels::Shader {
            name: $id,
            parts: &[
                $($text,)?
                $(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/lib/", $lib, ".wgsl")), "\n",)*
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")),
            ],
        }
    };
}
pub(crate) use shader;
