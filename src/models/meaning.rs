//! What the numbers of a training mean.

/// Names of losses and figures, what they are, and how healthy ones look.
const MEANINGS: &[(&[&str], &str)] = &[
    (
        &["loss"],
        "The negative evidence lower bound, in nats an image: reconstruction plus KL. It falls fast, then ever more \
             slowly; one that stays flat from the start needs another learning rate.",
    ),
    (
        &["bce", "reconstruction"],
        "How far reconstructions are from their images, in nats an image. It falls for as long as the model learns.",
    ),
    (
        &["kl"],
        "What the latent code tells of an image, in nats: the divergence of the encoder's posterior from the prior. Near \
             0 the posterior has collapsed, and the decoder ignores the code.",
    ),
    (&["mse"], "The squared error of reconstructions, summed over an image. It falls for as long as the model learns."),
    (
        &["nll"],
        "The negative log-likelihood, in nats an image: lower is better. On test images it begins to rise where the \
             model learns training images by heart.",
    ),
    (
        &["loss_d"],
        "The discriminator's (or critic's) loss. In a healthy game it hovers; near 0 the discriminator has won and \
             teaches the generator little. A critic's is minus its estimate of a distance, and shrinks towards 0.",
    ),
    (
        &["loss_g"],
        "The generator's loss against the discriminator of the moment. It hovers or drifts; it does not have to fall \
             for samples to become better. One that keeps rising means that the discriminator is winning.",
    ),
    (
        &["value"],
        "How well the discriminator tells test images from samples, as log D(x) + log(1 - D(G(z))): it was made to be \
             large. At -1.39 (-2 ln 2) it cannot tell them apart, which is where a GAN ends that has learnt all; between \
             -1.4 and -0.3 is healthy, and near 0 the discriminator has won.",
    ),
    (
        &["d_real", "d_fake"],
        "What the discriminator says, on the mean, of test images and of samples: the probability of being real, or with \
             losses that know no probability a score. At 0.5 both it cannot tell them apart; 0.6 to 0.9 and 0.1 to 0.4 are \
             healthy; near 1 and 0 it has won. Of scores the difference counts: the smaller, the closer.",
    ),
    (&["penalty"], "What holds the discriminator's gradients in bounds. Small and steady is healthy."),
    (&["cross_entropy"], "Nats by which the classifier is surprised by an image's class: lower is better."),
    (&["error"], "The share of images that are given a wrong class."),
    (&["accuracy"], "The share of test images that are given their class: higher is better."),
    (&["elbo"], "The evidence lower bound on log p(x), in nats an image: higher is better."),
    (&["bits_per_dim"], "The negative log-likelihood in bits for each number of an image: lower is better."),
];

/// What a loss or a figure of this name is, and how a healthy one looks; none for those of
/// somebody's own models.
pub fn meaning(name: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(names, _)| names.contains(&name)).map(|(_, words)| *words)
}

/// All names that have a meaning, those of the same kind together, and what they mean.
pub fn meanings() -> impl Iterator<Item = (&'static [&'static str], &'static str)> {
    MEANINGS.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{Config, presets};

    #[test]
    fn whatever_is_measured_has_a_meaning_that_the_documents_tell() {
        for (preset, _) in presets() {
            let figure = Config::preset(preset).expect("a preset").validate().expect("a model").figure();
            assert!(meaning(figure).is_some(), "{figure} of {preset}");
        }
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/training.md");
        let page = std::fs::read_to_string(page).expect("a page");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        for name in meanings().flat_map(|(names, _)| names).chain(&["value", "d_real", "d_fake"]) {
            assert!(meaning(name).is_some(), "{name}");
            let told = |row: &str| row.split('|').nth(1).is_some_and(|names| names.contains(&format!("`{name}`")));
            assert!(rows.iter().any(|row| told(row)), "docs/training.md does not tell of {name}");
        }
    }
}
