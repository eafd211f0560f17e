//! Latent-variable models: densities against PyTorch, bounds in their order, weights that warm up.

use crate::support::{Rig, Tensors, assert_close, gpu, graph};
use limn::eval::{Figure, Measure, Sample, evaluate};
use limn::graph::gradients;
use limn::program::Device;
use limn::train::{Config, Session, Setting, images, pack};

fn numbers(fixture: &serde_json::Value, key: &str) -> Vec<f32> {
    fixture[key].as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number") as f32).collect()
}

#[test]
fn the_discretised_logistic_and_its_gradient_agree_with_pytorch() {
    let text = std::fs::read_to_string("assets/fixtures/logistic.json").expect("the fixture");
    let fixture: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let given: Tensors = ["mean", "log_scale", "target"].map(|k| (k.to_string(), numbers(&fixture, k))).into();
    let g = graph();
    let [mean, log_scale, target] = ["mean", "log_scale", "target"].map(|key| g.input(key, &[16]));
    let nll = mean.discretised_logistic_nll(&log_scale, &target);
    g.output("nll", &nll);
    for (name, grad) in std::iter::zip(["dmean", "dlog_scale"], gradients(&nll.sum(), &[mean, log_scale])) {
        g.output(name, &grad.expect("a gradient"));
    }
    let source = g.finish().expect("a graph");
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let outputs = Rig::on(&source, &device, &given).outputs();
        for key in ["nll", "dmean", "dlog_scale"] {
            for (got, want) in std::iter::zip(&outputs[key], numbers(&fixture, key)) {
                // A distance from the mean is rounded by 3e-8, which is 5e-5 of the smallest scale
                // here.
                let tolerance = 2e-4 * want.abs().max(1.0);
                assert!((got - want).abs() < tolerance, "{}: {key} {got:e}, PyTorch has {want:e}", device.name());
            }
        }
    }
}

#[test]
fn the_probabilities_of_all_grey_levels_add_up_to_one() {
    let g = graph();
    let spreads = [-8.0f32, -5.0, -3.0, 0.0, 3.0];
    let (mean, log_scale, target) =
        (g.input("mean", &[5, 1]), g.input("log_scale", &[5, 1]), g.input("target", &[256]));
    let lay = |v: &limn::graph::Var| v + &g.constant(&[5, 256], 0.0);
    let p = (-&lay(&mean).discretised_logistic_nll(&lay(&log_scale), &target)).exp();
    g.output("sum", &p.sum_axes(&[1]));
    let source = g.finish().expect("a graph");
    for mean in [-1.0, 0.0, 0.251, 0.5, 0.999, 1.5] {
        let given = Tensors::from([
            ("mean".into(), vec![mean; 5]),
            ("log_scale".into(), spreads.to_vec()),
            ("target".into(), (0..256).map(|k| k as f32 / 255.0).collect()),
        ]);
        let sum = &Rig::on(&source, &Device::Reference, &given).outputs()["sum"];
        assert_close(sum, &[1.0; 5], 2e-4, &format!("mean {mean}"));
    }
}

#[test]
fn log_sum_exp_overflows_nowhere() {
    let g = graph();
    g.output("y", &g.input("x", &[3, 3]).log_sum_exp(0));
    let source = g.finish().expect("a graph");
    let x = vec![1000.0, -1000.0, -3.0, 990.0, -1000.0, -200.0, -1000.0, -1001.0, 0.5];
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let y = &Rig::on(&source, &device, &Tensors::from([("x".into(), x.clone())])).outputs()["y"];
        let want = [1000.0 + (-10.0f32).exp(), -1000.0 + (2.0 + (-1.0f32).exp()).ln(), 0.5 + (-3.5f32).exp().ln_1p()];
        std::iter::zip(y, want).for_each(|(y, want)| assert!((y - want).abs() < 2e-4, "{y} {want}"));
    }
}

/// A preset with these settings after some steps on the built-in images in order, and its losses.
pub fn trained(preset: &str, settings: &[&str], steps: usize) -> (Session, Vec<Vec<f32>>) {
    let mut config = Config::preset(preset).expect("a preset");
    config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
    let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
    let data = images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set");
    let batch = config.train.batch;
    let mut step = session.train_step(batch).expect("a program");
    let mut losses = Vec::new();
    let columns = session.model.losses().len();
    for i in 0..steps {
        let first = i * batch % (data.train.len() - batch);
        let mut bytes = Vec::new();
        data.train.upload(first..first + batch, session.model.classes() > 0, &mut bytes);
        let words = pack(bytes);
        if i == 0 {
            session.initialise(batch, &words).expect("a start");
        }
        step.write("images", &words).expect("an upload");
        step.run().expect("a step");
        let row = i % limn::train::HISTORY_ROWS;
        losses.push(session.store.read("history").expect("losses")[row * columns..][..columns].to_vec());
    }
    (session, losses)
}

fn figures(session: &mut Session, measure: Measure, count: usize) -> Vec<Figure> {
    let data = images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set");
    let sample = Sample { data: &data.name, test: &data.test, count };
    evaluate(session, &sample, measure, 32).expect("figures")
}

pub fn value(figures: &[Figure], name: &str) -> f64 {
    figures.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no {name} in {figures:?}")).value
}

