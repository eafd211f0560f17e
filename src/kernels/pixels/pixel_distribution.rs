//! The distribution of a pixel: what a network's outputs say of it, and how it is drawn from them.
//! `shaders/lib/pixel_distribution.wgsl` is the reference of the draw; the likelihood is made of
//! ops, in `src/ops/pixels.rs`.

use crate::kernels::philox::{Stream, unit_block};
use crate::kernels::pointwise::larger;
use crate::kernels::{EPS, exp_error, sum_bound};
use std::sync::LazyLock;

/// The distribution of a pixel given what a network says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelDistribution {
    /// 1 with probability sigmoid(logit), else 0. One colour, one channel.
    Bernoulli,
    /// Level k of a colour, k / (levels - 1), with probability softmax(logits)_k: channel
    /// k·colours + colour. A colour's logits may depend on the colours before it.
    Categorical {
        /// Levels, at least 2.
        levels: u32,
    },
    /// A mixture of logistic variables in 256 levels of [-1, 1] (Salimans et al. 2017, §2.1 and
    /// 2.2): first a logit for each component; then for each colour means, log-scales and, with
    /// three colours, coefficients of the components. Green's mean has its first tanh-coefficient
    /// times red added, blue's its second times red and third times green.
    LogisticMixture {
        /// Components.
        components: u32,
    },
}

/// Log-scales are at least this, for pixels from -1 to 1 (Salimans et al. 2017).
pub const LEAST_LOG_SCALE: f32 = -7.0;
/// Uniform numbers of a logistic variable keep this far from 0 and 1.
const MARGIN: f32 = 1e-5;

/// What the mean of each colour of a mixture has added: which coefficients times which colours
/// before it.
pub const LINKED: [&[(usize, usize)]; 3] = [&[], &[(0, 0)], &[(1, 0), (2, 1)]];

/// The row of a mixture's outputs, of as many components each, that holds a parameter of a colour:
/// its mean, log-scale or coefficient. Row 0 has the logits.
pub fn mixture_row(colours: usize, colour: usize, parameter: usize) -> usize {
    1 + colour * if colours == 1 { 2 } else { 3 } + parameter
}

const BERNOULLI: u32 = 0;
const CATEGORICAL: u32 = 1;
const LOGISTIC_MIXTURE: u32 = 2;

/// The piece `distributions` of the shaders' library: the numbers of the distributions, and one as
/// words.
pub(crate) static WGSL: LazyLock<String> = LazyLock::new(|| {
    format!(
        "// Made of the declarations in src/kernels/pixels/pixel_distribution.rs.\n
const BERNOULLI = {BERNOULLI}u;
// Of size levels: the logit of level k of a colour is channel k·colours + colour.
const CATEGORICAL = {CATEGORICAL}u;
// Of size components: a logit of each; then for each colour means, log-scales, coefficients.
const LOGISTIC_MIXTURE = {LOGISTIC_MIXTURE}u;\n
struct PixelDistribution {{ kind: u32, size: u32 }}\n
// Of logistic variables: the least log-scale, and how far uniform numbers keep from 0 and 1.
const LEAST_LOG_SCALE = {LEAST_LOG_SCALE:?};
const MARGIN = {MARGIN:?};\n"
    )
});

/// What is drawn at once of a pixel: colours with their values and the errors permitted to these.
pub(super) type Drawn = Vec<(usize, (f32, f32))>;

/// One colour, where rounding may lead to any other value or not.
fn single(colour: usize, value: f32, close: bool) -> Drawn {
    vec![(colour, (value, if close { 1.0 } else { 6.0 * EPS * value }))]
}

impl PixelDistribution {
    /// Channels of a network's output for pixels of so many colours.
    pub fn channels(self, colours: usize) -> usize {
        match self {
            PixelDistribution::Bernoulli => colours,
            PixelDistribution::Categorical { levels } => levels as usize * colours,
            PixelDistribution::LogisticMixture { components } => mixture_row(colours, colours, 0) * components as usize,
        }
    }

    /// How many draws a pixel of so many colours takes, one after the other: one for each colour
    /// where the network has to see a colour before it can say anything of the next.
    pub fn passes(self, colours: usize) -> usize {
        match self {
            PixelDistribution::Bernoulli | PixelDistribution::Categorical { .. } => colours,
            PixelDistribution::LogisticMixture { .. } => 1,
        }
    }

    /// Classes that a draw chooses from by softmax.
    pub(super) fn classes(self) -> u32 {
        match self {
            PixelDistribution::Bernoulli => 0,
            PixelDistribution::Categorical { levels: n } | PixelDistribution::LogisticMixture { components: n } => n,
        }
    }

    /// Kind and size, as shaders know them.
    pub(crate) fn words(self) -> [u32; 2] {
        match self {
            PixelDistribution::Bernoulli => [BERNOULLI, 1],
            PixelDistribution::Categorical { levels } => [CATEGORICAL, levels],
            PixelDistribution::LogisticMixture { components } => [LOGISTIC_MIXTURE, components],
        }
    }

    /// The distribution of these words. There must be one.
    pub(super) fn from_words([kind, size]: [u32; 2]) -> PixelDistribution {
        match kind {
            BERNOULLI => PixelDistribution::Bernoulli,
            CATEGORICAL => PixelDistribution::Categorical { levels: size },
            LOGISTIC_MIXTURE => PixelDistribution::LogisticMixture { components: size },
            kind => panic!("there is no pixel distribution {kind}"),
        }
    }

