//! Signs that a training does not go well, and what to do about them.

use crate::bench::quantile;
use crate::words::four;
use std::collections::VecDeque;

/// Losses that a jump is told from.
const WINDOW: usize = 64;
/// A loss this many times what it has been lately has jumped.
const JUMP: f64 = 3.0;
/// Steps that a sign has to last.
const LASTING: u64 = 200;
/// How much a step enters a running mean.
const RATE: f64 = 0.02;
/// A discriminator whose loss stays below has won. At chance it is 0.25 to 2, by the kind of loss.
const WON: f64 = 0.02;
/// Nats below which a latent code tells nothing.
const COLLAPSED: f64 = 0.1;
/// Samples that spread less than this share of what images of the data do are nearly the same.
const SAME: f64 = 0.15;

/// The mean of a loss over its latest steps, and for how many it has been below a bound.
struct Low {
    /// Which of the losses.
    index: usize,
    bound: f64,
    mean: Option<f64>,
    steps: u64,
    /// Whether it has ever been negative: then a low value says nothing.
    negative: bool,
    told: bool,
}

impl Low {
    fn new(names: &[&str], name: &str, bound: f64) -> Option<Low> {
        let index = names.iter().position(|known| *known == name)?;
        Some(Low { index, bound, mean: None, steps: 0, negative: false, told: false })
    }

    /// The mean, once it has been low for long enough; told once.
    fn step(&mut self, losses: &[f32]) -> Option<f64> {
        let value = f64::from(losses[self.index]);
        let mean = self.mean.map_or(value, |mean| mean + RATE * (value - mean));
        self.mean = Some(mean);
        self.negative |= value < 0.0;
        self.steps = if mean < self.bound { self.steps + 1 } else { 0 };
        let low = self.steps >= LASTING && !self.negative && !self.told;
        self.told |= low;
        low.then_some(mean)
    }
}

/// Watches the losses of a run.
pub(super) struct Health {
    /// The discriminator's loss.
    won: Option<Low>,
    /// The divergence of the posterior from the prior.
    posterior: Option<Low>,
    /// The latest values of the first loss, where that is one that falls.
    falling: Option<VecDeque<f64>>,
    name: &'static str,
    /// Whether gradients are clipped already.
    clipped: bool,
    jumped: bool,
    same: bool,
}

impl Health {
    /// Of a model with losses of these names.
    pub(super) fn new(names: &[&'static str], clipped: bool) -> Health {
        let adversarial = names.contains(&"loss_d");
        Health {
            won: Low::new(names, "loss_d", WON),
            posterior: Low::new(names, "kl", COLLAPSED),
            falling: (!adversarial).then(VecDeque::new),
            name: names.first().copied().unwrap_or_default(),
            clipped,
            jumped: false,
            same: false,
        }
    }

    /// What is to be said of the losses of a step, from 1. Each thing is said once.
    pub(super) fn step(&mut self, step: u64, losses: &[f32]) -> Option<String> {
        self.jump(step, losses).or_else(|| self.lasting(step, losses))
    }

    fn lasting(&mut self, step: u64, losses: &[f32]) -> Option<String> {
        let won = self.won.as_mut().and_then(|low| low.step(losses));
        if let Some(mean) = won {
            return Some(format!(
                "the discriminator has won: loss_d has been near {} for {LASTING} steps at step {step}, and teaches the \
                 generator little; make it weaker (model.instance_noise=0.1, fewer images seen twice by model.augment) or \
                 lower optim.lr",
                four(mean)
            ));
        }
        let kl = self.posterior.as_mut().and_then(|low| low.step(losses))?;
        Some(format!(
            "the posterior has collapsed: kl has been near {} nats for {LASTING} steps at step {step}, so the decoder \
             ignores the code; let it count less (a smaller model.beta, or model.warm_up steps in which it rises)",
            four(kl)
        ))
    }

    fn jump(&mut self, step: u64, losses: &[f32]) -> Option<String> {
        let (recent, value) = (self.falling.as_mut()?, f64::from(*losses.first()?));
        // Of losses around 0, as densities give them, factors say nothing.
        let told = recent.len() == WINDOW && recent.iter().all(|v| *v > 0.0);
        let usual = told.then(|| quantile(&mut recent.iter().copied().collect::<Vec<f64>>(), 0.5));
        recent.push_back(value);
        if recent.len() > WINDOW {
            recent.pop_front();
        }
        let usual = usual.filter(|usual| value > JUMP * usual && !self.jumped)?;
        self.jumped = true;
        let advice =
            if self.clipped { "lower optim.lr or train.clip_norm" } else { "set train.clip_norm=1, or lower optim.lr" };
        Some(format!(
            "{} jumped to {} at step {step}, {} times what it had been; where it stays there or comes again, {advice}",
            self.name,
            four(value),
            four(value / usual)
        ))
    }

    /// What is to be said of samples that spread so much after `step`, where images of the data
    /// spread by `data`; once. `ripe`: the run is far enough for them to differ.
    pub(super) fn samples(&mut self, step: u64, spread: f64, data: f64, ripe: bool) -> Option<String> {
        if self.same || !ripe || data <= 0.0 || spread >= SAME * data {
            return None;
        }
        self.same = true;
        Some(format!(
            "samples are nearly the same at step {step}: their values differ by {} on average, those of the data by {}; the \
             model may have collapsed, and does not recover by itself where loss_g rises: go back and lower optim.lr, or \
             train longer where the losses still fall",
            four(spread),
            four(data)
        ))
    }
}

/// How far `count` images are from each other: the standard deviation of each of their numbers over
/// the images, on average.
pub fn deviation(images: &[f32], count: usize) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let each = images.len() / count;
    let of = |value: usize| {
        let values = || images.iter().skip(value).step_by(each.max(1)).map(|v| f64::from(*v));
        let mean = values().sum::<f64>() / count as f64;
        (values().map(|v| (v - mean).powi(2)).sum::<f64>() / count as f64).sqrt()
    };
    (0..each).map(of).sum::<f64>() / each.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(health: &mut Health, losses: impl IntoIterator<Item = Vec<f32>>) -> Vec<String> {
        (1..).zip(losses).filter_map(|(step, losses)| health.step(step, &losses)).collect()
    }

