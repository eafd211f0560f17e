//! One draw of a pixel of every image, from what the network says of it.

use super::pixel_distribution::PixelDistribution;
use crate::kernels::*;

params! {
    /// outputs `[n, channels, positions]`, keep `[n, colours, positions]`, clock -> image `[n,
    /// colours, positions]` updated: with clock = t·passes + pass, what pass `pass` of
    /// [`PixelDistribution`] draws of pixel t of every image, where keep is 0. The numbers are
    /// those of the stream at step 0, element or block (n·passes + pass)·positions + t, so the draw
    /// does not depend on the order.
    pub struct SamplePixel {
        /// Images.
        pub n: u32,
        /// Colours of a pixel.
        pub colours: u32,
        /// Pixels of an image.
        pub positions: u32,
        /// What a pixel is drawn from: Bernoulli, categorical, mixture of logistics.
        pub kind: u32,
        /// Levels or components.
        pub size: u32,
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

static SHADER: Shader = shader!(SamplePixel, "sample_pixel");

static SIGNATURE: Signature =
    Signature { name: "sample_pixel", reads: &["outputs", "keep", "clock"], writes: &[("image", Access::Update)] };

impl SamplePixel {
    /// What a pixel is drawn from, and outputs and draws that one has.
    fn of_pixel(&self) -> (PixelDistribution, [usize; 2]) {
        let (distribution, colours) = (PixelDistribution::from_words([self.kind, self.size]), self.colours as usize);
        (distribution, [distribution.channels(colours), distribution.passes(colours)])
    }

    /// Calls `put` with every element of the image that is drawn, its value and the error permitted
    /// to it.
    fn each(&self, reads: &[&[f32]], put: &mut dyn FnMut(usize, f32, f32)) {
        let &[outputs, keep, clock] = reads else { return };
        let source = philox::Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, 0);
        let [colours, positions] = [self.colours, self.positions].map(|v| v as usize);
        let (distribution, [channels, passes]) = self.of_pixel();
        let (t, pass) = (step(clock) as usize / passes, step(clock) as usize % passes);
        if t >= positions {
            return;
        }
        for image in 0..self.n as usize {
            let output = |k: usize| (outputs[(image * channels + k) * positions + t], 0.0);
            let element = (image * passes + pass) * positions + t;
            for (colour, (value, error)) in distribution.draw([colours, pass], &output, (&source, element)) {
                let at = (image * colours + colour) * positions + t;
                if keep[at] == 0.0 {
                    put(at, value, error);
                }
            }
        }
    }
}

impl Kernel for SamplePixel {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let planes = self.n as usize * self.positions as usize;
        let (_, [channels, _]) = self.of_pixel();
        let pixels = planes * self.colours as usize;
        Lens { reads: vec![planes * channels, pixels, 1], writes: vec![pixels] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        self.each(reads, &mut |at, value, _| writes[0][at] = value);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = self.n as usize;
        vec![Recipe::single(
            "flat",
            flat(&SHADER, self, items, caps)
                .bind("outputs", Slot::Read(0))
                .bind("keep", Slot::Read(1))
                .bind("clock", Slot::Read(2))
                .bind("image", Slot::Write(0)),
        )]
    }

    fn flops(&self) -> u64 {
        let (_, [channels, _]) = self.of_pixel();
        4 * u64::from(self.n) * channels as u64
    }

    fn label(&self) -> String {
        let Self { n, colours, positions, size, .. } = self;
        let name = match self.of_pixel().0 {
            PixelDistribution::Bernoulli => "bernoulli",
            PixelDistribution::Categorical { .. } => "softmax",
            PixelDistribution::LogisticMixture { .. } => "mixture",
        };
        format!("image[{n},{colours},{positions}] {name} of {size}")
    }
}

impl Checks for SamplePixel {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let (_, [_, passes]) = self.of_pixel();
        let draws = (self.positions as usize * passes) as f32;
        match operand {
            Operand::Read(0) => (0..len).map(|_| 8.0 * draw() - 4.0).collect(),
            Operand::Read(1) => (0..len).map(|_| (3.0 * draw()).floor()).collect(),
            // Now and then the position past the last, which must change nothing.
            Operand::Read(_) => (0..len).map(|_| f32::from_bits((1.2 * draws * draw()) as u32)).collect(),
            Operand::Write(_) => (0..len).map(|_| draw()).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut errors = vec![0.0; reference[0].len()];
        self.each(reads, &mut |at, _, error| errors[at] = error);
        vec![errors]
    }
}

fn sample(n: u32, colours: u32, positions: u32, distribution: PixelDistribution) -> Box<dyn Kernel> {
    let [kind, size] = distribution.words();
    Box::new(SamplePixel { n, colours, positions, kind, size, seed_lo: 42, seed_hi: 1, stream: 0, domain: 3 })
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let binary = [(1, 1), (3, 7), (16, 784), (1009, 11), (5003, 1)];
    let levels = [(2, 1, 5, 2), (131, 1, 3, 256), (70, 3, 4, 7), (5, 2, 2, 16)];
    let mixtures = [(1, 1, 1, 1), (90, 1, 3, 5), (150, 3, 2, 10)];
    let binary = binary.map(|(n, positions)| sample(n, 1, positions, PixelDistribution::Bernoulli));
    let levels = levels.map(|(n, colours, positions, levels)| {
        sample(n, colours, positions, PixelDistribution::Categorical { levels })
    });
    let mixtures = mixtures.map(|(n, colours, positions, components)| {
        sample(n, colours, positions, PixelDistribution::LogisticMixture { components })
    });
    binary.into_iter().chain(levels).chain(mixtures).collect()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![
        sample(64, 1, 784, PixelDistribution::Bernoulli),
        sample(64, 1, 784, PixelDistribution::Categorical { levels: 256 }),
    ]
}
