//! Autoencoders, variational and not.

use super::source::{extents, python};
use super::{Module, Told, normal};
use crate::models::{Activation, AutoencoderConfig, Decoder, VaeConfig, VaeConvConfig};

const VAE: &str = "Kingma & Welling, \"Auto-Encoding Variational Bayes\" (ICLR 2014)";

/// Lines of the README that encode what they drew.
fn using(told: &Told) -> String {
    format!("{}\nz = model.encode(images{})", told.using(), told.argument())
}

/// A fully connected variational autoencoder.
pub(super) fn vae(c: &VaeConfig) -> Module {
    let (told, pixels) = (Told { classes: c.classes }, c.channels * c.height * c.width);
    let shape = extents(&[c.channels, c.height, c.width]);
    let names = |name: &str| -> Vec<String> {
        (1..=c.layers).map(|i| if i == 1 { name.into() } else { format!("{name}_{i}") }).collect()
    };
    let layers = |name: &str, inputs: usize| -> String {
        let layer = |(i, name): (usize, &String)| {
            format!("self.{name} = nn.Linear({}, {})\n", if i == 0 { inputs } else { c.hidden }, c.hidden)
        };
        names(name).iter().enumerate().map(layer).collect()
    };
    let function = match c.activation {
        Activation::Relu => "F.relu",
        Activation::Tanh => "torch.tanh",
    };
    let applied = |name: &str, first: &str| -> String {
        let apply = |(i, name): (usize, &String)| {
            format!("h = {function}(self.{name}({}))\n", if i == 0 { first } else { "h" })
        };
        names(name).iter().enumerate().map(apply).collect()
    };
    let of_classes = match c.classes {
        0 => String::new(),
        classes => format!(" of {classes} classes, which both sides are told (Sohn, Lee & Yan, NIPS 2015)"),
    };
    let bound = match c.samples {
        1 => "",
        _ => {
            ", trained by the bound of Burda, Grosse & Salakhutdinov, \"Importance Weighted Autoencoders\" (ICLR 2016)"
        }
    };
    let with = |x: &str| format!("{x}{}", if c.classes > 0 { ", y" } else { "" });
    let body = python!(
        "vae.py",
        given = with("x"),
        told = with("z"),
        encoder = layers("fc1", pixels + c.classes),
        decoder = layers("fc3", c.latent + c.classes),
        hidden = c.hidden,
        latent = c.latent,
        pixels = pixels,
        labels = told.argument(),
        classes = told.words(),
        shape = shape,
        join_images = told.join("h", "h"),
        encode = applied("fc1", "h"),
        join_z = told.join("z", "z"),
        decode = applied("fc3", "z"),
        sample = told.sample(&shape, &normal(c.latent)),
    );
    let about = format!("A variational autoencoder for images [{shape}]{of_classes}: {VAE}{bound}.");
    Module { about, class: "Vae", body, using: using(&told) }
}

/// A convolutional one.
pub(super) fn vae_conv(c: &VaeConvConfig) -> Module {
    let (told, shape) = (Told { classes: 0 }, extents(&[c.channels, c.height, c.width]));
    let (height, width) = (c.height / 4, c.width / 4);
    let (mean, says) = match c.decoder {
        Decoder::Bernoulli => ("return torch.sigmoid(self.decoder(z))", "of Bernoulli variables"),
        Decoder::Gaussian => (HALF, "normal, of means and log-variances"),
        Decoder::DiscretisedLogistic => (HALF, "of discretised logistic variables, of means and log-scales"),
    };
    let body = python!(
        "vae_conv.py",
        channels = c.channels,
        filters1 = c.filters1,
        filters2 = c.filters2,
        plane = c.filters2 * height * width,
        dense = c.dense,
        latent = c.latent,
        height = height,
        width = width,
        outputs = c.decoder.parameters() * c.channels,
        shape = shape,
        mean = mean,
        sample = told.sample(&shape, &normal(c.latent)),
    );
    let about = format!("A convolutional variational autoencoder for images [{shape}], p(x|z) {says}: {VAE}.");
    Module { about, class: "ConvVae", body, using: using(&told) }
}

/// The mean of a pixel where the decoder gives a spread too.
const HALF: &str = "mean, _ = self.decoder(z).chunk(2, 1)\nreturn mean.clamp(0, 1)";

/// An autoencoder.
pub(super) fn autoencoder(c: &AutoencoderConfig) -> Module {
    let (told, shape) = (Told { classes: 0 }, extents(&[c.channels, c.height, c.width]));
    let body = python!(
        "ae.py",
        pixels = c.channels * c.height * c.width,
        hidden = c.hidden,
        latent = c.latent,
        shape = shape,
        sample = told.sample(&shape, &normal(c.latent)),
    );
    let about = format!(
        "An autoencoder for images [{shape}]: Hinton & Salakhutdinov, \"Reducing the Dimensionality of Data with Neural \
         Networks\" (Science 2006)."
    );
    Module { about, class: "Autoencoder", body, using: using(&told) }
}
