//! Philox-4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy
//! as 1, 2, 3" (SC 2011). `shaders/lib/philox.wgsl` is its reference.
//!
//! Element `i` of a draw is word `i % 4` of block `i / 4`, so any element can be drawn again from
//! its index alone: a backward pass redraws its noise and a resumed run continues its own.
//!
//! ```
//! use limn::kernels::philox::{Domain, Stream};
//!
//! let noise = Stream { seed: 1, domain: Domain::Train as u32, stream: 0, step: 10, first: 0 };
//! let (first, again) = (noise.normal(5), noise.normal(5));
//! assert_eq!(first, again);
//! assert_ne!(first, Stream { step: 11, ..noise }.normal(5));
//! ```

use crate::params;

/// What a stream of random numbers is for; part of the counter, so streams never overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Domain {
    /// Parameter initialisation.
    Init = 0,
    /// Noise of training steps.
    Train = 1,
    /// Noise of evaluation.
    Eval = 2,
    /// Samples and latent pictures.
    Sample = 3,
    /// Draws of latent vectors that estimate a likelihood.
    Importance = 4,
}

params! {
    /// The numbers that a kernel draws, as a block inside of its own: shaders have
    /// `p.noise_seed_lo` and so on.
    pub struct NoiseBlock {
        /// Lower half of the run's seed.
        pub seed_lo: u32,
        /// Upper half of the run's seed.
        pub seed_hi: u32,
        /// Which use of randomness.
        pub stream: u32,
        /// What it is for ([`Domain`]).
        pub domain: u32,
        /// The block that element 0 is in; see [`Stream::first`].
        pub first: u32,
    }
}

impl NoiseBlock {
    /// Those of a run's seed.
    pub fn new(seed: u64, domain: u32, stream: u32) -> NoiseBlock {
        NoiseBlock { seed_lo: seed as u32, seed_hi: (seed >> 32) as u32, stream, domain, first: 0 }
    }

    /// Those of a kernel's cases.
    pub(super) fn example(stream: u32) -> NoiseBlock {
        NoiseBlock { first: 5, ..NoiseBlock::new(0x89ab_cdef_0123_4567, Domain::Train as u32, stream) }
    }

    /// What is drawn at a step.
    pub fn at(&self, step: u32) -> Stream {
        let whole = Stream::of([self.seed_lo, self.seed_hi], self.domain, self.stream, step);
        Stream { first: self.first, ..whole }
    }
}

/// One named stream: every element of every step of one use of randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The run's seed.
    pub seed: u64,
    /// What it is for.
    pub domain: u32,
    /// Which use within the program.
    pub stream: u32,
    /// The step.
    pub step: u32,
    /// The block that element 0 is in: elements of a larger draw are numbered from there, such as those
    /// of one rank's images.
    pub first: u32,
}

impl Stream {
    /// The stream a parameter block names: the seed's halves, lower first.
    pub fn of(key: [u32; 2], domain: u32, stream: u32, step: u32) -> Stream {
        Stream { seed: u64::from(key[0]) | u64::from(key[1]) << 32, domain, stream, step, first: 0 }
    }

    /// The four words of a block.
    pub(super) fn words(&self, block: u32) -> [u32; 4] {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        philox4x32_10([block.wrapping_add(self.first), self.stream, self.step, self.domain], key)
    }

    /// Element `i`, uniform in [0, 1) on a grid of 2^-24.
    pub fn uniform(&self, i: usize) -> f32 {
        unit(self.words((i / 4) as u32)[i % 4])
    }

    /// Element `i` of a standard normal, by Box and Muller on the word pairs (0, 1) and (2, 3).
    pub fn normal(&self, i: usize) -> f32 {
        let words = self.words((i / 4) as u32);
        let pair = (i % 4) & 2;
        let radius = (-2.0 * (1.0 - f64::from(unit(words[pair]))).ln()).sqrt();
        let angle = std::f64::consts::TAU * f64::from(unit(words[pair + 1]));
        (radius * if i.is_multiple_of(2) { angle.cos() } else { angle.sin() }) as f32
    }
}

/// The four numbers of a block, uniform in [0, 1).
pub fn unit_block(stream: &Stream, block: usize) -> [f32; 4] {
    stream.words(block as u32).map(unit)
}

/// The upper 24 bits of a word as a number in [0, 1).
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Ten rounds of Philox-4x32 on a 128-bit counter and a 64-bit key.
#[inline(always)]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const M: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    let (mut c, mut k) = (counter, key);
    for round in 0..10 {
        if round > 0 {
            k = [k[0].wrapping_add(W[0]), k[1].wrapping_add(W[1])];
        }
        let a = u64::from(M[0]) * u64::from(c[0]);
        let b = u64::from(M[1]) * u64::from(c[2]);
        c = [(b >> 32) as u32 ^ c[1] ^ k[0], b as u32, (a >> 32) as u32 ^ c[3] ^ k[1], a as u32];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123's kat_vectors for philox4x32 with ten rounds.
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answers = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, words) in answers {
            assert_eq!(philox4x32_10(counter, key), words);
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream { seed: 1, domain: 0, stream: 0, step: 0, first: 0 };
        let draws: Vec<f64> = (0..40_000).map(|i| f64::from(stream.normal(i))).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|v| v * v).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
