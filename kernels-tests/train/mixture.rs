//! Mixtures of Gaussians: expectation-maximisation against its formulas, its bound, and what is
//! drawn.

use crate::latent::{trained, value};
use crate::support::{assert_close, gpu, normals};
use limn::eval::{Measure, Sample, evaluate};
use limn::models::{GmmConfig, ModelConfig};
use limn::nn::{OptimConfig, Optimizer};
use limn::program::Device;
use limn::sample::{self, Drawing};
use limn::train::{Session, images, pack};

const K: usize = 3;
const D: usize = 12;
const FLOOR: f64 = 1e-3;

fn session(batches: u32, device: Device) -> Session {
    let config = ModelConfig::new(GmmConfig { channels: 1, height: 3, width: 4, components: K });
    let optim = Optimizer::plain(OptimConfig::Em { floor: FLOOR, batches });
    Session::new(&config, &optim, 0, device).expect("a session")
}

/// A mixture as the formulas have it, in f64.
struct Direct {
    weights: [f64; K],
    means: [[f64; D]; K],
    variances: [[f64; D]; K],
}

impl Direct {
    /// log π_j + log N(x; μ_j, σ²_j)
    fn joint(&self, x: &[f64], j: usize) -> f64 {
        let term = |i: usize| {
            let (m, v) = (self.means[j][i], self.variances[j][i]);
            (std::f64::consts::TAU * v).ln() + (x[i] - m).powi(2) / v
        };
        self.weights[j].ln() - 0.5 * (0..D).map(term).sum::<f64>()
    }

    fn log_p(&self, x: &[f64]) -> f64 {
        let joint: Vec<f64> = (0..K).map(|j| self.joint(x, j)).collect();
        let largest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + joint.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
    }

    /// One iteration over all images.
    fn improve(&mut self, images: &[Vec<f64>]) {
        let r: Vec<[f64; K]> =
            images.iter().map(|x| std::array::from_fn(|j| (self.joint(x, j) - self.log_p(x)).exp())).collect();
        for j in 0..K {
            let count: f64 = r.iter().map(|r| r[j]).sum();
            self.weights[j] = count / images.len() as f64;
            for i in 0..D {
                let mean = |f: &dyn Fn(f64) -> f64| {
                    std::iter::zip(&r, images).map(|(r, x)| r[j] * f(x[i])).sum::<f64>() / count
                };
                self.means[j][i] = mean(&|x| x);
                self.variances[j][i] = mean(&|x| x * x) - mean(&|x| x).powi(2) + FLOOR;
            }
        }
    }
}

/// Bytes of three kinds of images that overlap.
fn blurs(n: usize) -> Vec<u8> {
    let noise = normals(70, n * D);
    let centre = |image: usize, pixel: usize| 60.0 + 60.0 * ((image * 7 + 2 * pixel) % 3) as f32;
    (0..n * D).map(|i| (centre(i / D, i % D) + 30.0 * noise[i]).clamp(0.0, 255.0) as u8).collect()
}

