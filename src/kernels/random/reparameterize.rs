//! The reparameterisation trick with the KL divergence to N(0, I) (Kingma & Welling 2014, section
//! 2.4 and appendix B), and its gradient, which draws the noise again.

use crate::kernels::*;

params! {
    /// mu, logvar `[rows, d]`, clock -> z `[rows, d]` = mu + exp(logvar / 2) eps,
    /// kl `[rows]` = -½ Σ_d (1 + logvar - mu² - exp(logvar)).
    pub struct Reparameterize {
        /// Samples.
        pub rows: u32,
        /// Latent dimensions.
        pub d: u32,
        /// Which numbers it draws.
        pub noise: philox::NoiseBlock,
    }
}

/// dz `[rows, d]`, dkl `[rows]`, mu, logvar `[rows, d]`, clock -> dmu, dlogvar `[rows, d]`.
#[derive(Clone, Copy, Debug)]
pub struct ReparameterizeGrad(pub Reparameterize);

static FORWARD_SHADER: Shader = shader!(Reparameterize, "reparameterize");
static BACKWARD_SHADER: Shader = shader!(Reparameterize, "reparameterize_grad");

static FORWARD: Signature = Signature {
    name: "reparameterize",
    reads: &["mu", "logvar", "clock"],
    writes: &[("z", Access::Write), ("kl", Access::Write)],
};

static BACKWARD: Signature = Signature {
    name: "reparameterize_grad",
    reads: &["dz", "dkl", "mu", "logvar", "clock"],
    writes: &[("dmu", Access::Write), ("dlogvar", Access::Write)],
};

host::wide! {
    /// z = mu + exp(logvar / 2) z.
    fn reparameterise(mu: &[f32], logvar: &[f32], z: &mut [f32]) {
        for (z, (m, v)) in std::iter::zip(z, std::iter::zip(mu, logvar)) {
            *z = m + host::exp(v / 2.0) * *z;
        }
    }
}

host::wide! {
    fn divergences(mu: &[f32], logvar: &[f32], terms: &mut [f32]) {
        for (term, (m, v)) in std::iter::zip(terms, std::iter::zip(mu, logvar)) {
            *term = (m * m + host::exp_m1(*v) - v) / 2.0;
        }
    }
}

host::wide! {
    /// dmu = dz + dkl mu.
    fn over_both(dz: &[f32], dkl: &[f32], mu: &[f32], dmu: &mut [f32]) {
        for ((dmu, mu), (dz, dkl)) in std::iter::zip(std::iter::zip(dmu, mu), std::iter::zip(dz, dkl)) {
            *dmu = dz + dkl * mu;
        }
    }
}

host::wide! {
    /// dlogvar = (dz noise exp(logvar / 2) + dkl (exp(logvar) - 1)) / 2, where noise is what it was.
    fn back_to_logvar(dz: &[f32], dkl: &[f32], logvar: &[f32], dlogvar: &mut [f32]) {
        for ((to, v), (dz, dkl)) in std::iter::zip(std::iter::zip(dlogvar, logvar), std::iter::zip(dz, dkl)) {
            *to = (dz * *to * host::exp(v / 2.0) + dkl * host::exp_m1(*v)) / 2.0;
        }
    }
}

