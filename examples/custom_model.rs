//! A model of one's own: a small network that draws pixel by pixel, trained on the built-in images.
//!
//!     cargo run --locked --release --example custom_model [FOLDER]

use limn::graph::Var;
use limn::models::{Architecture, Autoregressive, Batch, Model, ModelConfig, ModelError, PixelModel};
use limn::nn::{Mode, Network, NetworkBuilder, Numbering, Sequential};
use limn::ops::Mask;
use limn::program::Device;
use limn::sample::{Drawing, picture};
use limn::train::{Config, Hooks, Start, train};
use serde::{Deserialize, Serialize};

/// The table `[model]` of its `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    width: usize,
}

impl Architecture for Settings {
    const KIND: &'static str = "my-pixels";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        let mut net = NetworkBuilder::new("pixels", &Numbering::default());
        let layers = net.sequence("layers").masked_conv(Mask::A, 1, self.width, 7, 1).relu();
        let layers = layers.masked_conv(Mask::B, self.width, self.width, 3, 1).relu();
        let layers = layers.masked_conv(Mask::B, self.width, 1, 1, 1).build();
        Ok(Box::new(Autoregressive(Pixels { net: net.build(), layers })))
    }
}

struct Pixels {
    net: Network,
    layers: Sequential,
}

impl PixelModel for Pixels {
    fn network(&self) -> &Network {
        &self.net
    }

    fn shape(&self) -> [usize; 3] {
        [1, 28, 28]
    }

    /// The logit of every pixel, given those before it.
    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        self.layers.forward(&batch.images, mode)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::of(ModelConfig::new(Settings { width: 16 }));
    config.train.steps = Some(200);
    let mut draw = |session: &mut _, n, path: &_| Ok(picture(session, n, None, 0, Drawing::Cached, path).map(Some)?);
    let start = Start::New { config, out: std::env::args_os().nth(1).map(Into::into), init: None };
    let outcome = train(start, Device::best(), Hooks { sampler: Some(&mut draw), ..Hooks::default() })?;
    println!("{:?} after {} steps, in {}", outcome.losses, outcome.step, outcome.run.path.display());
    Ok(())
}