#[test]
fn passes_of_batches_are_iterations_over_all_images() {
    let (batch, batches) = (10, 3);
    let bytes = blurs(batch * batches);
    let images: Vec<Vec<f64>> = bytes.chunks(D).map(|x| x.iter().map(|b| f64::from(*b) / 255.0).collect()).collect();
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let mut direct = Direct {
            weights: [1.0 / K as f64; K],
            means: std::array::from_fn(|j| std::array::from_fn(|i| images[j][i])),
            variances: [[1.0; D]; K],
        };
        let mut session = session(batches as u32, device.clone());
        session.initialise(batch, &pack(bytes[..batch * D].to_vec())).expect("means");
        let mut step = session.train_step(batch).expect("a program");
        let mut before = f64::INFINITY;
        for pass in 0..6 {
            let mut nll = 0.0;
            for k in 0..batches {
                step.write("images", &pack(bytes[k * batch * D..(k + 1) * batch * D].to_vec())).expect("images");
                step.run().expect("a step");
                nll += f64::from(session.store.read("history").expect("losses")[pass * batches + k]) / batches as f64;
            }
            let want = -images.iter().map(|x| direct.log_p(x)).sum::<f64>() / images.len() as f64;
            let what = format!("{}, pass {pass}", device.name());
            assert!((nll - want).abs() < 1e-3, "{what}: {nll} and should be {want}");
            assert!(pass < 2 || nll < before + 1e-3, "{what}: {nll} after {before}");
            before = nll;
            direct.improve(&images);
            let params = session.store.read("gmm.params").expect("parameters");
            // Parameters begin at multiples of 64 elements.
            let at = |offset: usize, len: usize| &params[offset..offset + len];
            let flat = |rows: &[[f64; D]; K]| rows.iter().flatten().map(|v| *v as f32).collect::<Vec<f32>>();
            assert_close(at(0, K), &direct.weights.map(|w| w.ln() as f32), 2e-4, &what);
            assert_close(at(64, K * D), &flat(&direct.means), 2e-4, &what);
            assert_close(at(128, K * D), &flat(&direct.variances), 2e-3, &what);
        }
    }
}

#[test]
fn draws_have_the_mixtures_weights_means_and_variances() {
    for device in [Device::Cpu, gpu()] {
        let mut session = session(1, device);
        let mut params = vec![0.0; 192];
        let (weights, means, deviation) = ([0.6f32, 0.3, 0.1], [0.2f32, 0.5, 0.8], 0.03f32);
        for j in 0..K {
            params[j] = weights[j].ln();
            params[64 + j * D..64 + (j + 1) * D].fill(means[j]);
            params[128 + j * D..128 + (j + 1) * D].fill(deviation * deviation);
        }
        session.store.write("gmm.params", &params).expect("parameters");
        let n = 1500;
        let drawn = sample::samples(&mut session, n, None, 3, Drawing::Cached).expect("images");
        let few = sample::samples(&mut session, 5, None, 3, Drawing::Cached).expect("images");
        assert_eq!(few[..], drawn[..5 * D], "the first ones do not hang on how many there are");
        let mut of: [Vec<f32>; K] = Default::default();
        for image in drawn.chunks(D) {
            let mean = image.iter().sum::<f32>() / D as f32;
            let j = (0..K).min_by(|a, b| (means[*a] - mean).abs().total_cmp(&(means[*b] - mean).abs())).expect("three");
            of[j].extend(image);
        }
        for j in 0..K {
            let share = of[j].len() as f32 / drawn.len() as f32;
            let mean = of[j].iter().sum::<f32>() / of[j].len() as f32;
            let spread = (of[j].iter().map(|v| (v - mean).powi(2)).sum::<f32>() / of[j].len() as f32).sqrt();
            assert!((share - weights[j]).abs() < 0.05, "{share} of component {j}");
            assert!((mean - means[j]).abs() < 0.005 && (spread - deviation).abs() < 0.003, "{mean} {spread}");
        }
        let (pictures, probable) = sample::components(&mut session).expect("components");
        assert_close(&probable, &weights, 1e-5, "weights");
        assert!(std::iter::zip(pictures.chunks(D), means).all(|(p, m)| p.iter().all(|v| (v - m).abs() < 1e-6)));
    }
}

#[test]
fn a_mixture_of_garments_explains_new_ones_better_than_one_gaussian() {
    let nll = |components: &str| {
        let (mut session, losses) = trained("gmm-small", &[components, "train.batch=200", "optim.batches=10"], 60);
        assert!(losses[59][0] < losses[11][0], "it learns");
        let test =
            images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set").test;
        let sample = Sample { data: "fashion-mini", test: &test, count: 300 };
        let figures = evaluate(&mut session, &sample, Measure::Own, 64).expect("figures");
        assert!(figures[0].unit.contains("density") && figures.len() == 1, "{figures:?}");
        value(&figures, "nll")
    };
    let (one, ten) = (nll("model.components=1"), nll("model.components=10"));
    assert!(ten < one - 100.0, "{one} with one component, {ten} with ten");
}