    /// Makes draw `pass` of a pixel of `colours`, from the network's outputs, each with its error,
    /// and the element or, for several colours at once, the block of this number of a stream.
    pub(super) fn draw(
        self,
        [colours, pass]: [usize; 2],
        outputs: &dyn Fn(usize) -> (f32, f32),
        (source, element): (&Stream, usize),
    ) -> Drawn {
        match self {
            PixelDistribution::Bernoulli => {
                let (logit, error) = outputs(pass);
                let u = f64::from(source.uniform(element));
                // Where the draw falls within rounding of the probability, either colour is right,
                // and whatever comes of it. The slope of the sigmoid is at most 1/4.
                let probability = 1.0 / (1.0 + (-f64::from(logit)).exp());
                let near = f64::from(exp_error(logit) + 4.0 * EPS + 0.25 * error);
                let value = match u < probability {
                    _ if logit.is_nan() => logit,
                    true => 1.0,
                    false => 0.0,
                };
                single(pass, value, (u - probability).abs() <= near)
            }
            PixelDistribution::Categorical { levels } => {
                let level = |k: usize| outputs(k * colours + pass);
                let (k, close) = choose(levels as usize, &level, source.uniform(element));
                let value = k.map_or(f32::NAN, |k| k as f32 / (levels - 1) as f32);
                single(pass, value, close)
            }
            PixelDistribution::LogisticMixture { components } => {
                mixture(components as usize, colours, outputs, unit_block(source, element))
            }
        }
    }
}

/// The first of `count` classes at which the cumulated softmax of `logits` exceeds `u`, and whether
/// rounding may choose another. Where a logit is NaN there is none.
fn choose(count: usize, logits: &dyn Fn(usize) -> (f32, f32), u: f32) -> (Option<usize>, bool) {
    let largest = (0..count).map(|k| logits(k).0).fold(f32::NEG_INFINITY, f32::max);
    let weight = |k: usize| f64::from(logits(k).0 - largest).exp();
    let sum: f64 = (0..count).map(weight).sum();
    if sum.is_nan() {
        return (None, false);
    }
    let wanted = f64::from(u) * sum;
    let (mut chosen, mut before, mut so_far) = (count - 1, 0.0, 0.0);
    for k in 0..count {
        before = so_far;
        so_far += weight(k);
        if so_far > wanted {
            chosen = k;
            break;
        }
    }
    let error = |k: usize| {
        let (logit, error) = logits(k);
        let away = logit - largest;
        away.exp() * (exp_error(away) + 2.0 * away.abs() * EPS + 2.0 * error)
    };
    let near = f64::from((0..count).map(error).sum::<f32>() + (2.0 * sum_bound(count, 1.0) + 4.0 * EPS) * sum as f32);
    let close_below = chosen > 0 && wanted - before <= near;
    let close_above = chosen + 1 < count && so_far - wanted <= near;
    (Some(chosen), close_below || close_above)
}

/// A pixel of a mixture of logistic variables.
fn mixture(components: usize, colours: usize, outputs: &dyn Fn(usize) -> (f32, f32), u: [f32; 4]) -> Drawn {
    let (Some(component), close) = choose(components, outputs, u[0]) else {
        return (0..colours).map(|colour| (colour, (f32::NAN, 0.0))).collect();
    };
    let output =
        |colour: usize, parameter: usize| outputs(components * mixture_row(colours, colour, parameter) + component);
    let coefficient = |row: usize| {
        let (c, error) = output(row, 2);
        (c.tanh(), error + 32.0 * EPS)
    };
    let mut drawn = Vec::new();
    let mut x = [(0.0f32, 0.0f32); 3];
    for colour in 0..colours {
        let (mut mean, mut error) = output(colour, 0);
        for (row, earlier) in LINKED[colour] {
            let ((c, dc), (v, dv)) = (coefficient(*row), x[*earlier]);
            mean += c * v;
            error += dc * (v.abs() + dv) + c.abs() * dv + EPS * (mean.abs() + c.abs());
        }
        let (log_scale, d_log_scale) = output(colour, 1);
        let scale = larger(log_scale, LEAST_LOG_SCALE).exp();
        let v = u[1 + colour].clamp(MARGIN, 1.0 - MARGIN);
        let away = f64::from(v).ln() - f64::from(1.0 - v).ln();
        let sum = f64::from(mean) + f64::from(scale) * away;
        error += scale * away.abs() as f32 * (d_log_scale * (1.0 + d_log_scale) + exp_error(log_scale) + 64.0 * EPS);
        error += 4.0 * EPS * (mean.abs() + 1.0);
        let at = (sum.clamp(-1.0, 1.0) + 1.0) * 127.5;
        let level = (at + 0.5).floor();
        let reach = 127.5 * f64::from(error);
        // Levels that rounding may lead to.
        let apart =
            ((at + reach).min(255.0) + 0.5).floor().max(level) - ((at - reach).max(0.0) + 0.5).floor().min(level);
        let (value, error) = ((level / 255.0) as f32, if close { 1.0 } else { apart as f32 / 255.0 + 8.0 * EPS });
        drawn.push((colour, (value, error)));
        x[colour] = (value * 2.0 - 1.0, 2.0 * error);
    }
    drawn
}
