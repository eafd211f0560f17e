//! Exponential moving averages: running statistics.

use super::*;

params! {
    /// x `[len]` -> s `[len]` updated: s += rate (scale x - s).
    pub struct Ema {
        /// Elements.
        pub len: u32,
        /// How much of the new value enters.
        pub rate: f32,
        /// Factor of x, e.g. n / (n - 1) for an unbiased variance.
        pub scale: f32,
    }
}

static SHADER: Shader = shader!("ema", "width1", "flat");
static SHADER4: Shader = shader!("ema" as "ema4", "width4", "flat");

static SIGNATURE: Signature = Signature { name: "ema", reads: &["x"], writes: &[("s", Access::Update)] };

impl Kernel for Ema {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (rate, scale) = (f64::from(self.rate), f64::from(self.scale));
        for (s, x) in std::iter::zip(&mut *writes[0], reads[0]) {
            *s = (f64::from(*s) + rate * (scale * f64::from(*x) - f64::from(*s))) as f32;
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = |shader, width: u32| {
            let params = Ema { len: self.len / width, ..*self };
            flat(shader, &params, params.len as usize, caps).bind("x", Slot::Read(0)).bind("s", Slot::Write(0))
        };
        let scalar = Recipe::single("scalar", stage(&SHADER, 1));
        match self.len % 4 {
            0 => vec![Recipe::single("vec4", stage(&SHADER4, 4)), scalar],
            _ => vec![scalar],
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let bound = |(x, s): (&f32, &f32)| {
            let (x, s) = ((self.scale * x).abs(), s.abs());
            EPS * (2.0 * s + self.rate.abs() * (5.0 * x + 4.0 * s)) + f32::MIN_POSITIVE
        };
        vec![std::iter::zip(reads[0], old[0]).map(bound).collect()]
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Ema { len, ..*self }))
    }

    fn flops(&self) -> u64 {
        4 * u64::from(self.len)
    }

    fn label(&self) -> String {
        format!("s[{}] rate {}", self.len, self.rate)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, rate, scale| Box::new(Ema { len, rate, scale }) as Box<dyn Kernel>;
    vec![
        case(1, 0.1, 1.0),
        case(127, 0.1, 128.0 / 127.0),
        case(256, 0.0, 1.0),
        case(10_007, 1.0, 1.0),
        case(65_536, 5e-4, 1.0),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(128, 0.1), (627_200, 5e-4)].map(|(len, rate)| Box::new(Ema { len, rate, scale: 1.0 }) as Box<dyn Kernel>).into()
}
