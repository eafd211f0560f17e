//! Generative adversarial training: algorithm 1 of Goodfellow et al., "Generative Adversarial Nets"
//! (NIPS 2014), with the losses and regularisers that came after it as settings.

mod augment;
mod loss;
mod penalty;

pub use augment::Augmentation;
pub use loss::AdversarialLoss;
pub use penalty::{Judged, Penalty};

use super::{Batch, LatentModel, Metric, ModelError, finite, positive};
use crate::graph::{Graph, Var};
use crate::nn::{Mode, Network, Optimizer};
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
    /// Factor of E[D(x)²] in the discriminator's loss, which keeps a score that only differences matter of
    /// from drifting away (Karras et al. 2018, appendix A.1).
    #[serde(default)]
    pub drift: f64,
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
    /// Refuses a setting that makes no sense.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let steps = self.discriminator_steps;
        if !(1..=MOST_STEPS).contains(&steps) {
            let must = format!("must be between 1 and {MOST_STEPS}");
            return Err(ModelError::setting("discriminator_steps", steps, must));
        }
        positive(&[("instance_noise_steps", self.instance_noise_steps)])?;
        finite(&[("penalty_weight", self.penalty_weight), ("clip", self.clip)])?;
        finite(&[("instance_noise", self.instance_noise), ("drift", self.drift)])
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
    fn prepare(&self, images: &Var, mode: Mode) -> Var;

    /// G(z), [n,c,h,w], as the discriminator sees them, of the labels of a [`Batch`] where there are classes.
    fn generate(&self, z: &Var, labels: Option<&Var>, mode: Mode) -> Var;

    /// The discriminator's scores of images it sees, [n].
    fn scores(&self, images: &Var, labels: Option<&Var>, mode: Mode) -> Var;

    /// Moves estimates that weights are divided by, before each step of the discriminator.
    fn estimate_norms(&self, _: &Graph) {}

    /// What is done to the discriminator's parameters after each of its steps.
    fn constrain(&self, _: &Graph) {}

    /// Fresh images of the generator.
    fn fake(&self, graph: &Graph, n: usize, labels: Option<&Var>, mode: Mode) -> Var {
        graph.scope("z");
        self.generate(&self.noise(graph, n), labels, mode)
    }
}

/// What the [`Model`](super::Model) of two [`Players`] has from the game they play, for its `impl`.
macro_rules! play {
    () => {
        fn networks(&self) -> Vec<&$crate::nn::Network> {
            self.sides().into()
        }

        fn losses(&self) -> &'static [&'static str] {
            $crate::models::adversarial::losses(self.game())
        }

        fn batches_per_step(&self) -> usize {
            self.game().discriminator_steps
        }

        fn step(&self, batch: &$crate::models::Batch, optim: &$crate::nn::Optimizer) -> Vec<$crate::graph::Var> {
            $crate::models::adversarial::step(self, batch, optim)
        }

        fn evaluate(&self, batch: &$crate::models::Batch) -> Vec<$crate::models::Metric> {
            $crate::models::adversarial::evaluate(self, batch)
        }

        fn family(&self) -> $crate::models::Family<'_> {
            $crate::models::Family::Latent(self)
        }
    };
}
pub(super) use play;

/// Names of what [`step`] returns.
pub(super) fn losses(game: &Game) -> &'static [&'static str] {
    match game.penalty {
        Penalty::None => &["loss_d", "loss_g"],
        _ => &["loss_d", "loss_g", "penalty"],
    }
}

/// Algorithm 1: k times, ascend the discriminator's gradient on a batch of images and a batch
/// of noise; then descend the generator's on a fresh batch of noise. Generated images are of the classes of
/// the images of the data that were looked at last.
pub(super) fn step(players: &impl Players, data: &Batch, optim: &Optimizer) -> Vec<Var> {
    let (game, graph, [g, d]) = (players.game(), data.graph(), players.sides());
    let k = game.discriminator_steps;
    let m = data.len() / k;
    let part = |of: &Var, batch| if k == 1 { of.clone() } else { of.slice(0, batch * m, m) };
    let (mut loss_d, mut penalty, mut classes) = (None, None, None);
    for batch in 0..k {
        graph.scope("data");
        let x = part(&data.images, batch);
        classes = data.labels.as_ref().map(|labels| part(labels, batch));
        let labels = classes.as_ref();
        let x = shown(game, players.prepare(&x, Mode::Train));
        let fake = shown(game, players.fake(graph, m, labels, Mode::Train));
        players.estimate_norms(graph);
        let [on_real, on_fake] = [&x, &fake].map(|images| players.scores(images, labels, Mode::Train));
        graph.scope("loss_d");
        let loss = game.loss.discriminator(&on_real, &on_fake);
        let real = Judged { images: &x, scores: &on_real };
        let fake = Judged { images: &fake, scores: &on_fake };
        penalty = game.penalty.of(&real, &fake, |x| players.scores(x, labels, Mode::Train));
        let mut whole = loss.clone();
        if let Some(penalty) = &penalty {
            whole = &whole + &penalty.mul_scalar(game.penalty_weight as f32);
        }
        if game.drift > 0.0 {
            whole = &whole + &on_real.square().mean().mul_scalar(game.drift as f32);
        }
        optim.minimize(&whole, d);
        if game.clip > 0.0 {
            graph.clip(&d.flat(graph), game.clip as f32);
        }
        players.constrain(graph);
        loss_d = Some(loss);
    }
    let labels = classes.as_ref();
    let fake = shown(game, players.fake(graph, m, labels, Mode::Train));
    let verdict = players.scores(&fake, labels, Mode::Train);
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
pub(super) fn evaluate(players: &impl Players, data: &Batch) -> Vec<Metric> {
    let labels = data.labels.as_ref();
    let x = players.prepare(&data.images, Mode::Eval);
    let fake = players.fake(data.graph(), data.len(), labels, Mode::Eval);
    let [real, fake] = [&x, &fake].map(|images| players.scores(images, labels, Mode::Eval));
    players.game().loss.metrics(&real, &fake)
}
