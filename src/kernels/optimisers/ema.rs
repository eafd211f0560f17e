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

/// The most passes of one launch.
pub const MAX_PASSES: usize = 4;

/// x, of each pass `[len, rounds]`, each from a multiple of 64 words on -> s `[len]` updated:
/// s += rate (scale x - s), pass by pass and round by round.
#[derive(Clone, Debug, PartialEq)]
pub struct Ema {
    /// Elements.
    pub len: u32,
    /// Of each pass the rounds: new values of each element, one after the other. At most [`MAX_PASSES`].
    pub passes: Vec<u32>,
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
        /// New values of each element in each pass, none in those that are not there.
        pub rounds: [u32; MAX_PASSES],
        /// Where those of each begin.
        pub base: [u32; MAX_PASSES],
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
        Ema { len, passes: vec![1], rate, ranges: vec![Range { start: 0, scale }] }
    }

    /// Where the new values of each pass begin, and behind those of the last.
    pub(crate) fn bases(len: u32, passes: &[u32]) -> Vec<u32> {
        let mut bases = vec![0];
        for rounds in passes {
            let base = bases[bases.len() - 1];
            bases.push(base + (rounds * len).next_multiple_of(APART));
        }
        bases
    }

    /// Whether there is one new value of each element.
    fn single(&self) -> bool {
        self.passes == [1]
    }

    /// The factor of every element.
    fn scales(&self) -> impl Iterator<Item = f32> {
        let ends = self.ranges.iter().skip(1).map(|r| r.start).chain([self.len]);
        std::iter::zip(&self.ranges, ends).flat_map(|(r, end)| (r.start..end).map(|_| r.scale))
    }

    /// The new values of each pass, and its rounds.
    fn values<'a>(&'a self, x: &'a [f32]) -> impl Iterator<Item = (&'a [f32], usize)> {
        let passes = std::iter::zip(Ema::bases(self.len, &self.passes), &self.passes);
        passes.map(|(base, rounds)| (&x[base as usize..][..(rounds * self.len) as usize], *rounds as usize))
    }

    /// A pass of so many rounds.
    fn pass(&self, values: &[f32], rounds: usize, s: &mut [f32]) {
        let rate = f64::from(self.rate);
        for ((s, values), scale) in std::iter::zip(s, values.chunks(rounds)).zip(self.scales()) {
            for x in values {
                *s = (f64::from(*s) + rate * (f64::from(scale) * f64::from(*x) - f64::from(*s))) as f32;
            }
        }
    }

    /// The block for elements of `width` numbers.
    fn params(&self, width: u32) -> EmaParams {
        let end = |k: usize| self.ranges.get(k + 1).map_or(u32::MAX, |r| r.start / width);
        let scale = |k: usize| self.ranges.get(k).map_or(0.0, |r| r.scale);
        let bases = Ema::bases(self.len, &self.passes);
        let of_pass = |of: &[u32], k: usize| if k < self.passes.len() { of[k] } else { 0 };
        EmaParams {
            len: self.len / width,
            rounds: std::array::from_fn(|k| of_pass(&self.passes, k)),
            base: std::array::from_fn(|k| of_pass(&bases, k) / width),
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
        let last = self.passes.len() - 1;
        let words = Ema::bases(self.len, &self.passes)[last] + self.passes[last] * self.len;
        Lens { reads: vec![words as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (values, rounds) in self.values(reads[0]) {
            self.pass(values, rounds, writes[0]);
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for (values, rounds) in self.values(reads[0]) {
            if rounds > 1 {
                self.pass(values, rounds, writes[0]);
            } else if let &[Range { scale, .. }] = &self.ranges[..] {
                host::pieces(writes[0], |first, s| follow(&values[first..], self.rate, scale, s));
            } else {
                let ends = self.ranges.iter().skip(1).map(|r| r.start).chain([self.len]);
                for (range, end) in std::iter::zip(&self.ranges, ends) {
                    let own = range.start as usize..end as usize;
                    follow(&values[own.clone()], self.rate, range.scale, &mut writes[0][own]);
                }
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = |shader, width: u32| {
            let params = self.params(width);
            flat(shader, &params, params.len as usize, caps).operands(self.signature())
        };
        let scalar = Recipe::single("scalar", stage(&SHADER, 1));
        match self.passes.iter().all(|rounds| *rounds == 1)
            && self.len.is_multiple_of(4)
            && self.ranges.iter().all(|r| r.start.is_multiple_of(4))
        {
            true => vec![Recipe::single("vec4", stage(&SHADER4, 4)), scalar],
            false => vec![scalar],
        }
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        // A piece does not know where it starts.
        let (&[Range { scale, .. }], true) = (&self.ranges[..], self.single()) else { return None };
        Some(Arc::new(Ema::new(len, self.rate, scale)))
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.len) * u64::from(self.passes.iter().sum::<u32>())
    }

    fn label(&self) -> String {
        let each: Vec<String> = self.passes.iter().map(u32::to_string).collect();
        let rounds = if self.single() { String::new() } else { format!(" rounds {}", each.join("+")) };
        match self.ranges.len() {
            1 => format!("s[{}] rate {}{rounds}", self.len, self.rate),
            ranges => format!("s[{}] rate {} ranges {ranges}{rounds}", self.len, self.rate),
        }
    }
}

impl Checks for Ema {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let (mut largest, mut count) = (vec![0.0; self.len as usize], 0);
        for (values, rounds) in self.values(reads[0]) {
            for ((largest, values), scale) in std::iter::zip(&mut largest, values.chunks(rounds)).zip(self.scales()) {
                *largest = values.iter().map(|x| (scale * x).abs()).fold(*largest, f32::max);
            }
            count += rounds;
        }
        let bound = |(x, s): (&f32, &f32)| {
            let s = s.abs().max(if count == 1 { 0.0 } else { *x });
            (EPS * (2.0 * s + self.rate.abs() * (5.0 * x + 4.0 * s)) + f32::MIN_POSITIVE) * count as f32
        };
        vec![std::iter::zip(&largest, old[0]).map(bound).collect()]
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, rate, scale| Box::new(Ema::new(len, rate, scale)) as Box<dyn Kernel>;
    let ranges = |len, passes: &[u32], starts: &[u32]| {
        let range = |(k, start): (usize, &u32)| Range { start: *start, scale: 1.0 + k as f32 / 7.0 };
        let ranges = starts.iter().enumerate().map(range).collect();
        Box::new(Ema { len, passes: passes.to_vec(), rate: 0.1, ranges }) as Box<dyn Kernel>
    };
    let all: Vec<u32> = (0..MAX_RANGES as u32).map(|k| 64 * k).collect();
    vec![
        ranges(1920, &[1], &[0, 512, 1024, 1280]),
        ranges(67, &[1], &[0, 64]),
        ranges(101, &[1], &[0, 3, 50]),
        ranges(1920, &[2], &[0, 512, 1024, 1280]),
        ranges(1924, &[1, 1], &[0, 512, 1024, 1280]),
        ranges(101, &[3], &[0, 3, 50]),
        ranges(101, &[2, 1, 1, 3], &[0, 3, 50]),
        ranges(64 * MAX_RANGES as u32, &[1], &all),
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
