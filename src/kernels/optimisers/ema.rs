//! Exponential moving averages: running statistics.

use crate::kernels::*;

/// The most ranges of one launch.
pub const MAX_RANGES: usize = 16;

/// Elements that have a factor in common, from `start` to the next range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// First element.
    pub start: u32,
    /// Factor of x, e.g. n / (n - 1) for an unbiased variance.
    pub scale: f32,
}

/// x `[len, rounds]` -> s `[len]` updated: s += rate (scale x - s), round by round.
#[derive(Clone, Debug, PartialEq)]
pub struct Ema {
    /// Elements.
    pub len: u32,
    /// New values of each element, one after the other.
    pub rounds: u32,
    /// How much of the new value enters.
    pub rate: f32,
    /// The ranges in order, at most [`MAX_RANGES`], the first from element 0.
    pub ranges: Vec<Range>,
}

params! {
    /// The uniform block of `ema.wgsl`.
    pub struct EmaParams {
        /// Elements of the shader.
        pub len: u32,
        /// New values of each element.
        pub rounds: u32,
        /// Of the average.
        pub rate: f32,
        /// Where each range ends and the next begins; those that are not there behind the last
        /// element.
        pub end: [u32; MAX_RANGES - 1],
        /// The factor of each range.
        pub scale: [f32; MAX_RANGES],
    }
}

static SHADER: Shader = shader!(EmaParams, "ema", width = "1");
static SHADER4: Shader = shader!(EmaParams, "ema" as "ema4", width = "4");

static SIGNATURE: Signature = Signature { name: "ema", reads: &["x"], writes: &[("s", Access::Update)] };

impl Ema {
    /// With one factor for all elements.
    pub fn new(len: u32, rate: f32, scale: f32) -> Ema {
        Ema { len, rounds: 1, rate, ranges: vec![Range { start: 0, scale }] }
    }

    /// The factor of every element.
    fn scales(&self) -> impl Iterator<Item = f32> {
        let ends = self.ranges.iter().skip(1).map(|r| r.start).chain([self.len]);
        std::iter::zip(&self.ranges, ends).flat_map(|(r, end)| (r.start..end).map(|_| r.scale))
    }

    /// The block for elements of `width` numbers.
    fn params(&self, width: u32) -> EmaParams {
        let end = |k: usize| self.ranges.get(k + 1).map_or(u32::MAX, |r| r.start / width);
        let scale = |k: usize| self.ranges.get(k).map_or(0.0, |r| r.scale);
        EmaParams {
            len: self.len / width,
            rounds: self.rounds,
            rate: self.rate,
            end: std::array::from_fn(end),
            scale: std::array::from_fn(scale),
        }
    }
}

host::wide! {
    /// s += rate (scale x - s).
    pub(super) fn follow(x: &[f32], rate: f32, scale: f32, s: &mut [f32]) {
        for (s, x) in std::iter::zip(s, x) {
            *s += rate * (scale * x - *s);
        }
    }
}

impl Kernel for Ema {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize * self.rounds as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let rate = f64::from(self.rate);
        let values = reads[0].chunks(self.rounds as usize);
        for ((s, values), scale) in std::iter::zip(&mut *writes[0], values).zip(self.scales()) {
            for x in values {
                *s = (f64::from(*s) + rate * (f64::from(scale) * f64::from(*x) - f64::from(*s))) as f32;
            }
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        if self.rounds > 1 {
            return self.cpu(reads, writes);
        }
        if let &[Range { scale, .. }] = &self.ranges[..] {
            return host::pieces(writes[0], |first, s| follow(&reads[0][first..], self.rate, scale, s));
        }
        let ends = self.ranges.iter().skip(1).map(|r| r.start).chain([self.len]);
        for (range, end) in std::iter::zip(&self.ranges, ends) {
            let own = range.start as usize..end as usize;
            follow(&reads[0][own.clone()], self.rate, range.scale, &mut writes[0][own]);
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = |shader, width: u32| {
            let params = self.params(width);
            flat(shader, &params, params.len as usize, caps).operands(self.signature())
        };
        let scalar = Recipe::single("scalar", stage(&SHADER, 1));
        match self.rounds == 1 && self.len.is_multiple_of(4) && self.ranges.iter().all(|r| r.start.is_multiple_of(4)) {
            true => vec![Recipe::single("vec4", stage(&SHADER4, 4)), scalar],
            false => vec![scalar],
        }
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        // A piece does not know where it starts.
        let (&[Range { scale, .. }], 1) = (&self.ranges[..], self.rounds) else { return None };
        Some(Arc::new(Ema::new(len, self.rate, scale)))
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.len) * u64::from(self.rounds)
    }

    fn label(&self) -> String {
        let rounds = if self.rounds == 1 { String::new() } else { format!(" rounds {}", self.rounds) };
        match self.ranges.len() {
            1 => format!("s[{}] rate {}{rounds}", self.len, self.rate),
            ranges => format!("s[{}] rate {} ranges {ranges}{rounds}", self.len, self.rate),
        }
    }
}

impl Checks for Ema {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let bound = |((values, s), scale): ((&[f32], &f32), f32)| {
            let x = values.iter().map(|x| (scale * x).abs()).fold(0.0, f32::max);
            let s = s.abs().max(if values.len() == 1 { 0.0 } else { x });
            let round = EPS * (2.0 * s + self.rate.abs() * (5.0 * x + 4.0 * s)) + f32::MIN_POSITIVE;
            round * values.len() as f32
        };
        let values = reads[0].chunks(self.rounds as usize);
        vec![std::iter::zip(values, old[0]).zip(self.scales()).map(bound).collect()]
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, rate, scale| Box::new(Ema::new(len, rate, scale)) as Box<dyn Kernel>;
    let ranges = |len, rounds, starts: &[u32]| {
        let range = |(k, start): (usize, &u32)| Range { start: *start, scale: 1.0 + k as f32 / 7.0 };
        let ranges = starts.iter().enumerate().map(range).collect();
        Box::new(Ema { len, rounds, rate: 0.1, ranges }) as Box<dyn Kernel>
    };
    let all: Vec<u32> = (0..MAX_RANGES as u32).map(|k| 64 * k).collect();
    vec![
        ranges(1920, 1, &[0, 512, 1024, 1280]),
        ranges(67, 1, &[0, 64]),
        ranges(101, 1, &[0, 3, 50]),
        ranges(1920, 2, &[0, 512, 1024, 1280]),
        ranges(101, 3, &[0, 3, 50]),
        ranges(64 * MAX_RANGES as u32, 1, &all),
        case(1, 0.1, 1.0),
        case(127, 0.1, 128.0 / 127.0),
        case(256, 0.0, 1.0),
        case(10_007, 1.0, 1.0),
        case(65_536, 5e-4, 1.0),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(128, 0.1), (627_200, 5e-4)].map(|(len, rate)| Box::new(Ema::new(len, rate, 1.0)) as Box<dyn Kernel>).into()
}