impl Kernel for Reparameterize {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let (rows, len) = (self.rows as usize, self.rows as usize * self.d as usize);
        Lens { reads: vec![len, len, 1], writes: vec![len, rows] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[mu, logvar, clock] = reads else { return };
        let [z, kl] = writes else { return };
        let source = self.noise.at(step(clock));
        for (row, kl) in kl.iter_mut().enumerate() {
            let mut sum = 0.0;
            for i in row * self.d as usize..(row + 1) * self.d as usize {
                let (m, v) = (f64::from(mu[i]), f64::from(logvar[i]));
                z[i] = (m + (v / 2.0).exp() * f64::from(source.normal(i))) as f32;
                sum += (m * m + v.exp_m1() - v) / 2.0;
            }
            *kl = sum as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[mu, logvar, clock] = reads else { return };
        let [z, kl] = writes else { return };
        let (source, d) = (self.noise.at(step(clock)), self.d as usize);
        host::pieces(z, |first, z| {
            host::normals(&source, first, z);
            reparameterise(&mu[first..], &logvar[first..], z);
        });
        host::in_pieces(kl, (host::PIECE / d).max(1), |first, kl| {
            let mut terms = vec![0.0; d];
            for (row, kl) in (first..).zip(kl) {
                let own = row * d..(row + 1) * d;
                divergences(&mu[own.clone()], &logvar[own], &mut terms);
                *kl = host::sum(&terms) as f32;
            }
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wg: u32 = match caps.class {
            Class::Lanes => 8,
            Class::Gpu => 64,
        };
        // Rows beyond the first 65536 are taken in turns.
        let stage = Stage::new(&FORWARD_SHADER, self, grid_1d(self.rows.min(1 << 16) as usize, caps))
            .constant("WG", wg)
            .operands(self.signature());
        vec![Recipe::single("rows", stage)]
    }

    fn flops(&self) -> u64 {
        9 * u64::from(self.rows) * u64::from(self.d)
    }

    fn label(&self) -> String {
        format!("mu[{},{}]", self.rows, self.d)
    }
}

impl Checks for Reparameterize {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(2) => example_clock(len, draw),
            _ => (0..len).map(|_| 4.0 * draw() - 2.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[mu, logvar, clock] = reads else { return Vec::new() };
        let (source, d) = (self.noise.at(step(clock)), self.d as usize);
        let z = |i: usize| {
            let noise = (logvar[i] / 2.0).exp() * noise_error(&source, i, logvar[i] / 2.0);
            noise + 2.0 * EPS * ((reference[0][i] - mu[i]).abs() + reference[0][i].abs())
        };
        let kl = |row: usize| {
            let (mut magnitude, mut error) = (0.0, 0.0);
            for i in row * d..(row + 1) * d {
                let (m, v) = (mu[i], logvar[i]);
                magnitude += (m * m + v.exp_m1().abs() + v.abs()) / 2.0;
                error += expm1_error(v) / 2.0;
            }
            // Eight lanes or more share a row.
            error + sum_bound(d.min(d / 8 + 12) + 3, magnitude)
        };
        vec![(0..mu.len()).map(z).collect(), (0..self.rows as usize).map(kl).collect()]
    }
}

impl Kernel for ReparameterizeGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let (rows, len) = (self.0.rows as usize, self.0.rows as usize * self.0.d as usize);
        Lens { reads: vec![len, rows, len, len, 1], writes: vec![len, len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dz, dkl, mu, logvar, clock] = reads else { return };
        let [dmu, dlogvar] = writes else { return };
        let source = self.0.noise.at(step(clock));
        for i in 0..dz.len() {
            let [dz, m, v] = [dz[i], mu[i], logvar[i]].map(f64::from);
            let dkl = f64::from(dkl[i / self.0.d as usize]);
            dmu[i] = (dz + dkl * m) as f32;
            let noise = f64::from(source.normal(i));
            dlogvar[i] = ((dz * noise * (v / 2.0).exp() + dkl * v.exp_m1()) / 2.0) as f32;
        }
    }

    fn host(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dz, dkl, mu, logvar, clock] = reads else { return };
        let [dmu, dlogvar] = writes else { return };
        let (source, d) = (self.0.noise.at(step(clock)), self.0.d as usize);
        let spread = |row: usize| std::iter::repeat_n(dkl[row], d);
        let dkl: Vec<f32> = (0..dkl.len()).flat_map(spread).collect();
        over_both(dz, &dkl, mu, dmu);
        host::pieces(dlogvar, |first, dlogvar| {
            host::normals(&source, first, dlogvar);
            back_to_logvar(&dz[first..], &dkl[first..], &logvar[first..], dlogvar);
        });
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let items = (self.0.rows as usize * self.0.d as usize).div_ceil(4);
        vec![Recipe::single("flat", flat(&BACKWARD_SHADER, &self.0, items, caps).operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        9 * u64::from(self.0.rows) * u64::from(self.0.d)
    }

    fn label(&self) -> String {
        format!("dz[{},{}]", self.0.rows, self.0.d)
    }
}

impl Checks for ReparameterizeGrad {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        match operand {
            Operand::Read(4) => example_clock(len, draw),
            _ => (0..len).map(|_| 4.0 * draw() - 2.0).collect(),
        }
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dz, dkl, mu, logvar, clock] = reads else { return Vec::new() };
        let (source, d) = (self.0.noise.at(step(clock)), self.0.d as usize);
        let dmu = |i: usize| EPS * (2.0 * reference[0][i].abs() + (dkl[i / d] * mu[i]).abs()) + 1e-12;
        let dlogvar = |i: usize| {
            let (v, k, half) = (logvar[i], dkl[i / d].abs(), logvar[i] / 2.0);
            let noise =
                (dz[i] * half.exp()).abs() * (noise_error(&source, i, half) + 3.0 * EPS * source.normal(i).abs());
            (noise + k * (expm1_error(v) + 3.0 * EPS * v.exp_m1().abs())) / 2.0
                + 2.0 * EPS * reference[1][i].abs()
                + 1e-9
        };
        vec![(0..dz.len()).map(dmu).collect(), (0..dz.len()).map(dlogvar).collect()]
    }
}

/// The error permitted to eps exp(half), relative to exp(half).
fn noise_error(source: &philox::Stream, i: usize, half: f32) -> f32 {
    let eps = source.normal(i).abs();
    normal_error(source, i) + eps * (exp_error(half) + 2.0 * EPS)
}

const CASES: [[u32; 2]; 6] = [[1, 1], [3, 2], [7, 5], [128, 20], [11, 67], [70_001, 1]];

fn forward(rows: u32, d: u32) -> Box<dyn Kernel> {
    Box::new(Reparameterize { rows, d, noise: philox::NoiseBlock::example(3) })
}

fn backward(rows: u32, d: u32) -> Box<dyn Kernel> {
    Box::new(ReparameterizeGrad(Reparameterize { rows, d, noise: philox::NoiseBlock::example(3) }))
}

/// Odd shapes of [`Reparameterize`]; one has more than 65535 rows.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[rows, d]| forward(rows, d)).into()
}

/// Shapes of the presets for [`Reparameterize`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![forward(128, 20), forward(128, 128)]
}

/// Odd shapes of [`ReparameterizeGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    CASES.map(|[rows, d]| backward(rows, d)).into()
}

/// Shapes of the presets for [`ReparameterizeGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    vec![backward(128, 20), backward(128, 128)]
}
