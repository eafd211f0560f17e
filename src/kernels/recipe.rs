//! How a device computes a kernel: stages, each one dispatch of one shader.

use super::{Field, Params, Shader, Signature};

/// Words between places that can be bound: 256 bytes, the offset alignment every GPU takes.
pub(crate) const APART: u32 = 64;

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

impl Slot {
    /// Whether the stage only reads what is bound there.
    pub fn is_read(self) -> bool {
        matches!(self, Slot::Read(_) | Slot::ScratchIn(_))
    }
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

    /// Binds all that a kernel reads and writes, by the names of its signature.
    pub fn operands(mut self, signature: &Signature) -> Self {
        self.bind.extend(signature.reads.iter().enumerate().map(|(i, name)| (*name, Slot::Read(i))));
        self.bind.extend(signature.writes.iter().enumerate().map(|(i, (name, _))| (*name, Slot::Write(i))));
        self
    }

    /// Sets an override constant.
    pub fn constant(mut self, name: &'static str, value: impl Into<f64>) -> Self {
        self.constants.push((name, value.into()));
        self
    }

    /// The value of an override constant that is a whole number, if it is set.
    pub(crate) fn value(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(of, _)| *of == name).map(|(_, value)| *value as u32)
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

    /// The variants of a stage for `len` elements: in fours where that divides them, and one by
    /// one. It is made for as many elements at a time.
    pub fn in_fours(len: u32, stage: impl Fn(u32) -> Stage) -> Vec<Recipe> {
        let fours = len.is_multiple_of(4).then(|| Recipe::single("vec4", stage(4)));
        fours.into_iter().chain([Recipe::single("scalar", stage(1))]).collect()
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
