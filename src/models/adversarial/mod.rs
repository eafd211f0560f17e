//! Generative adversarial training: algorithm 1 of Goodfellow et al., "Generative Adversarial Nets"
//! (NIPS 2014), with the losses and regularisers that came after it as settings.

mod augment;
mod loss;
mod penalty;

pub use augment::Augmentation;
pub use loss::AdversarialLoss;
pub use penalty::{Judged, Penalty};

use super::{LatentModel, Metric};
use crate::graph::{Graph, Var};
use crate::nn::{Mode, Network, Optimizer, Sequential};
use serde::{Deserialize, Serialize};

/// The most discriminator steps before one of the generator: all are part of one program.
const MOST_STEPS: usize = 100;

/// How two networks play: keys of `[model]` that all adversarial models share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Game {
    /// What each side minimises.
    pub loss: AdversarialLoss,
    /// Discriminator steps before each generator step: k of algorithm 1.
    pub discriminator_steps: usize,
    /// What of the discriminator's slope is held down.
    #[serde(default)]
    pub penalty: Penalty,
    /// Factor of the penalty in the discriminator's loss.
    #[serde(default = "ten")]
    pub penalty_weight: f64,
    /// The discriminator's parameters are put back into [-clip, clip] after each of its steps
    /// (Arjovsky et al. 2017, algorithm 1); 0 leaves them.
    #[serde(default)]
    pub clip: f64,
    /// Standard deviation, at the first step, of normal noise on all images the discriminator sees
    /// (Sønderby et al. 2017); 0 adds none.
    #[serde(default)]
    pub instance_noise: f64,
    /// Steps in which that noise fades to nothing, by as much at each.
    #[serde(default = "thousand")]
    pub instance_noise_steps: usize,
    /// What is done at random to all images the discriminator sees, in this order.
    #[serde(default)]
    pub augment: Vec<Augmentation>,
}

fn ten() -> f64 {
    10.0
}

fn thousand() -> usize {
    1000
}

impl Game {
    /// A sentence about a setting that makes no sense, if there is one.
    pub(super) fn fault(&self) -> Option<String> {
        let steps = self.discriminator_steps;
        if !(1..=MOST_STEPS).contains(&steps) {
            return Some(format!("model.discriminator_steps = {steps} must be between 1 and {MOST_STEPS}"));
        }
        if self.instance_noise_steps == 0 {
            return Some("model.instance_noise_steps = 0 must be at least 1".into());
        }
        let weights =
            [("penalty_weight", self.penalty_weight), ("clip", self.clip), ("instance_noise", self.instance_noise)];
        let bad = weights.into_iter().find(|(_, v)| !(*v >= 0.0 && *v <= f64::from(f32::MAX)));
        bad.map(|(key, v)| format!("model.{key} = {v} must be a finite number, at least 0"))
    }
}

/// A generator and a discriminator.
pub(super) trait Players: LatentModel {
    /// How they play.
    fn game(&self) -> &Game;

    /// The generator's network and the discriminator's.
    fn sides(&self) -> [&Network; 2];

    /// `n` draws from the prior, [n,latent].
    fn noise(&self, graph: &Graph, n: usize) -> Var {
        self.prior().draw(graph, &[n, self.latent()])
    }

    /// Images [n,c,h,w] in [0, 1] as the discriminator sees them.
    fn prepare(&self, images: &Var) -> Var;

    /// G(z), [n,c,h,w], as the discriminator sees them.
    fn generate(&self, z: &Var, mode: Mode) -> Var;

    /// The discriminator's layers, which end in a score for each image.
    fn judge(&self) -> &Sequential;

    /// What is done to the discriminator's parameters after each of its steps.
    fn constrain(&self, _: &Graph) {}

    /// Fresh images of the generator.
    fn fake(&self, graph: &Graph, n: usize, mode: Mode) -> Var {
        graph.scope("z");
        self.generate(&self.noise(graph, n), mode)
    }

    /// Scores of images, [n].
    fn scores(&self, images: &Var, mode: Mode) -> Var {
        self.judge().forward(images, mode).reshape(&[images.shape()[0]])
    }
}

/// Names of what [`step`] returns.
pub(super) fn losses(game: &Game) -> &'static [&'static str] {
    match game.penalty {
        Penalty::None => &["loss_d", "loss_g"],
        _ => &["loss_d", "loss_g", "penalty"],
    }
}

/// Algorithm 1: k times, ascend the discriminator's gradient on a batch of images and a batch
/// of noise; then descend the generator's on a fresh batch of noise.
pub(super) fn step(players: &impl Players, images: &Var, optim: &Optimizer) -> Vec<Var> {
    let (game, graph, [g, d]) = (players.game(), images.graph(), players.sides());
    let k = game.discriminator_steps;
    let m = images.shape()[0] / k;
    let (mut loss_d, mut penalty) = (None, None);
    for batch in 0..k {
        graph.scope("data");
        let x = if k == 1 { images.clone() } else { images.slice(0, batch * m, m) };
        let x = shown(game, players.prepare(&x));
        let fake = shown(game, players.fake(graph, m, Mode::Train));
        players.judge().estimate_norms(graph);
        let (on_real, on_fake) = (players.scores(&x, Mode::Train), players.scores(&fake, Mode::Train));
        graph.scope("loss_d");
        let loss = game.loss.discriminator(&on_real, &on_fake);
        let real = Judged { images: &x, scores: &on_real };
        let fake = Judged { images: &fake, scores: &on_fake };
        penalty = game.penalty.of(&real, &fake, |x| players.scores(x, Mode::Train));
        match &penalty {
            Some(penalty) => optim.minimize(&(&loss + &penalty.mul_scalar(game.penalty_weight as f32)), d),
            None => optim.minimize(&loss, d),
        }
        if game.clip > 0.0 {
            graph.clip(&d.flat(graph), game.clip as f32);
        }
        players.constrain(graph);
        loss_d = Some(loss);
    }
    let fake = shown(game, players.fake(graph, m, Mode::Train));
    let verdict = players.scores(&fake, Mode::Train);
    graph.scope("loss_g");
    let loss_g = game.loss.generator(&verdict);
    optim.minimize(&loss_g, g);
    loss_d.into_iter().chain([loss_g]).chain(penalty).collect()
}

/// Images as the discriminator is shown them in training: augmented, and with the instance noise of the step.
fn shown(game: &Game, images: Var) -> Var {
    let images = game.augment.iter().fold(images, |images, augmentation| augmentation.apply(&images));
    if game.instance_noise == 0.0 {
        return images;
    }
    let graph = images.graph();
    graph.scope("instance_noise");
    let deviation = graph.ramp(game.instance_noise as f32, 0.0, game.instance_noise_steps);
    &images + &(&graph.normal(images.shape()) * &deviation)
}

/// What the discriminator makes of test images and of as many generated ones.
pub(super) fn evaluate(players: &impl Players, images: &Var) -> Vec<Metric> {
    let x = players.prepare(images);
    let fake = players.fake(images.graph(), images.shape()[0], Mode::Eval);
    let (real, fake) = (players.scores(&x, Mode::Eval), players.scores(&fake, Mode::Eval));
    players.game().loss.metrics(&real, &fake)
}
