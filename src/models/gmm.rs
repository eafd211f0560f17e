//! A mixture of Gaussians with diagonal covariances, by expectation-maximisation: Dempster, Laird &
//! Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm" (JRSS B, 1977).

use super::{
    Architecture, Batch, Family, ImageSpec, Likelihood, Metric, MixtureModel, Model, ModelError, Training, positive,
};
use crate::graph::{Graph, GraphError, Var};
use crate::nn::{Init, Network, NetworkBuilder, Numbering, OptimConfig, Optimizer, Param};
use serde::{Deserialize, Serialize};

/// Sizes of a [`Gmm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GmmConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Gaussians.
    pub components: usize,
}

impl Architecture for GmmConfig {
    const KIND: &'static str = "gmm";

    fn build_at(&self, _: u64) -> Result<Box<dyn Model>, ModelError> {
        Ok(Box::new(Gmm::new(self)?))
    }

    fn trainable(&self, training: &Training) -> Result<(), ModelError> {
        let Training { rule, batch, ema, mixed } = *training;
        let why = match rule {
            OptimConfig::Em { .. } if batch < self.components => format!(
                "train.batch = {batch} must be at least model.components = {}, because the means begin as images of \
                 the first batch",
                self.components
            ),
            OptimConfig::Em { .. } if ema > 0.0 => {
                "train.ema averages what descent passes through, and a mixture does not descend; set train.ema=0".into()
            }
            OptimConfig::Em { .. } if mixed => {
                "a mixture's densities are differences of large numbers, which mixed precision does not hold; train \
                 it in full precision"
                    .into()
            }
            OptimConfig::Em { .. } => return Ok(()),
            _ => "a mixture is trained by expectation-maximisation; set optim.kind=em".into(),
        };
        Err(ModelError::Settings(why))
    }
}

/// p(x) = Σ_j π_j N(x; μ_j, diag σ²_j), of images with pixels in [0, 1].
pub struct Gmm {
    config: GmmConfig,
    net: Network,
    log_weights: Param,
    means: Param,
    variances: Param,
    /// What a pass over the data has added up so far, of the responsibilities r_j(x): Σ r, Σ r x
    /// and Σ r x².
    counts: Param,
    sums: Param,
    squares: Param,
}

/// Under the sum of a component's responsibilities, so that one which lost all of them stays a
/// number.
const LEAST_COUNT: f32 = 1e-30;

/// The parameters in a graph, for k components of d dimensions.
struct Mixture {
    /// log π, [k,1].
    log_weights: Var,
    /// [k,d]
    means: Var,
    /// [k,d]
    variances: Var,
}

impl Mixture {
    /// log π_j + log N(x_i; μ_j, σ²_j) of x [n,d], [k,n].
    ///
    /// -½ Σ (x - μ)²/σ² is written out in powers of x: two products of matrices.
    fn joint(&self, x: &Var) -> Var {
        x.graph().scope("expectation");
        let precisions = self.variances.recip();
        let scaled = &self.means * &precisions;
        let constant = (&self.variances.ln().add_scalar(std::f32::consts::TAU.ln()) + &(&self.means * &scaled))
            .sum_axes(&[1])
            .mul_scalar(-0.5);
        let linear = scaled.matmul_t(x, false, true);
        let quadratic = precisions.matmul_t(&x.square(), false, true).mul_scalar(-0.5);
        &(&linear + &quadratic) + &(&constant + &self.log_weights)
    }
}

/// `a` where the number `switch` [1] is 1, `b` where it is 0.
fn choose(switch: &Var, a: &Var, b: &Var) -> Var {
    &(a * switch) + &(b * &switch.mul_scalar(-1.0).add_scalar(1.0))
}

impl Gmm {
    /// The mixture.
    ///
    /// # Errors
    /// A size that makes no sense.
    pub fn new(c: &GmmConfig) -> Result<Gmm, ModelError> {
        positive(&[("channels", c.channels), ("height", c.height), ("width", c.width), ("components", c.components)])?;
        let (k, d) = (c.components, c.channels * c.height * c.width);
        let mut net = NetworkBuilder::new("gmm", &Numbering::default());
        let log_weights = net.param("log_weights".into(), &[k, 1], Init::Constant(-(k as f32).ln()));
        let means = net.param("means".into(), &[k, d], Init::Zeros);
        let variances = net.param("variances".into(), &[k, d], Init::Ones);
        let counts = net.stat("pass.counts".into(), &[k, 1], Init::Zeros);
        let sums = net.stat("pass.sums".into(), &[k, d], Init::Zeros);
        let squares = net.stat("pass.squares".into(), &[k, d], Init::Zeros);
        let net = net.build();
        Ok(Gmm { config: c.clone(), net, log_weights, means, variances, counts, sums, squares })
    }

    fn mixture(&self, graph: &Graph) -> Mixture {
        Mixture {
            log_weights: self.log_weights.var(graph),
            means: self.means.var(graph),
            variances: self.variances.var(graph),
        }
    }

