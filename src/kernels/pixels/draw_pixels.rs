//! Many pixels of every image drawn in one launch, each by computing its own columns only.

use super::interpreter::{Arithmetic, Bounded, Image};
use super::pixel_code::{Columns, Instruction, PixelCode, Scheduled, Sweep, quads};
use super::pixel_distribution::PixelDistribution;
use crate::kernels::pointwise::Operation;
use crate::kernels::*;
use rayon::prelude::*;
use std::ops::Range;

params! {
    /// code, weights `[4 fours]`, keep `[n, colours, h·w]`, clock -> image `[n, colours, h·w]` and
    /// columns `[n, 4 columns]` updated: a step s is all instructions of the code in order, once
    /// for each pass, each at the row and column [`PixelCode::position`] has for it, if there is
    /// one; `count` of them run for every image, from number `offset` of step clock on, through as
    /// many steps as that takes. Where keep is 0, image is drawn as [`PixelDistribution`] has it,
    /// with numbers of the stream at step 0: element or block ((first + n)·passes + pass)·h·w + y·w
    /// + x.
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

/// The kernel: a block and the code it interprets. Devices read the code from `code`, which must
/// hold [`PixelCode::words`]; the host has it here.
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
    /// The instructions `run` of a code, counted from the beginning of the clock's step on, for so
    /// many images from number `first` of those that draw from `source`.
    pub fn new(code: Arc<PixelCode>, images: u32, run: Range<u32>, first: u32, source: &philox::Stream) -> DrawPixels {
        let block = PixelBlock {
            n: images,
            h: code.h,
            w: code.w,
            colours: code.colours,
            passes: code.passes(),
            columns: code.columns,
            instructions: code.instructions.len() as u32,
            lead: code.lead(),
            offset: run.start,
            count: run.end - run.start,
            first,
            seed_lo: source.seed as u32,
            seed_hi: (source.seed >> 32) as u32,
            stream: source.stream,
            domain: source.domain,
        };
        DrawPixels { block, code }
    }

    /// Draws every image; `image` and `columns` hold the arithmetic's numbers.
    fn all<A: Arithmetic>(&self, reads: &[&[f32]], image: &mut [A::Value], columns: &mut [A::Value]) {
        let &[_, weights, keep, clock] = reads else { return };
        let size = (self.block.colours * self.block.h * self.block.w) as usize;
        let parts = image.par_chunks_mut(size).zip(keep.par_chunks(size));
        let parts = parts.zip(columns.par_chunks_mut(4 * self.block.columns as usize)).enumerate();
        parts.for_each(|(n, ((pixels, keep), columns))| {
            let index = self.block.first as usize + n;
            self.run_image::<A>(weights, step(clock), &mut Image { pixels, keep, columns, index });
        });
    }

    /// A variant in which a workgroup of 2^wg_log invocations draws so many images.
    fn recipe(&self, images: u32, wg_log: u32, caps: &Caps) -> Recipe {
        let (name, shader) = match images {
            1 => ("images1", &ONE),
            4 => ("images4", &FOUR),
            _ => ("images8", &EIGHT),
        };
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
            self.all::<f64>(reads, image, columns);
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if let [image, columns] = writes {
            self.all::<f32>(reads, image, columns);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let (wg_log, images): (u32, &[u32]) = match (caps.class, self.block.n) {
            // A workgroup is one core's: weights are loaded once for all of its images.
            (Class::Lanes, 16..) => (3, &[8, 4, 1]),
            (Class::Lanes, 4..) => (3, &[4, 1, 8]),
            (Class::Lanes, _) => (3, &[1, 4, 8]),
            // Few images leave most of a GPU idle, so each has a workgroup until there are very
            // many.
            (Class::Gpu, 1024..) => (7, &[4, 1]),
            (Class::Gpu, _) => (7, &[1, 4]),
        };
        images.iter().map(|images| self.recipe(*images, wg_log, caps)).collect()
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

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut writes = [old[0], old[1]].map(|w| w.iter().map(|v| (*v, 0.0)).collect::<Vec<_>>());
        let [image, columns] = &mut writes;
        self.all::<Bounded>(reads, image, columns);
        writes.map(|w| w.into_iter().map(|(_, error)| error).collect()).into()
    }
}

/// Puts code together for the cases below. What an instruction makes is read up to `back` rows
/// above, or only where it is made.
impl PixelCode {
    fn push(&mut self, instruction: Instruction) {
        self.instructions.push(Scheduled { sweep: Sweep::Ahead(0), instruction });
    }

    fn conv(&mut self, of: Layer, back: Option<u32>, taps: Vec<[i32; 2]>) -> Columns {
        let to = self.room(of.channels[1], back);
        self.conv_to(to, of, taps);
        to
    }

    fn conv_to(&mut self, to: Columns, of: Layer, taps: Vec<[i32; 2]>) {
        let Layer { source, channels: [inputs, channels], residual, then } = of;
        let weights = self.take(taps.len() as u32 * 4 * quads(inputs) * quads(channels));
        let (bias, then) = (self.take(quads(channels)), then.map(|code| (code, 0.2)));
        self.push(Instruction::Conv { to, source, residual, inputs, channels, taps, weights, bias, then });
    }

    fn pointwise(&mut self, a: Columns, b: Option<Columns>, channels: u32, code: Operation) -> Columns {
        let to = self.room(channels, None);
        self.push(Instruction::Pointwise { to, a, b, channels, operation: (code, 0.0) });
        to
    }

    fn join(&mut self, a: (Columns, u32), b: Option<Columns>, channels: Range<u32>, offset: [i32; 2]) -> Columns {
        let (start, channels, (a, a_channels)) = (channels.start, channels.len() as u32, a);
        let to = self.room(channels, None);
        self.push(Instruction::Join { to, a, b, a_channels, start, channels, offset });
        to
    }

    /// Ends with the draw of a binary pixel, and makes a kernel of it as [`PixelCode::kernel`]
    /// does.
    fn drawn(mut self, image: Columns, logits: Columns, n: u32, steps: [u32; 2]) -> Box<dyn Kernel> {
        self.push(Instruction::Draw { to: image, logits, distribution: PixelDistribution::Bernoulli });
        self.kernel(n, steps)
    }

    /// The code's kernel for so many steps, from a number of them behind the clock on, and a part
    /// of one more: launches may begin and end within a step.
    fn kernel(self, n: u32, [offset, steps]: [u32; 2]) -> Box<dyn Kernel> {
        let instructions = self.instructions.len() as u32;
        let [start, count] = [offset, steps].map(|steps| steps * self.passes() * instructions);
        let start = start + instructions / 2;
        let run = start..start + count + instructions / 3;
        Box::new(DrawPixels::new(Arc::new(self), n, run, 5, &philox::Stream::of([42, 1], 3, 2, 0)))
    }
}

/// A convolution without its taps: what it reads, how many channels it reads and makes, what it
/// adds and applies.
#[derive(Clone, Copy)]
struct Layer {
    source: Columns,
    channels: [u32; 2],
    residual: Option<Columns>,
    then: Option<Operation>,
}

fn layer(source: Columns, channels: [u32; 2], then: impl Into<Option<Operation>>) -> Layer {
    Layer { source, channels, residual: None, then: then.into() }
}

/// Taps of a square kernel before its centre in raster order, and the centre with mask B.
fn masked(kernel: i32, dilation: i32, centre: bool) -> Vec<[i32; 2]> {
    let count = kernel * kernel / 2 + i32::from(centre);
    (0..count).map(|k| [k / kernel - kernel / 2, k % kernel - kernel / 2].map(|d| d * dilation)).collect()
}

/// A PixelCNN of `blocks` residual blocks with `hidden` channels inside, twice as many between.
fn pixelcnn(n: u32, size: [u32; 2], hidden: u32, blocks: u32, pixels: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = PixelCode::new(size, 1);
    let wide = 2 * hidden;
    let image = b.room(1, Some(3));
    let mut x = b.conv(layer(image, [1, wide], None), None, masked(7, 1, false));
    for _ in 0..blocks {
        let y = b.pointwise(x, None, wide, Operation::Relu);
        let u = b.conv(layer(y, [wide, hidden], Operation::Relu), Some(1), vec![[0, 0]]);
        let d = b.conv(layer(u, [hidden, hidden], Operation::Relu), None, masked(3, 1, true));
        x = b.conv(Layer { residual: Some(x), ..layer(d, [hidden, wide], None) }, None, vec![[0, 0]]);
    }
    let logits = b.conv(layer(x, [wide, 1], None), None, vec![[0, 0]]);
    b.drawn(image, logits, n, pixels)
}

/// Every instruction and way to address: dilation, odd channels, gates of slices, shifts,
/// concatenation, operands among the weights, and a value made of the pixel that was just drawn.
fn mixture(n: u32, size: [u32; 2], channels: u32, pixels: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = PixelCode::new(size, 1);
    let double = 2 * channels + 1;
    let (centred, image) = (b.room(1, Some(4)), b.room(1, None));
    let x = b.conv(layer(centred, [1, double], Operation::LeakyRelu), Some(1), masked(5, 2, false));
    let left = b.join((x, double), None, 0..channels, [0, 0]);
    let right = b.join((x, double), None, channels + 1..double, [0, 0]);
    let above = b.join((x, double), None, 1..channels + 1, [-1, 1]);
    let left = b.pointwise(left, None, channels, Operation::Tanh);
    let right = b.pointwise(right, None, channels, Operation::Sigmoid);
    let gated = b.pointwise(left, Some(right), channels, Operation::Mul);
    let [scale, everywhere] = [false, true].map(|everywhere| b.constant(channels, everywhere));
    let above = b.pointwise(above, Some(scale), channels, Operation::Mul);
    let above = b.pointwise(above, Some(everywhere), channels, Operation::Add);
    let both = b.join((gated, channels), Some(above), 0..2 * channels, [0, 0]);
    let logits = b.conv(layer(both, [2 * channels, 1], None), None, vec![[0, 0]]);
    b.push(Instruction::Draw { to: image, logits, distribution: PixelDistribution::Bernoulli });
    let operation = (Operation::AddC, -0.5);
    b.push(Instruction::Pointwise { to: centred, a: image, b: None, channels: 1, operation });
    b.kernel(n, pixels)
}

/// A stack over the row above that is read to the right of the pixel, so that two instructions run
/// ahead.
fn stack(n: u32, size: [u32; 2], channels: u32, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = PixelCode::new(size, 1);
    let image = b.room(1, Some(1));
    let above = b.conv(layer(image, [1, channels], None), Some(0), vec![[-1, -1], [-1, 0], [-1, 1]]);
    let wide = b.conv(layer(above, [channels; 2], Operation::Tanh), Some(0), vec![[0, -2], [0, 0], [0, 2]]);
    let logits = b.conv(layer(wide, [channels, 1], None), None, vec![[0, -1], [0, 0], [0, 1]]);
    for (scheduled, ahead) in std::iter::zip(&mut b.instructions, [3, 1]) {
        scheduled.sweep = Sweep::Ahead(ahead);
    }
    b.drawn(image, logits, n, steps)
}

/// A memory that is told of what is to the right and above, and tells the next row; it runs back
/// over the row above.
fn swept(n: u32, size: [u32; 2], channels: u32, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = PixelCode::new(size, 1);
    let (image, memory) = (b.room(1, Some(1)), b.room(channels, Some(1)));
    let told = Some(b.conv(layer(image, [1, channels], None), None, vec![[0, 0]]));
    let remember = Layer { residual: told, ..layer(memory, [channels; 2], Operation::Tanh) };
    b.conv_to(memory, remember, vec![[-1, 0], [0, 1]]);
    b.instructions.iter_mut().for_each(|scheduled| scheduled.sweep = Sweep::Back);
    let logits = b.conv(layer(memory, [channels, 1], None), None, vec![[-1, -1], [-1, 0], [-1, 1]]);
    b.drawn(image, logits, n, steps)
}

/// A small network of pixels in colours, drawn one after the other or at once.
fn coloured(n: u32, size: [u32; 2], colours: u32, distribution: PixelDistribution, steps: [u32; 2]) -> Box<dyn Kernel> {
    let mut b = PixelCode::new(size, colours);
    let channels = distribution.channels(colours as usize) as u32;
    let image = b.room(colours, Some(1));
    let own = distribution.passes(colours as usize) > 1;
    let x = b.conv(layer(image, [colours, 6], Operation::Relu), Some(1), masked(3, 1, own));
    let logits = b.conv(layer(x, [6, channels], None), None, masked(3, 1, true));
    b.push(Instruction::Draw { to: image, logits, distribution });
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
        coloured(3, [4, 5], 1, PixelDistribution::Categorical { levels: 256 }, [0, 20]),
        coloured(9, [3, 4], 3, PixelDistribution::Categorical { levels: 5 }, [1, 12]),
        coloured(2, [3, 4], 1, PixelDistribution::LogisticMixture { components: 3 }, [0, 12]),
        coloured(5, [4, 4], 3, PixelDistribution::LogisticMixture { components: 10 }, [0, 16]),
        // Narrower than the foremost instruction is ahead.
        stack(2, [4, 2], 3, [1, 19]),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [1, 16, 64].map(|n| pixelcnn(n, [28, 28], 16, 15, [0, 28])).into()
}
