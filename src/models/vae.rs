//! The variational autoencoder of Kingma & Welling, "Auto-Encoding Variational Bayes" (ICLR 2014),
//! in the shape of the well-known example: 784-400-(20, 20)-400-784.

use super::{Family, LatentModel, Metric, Model, positive};
use crate::graph::Var;
use crate::nn::{Mode, Network, NetworkBuilder, Numbering, Optimizer, Sequential};
use crate::ops::Latent;
use serde::{Deserialize, Serialize};

/// Sizes of a [`Vae`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Units of the hidden layer on each side.
    pub hidden: usize,
    /// Latent dimensions.
    pub latent: usize,
}

/// Encoder q(z|x) = N(μ, exp logvar), decoder p(x|z) Bernoulli.
pub struct Vae {
    config: VaeConfig,
    net: Network,
    fc1: Sequential,
    fc21: Sequential,
    fc22: Sequential,
    fc3: Sequential,
    fc4: Sequential,
}

impl Vae {
    /// The network, or a sentence about a size that makes no sense.
    pub fn new(c: &VaeConfig) -> Result<Vae, String> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width)])?;
        positive(&[("hidden", c.hidden), ("latent", c.latent)])?;
        let pixels = c.channels * c.height * c.width;
        let mut net = NetworkBuilder::new("vae", &Numbering::default());
        let fc1 = net.linear("fc1", pixels, c.hidden);
        let fc21 = net.linear("fc21", c.hidden, c.latent);
        let fc22 = net.linear("fc22", c.hidden, c.latent);
        let fc3 = net.linear("fc3", c.latent, c.hidden);
        let fc4 = net.linear("fc4", c.hidden, pixels);
        Ok(Vae { config: c.clone(), net: net.build(), fc1, fc21, fc22, fc3, fc4 })
    }

    fn posterior(&self, images: &Var) -> (Var, Var) {
        let h = self.fc1.forward(&images.flatten(), Mode::Train).relu();
        (self.fc21.forward(&h, Mode::Train), self.fc22.forward(&h, Mode::Train))
    }

    fn logits(&self, z: &Var) -> Var {
        let h = self.fc3.forward(z, Mode::Train).relu();
        self.fc4.forward(&h, Mode::Train)
    }

    /// The two parts of -ELBO for every image: reconstruction and divergence, each [n].
    fn parts(&self, images: &Var) -> (Var, Var) {
        let (mu, logvar) = self.posterior(images);
        let Latent { z, kl } = mu.reparameterize(&logvar);
        let logits = self.logits(&z);
        images.graph().scope("loss");
        let bce = logits.bce_with_logits(&images.flatten()).sum_axes(&[1]);
        (bce.reshape(&[images.shape()[0]]), kl)
    }
}

impl Model for Vae {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn geometry(&self) -> [usize; 3] {
        [self.config.channels, self.config.height, self.config.width]
    }

    fn losses(&self) -> &'static [&'static str] {
        &["loss", "bce", "kl"]
    }

    fn step(&self, images: &Var, optim: &Optimizer) -> Vec<Var> {
        descend(self.parts(images), &self.net, optim)
    }

    fn evaluate(&self, images: &Var) -> Vec<Metric> {
        negative_elbo(self.parts(images))
    }

    fn family(&self) -> Family<'_> {
        Family::Latent(self)
    }
}

/// One step down the mean -ELBO: the loss and its parts.
pub(super) fn descend((bce, kl): (Var, Var), net: &Network, optim: &Optimizer) -> Vec<Var> {
    let (bce, kl) = (bce.mean(), kl.mean());
    let loss = &bce + &kl;
    optim.minimize(&loss, net);
    vec![loss, bce, kl]
}

/// -ELBO and its parts as metrics.
pub(super) fn negative_elbo((bce, kl): (Var, Var)) -> Vec<Metric> {
    let metric = |name, values, likelihood| Metric { name, unit: "nats/image", values, likelihood };
    vec![metric("loss", &bce + &kl, true), metric("bce", bce, false), metric("kl", kl, false)]
}

impl LatentModel for Vae {
    fn latent(&self) -> usize {
        self.config.latent
    }

    fn decode(&self, z: &Var) -> Var {
        let [c, h, w] = self.geometry();
        self.logits(z).sigmoid().reshape(&[z.shape()[0], c, h, w])
    }

    fn encode(&self, images: &Var) -> Option<Var> {
        Some(self.posterior(images).0)
    }
}