    fn steps(n: usize, of: impl Fn(usize) -> Vec<f32>) -> impl Iterator<Item = Vec<f32>> {
        (0..n).map(of)
    }

    #[test]
    fn a_discriminator_that_wins_is_told_once_and_a_critic_never_is() {
        let names = ["loss_d", "loss_g"];
        let lost = |i: usize| vec![if i < 300 { 1.2 } else { 0.001 }, 2.0];
        let warnings = told(&mut Health::new(&names, false), steps(2000, lost));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("the discriminator has won: loss_d"), "{warnings:?}");
        let even = |i: usize| vec![1.0 + 0.5 * (i as f32).sin(), if i == 500 { 900.0 } else { 1.0 }];
        assert!(told(&mut Health::new(&names, false), steps(2000, even)).is_empty());
        // A critic's loss is the negative of a distance and nears 0 in the end.
        let critic = |i: usize| vec![-5.0 * 0.99f32.powi(i as i32), 0.0];
        assert!(told(&mut Health::new(&names, false), steps(2000, critic)).is_empty());
    }

    #[test]
    fn a_posterior_that_dies_is_told_once() {
        let names = ["loss", "bce", "kl"];
        let dead = |i: usize| vec![200.0, 200.0, if i < 10 { 5.0 } else { 0.01 }];
        let warnings = told(&mut Health::new(&names, false), steps(2000, dead));
        assert!(warnings.len() == 1 && warnings[0].contains("kl has been near 0.0"), "{warnings:?}");
        // Low at first, as it often is, but not for long.
        let late = |i: usize| vec![200.0, 190.0, 0.001 * i as f32];
        assert!(told(&mut Health::new(&names, false), steps(2000, late)).is_empty());
    }

    #[test]
    fn a_jump_is_told_with_what_to_do() {
        let spike = |i: usize| vec![if i == 400 { 900.0 } else { 100.0 + (i % 7) as f32 }];
        let warnings = told(&mut Health::new(&["nll"], false), steps(1000, spike));
        assert!(warnings.len() == 1 && warnings[0].starts_with("nll jumped to 900.0 at step 401"), "{warnings:?}");
        assert!(warnings[0].contains("set train.clip_norm=1"), "{warnings:?}");
        let warnings = told(&mut Health::new(&["nll"], true), steps(1000, spike));
        assert!(warnings[0].contains("lower optim.lr or train.clip_norm"), "{warnings:?}");
        // A loss that falls from far above, and one that is negative.
        assert!(told(&mut Health::new(&["nll"], false), steps(1000, |i| vec![1e4 / (1.0 + i as f32)])).is_empty());
        assert!(
            told(&mut Health::new(&["nll"], false), steps(1000, |i| vec![-100.0 + (i % 5) as f32 * 90.0])).is_empty()
        );
    }

    #[test]
    fn a_deviation_is_taken_over_images_not_within_them() {
        assert_eq!(deviation(&[0.0, 1.0, 0.0, 1.0], 2), 0.0);
        assert_eq!(deviation(&[0.0, 1.0, 1.0, 1.0], 2), 0.25);
        assert_eq!(deviation(&[], 0), 0.0);
    }

    #[test]
    fn samples_that_are_all_the_same_are_told_once() {
        let mut health = Health::new(&["loss_d", "loss_g"], false);
        assert_eq!(health.samples(10, 0.001, 0.3, false), None);
        assert_eq!(health.samples(100, 0.2, 0.3, true), None);
        assert!(health.samples(200, 0.01, 0.3, true).is_some_and(|words| words.contains("0.0100")));
        assert_eq!(health.samples(300, 0.01, 0.3, true), None);
        // Data that are all the same.
        assert_eq!(Health::new(&["mse"], false).samples(9, 0.0, 0.0, true), None);
    }
}