    /// The mixture that these sums over a pass make most likely, each variance with `floor` added
    /// to it.
    fn maximise(counts: &Var, sums: &Var, squares: &Var, floor: f32) -> Mixture {
        let counts = counts.add_scalar(LEAST_COUNT);
        let share = counts.recip();
        let means = sums * &share;
        let spread = &(squares * &share) - &means.square();
        Mixture { log_weights: &counts.ln() - &counts.sum().ln(), variances: spread.relu().add_scalar(floor), means }
    }

    /// -log p(x), [n] in nats.
    fn nll(joint: &Var) -> Var {
        -&joint.log_sum_exp(0).reshape(&[joint.shape()[1]])
    }
}

impl Model for Gmm {
    fn networks(&self) -> Vec<&Network> {
        vec![&self.net]
    }

    fn images(&self) -> ImageSpec {
        ImageSpec::new([self.config.channels, self.config.height, self.config.width])
    }

    fn likelihood(&self) -> Likelihood {
        Likelihood::Density
    }

    fn losses(&self) -> &'static [&'static str] {
        &["nll"]
    }

    /// The means begin as the first images of the first batch, which are drawn at random; weights
    /// are equal then, and variances 1.
    fn initialise(&self, batch: &Batch) -> bool {
        let x = batch.images.flatten();
        x.graph().scope("initialisation");
        x.graph().assign(&x.slice(0, 0, self.config.components), &self.means.var(x.graph()));
        true
    }

    /// Every batch of a pass is held against the same mixture; the last one's step ends with the
    /// next.
    fn step(&self, batch: &Batch, optim: &Optimizer) -> Vec<Var> {
        let (graph, x) = (batch.graph(), batch.images.flatten());
        let refuse = |why| vec![graph.fail(GraphError::Rule(why), &[1])];
        let Some(em) = optim.em() else {
            return refuse("a mixture is trained by expectation-maximisation; set optim.kind=em");
        };
        if batch.len() * graph.shard().count() < self.config.components {
            return refuse(
                "its means begin as images of the first batch, so train.batch must be at least model.components",
            );
        }
        let now = self.mixture(graph);
        let joint = now.joint(&x);
        let nll = Gmm::nll(&joint);
        let responsibilities = (&joint + &nll).exp();

        graph.scope("maximisation");
        let (first, last) = (graph.pulse(em.batches, 0), graph.pulse(em.batches, em.batches - 1));
        let carried = first.mul_scalar(-1.0).add_scalar(1.0);
        let add = |stored: &Param, new: &Var| &(&stored.var(graph) * &carried) + &new.summed_over_batch();
        let counts = add(&self.counts, &responsibilities.sum_axes(&[1]));
        let sums = add(&self.sums, &responsibilities.matmul(&x));
        let squares = add(&self.squares, &responsibilities.matmul(&x.square()));
        let next = Gmm::maximise(&counts, &sums, &squares, em.floor);
        for (stored, new) in [
            (&self.log_weights, choose(&last, &next.log_weights, &now.log_weights)),
            (&self.means, choose(&last, &next.means, &now.means)),
            (&self.variances, choose(&last, &next.variances, &now.variances)),
            (&self.counts, counts),
            (&self.sums, sums),
            (&self.squares, squares),
        ] {
            graph.assign(&new, &stored.var(graph));
        }
        vec![nll.mean()]
    }

    fn evaluate(&self, batch: &Batch) -> Vec<Metric> {
        let joint = self.mixture(batch.graph()).joint(&batch.images.flatten());
        let nll = Metric::new("nll", "nats/image, of a density of grey/255", Gmm::nll(&joint));
        vec![Metric { likelihood: self.likelihood(), ..nll }]
    }

    fn family(&self) -> Family<'_> {
        Family::Mixture(self)
    }
}

impl MixtureModel for Gmm {
    fn draw(&self, graph: &Graph, n: usize) -> Var {
        let k = self.config.components;
        let Mixture { log_weights, means, variances } = self.mixture(graph);
        graph.scope("draw");
        // The largest of log π_j + Gumbel noise falls on j with probability π_j.
        let gumbel = -&(-&graph.uniform(&[n, k], 1e-7, 0.999_999).ln()).ln();
        let which = (&gumbel + &log_weights.reshape(&[k])).largest(1);
        let (mean, variance) = (which.matmul(&means), which.matmul(&variances));
        let [c, h, w] = self.images().geometry;
        let x = &mean + &(&variance.sqrt() * &graph.normal(mean.shape()));
        x.clamp(0.0, 1.0).reshape(&[n, c, h, w])
    }

    fn components(&self, graph: &Graph) -> [Var; 2] {
        let [c, h, w] = self.images().geometry;
        let Mixture { log_weights, means, .. } = self.mixture(graph);
        let k = self.config.components;
        [log_weights.exp().reshape(&[k]), means.clamp(0.0, 1.0).reshape(&[k, c, h, w])]
    }
}
