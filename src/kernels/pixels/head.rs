//! The distribution of a pixel, and how it is drawn from a network's outputs there.
//! `shaders/lib/head.wgsl` is its twin.

use crate::kernels::philox::{Stream, unit_block};
use crate::kernels::pointwise::larger;
use crate::kernels::{EPS, exp_error, sum_bound};

/// The distribution of a pixel given what a network says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// 1 with probability sigmoid(logit), else 0. One colour, one channel.
    Bernoulli,
    /// Level k of a colour, k / (levels - 1), with probability softmax(logits)_k: channel
    /// k·colours + colour. A colour's logits may depend on the colours before it.
    Categorical {
        /// Levels, at least 2.
        levels: u32,
    },
    /// A mixture of logistic variables in 256 levels of [-1, 1] (Salimans et al. 2017, §2.1 and 2.2): first
    /// a logit for each component; then for each colour means, log-scales and, with three colours,
    /// coefficients of the components. Green's mean has its first tanh-coefficient times red added,
    /// blue's its second times red and third times green.
    LogisticMixture {
        /// Components.
        components: u32,
    },
}

/// Log-scales are at least this, for pixels from -1 to 1 (Salimans et al. 2017).
pub const LEAST_LOG_SCALE: f32 = -7.0;
/// Uniform numbers of a logistic variable keep this far from 0 and 1.
const MARGIN: f32 = 1e-5;

/// What is drawn at once of a pixel.
pub(super) struct Drawn {
    /// The first colour.
    pub first: usize,
    /// Its value, and those of the colours after it.
    pub values: [f32; 3],
    /// The error permitted to each.
    pub errors: [f32; 3],
    /// How many colours there are of them.
    pub count: usize,
}

impl Drawn {
    /// One colour, where rounding may lead to any other value or not.
    fn single(colour: usize, value: f32, close: bool) -> Drawn {
        let error = if close { 1.0 } else { 4.0 * EPS * value };
        Drawn { first: colour, values: [value, 0.0, 0.0], errors: [error, 0.0, 0.0], count: 1 }
    }
}

impl Head {
    /// Channels of a network's output for pixels of so many colours.
    pub fn channels(self, colours: usize) -> usize {
        match self {
            Head::Bernoulli => colours,
            Head::Categorical { levels } => levels as usize * colours,
            Head::LogisticMixture { components } if colours == 1 => 3 * components as usize,
            Head::LogisticMixture { components } => (1 + 3 * colours) * components as usize,
        }
    }

    /// How many draws a pixel of so many colours takes, one after the other: one for each colour where
    /// the network has to see a colour before it can say anything of the next.
    pub fn passes(self, colours: usize) -> usize {
        match self {
            Head::Bernoulli | Head::Categorical { .. } => colours,
            Head::LogisticMixture { .. } => 1,
        }
    }

    /// Kind and size, as shaders know them.
    pub(crate) fn words(self) -> [u32; 2] {
        match self {
            Head::Bernoulli => [0, 1],
            Head::Categorical { levels } => [1, levels],
            Head::LogisticMixture { components } => [2, components],
        }
    }

    /// The head of these words.
    pub(super) fn from_words([kind, size]: [u32; 2]) -> Head {
        match kind {
            0 => Head::Bernoulli,
            1 => Head::Categorical { levels: size },
            _ => Head::LogisticMixture { components: size },
        }
    }

    /// The numbers that decide draw `pass` of pixel `t` of an image; an image has `positions` pixels.
    pub(super) fn uniforms(
        self,
        source: &Stream,
        image: usize,
        [positions, t]: [usize; 2],
        pass: [usize; 2],
    ) -> [f32; 4] {
        let [pass, passes] = pass;
        let element = (image * passes + pass) * positions + t;
        match self {
            Head::LogisticMixture { .. } => unit_block(source, element),
            _ => [source.uniform(element); 4],
        }
    }

    /// Draws what pass `pass` is to draw of a pixel of `colours`, from the network's outputs, each with its
    /// error, by numbers uniform in [0, 1).
    pub(super) fn draw(self, colours: usize, pass: usize, outputs: &dyn Fn(usize) -> (f32, f32), u: [f32; 4]) -> Drawn {
        match self {
            Head::Bernoulli => {
                let (logit, error) = outputs(pass);
                // Where the draw falls within rounding of the probability, either colour is right, and
                // whatever comes of it. The slope of the sigmoid is at most 1/4.
                let probability = 1.0 / (1.0 + (-f64::from(logit)).exp());
                let near = f64::from(exp_error(logit) + 4.0 * EPS + 0.25 * error);
                let close = (f64::from(u[0]) - probability).abs() <= near;
                let value = match f64::from(u[0]) < probability {
                    _ if logit.is_nan() => logit,
                    true => 1.0,
                    false => 0.0,
                };
                Drawn::single(pass, value, close)
            }
            Head::Categorical { levels } => {
                let level = |k: usize| outputs(k * colours + pass);
                let (k, close) = choose(levels as usize, &level, u[0]);
                let value = k.map_or(f32::NAN, |k| k as f32 / (levels - 1) as f32);
                Drawn::single(pass, value, close)
            }
            Head::LogisticMixture { components } => mixture(components as usize, colours, outputs, u),
        }
    }
}

/// The first of `count` classes at which the cumulated softmax of `logits` exceeds `u`, and whether rounding may
/// choose another. Where a logit is NaN there is none.
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
        return Drawn { first: 0, values: [f32::NAN; 3], errors: [0.0; 3], count: colours };
    };
    let per_colour = if colours == 1 { 2 } else { 3 };
    let output = |colour: usize, row: usize| outputs(components * (1 + colour * per_colour + row) + component);
    let coefficient = |row: usize| {
        let (c, error) = output(row, 2);
        (c.tanh(), error + 32.0 * EPS)
    };
    let (mut values, mut errors) = ([0.0f32; 3], [0.0f32; 3]);
    let mut x = [(0.0f32, 0.0f32); 3];
    for colour in 0..colours {
        let (mut mean, mut error) = output(colour, 0);
        // Which coefficients times which colours are added to the mean.
        let linked: &[(usize, usize)] = [&[][..], &[(0, 0)], &[(1, 0), (2, 1)]][colour];
        for (row, earlier) in linked {
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
        values[colour] = (level / 255.0) as f32;
        errors[colour] = if close { 1.0 } else { apart as f32 / 255.0 + 8.0 * EPS };
        x[colour] = (values[colour] * 2.0 - 1.0, 2.0 * errors[colour]);
    }
    Drawn { first: 0, values, errors, count: colours }
}
