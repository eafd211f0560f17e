//! Multiplications and additions in registers and nothing else: a device's ceiling for the
//! arithmetic of invocations.

use crate::kernels::*;

params! {
    /// y\[i\] = Σ a_j over twelve numbers, each from x\[i\] + j through 32 · turns steps
    /// a ← a · factor + x\[i\].
    pub struct MultiplyAdd {
        /// Elements.
        pub len: u32,
        /// Steps, 32 at a time.
        pub turns: u32,
        /// What is multiplied by, at most 1 in magnitude and a number that f16 has.
        pub factor: f32,
    }
}

static SHADER: Shader = shader!(MultiplyAdd, "multiply_add" as "multiply_add"; "alias Sum = f32;");
static SHADER16: Shader = shader!(MultiplyAdd, "multiply_add" as "multiply_add_f16"; "enable f16;\nalias Sum = f16;");
static SIGNATURE: Signature = Signature { name: "multiply_add", reads: &["x"], writes: &[("y", Access::Write)] };

/// Numbers an element takes through the steps.
const NUMBERS: u32 = 12;
/// Steps of a turn.
const STEPS: u32 = 32;

impl MultiplyAdd {
    /// Numbers that forget an eighth of themselves at each step, and end near 8 x\[i\].
    pub fn new(len: u32, turns: u32) -> MultiplyAdd {
        MultiplyAdd { len, turns, factor: 0.875 }
    }

    /// The errors permitted to y if a rounding is off by `unit`: a step rounds its product and its
    /// sum, unless the device does both at once, and x is rounded before.
    fn permitted(&self, reads: &[&[f32]], reference: &[&[f32]], unit: f64) -> Vec<Vec<f32>> {
        let (factor, eps) = (f64::from(self.factor), f64::from(EPS));
        let error = |x: f64, j: u32| {
            let mut a = x + f64::from(j);
            let mut off = (unit + eps) * a.abs();
            for _ in 0..STEPS * self.turns {
                let (product, next) = (a * factor, a * factor + x);
                let then = factor.abs() * off + unit * (product.abs() + next.abs() + x.abs());
                // Arrived where nothing changes any more.
                if (a, off) == (next, then) {
                    break;
                }
                (a, off) = (next, then);
            }
            // The sum of twelve rounds each of them four times.
            off + 4.0 * eps * (a.abs() + off)
        };
        let most = |(x, y): (&f32, &f32)| {
            let errors: f64 = (0..NUMBERS).map(|j| error(f64::from(*x), j)).sum();
            // The reference's last rounding is no device's.
            (1.001 * errors + eps * f64::from(y.abs())) as f32
        };
        vec![std::iter::zip(reads[0], reference[0]).map(most).collect()]
    }
}

impl Kernel for MultiplyAdd {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let factor = f64::from(self.factor);
        for (x, y) in std::iter::zip(reads[0], writes[0].iter_mut()) {
            let x = f64::from(*x);
            let through = |j| (0..STEPS * self.turns).fold(x + f64::from(j), |a, _| a * factor + x);
            *y = (0..NUMBERS).map(through).sum::<f64>() as f32;
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wg = if caps.class == Class::Lanes { 8 } else { 64 };
        let stage = |shader| {
            Stage::new(shader, self, grid_1d(self.len.div_ceil(wg) as usize, caps))
                .operands(self.signature())
                .constant("WG", wg)
        };
        let mixed = caps.precision == Precision::Mixed && caps.f16;
        let f16 = mixed.then(|| Recipe::single("registers_f16", stage(&SHADER16)));
        f16.into_iter().chain([Recipe::single("registers", stage(&SHADER))]).collect()
    }

    fn flops(&self) -> u64 {
        2 * u64::from(NUMBERS * STEPS) * u64::from(self.len) * u64::from(self.turns)
    }

    fn label(&self) -> String {
        format!("x[{}] turns {}", self.len, self.turns)
    }
}

impl Checks for MultiplyAdd {
    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, reference, f64::from(EPS))
    }

    /// Devices may round f16 towards zero, which errs by twice as much as to the nearest.
    fn mixed_bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        self.permitted(reads, reference, 2f64.powi(-10))
    }
}

/// Odd shapes, and factors of both signs.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let all = [
        MultiplyAdd { factor: -0.75, ..MultiplyAdd::new(1, 1) },
        MultiplyAdd::new(7, 0),
        MultiplyAdd { factor: 0.984375, ..MultiplyAdd::new(64, 3) },
        MultiplyAdd::new(1021, 17),
        MultiplyAdd::new(66_000, 2),
    ];
    all.map(|kernel| Box::new(kernel) as Box<dyn Kernel>).into()
}

/// Sizes that are worth measuring on a software device and on a GPU.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    [(4096, 256), (1 << 18, 256)].map(|(len, turns)| Box::new(MultiplyAdd::new(len, turns)) as Box<dyn Kernel>).into()
}
