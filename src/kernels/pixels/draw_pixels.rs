//! Many pixels of every image drawn in one launch, each by computing its own columns only.

use super::head::Head;
use super::pixel_code::{Home, Instruction, PixelCode, Placed, Turn, quads};
use super::pixel_walk::{Arithmetic, Bounded, Exact, Image, Single};
use crate::kernels::pointwise::Code;
use crate::kernels::*;
use rayon::prelude::*;

params! {
    /// code, weights `[4 fours]`, keep `[n, colours, h·w]`, clock -> image `[n, colours, h·w]` and columns
    /// `[n, 4 columns]` updated: a step s is all instructions of the code in order, once for each
    /// pass, each at the row and column [`PixelCode::position`] has for it, if there is one; `count` of them run for every image, from number `offset` of step
    /// clock on, through as many steps as that takes. Where keep is 0, image is
    /// drawn as [`Head`] has it, with numbers of the stream at step 0: element or block
    /// ((first + n)·passes + pass)·h·w + y·w + x.
    pub struct PixelBlock {
        /// Images.
        pub n: u32,
        /// Height of an image.
        pub h: u32,
        /// Width of an image.
        pub w: u32,
        /// Colours of a pixel.
        pub colours: u32,
        /// How often the instructions run at a pixel.
        pub passes: u32,
        /// Fours in an image's columns.
        pub columns: u32,
        /// Instructions of the code.
        pub instructions: u32,
        /// Steps of a row before its first pixel.
        pub lead: u32,
        /// The first instruction is this far behind the beginning of the clock's step.
        pub offset: u32,
        /// Instructions that run.
        pub count: u32,
        /// The first image's number among those that share the stream.
        pub first: u32,
        /// Lower half of the seed.
        pub seed_lo: u32,
        /// Upper half of the seed.
        pub seed_hi: u32,
        /// Which use of randomness.
        pub stream: u32,
        /// What it is for ([`philox::Domain`]).
        pub domain: u32,
    }
}

/// The kernel: a block and the code it interprets. Devices read the code from `code`, which must hold
/// [`PixelCode::words`]; the host has it here.
#[derive(Clone, Debug)]
pub struct DrawPixels {
    /// Sizes, positions and the stream.
    pub block: PixelBlock,
    /// The code.
    pub code: Arc<PixelCode>,
}

static ONE: Shader = shader!(PixelBlock, "draw_pixels" as "draw_pixels_1"; "const G = 1u;");
static FOUR: Shader = shader!(PixelBlock, "draw_pixels" as "draw_pixels_4"; "const G = 4u;");

static EIGHT: Shader = shader!(PixelBlock, "draw_pixels" as "draw_pixels_8"; "const G = 8u;");

static SIGNATURE: Signature = Signature {
    name: "draw_pixels",
    reads: &["code", "weights", "keep", "clock"],
    writes: &[("image", Access::Update), ("columns", Access::Update)],
};

impl DrawPixels {
    /// Walks over every image; `image` and `columns` hold the arithmetic's numbers.
    fn all<A: Arithmetic>(&self, reads: &[&[f32]], image: &mut [A::Value], columns: &mut [A::Value])
    where
        A::Value: Send,
    {
        let &[_, weights, keep, clock] = reads else { return };
        let size = (self.block.colours * self.block.h * self.block.w) as usize;
        let parts = image.par_chunks_mut(size).zip(keep.par_chunks(size));
        let parts = parts.zip(columns.par_chunks_mut(4 * self.block.columns as usize)).enumerate();
        parts.for_each(|(n, ((pixels, keep), columns))| {
            let index = self.block.first as usize + n;
            self.walk::<A>(weights, step(clock), &mut Image { pixels, keep, columns, index });
        });
    }

    fn recipe(&self, name: &'static str, shader: &'static Shader, images: u32, wg_log: u32, caps: &Caps) -> Recipe {
        let groups = self.block.n.div_ceil(images) as usize;
        Recipe::single(
            name,
            Stage::new(shader, &self.block, grid_1d(groups, caps))
                .constant("WG_LOG", wg_log)
                .bind("code", Slot::Read(0))
                .bind("weights", Slot::Read(1))
                .bind("keep", Slot::Read(2))
                .bind("clock", Slot::Read(3))
                .bind("image", Slot::Write(0))
                .bind("columns", Slot::Write(1)),
        )
    }
}

