//! Shader sources.

use std::sync::OnceLock;

use super::compose::{self, ComposeError};
use super::params::{Field, Params};

/// A WGSL source file, whose head may import pieces of limn's library;
/// [`compose`](crate::kernels::compose) tells what a head may say.
///
/// ```
/// use limn::kernels::Shader;
///
/// static SCALE: Shader = Shader::new("scale", "
/// #import flat
/// override WG: u32 = 64;
/// @group(0) @binding(0) var<storage, read_write> y: array<f32>;
/// @compute @workgroup_size(WG)
/// fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
///         @builtin(local_invocation_index) lane: u32) {
///   let range = flat_range(arrayLength(&y), wg, groups, lane);
///   for (var i = range.first; i < range.end; i += WG) { y[i] *= 2.0; }
/// }
/// ");
/// assert!(SCALE.source().unwrap().contains("fn flat_range"));
/// ```
#[derive(Debug)]
pub struct Shader {
    /// A name for messages and tools: that of the file, or another where it is used in several
    /// ways.
    pub name: &'static str,
    pub(super) file: &'static str,
    /// Text in front of everything else.
    pub(super) front: &'static str,
    /// What stands for the open parts of names of imports.
    pub(super) choices: &'static [(&'static str, &'static str)],
    /// Pieces of its own, which come before those of the library.
    pub(super) pieces: &'static [(&'static str, &'static str)],
    /// The block that it sees as `Params`.
    pub(super) fields: &'static [Field],
    unchecked: bool,
    source: OnceLock<Result<String, ComposeError>>,
}

impl Shader {
    /// A shader of this text, with an entry point `main`.
    pub const fn new(name: &'static str, text: &'static str) -> Shader {
        Shader {
            name,
            file: text,
            front: "",
            choices: &[],
            pieces: &[],
            fields: &[],
            unchecked: false,
            source: OnceLock::new(),
        }
    }

    /// Fills in the open parts of names of imports: with `("width", "4")`, `#import width$width` is
    /// an import of `width4`.
    #[must_use]
    pub const fn with(mut self, choices: &'static [(&'static str, &'static str)]) -> Shader {
        self.choices = choices;
        self
    }

    /// Puts a text in front, such as the value of a constant that has no override because it is the
    /// length of an array.
    #[must_use]
    pub const fn front(mut self, text: &'static str) -> Shader {
        self.front = text;
        self
    }

    /// Adds pieces that it may import, as names and texts. They come before those of limn of the
    /// same name.
    #[must_use]
    pub const fn library(mut self, pieces: &'static [(&'static str, &'static str)]) -> Shader {
        self.pieces = pieces;
        self
    }

    /// Gives it the parameter block that the line `#params` at its head declares as
    /// `struct Params`.
    #[must_use]
    pub const fn params<P: Params>(mut self) -> Shader {
        self.fields = P::FIELDS;
        self
    }

    /// Compiles it without the checks of indices and loops that a shader has otherwise.
    ///
    /// # Safety
    /// With every parameter block that its kernel makes, all indices are inside of their buffers
    /// and all loops end. `limn check` runs a kernel's cases with the checks on and with canaries
    /// behind every operand.
    #[must_use]
    #[allow(unsafe_code, reason = "who calls it vouches for a shader")]
    pub const unsafe fn unchecked(mut self) -> Shader {
        self.unchecked = true;
        self
    }

    /// Whether it does without checks, see [`Shader::unchecked`].
    pub const fn is_unchecked(&self) -> bool {
        self.unchecked
    }

    /// The whole module, put together when it is first asked for.
    pub fn source(&self) -> Result<&str, &ComposeError> {
        self.source.get_or_init(|| compose::compose(self)).as_deref()
    }

    /// Names and texts of the files that it is made of, its own last.
    pub fn files(&self) -> Result<Vec<(&'static str, &'static str)>, ComposeError> {
        Ok(compose::pieces(self)?.into_iter().map(|piece| (piece.name, piece.text)).collect())
    }

    /// Whether the module enables a WGSL extension.
    pub fn has(&self, extension: &str) -> bool {
        self.says(&format!("enable {extension};"))
    }

    /// Whether it adds in f16, which a shader says by what `Sum` stands for.
    pub fn sums_in_f16(&self) -> bool {
        self.says("alias Sum = f16;")
    }

    /// Whether the module has this line.
    fn says(&self, wanted: &str) -> bool {
        self.source().is_ok_and(|source| source.lines().any(|line| line == wanted))
    }
}

/// Names a shader of `shaders/` by its parameter block and its file:
/// `shader!(Sgd, "sgd", width = "1")`. The same file with other pieces behind the open parts of its
/// imports is another shader: `shader!(Sgd, "sgd" as "sgd4", width = "4")`. Text in front comes
/// last: `shader!(PixelBlock, "draw_pixels" as "draw_pixels_4"; "const G = 4u;")`.
macro_rules! shader {
    ($block:ty, $file:literal $(, $slot:ident = $value:expr)* $(; $text:expr)?) => {
        $crate::kernels::shader!($block, $file as $file $(, $slot = $value)* $(; $text)?)
    };
    ($block:ty, $file:literal as $name:expr $(, $slot:ident = $value:expr)* $(; $text:expr)?) => {{
        let shader = $crate::kernels::Shader::new(
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file, ".wgsl")),
        )
        .params::<$block>()
        .with(&[$((stringify!($slot), $value)),*])
        $(.front($text))?;
        #[allow(unsafe_code)]
        // SAFETY: every loop in limn's shaders is bounded by its parameter block, and `limn check`
        // runs each one with the checks on and with canaries behind every operand.
        let shader = unsafe { shader.unchecked() };
        shader
    }};
}
pub(crate) use shader;