#[test]
fn more_draws_give_a_higher_bound_and_log_p_the_highest() {
    let dynamic = &["model.samples=5", "model.binarisation=dynamic"][..];
    for (settings, same_images) in [(dynamic, false), (&["model.binarisation=static"][..], true)] {
        let tiny = ["model.hidden=32", "model.latent=8", "train.batch=32"];
        let (mut session, losses) = trained("vae", &[&tiny, settings].concat(), 150);
        assert!(losses[149][0] < 0.7 * losses[0][0], "it learns");
        let count = 24;
        let elbo = value(&figures(&mut session, Measure::Own, count), "elbo");
        let one = figures(&mut session, Measure::Bound(1), count);
        let [five, fifty] =
            [5, 50].map(|k| value(&figures(&mut session, Measure::Bound(k), count), &format!("iwae_{k}")));
        let log_p = figures(&mut session, Measure::LogP, count);
        let best = value(&log_p, "log_p");
        let one = value(&one, "iwae_1");
        assert!(one < five && five < fifty && fifty < best, "{one} {five} {fifty} {best}");
        if same_images {
            // Dynamic binarisation draws other images in the one pass than it does for the draws of
            // z. A single draw of z varies by some nats an image.
            assert!(elbo < five && (one - elbo).abs() < 6.0, "{elbo} {one} {five}");
        }
        assert!(value(&log_p, "nll") == -best && value(&log_p, "bits_per_dim") > 0.0);
        let protocol = &log_p[0].protocol;
        for words in
            ["24 evenly spread of the 1000 test images of fashion-mini", "binarisation", "5000 draws", "seed 0"]
        {
            assert!(protocol.contains(words), "{protocol}");
        }
        assert_eq!(figures(&mut session, Measure::Bound(5), count)[0].value, five, "the same draws again");
    }
}

#[test]
fn the_divergence_warms_up_by_the_clock() {
    let tiny = ["model.hidden=8", "model.latent=2", "train.batch=8", "model.beta=3", "model.warm_up=4"];
    let (_, losses) = trained("vae", &tiny, 7);
    for (step, row) in losses.iter().enumerate() {
        let weight = 3.0 * (step as f32 / 4.0).min(1.0);
        let want = row[1] + weight * row[2];
        assert!((row[0] - want).abs() < 1e-6 * want, "step {step}: {row:?}, {want}");
    }
    // Without warm-up and with the weight 1 the loss is the bound itself.
    let (_, losses) = trained("vae-conv-small", &["train.batch=8"], 1);
    assert_eq!(losses[0][0], losses[0][1] + losses[0][2]);
}

#[test]
fn decoders_learn_and_say_what_their_figures_are() {
    for (decoder, discrete) in [("bernoulli", false), ("gaussian", false), ("discretised-logistic", true)] {
        let decoder_is = format!("model.decoder={decoder}");
        let settings = ["model.filters1=4", "model.filters2=4", "train.batch=16", "optim.lr=0.01", decoder_is.as_str()];
        let (mut session, losses) = trained("vae-conv-small", &settings, 60);
        let (first, last) = (losses[0][0], losses[59][0]);
        assert!(last.is_finite() && last < first - 100.0, "{decoder}: {first} to {last}");
        for measure in [Measure::Own, Measure::Bound(3)] {
            let figures = figures(&mut session, measure, 16);
            assert_eq!(figures.iter().any(|f| f.name == "bits_per_dim"), discrete, "{decoder}");
            assert!(figures.iter().all(|f| f.value.is_finite()), "{figures:?}");
            let (no_probability, density) = ("no log-likelihoods", "densities and no probabilities");
            let says = |words| figures.iter().all(|f| f.protocol.contains(words));
            assert_eq!((says(no_probability), says(density)), (decoder == "bernoulli", decoder == "gaussian"));
        }
        let pictures = limn::sample::samples(&mut session, 3, None, 0, limn::sample::Drawing::Cached).expect("samples");
        assert!(pictures.iter().all(|v| (0.0..=1.0).contains(v)), "{decoder}");
    }
}

#[test]
fn an_autoencoder_reconstructs_and_its_latent_vectors_are_standardised_codes() {
    let settings = ["model.hidden=32", "model.latent=4", "train.batch=64"];
    let (mut session, losses) = trained("ae", &settings, 400);
    assert!(losses[399][0] < 0.5 * losses[0][0], "{} to {}", losses[0][0], losses[399][0]);
    let test =
        images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set").test;
    let x = test.spread(200).gather(&(0..200).collect::<Vec<_>>(), 0.0, 1.0);
    let z = limn::sample::encode(&mut session, &x, &[]).expect("codes");
    for k in 0..4 {
        let code: Vec<f64> = z.iter().skip(k).step_by(4).map(|v| f64::from(*v)).collect();
        let mean = code.iter().sum::<f64>() / 200.0;
        let variance = code.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 200.0;
        assert!(mean.abs() < 0.5 && (0.4..2.5).contains(&variance), "dimension {k}: {mean} {variance}");
    }
    let again = limn::sample::decode(&mut session, &z, &[]).expect("images");
    let error = std::iter::zip(&x, &again).map(|(a, b)| f64::from((a - b).powi(2))).sum::<f64>() / x.len() as f64;
    let mse = value(&figures(&mut session, Measure::Own, 200), "mse");
    assert!((error - mse).abs() < 1e-5 * mse, "{error} {mse}");
}