impl Kernel for DrawPixels {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let PixelBlock { n, h, w, colours, .. } = self.block;
        let (n, size) = (n as usize, (colours * h * w) as usize);
        let reads = vec![self.code.words().len(), 4 * self.code.weights as usize, n * size, 1];
        Lens { reads, writes: vec![n * size, 4 * n * self.block.columns as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if let [image, columns] = writes {
            self.all::<Exact>(reads, image, columns);
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if let [image, columns] = writes {
            self.all::<Single>(reads, image, columns);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let one = |wg_log, name| self.recipe(name, &ONE, 1, wg_log, caps);
        let four = |wg_log, name| self.recipe(name, &FOUR, 4, wg_log, caps);
        match caps.class {
            Class::Lanes => {
                // A workgroup is one core's: weights are loaded once for all of its images.
                let eight = self.recipe("images8", &EIGHT, 8, 3, caps);
                match self.block.n {
                    16.. => vec![eight, four(3, "images4"), one(3, "images1")],
                    4.. => vec![four(3, "images4"), one(3, "images1"), eight],
                    _ => vec![one(3, "images1"), four(3, "images4"), eight],
                }
            }
            // Few images leave most of a GPU idle, so each has a workgroup until there are very many.
            Class::Gpu if self.block.n >= 1024 => vec![four(7, "images4"), one(7, "images1")],
            Class::Gpu => vec![one(7, "images1"), four(7, "images4")],
        }
    }

    fn flops(&self) -> u64 {
        2 * u64::from(self.block.n) * self.code.products_of(self.block.offset, self.block.count)
    }

    fn turns(&self) -> u64 {
        self.code.turns_of(self.block.offset, self.block.count)
    }

    fn label(&self) -> String {
        let PixelBlock { n, h, w, colours, count, instructions, .. } = self.block;
        format!("image[{n},{colours},{h},{w}] {count} instructions of {instructions}")
    }
}

impl Checks for DrawPixels {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let positions = self.code.steps() as f32;
        match operand {
            Operand::Read(0) => self.code.words().into_iter().map(f32::from_bits).collect(),
            Operand::Read(1) => {
                let mut weights: Vec<f32> = (0..len).map(|_| 0.8 * draw() - 0.4).collect();
                self.code.instructions.iter().for_each(|i| i.instruction.clear_padding(&mut weights));
                weights
            }
            Operand::Read(2) => (0..len).map(|_| (2.0 * draw()).floor()).collect(),
            // Now and then a step past the last, which must change nothing.
            Operand::Read(_) => (0..len).map(|_| f32::from_bits((1.1 * positions * draw()) as u32)).collect(),
            Operand::Write(0) => (0..len).map(|_| (2.0 * draw()).floor()).collect(),
            Operand::Write(_) => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut writes = [old[0], old[1]].map(|w| w.iter().map(|v| (*v, 0.0)).collect::<Vec<_>>());
        let [image, columns] = &mut writes;
        self.all::<Bounded>(reads, image, columns);
        writes.map(|w| w.into_iter().map(|(_, error)| error).collect()).into()
    }
}

/// Puts code together for the cases below.
struct Builder {
    code: PixelCode,
}

impl Builder {
    fn new(h: u32, w: u32) -> Builder {
        Builder { code: PixelCode { h, w, colours: 1, columns: 0, weights: 0, instructions: Vec::new() } }
    }

    /// Room for the columns of a value read up to `back` rows above, or only where it stands.
    fn room(&mut self, channels: u32, back: Option<u32>) -> Home {
        let rows = back.map_or(1, |rows| (rows + 1).next_power_of_two());
        let (fours, base) = (quads(channels), self.code.columns);
        let step = if back.is_some() { fours } else { 0 };
        self.code.columns += fours * if back.is_some() { rows * self.code.w } else { 1 };
        Home { fixed: false, base, step, mask: rows - 1 }
    }

    fn push(&mut self, instruction: Instruction) {
        self.code.instructions.push(Placed { turn: Turn::Ahead(0), instruction });
    }

    fn weights(&mut self, fours: u32) -> u32 {
        self.code.weights += fours;
        self.code.weights - fours
    }

    fn conv(
        &mut self,
        to: Home,
        from: Home,
        [ci, co]: [u32; 2],
        taps: &[[i32; 2]],
        tail: (Option<Home>, Option<(Code, f32)>),
    ) {
        let weights = self.weights(taps.len() as u32 * 4 * quads(ci) * quads(co));
        let bias = self.weights(quads(co));
        let (residual, then) = tail;
        let taps = taps.to_vec();
        self.push(Instruction::Conv { to, from, ci, co, taps, weights, bias, residual, then });
    }

    /// The code's kernel for so many steps, from a number of them behind the clock on, and a part of one
    /// more: launches may begin and end within a step.
    fn kernel(self, n: u32, [offset, steps]: [u32; 2]) -> Box<dyn Kernel> {
        let PixelCode { h, w, columns, .. } = self.code;
        let instructions = self.code.instructions.len() as u32;
        let (seed_lo, seed_hi, stream, domain, first) = (42, 1, 2, 3, 5);
        let (lead, colours, passes) = (self.code.lead(), self.code.colours, self.code.passes());
        let block = PixelBlock {
            n,
            h,
            w,
            colours,
            passes,
            columns,
            instructions,
            lead,
            offset: offset * passes * instructions + instructions / 2,
            count: steps * passes * instructions + instructions / 3,
            first,
            seed_lo,
            seed_hi,
            stream,
            domain,
        };
        Box::new(DrawPixels { block, code: Arc::new(self.code) })
    }
}

/// Taps of a square kernel before its centre in raster order, and the centre with mask B.
fn masked(kernel: i32, dilation: i32, centre: bool) -> Vec<[i32; 2]> {
    let count = kernel * kernel / 2 + i32::from(centre);
    (0..count).map(|k| [k / kernel - kernel / 2, k % kernel - kernel / 2].map(|d| d * dilation)).collect()
}

/// A PixelCNN of `blocks` residual blocks with `hidden` channels inside, twice as many between.
fn pixelcnn(n: u32, [h, w]: [u32; 2], hidden: u32, blocks: u32, pixels: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = Builder::new(h, w);
    let relu = Some((Code::Relu, 0.0));
    let wide = 2 * hidden;
    let image = b.room(1, Some(3));
    let mut x = b.room(wide, None);
    b.conv(x, image, [1, wide], &masked(7, 1, false), (None, None));
    for _ in 0..blocks {
        let [y, d] = [wide, hidden].map(|c| b.room(c, None));
        let (u, z) = (b.room(hidden, Some(1)), b.room(wide, None));
        let relu_x = Instruction::Pointwise { to: y, a: x, b: None, channels: wide, code: Code::Relu, c: 0.0 };
        b.push(relu_x);
        b.conv(u, y, [wide, hidden], &[[0, 0]], (None, relu));
        b.conv(d, u, [hidden, hidden], &masked(3, 1, true), (None, relu));
        b.conv(z, d, [hidden, wide], &[[0, 0]], (Some(x), None));
        x = z;
    }
    let logits = b.room(1, None);
    b.conv(logits, x, [wide, 1], &[[0, 0]], (None, None));
    b.push(Instruction::Draw { to: image, logits, head: Head::Bernoulli });
    b.kernel(n, pixels)
}

/// Every instruction and way to address: dilation, odd channels, gates of slices, shifts, concatenation,
/// operands among the weights, and a value made of the pixel that was just drawn.
fn mixture(n: u32, [h, w]: [u32; 2], channels: u32, pixels: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = Builder::new(h, w);
    let double = 2 * channels + 1;
    let centred = b.room(1, Some(4));
    let image = b.room(1, None);
    let x = b.room(double, Some(1));
    b.conv(x, centred, [1, double], &masked(5, 2, false), (None, Some((Code::LeakyRelu, 0.2))));
    let [left, right, gated, above] = [0; 4].map(|_| b.room(channels, None));
    let join = |to, a, a_channels, second, start, channels, shift| Instruction::Join {
        to,
        a,
        a_channels,
        b: second,
        start,
        channels,
        shift,
    };
    b.push(join(left, x, double, None, 0, channels, [0, 0]));
    b.push(join(right, x, double, None, channels + 1, channels, [0, 0]));
    b.push(join(above, x, double, None, 1, channels, [-1, 1]));
    let then = |to, a, second, code, c| Instruction::Pointwise { to, a, b: second, channels, code, c };
    b.push(then(left, left, None, Code::Tanh, 0.0));
    b.push(then(right, right, None, Code::Sigmoid, 0.0));
    b.push(then(gated, left, Some(right), Code::Mul, 0.0));
    let at = b.weights(quads(channels));
    let scale = Home { fixed: true, base: at, step: 0, mask: 0 };
    b.push(then(above, above, Some(scale), Code::Mul, 0.0));
    let at = b.weights(quads(channels) * h * w);
    let everywhere = Home { fixed: true, base: at, step: quads(channels), mask: u32::MAX };
    b.push(then(above, above, Some(everywhere), Code::Add, 0.0));
    let both = b.room(2 * channels, None);
    b.push(join(both, gated, channels, Some(above), 0, 2 * channels, [0, 0]));
    let logits = b.room(1, None);
    b.conv(logits, both, [2 * channels, 1], &[[0, 0]], (None, None));
    b.push(Instruction::Draw { to: image, logits, head: Head::Bernoulli });
    let (to, a, c) = (centred, image, -0.5);
    b.push(Instruction::Pointwise { to, a, b: None, channels: 1, code: Code::AddC, c });
    b.kernel(n, pixels)
}

/// A stack over the row above that is read to the right of the pixel, so that two instructions run ahead.
fn stack(n: u32, [h, w]: [u32; 2], channels: u32, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = Builder::new(h, w);
    let image = b.room(1, Some(1));
    let above = b.room(channels, Some(0));
    let wide = b.room(channels, Some(0));
    let logits = b.room(1, None);
    b.conv(above, image, [1, channels], &[[-1, -1], [-1, 0], [-1, 1]], (None, None));
    b.conv(wide, above, [channels, channels], &[[0, -2], [0, 0], [0, 2]], (None, Some((Code::Tanh, 0.0))));
    b.conv(logits, wide, [channels, 1], &[[0, -1], [0, 0], [0, 1]], (None, None));
    for (placed, ahead) in std::iter::zip(&mut b.code.instructions, [3, 1]) {
        placed.turn = Turn::Ahead(ahead);
    }
    b.push(Instruction::Draw { to: image, logits, head: Head::Bernoulli });
    b.kernel(n, steps)
}

/// A memory that is told of what is to the right and above, and tells the next row; it runs back over the row above.
fn swept(n: u32, [h, w]: [u32; 2], channels: u32, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = Builder::new(h, w);
    let image = b.room(1, Some(1));
    let memory = b.room(channels, Some(1));
    let told = b.room(channels, None);
    let logits = b.room(1, None);
    let tanh = Some((Code::Tanh, 0.0));
    b.conv(told, image, [1, channels], &[[0, 0]], (None, None));
    b.conv(memory, memory, [channels, channels], &[[-1, 0], [0, 1]], (Some(told), tanh));
    b.code.instructions.iter_mut().for_each(|placed| placed.turn = Turn::Back);
    b.conv(logits, memory, [channels, 1], &[[-1, -1], [-1, 0], [-1, 1]], (None, None));
    b.push(Instruction::Draw { to: image, logits, head: Head::Bernoulli });
    b.kernel(n, steps)
}

/// A small network of pixels in colours, drawn one after the other or at once.
fn coloured(n: u32, [h, w]: [u32; 2], colours: u32, head: Head, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = Builder::new(h, w);
    b.code.colours = colours;
    let channels = head.channels(colours as usize) as u32;
    let image = b.room(colours, Some(1));
    let x = b.room(6, Some(1));
    let logits = b.room(channels, None);
    let relu = Some((Code::Relu, 0.0));
    b.conv(x, image, [colours, 6], &masked(3, 1, head.passes(colours as usize) > 1), (None, relu));
    b.conv(logits, x, [6, channels], &masked(3, 1, true), (None, None));
    b.push(Instruction::Draw { to: image, logits, head });
    b.kernel(n, steps)
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![
        pixelcnn(1, [1, 1], 1, 0, [0, 1]),
        pixelcnn(1, [5, 7], 3, 1, [0, 35]),
        pixelcnn(5, [3, 5], 4, 2, [2, 9]),
        pixelcnn(9, [28, 28], 16, 2, [0, 5]),
        // More fours of channels than a workgroup has lanes.
        pixelcnn(2, [4, 300], 37, 1, [600, 3]),
        pixelcnn(3, [2, 2], 270, 1, [0, 2]),
        // More images than a dimension of a small grid has workgroups.
        pixelcnn(131, [4, 3], 2, 1, [0, 4]),
        mixture(1, [1, 9], 1, [0, 9]),
        mixture(6, [6, 5], 3, [0, 12]),
        mixture(3, [11, 13], 8, [20, 40]),
        stack(5, [3, 7], 6, [0, 30]),
        swept(6, [4, 5], 5, [0, 40]),
        swept(2, [3, 2], 9, [1, 11]),
        coloured(3, [4, 5], 1, Head::Categorical { levels: 256 }, [0, 20]),
        coloured(9, [3, 4], 3, Head::Categorical { levels: 5 }, [1, 12]),
        coloured(2, [3, 4], 1, Head::LogisticMixture { components: 3 }, [0, 12]),
        coloured(5, [4, 4], 3, Head::LogisticMixture { components: 10 }, [0, 16]),
        // Narrower than the foremost instruction is ahead.
        stack(2, [4, 2], 3, [1, 19]),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [1, 16, 64].map(|n| pixelcnn(n, [28, 28], 16, 15, [0, 28])).into()
}
