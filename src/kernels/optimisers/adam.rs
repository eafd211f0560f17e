//! Adam (Kingma & Ba 2015, algorithm 1), as PyTorch computes it.

use super::average::{self, Shaders, optimizer_shaders};
use crate::kernels::*;

params! {
    /// g `[len]`, clock -> w, m, v `[len]` updated, with t = clock + 1:
    /// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g²,
    /// w -= lr_t / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps),
    /// with lr_t = lr exp(clock ln_decay); then average += r (w - average), if one is kept,
    /// by a rate r that warms up or not.
    pub struct Adam {
        /// Elements.
        pub len: u32,
        /// Learning rate at step 0.
        pub lr: f32,
        /// Logarithm of the learning rate's factor per step.
        pub ln_decay: f32,
        /// Decay of the first moment.
        pub beta1: f32,
        /// Decay of the second moment.
        pub beta2: f32,
        /// Logarithm of `beta1`, from the host's double.
        pub ln_beta1: f32,
        /// Logarithm of `beta2`, from the host's double.
        pub ln_beta2: f32,
        /// Added to the root.
        pub eps: f32,
        /// How much of the new parameters enters their average; 0 keeps none.
        pub average_rate: f32,
        /// By w / (w + 1 + clock), where that is more than the rate, the average of few parameters follows
        /// them; 0 for an average whose rate is the same from the start.
        pub average_warm: f32,
    }
}

static SHADERS: Shaders = optimizer_shaders!(Adam, "adam");

static SIGNATURE: Signature = Signature {
    name: "adam",
    reads: &["g", "clock"],
    writes: &[("w", Access::Update), ("m", Access::Update), ("v", Access::Update), ("average", Access::Update)],
};

impl Adam {
    /// How much of the new parameters enters their average at this clock.
    fn average_rate_at(&self, clock: &[f32]) -> f32 {
        average::rate_at(self.average_rate, self.average_warm, clock)
    }

    /// The parameter block without an average; the logarithms come from the decays.
    pub fn new(len: u32, lr: f32, ln_decay: f32, betas: (f64, f64), eps: f32) -> Adam {
        Adam {
            len,
            lr,
            ln_decay,
            beta1: betas.0 as f32,
            beta2: betas.1 as f32,
            // Clamped so that 0, a legal decay, gives 1 - 0^t = 1.
            ln_beta1: betas.0.ln().max(-1e4) as f32,
            ln_beta2: betas.1.ln().max(-1e4) as f32,
            eps,
            average_rate: 0.0,
            average_warm: 0.0,
        }
    }
}

impl Kernel for Adam {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: average::lens(3, self.len, self.average_rate) }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, m, v, average] = writes else { return };
        let t = f64::from(step(reads[1])) + 1.0;
        let correction = |ln_beta: f32| -(t * f64::from(ln_beta)).exp_m1();
        let step = rate(self.lr, self.ln_decay, reads[1]) / correction(self.ln_beta1);
        let root = correction(self.ln_beta2).sqrt();
        let (beta1, beta2) = (f64::from(self.beta1), f64::from(self.beta2));
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g);
            let first = beta1 * f64::from(m[i]) + (1.0 - beta1) * g;
            let second = beta2 * f64::from(v[i]) + (1.0 - beta2) * g * g;
            (m[i], v[i]) = (first as f32, second as f32);
            p[i] = (f64::from(p[i]) - step * first / (second.sqrt() / root + f64::from(self.eps))) as f32;
        }
        average::keep(self.average_rate_at(reads[1]), p, average);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let bind = [
            ("g", Slot::Read(0)),
            ("clock", Slot::Read(1)),
            ("w", Slot::Write(0)),
            ("m", Slot::Write(1)),
            ("v", Slot::Write(2)),
        ];
        average::variants(&SHADERS, (self.len, self.average_rate), |len| Adam { len, ..*self }, &bind, caps)
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Adam { len, ..*self }))
    }

    fn flops(&self) -> u64 {
        12 * u64::from(self.len) + average::flops(self.average_rate, self.len)
    }

    fn label(&self) -> String {
        format!(
            "p[{}] betas {},{}{}",
            self.len,
            self.beta1,
            self.beta2,
            average::label(self.average_rate, self.average_warm)
        )
    }
}

impl Checks for Adam {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => example_clock(len, draw),
            Operand::Write(1) => (0..len).map(|_| 0.2 * draw() - 0.1).collect(),
            Operand::Write(2) => (0..len).map(|_| 0.01 * draw()).collect(),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let t = step(reads[1]) as f32 + 1.0;
        // 1 - beta^t by expm1, whose error is that of the exponential where it is not a series.
        let correction = |ln_beta: f32| -> (f32, f32) {
            let x = t * ln_beta;
            let value = -x.exp_m1();
            (value, 8.0 * EPS + (exp_error(x) + x.abs() * EPS) * x.exp() / value)
        };
        let ((one, d_one), (two, d_two)) = (correction(self.ln_beta1), correction(self.ln_beta2));
        let relative = rate_error(self.ln_decay, reads[1]) + d_one + d_two / 2.0 + 40.0 * EPS;
        let step = rate(self.lr, self.ln_decay, reads[1]) as f32 / one;
        let mut bounds = vec![Vec::new(); 3];
        for (i, g) in reads[0].iter().enumerate() {
            let d_m = 3.0 * EPS * ((self.beta1 * old[1][i]).abs() + ((1.0 - self.beta1) * g).abs()) + f32::MIN_POSITIVE;
            let d_v = 5.0 * EPS * twin[2][i] + f32::MIN_POSITIVE;
            let below = twin[2][i].sqrt() / two.sqrt() + self.eps;
            let update = step * (d_m + relative * twin[1][i].abs()) / below;
            bounds[0].push(update + 2.0 * EPS * twin[0][i].abs() + f32::MIN_POSITIVE);
            bounds[1].push(d_m);
            bounds[2].push(d_v);
        }
        bounds.push(average::bounds(self.average_rate_at(reads[1]), twin[0], &bounds[0], old[3]));
        bounds
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, betas, ln_decay, average_rate| {
        let average_warm = if len % 2 == 0 { 9.0 * f32::from(u8::from(average_rate > 0.0)) } else { 0.0 };
        Box::new(Adam { average_rate, average_warm, ..Adam::new(len, 1e-3, ln_decay, betas, 1e-8) }) as Box<dyn Kernel>
    };
    vec![
        case(1, (0.9, 0.999), 0.0, 0.0),
        case(131, (0.5, 0.999), 0.0, 0.0),
        case(512, (0.0, 0.9), -2.3e-5, 0.0),
        case(10_007, (0.9, 0.999), -2.3e-5, 0.0),
        case(4096, (0.9, 0.99999), 0.0, 0.0),
        case(1, (0.9, 0.999), 0.0, 0.5),
        case(131, (0.5, 0.999), -2.3e-5, 1.0),
        case(512, (0.0, 0.9), 0.0, 1e-4),
        case(10_007, (0.9, 0.999), 0.0, 0.001),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let case = |(len, average_rate)| Adam { average_rate, ..Adam::new(len, 1e-3, 0.0, (0.9, 0.999), 1e-8) };
    [(652_824, 0.0), (896_833, 0.0), (53_569, 0.0), (652_824, 0.001)]
        .map(|shape| Box::new(case(shape)) as Box<dyn Kernel>)
        .into()
}
