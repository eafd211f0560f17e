//! Stochastic gradient descent with momentum.

use super::average::{self, Shaders, optimizer_shaders};
use crate::kernels::ramp::{ramp, ramp_error};
use crate::kernels::*;

params! {
    /// g `[len]`, clock -> w, buf `[len]` updated: g' = g + weight_decay w, buf = m_t buf + g',
    /// w -= lr_t buf, with lr_t = lr exp(t ln_decay) and m_t = momentum + (momentum_end - momentum)
    /// min(t momentum_step, 1) at clock t; then average += r (w - average), if one is kept,
    /// by a rate r that warms up or not.
    pub struct Sgd {
        /// Elements.
        pub len: u32,
        /// Learning rate at step 0.
        pub lr: f32,
        /// Logarithm of the learning rate's factor per step.
        pub ln_decay: f32,
        /// Momentum at step 0.
        pub momentum: f32,
        /// Momentum once it has stopped changing.
        pub momentum_end: f32,
        /// How much of the way to it is gone at a step; 0 keeps the first.
        pub momentum_step: f32,
        /// L2 penalty.
        pub weight_decay: f32,
        /// How much of the new parameters enters their average; 0 keeps none.
        pub average_rate: f32,
        /// By w / (w + 1 + clock), where that is more than the rate, the average of few parameters follows
        /// them; 0 for an average whose rate is the same from the start.
        pub average_warm: f32,
    }
}

static SHADERS: Shaders = optimizer_shaders!(Sgd, "sgd");

static SIGNATURE: Signature = Signature {
    name: "sgd",
    reads: &["g", "clock"],
    writes: &[("w", Access::Update), ("buf", Access::Update), ("average", Access::Update)],
};

impl Sgd {
    /// How much of the new parameters enters their average at this clock.
    fn average_rate_at(&self, clock: &[f32]) -> f32 {
        average::rate_at(self.average_rate, self.average_warm, clock)
    }

    fn momenta(&self) -> [f32; 2] {
        [self.momentum, self.momentum_end]
    }
}

impl Kernel for Sgd {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize, 1], writes: average::lens(2, self.len, self.average_rate) }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [p, buf, average] = writes else { return };
        let lr = rate(self.lr, self.ln_decay, reads[1]);
        let momentum = ramp(self.momenta(), self.momentum_step, reads[1]);
        for (i, g) in reads[0].iter().enumerate() {
            let g = f64::from(*g) + f64::from(self.weight_decay) * f64::from(p[i]);
            let b = momentum * f64::from(buf[i]) + g;
            buf[i] = b as f32;
            p[i] = (f64::from(p[i]) - lr * b) as f32;
        }
        average::keep(self.average_rate_at(reads[1]), p, average);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let bind = [("g", Slot::Read(0)), ("clock", Slot::Read(1)), ("w", Slot::Write(0)), ("buf", Slot::Write(1))];
        average::variants(&SHADERS, (self.len, self.average_rate), |len| Sgd { len, ..*self }, &bind, caps)
    }

    fn part(&self, len: u32) -> Option<Arc<dyn Kernel>> {
        Some(Arc::new(Sgd { len, ..*self }))
    }

    fn flops(&self) -> u64 {
        6 * u64::from(self.len) + average::flops(self.average_rate, self.len)
    }

    fn label(&self) -> String {
        let moves = if self.momentum_step > 0.0 { format!(" to {}", self.momentum_end) } else { String::new() };
        format!(
            "p[{}] momentum {}{moves}{}",
            self.len,
            self.momentum,
            average::label(self.average_rate, self.average_warm)
        )
    }
}

impl Checks for Sgd {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(1) => example_clock(len, draw),
            _ => (0..len).map(|_| 2.0 * draw() - 1.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], twin: &[&[f32]]) -> Vec<Vec<f32>> {
        let lr = rate(self.lr, self.ln_decay, reads[1]) as f32;
        let momentum = ramp(self.momenta(), self.momentum_step, reads[1]) as f32;
        let d_momentum = ramp_error(self.momenta(), self.momentum_step);
        let buf: Vec<f32> = (0..reads[0].len())
            .map(|i| {
                let terms = (momentum * old[1][i]).abs() + (self.weight_decay * old[0][i]).abs() + reads[0][i].abs();
                4.0 * EPS * terms + d_momentum * old[1][i].abs() + f32::MIN_POSITIVE
            })
            .collect();
        let relative = rate_error(self.ln_decay, reads[1]) + 3.0 * EPS;
        let p =
            |i: usize| lr * (buf[i] + relative * twin[1][i].abs()) + 2.0 * EPS * twin[0][i].abs() + f32::MIN_POSITIVE;
        let p: Vec<f32> = (0..buf.len()).map(p).collect();
        let average = average::bounds(self.average_rate_at(reads[1]), twin[0], &p, old[2]);
        vec![p, buf, average]
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let case = |len, momentum, weight_decay, ln_decay, average_rate| {
        let average_warm = if len % 2 == 0 { 9.0 * f32::from(u8::from(average_rate > 0.0)) } else { 0.0 };
        let (momentum_end, momentum_step) = (0.0, 0.0);
        let lr = 0.1;
        Sgd { len, lr, ln_decay, momentum, momentum_end, momentum_step, weight_decay, average_rate, average_warm }
    };
    let ramped = |len, momentum_step| Sgd { momentum_end: 0.7, momentum_step, ..case(len, 0.5, 0.0, -4e-6, 0.0) };
    let all = [
        case(1, 0.0, 0.0, 0.0, 0.0),
        case(257, 0.9, 0.0, -4e-6, 0.0),
        case(1024, 0.5, 1e-4, -0.01, 0.0),
        case(20_011, 0.7, 0.0, 0.0, 0.0),
        case(257, 0.9, 0.0, 0.0, 0.25),
        case(1024, 0.5, 1e-4, -0.01, 0.001),
        ramped(1024, 1e-3),
        ramped(257, 1.0),
    ];
    all.map(|case| Box::new(case) as Box<dyn Kernel>).into()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let (len, momentum_end, momentum_step) = (2_503_984, 0.7, 8e-6);
    let (lr, ln_decay, momentum, weight_decay, average_rate, average_warm) = (0.1, -4e-6, 0.5, 0.0, 0.0, 0.0);
    vec![Box::new(Sgd {
        len,
        lr,
        ln_decay,
        momentum,
        momentum_end,
        momentum_step,
        weight_decay,
        average_rate,
        average_warm,
    })]
}
