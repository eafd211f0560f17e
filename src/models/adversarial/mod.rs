//! Generative adversarial training: algorithm 1 of Goodfellow et al., "Generative Adversarial Nets"
//! (NIPS 2014), with the losses and regularisers that came after it as settings.

mod augment;
mod loss;
mod penalty;

pub use augment::Augmentation;
pub use loss::AdversarialLoss;
pub use penalty::{Judged, Penalty};

use super::{Batch, Family, ImageSpec, LatentModel, Metric, Model, ModelError, Prior, TrainingStage, finite, positive};
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
    /// Factor of E[D(x)²] in the discriminator's loss, which keeps a score that only differences
    /// matter of from drifting away (Karras et al. 2018, appendix A.1).
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

/// A generator and a discriminator, which [`Adversarial`] makes a [`Model`] of.
pub trait AdversarialModel {
    /// How they play.
    fn game(&self) -> &Game;

    /// The generator's network and the discriminator's.
    fn networks(&self) -> [&Network; 2];

    /// What their images are.
    fn images(&self) -> ImageSpec;

    /// Latent dimensions.
    fn latent(&self) -> usize;

    /// What each of them is drawn from.
    fn prior(&self) -> Prior {
        Prior::Normal
    }

    /// Images `[n,c,h,w]` in [0, 1] as the discriminator sees them.
    fn prepare(&self, images: &Var, mode: Mode) -> Var;

    /// G(z), `[n,c,h,w]`, as the discriminator sees them, of the labels of a [`Batch`] where there
    /// are classes.
    fn generate(&self, z: &Var, labels: Option<&Var>, mode: Mode) -> Var;

    /// Images `[n,c,h,w]` in [0, 1] of those [`AdversarialModel::generate`] makes in
    /// [`Mode::Eval`].
    fn finish(&self, generated: &Var) -> Var;

    /// The discriminator's scores of images it sees, `[n]`.
    fn scores(&self, images: &Var, labels: Option<&Var>, mode: Mode) -> Var;

    /// Whether images of the data and generated ones may be scored together, by [`Mode::TrainTwo`]: a
    /// score depends on others of its batch by batch normalisation alone, and on nothing drawn.
    fn judges_together(&self) -> bool {
        false
    }

    /// Moves estimates that weights are divided by, before each step of the discriminator.
    fn power_iteration(&self, _: &Graph) {}

    /// What is done to the discriminator's parameters after each of its steps.
    fn constrain(&self, _: &Graph) {}

    /// See [`Model::stage`].
    fn stage(&self) -> Option<TrainingStage> {
        None
    }

    /// See [`Model::discriminator_activations`].
    fn discriminator_activations(&self, _images: &Var) -> Vec<Var> {
        Vec::new()
    }
}

/// Fresh images of a generator.
fn fake<M: AdversarialModel>(model: &M, graph: &Graph, n: usize, labels: Option<&Var>, mode: Mode) -> Var {
    graph.scope("z");
    model.generate(&model.prior().draw(graph, &[n, model.latent()]), labels, mode)
}

/// The discriminator's scores of images of the data and of as many generated ones: of both at once
/// where it can and nobody asks for the slopes at one of them.
fn judged<M: AdversarialModel>(model: &M, images: [&Var; 2], labels: Option<&Var>) -> [Var; 2] {
    if !model.judges_together() || model.game().penalty.is_by_scores() {
        return images.map(|images| model.scores(images, labels, Mode::Train));
    }
    let [real, fake] = images;
    let labels = labels.map(|labels| labels.repeat(2));
    let n = real.shape()[0];
    model.scores(&real.concat(fake, 0), labels.as_ref(), Mode::TrainTwo).part(n)
}

/// A [`Model`] that is trained by the game of its two networks.
#[derive(Debug)]
pub struct Adversarial<M>(pub M);

impl<M: AdversarialModel> Model for Adversarial<M> {
    fn networks(&self) -> Vec<&Network> {
        self.0.networks().into()
    }

    fn images(&self) -> ImageSpec {
        self.0.images()
    }

    fn losses(&self) -> &'static [&'static str] {
        match self.0.game().penalty {
            Penalty::None => &["loss_d", "loss_g"],
            _ => &["loss_d", "loss_g", "penalty"],
        }
    }

    fn batches_per_step(&self) -> usize {
        self.0.game().discriminator_steps
    }

    fn stage(&self) -> Option<TrainingStage> {
        self.0.stage()
    }

    /// Algorithm 1: k times, ascend the discriminator's gradient on a batch of images and a batch
    /// of noise; then descend the generator's on a fresh batch of noise. Generated images are of
    /// the classes of the images of the data that were looked at last.
    fn step(&self, data: &Batch, optim: &Optimizer) -> Vec<Var> {
        let model = &self.0;
        let (game, graph, [g, d]) = (model.game(), data.graph(), model.networks());
        let k = game.discriminator_steps;
        let m = data.len() / k;
        let part = |of: &Var, batch| if k == 1 { of.clone() } else { of.slice(0, batch * m, m) };
        let (mut loss_d, mut penalty, mut classes) = (None, None, None);
        for batch in 0..k {
            graph.scope("data");
            let x = part(&data.images, batch);
            classes = data.labels.as_ref().map(|labels| part(labels, batch));
            let labels = classes.as_ref();
            let x = shown(game, model.prepare(&x, Mode::Train));
            let fake = shown(game, fake(model, graph, m, labels, Mode::Train));
            model.power_iteration(graph);
            let [on_real, on_fake] = judged(model, [&x, &fake], labels);
            graph.scope("loss_d");
            let loss = game.loss.discriminator(&on_real, &on_fake);
            let real = Judged { images: &x, scores: &on_real };
            let fake = Judged { images: &fake, scores: &on_fake };
            penalty = game.penalty.of(&real, &fake, |x| model.scores(x, labels, Mode::Train));
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
            model.constrain(graph);
            loss_d = Some(loss);
        }
        let labels = classes.as_ref();
        let fake = shown(game, fake(model, graph, m, labels, Mode::Train));
        let verdict = model.scores(&fake, labels, Mode::Train);
        graph.scope("loss_g");
        let loss_g = game.loss.generator(&verdict);
        optim.minimize(&loss_g, g);
        loss_d.into_iter().chain([loss_g]).chain(penalty).collect()
    }

    fn figure(&self) -> &'static str {
        self.0.game().loss.figure()
    }

    /// What the discriminator makes of test images and of as many generated ones.
    fn evaluate(&self, data: &Batch) -> Vec<Metric> {
        let model = &self.0;
        let labels = data.labels.as_ref();
        let x = model.prepare(&data.images, Mode::Eval);
        let fake = fake(model, data.graph(), data.len(), labels, Mode::Eval);
        let [real, fake] = [&x, &fake].map(|images| model.scores(images, labels, Mode::Eval));
        model.game().loss.metrics(&real, &fake)
    }

    fn discriminator_activations(&self, images: &Var) -> Vec<Var> {
        self.0.discriminator_activations(images)
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

impl<M: AdversarialModel> LatentModel for Adversarial<M> {
    fn latent(&self) -> usize {
        self.0.latent()
    }

    fn prior(&self) -> Prior {
        self.0.prior()
    }

    fn decode(&self, z: &Var, labels: Option<&Var>) -> Var {
        self.0.finish(&self.0.generate(z, labels, Mode::Eval))
    }
}

/// Images as the discriminator is shown them in training: augmented, and with the instance noise of
/// the step.
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
