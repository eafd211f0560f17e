//! Batch normalisation with the statistics of the batch (Ioffe & Szegedy 2015, algorithm 1), and
//! its gradient.

use super::activation::Activation;
use super::*;
use rayon::prelude::*;

params! {
    /// x `[n, c, hw]`, gamma `[c]`, beta `[c]` -> y `[n, c, hw]`, mean `[c]`, var `[c]` (biased):
    /// y = act(gamma (x - mean) / sqrt(var + eps) + beta).
    pub struct BatchNorm {
        /// Samples.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel.
        pub hw: u32,
        /// Code of the activation ([`Activation::code`]).
        pub act: u32,
        /// Added to the variance.
        pub eps: f32,
        /// Slope of a leaky ReLU.
        pub slope: f32,
    }
}

params! {
    /// dy `[n, c, hw]` (the gradient in front of the activation), x `[n, c, hw]`, gamma, mean, var
    /// `[c]` -> dx `[n, c, hw]`, dgamma `[c]`, dbeta `[c]`.
    pub struct BatchNormGrad {
        /// Samples.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Pixels of a channel.
        pub hw: u32,
        /// Added to the variance.
        pub eps: f32,
    }
}

static FORWARD: Signature = Signature {
    name: "batch_norm",
    reads: &["x", "gamma", "beta"],
    writes: &[("y", Access::Write), ("mean", Access::Write), ("var", Access::Write)],
};

static BACKWARD: Signature = Signature {
    name: "batch_norm_grad",
    reads: &["dy", "x", "gamma", "mean", "var"],
    writes: &[("dx", Access::Write), ("dgamma", Access::Write), ("dbeta", Access::Write)],
};

/// The indices of a channel's elements in `[n, c, hw]`.
fn channel(n: u32, c: u32, hw: u32, ic: usize) -> impl Iterator<Item = usize> {
    let [n, c, hw] = [n, c, hw].map(|v| v as usize);
    (0..n).flat_map(move |i| (0..hw).map(move |k| (i * c + ic) * hw + k))
}

impl Kernel for BatchNorm {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let c = self.c as usize;
        let all = self.n as usize * c * self.hw as usize;
        Lens { reads: vec![all, c, c], writes: vec![all, c, c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[x, gamma, beta] = reads else { return };
        let [y, mean, var] = writes else { return };
        let (c, hw) = (self.c as usize, self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let elements = |ic| channel(self.n, self.c, self.hw, ic).map(|i| f64::from(x[i]));
        let moments = |ic| {
            let mean = elements(ic).sum::<f64>() / terms;
            (mean, elements(ic).map(|v| (v - mean) * (v - mean)).sum::<f64>() / terms)
        };
        let moments: Vec<(f64, f64)> = (0..c).into_par_iter().map(moments).collect();
        let act = Activation::from_code(self.act, self.slope);
        for (plane, y) in y.chunks_mut(hw).enumerate() {
            let ic = plane % c;
            let rstd = 1.0 / (moments[ic].1 + f64::from(self.eps)).sqrt();
            for (k, y) in y.iter_mut().enumerate() {
                let hat = (f64::from(x[plane * hw + k]) - moments[ic].0) * rstd;
                *y = act.apply((f64::from(gamma[ic]) * hat + f64::from(beta[ic])) as f32);
            }
        }
        for ic in 0..c {
            (mean[ic], var[ic]) = (moments[ic].0 as f32, moments[ic].1 as f32);
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        8 * u64::from(self.n) * u64::from(self.c) * u64::from(self.hw)
    }

    fn label(&self) -> String {
        let BatchNorm { n, c, hw, act, .. } = self;
        format!("x[{n},{c},{hw}] act {act}")
    }
}

impl Kernel for BatchNormGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let c = self.c as usize;
        let all = self.n as usize * c * self.hw as usize;
        Lens { reads: vec![all, all, c, c, c], writes: vec![all, c, c] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, x, gamma, mean, var] = reads else { return };
        let [dx, dgamma, dbeta] = writes else { return };
        let (c, hw) = (self.c as usize, self.hw as usize);
        let terms = f64::from(self.n) * f64::from(self.hw);
        let rstd = |ic: usize| 1.0 / (f64::from(var[ic]) + f64::from(self.eps)).sqrt();
        let hat = |i: usize, ic: usize| (f64::from(x[i]) - f64::from(mean[ic])) * rstd(ic);
        let sums = |ic: usize| {
            channel(self.n, self.c, self.hw, ic).fold((0.0, 0.0), |(g, b), i| {
                let d = f64::from(dy[i]);
                (g + d * hat(i, ic), b + d)
            })
        };
        let sums: Vec<(f64, f64)> = (0..c).into_par_iter().map(sums).collect();
        for (plane, dx) in dx.chunks_mut(hw).enumerate() {
            let ic = plane % c;
            let factor = f64::from(gamma[ic]) * rstd(ic);
            for (k, dx) in dx.iter_mut().enumerate() {
                let i = plane * hw + k;
                let along = (sums[ic].1 + hat(i, ic) * sums[ic].0) / terms;
                *dx = (factor * (f64::from(dy[i]) - along)) as f32;
            }
        }
        for ic in 0..c {
            (dgamma[ic], dbeta[ic]) = (sums[ic].0 as f32, sums[ic].1 as f32);
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        Vec::new()
    }

    fn flops(&self) -> u64 {
        11 * u64::from(self.n) * u64::from(self.c) * u64::from(self.hw)
    }

    fn label(&self) -> String {
        let BatchNormGrad { n, c, hw, .. } = self;
        format!("dy[{n},{c},{hw}]")
    }
}
