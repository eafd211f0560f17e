//! Adversarial training: losses against their formulae, penalties and spectral norm against
//! PyTorch, dropout, and what the settings do to a training step.

use crate::support::fixtures::{fixture, fixture_graph, fixture_normals, numbers};
use crate::support::{Rig, Tensors, assert_close, assert_same_everywhere, gpu, graph, normals, random_values};
use limn::graph::{Var, gradients};
use limn::kernels::philox::Stream;
use limn::models::{AdversarialLoss, Judged, Penalty};
use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
use limn::ops::ConvSpec;
use limn::program::Device;
use limn::train::{Config, Session, Setting, pack};

#[test]
fn losses_are_those_of_the_papers() {
    let (real, fake) = (normals(1, 6), normals(2, 6));
    let mean = |c: &[f32], f: &dyn Fn(f64) -> f64| c.iter().map(|c| f(f64::from(*c))).sum::<f64>() / c.len() as f64;
    let d = |c: f64| 1.0 / (1.0 + (-c).exp());
    let log_loss = |c: f64| -(1.0 - d(c)).ln();
    for (loss, on_real, on_fake, on_generated) in [
        (
            AdversarialLoss::Minimax,
            &(|c: f64| -d(c).ln()) as &dyn Fn(f64) -> f64,
            &log_loss as &dyn Fn(f64) -> f64,
            &(|c: f64| (1.0 - d(c)).ln()) as &dyn Fn(f64) -> f64,
        ),
        (AdversarialLoss::NonSaturating, &|c: f64| -d(c).ln(), &log_loss, &|c: f64| -d(c).ln()),
        (AdversarialLoss::LeastSquares, &|c: f64| (c - 1.0) * (c - 1.0) / 2.0, &|c: f64| c * c / 2.0, &|c: f64| {
            (c - 1.0) * (c - 1.0) / 2.0
        }),
        (AdversarialLoss::Hinge, &|c: f64| (1.0 - c).max(0.0), &|c: f64| (1.0 + c).max(0.0), &|c: f64| -c),
        (AdversarialLoss::Wasserstein, &|c: f64| -c, &|c: f64| c, &|c: f64| -c),
    ] {
        let g = graph();
        let (x, z) = (g.input("real", &[6]), g.input("fake", &[6]));
        g.output("d", &loss.discriminator(&x, &z));
        g.output("g", &loss.generator(&z));
        let values = Tensors::from([("real".into(), real.clone()), ("fake".into(), fake.clone())]);
        let got = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values).outputs();
        let want = mean(&real, on_real) + mean(&fake, on_fake);
        assert_close(&got["d"], &[want as f32], 1e-6, &format!("{loss:?} of the discriminator"));
        assert_close(&got["g"], &[mean(&fake, on_generated) as f32], 1e-6, &format!("{loss:?} of the generator"));
    }
}

#[test]
fn gradients_of_penalties_agree_with_pytorch() {
    let fixture = fixture("penalties");
    let shapes: [(&str, &[usize]); 8] = [
        ("real", &[3, 1, 8, 8]),
        ("fake", &[3, 1, 8, 8]),
        ("conv1.weight", &[4, 1, 4, 4]),
        ("conv1.bias", &[4]),
        ("conv2.weight", &[3, 4, 3, 3]),
        ("conv2.bias", &[3]),
        ("linear.weight", &[1, 48]),
        ("linear.bias", &[1]),
    ];
    for (name, penalty) in
        [("wgan-gp", Penalty::WganGp), ("dragan", Penalty::Dragan), ("r1", Penalty::R1), ("r2", Penalty::R2)]
    {
        let (g, mut values) = (fixture_graph(), Tensors::new());
        let vars: Vec<Var> = std::iter::zip(0.., shapes)
            .map(|(i, (name, shape))| {
                let scale = if i < 2 { 1.0 } else { 0.3 };
                values.insert(name.into(), fixture_normals(100 + i, shape.iter().product(), scale));
                g.input(name, shape)
            })
            .collect();
        let [real, fake, w1, b1, w2, b2, w3, b3] = &vars[..] else { panic!("eight tensors") };
        let d = |x: &Var| {
            let h = x.conv2d(w1, Some(b1), &ConvSpec::new(2, 1)).leaky_relu(0.2);
            let h = h.conv2d(w2, Some(b2), &ConvSpec::new(1, 1)).leaky_relu(0.2);
            h.flatten().linear(w3, Some(b3)).reshape(&[3])
        };
        let (on_real, on_fake) = (d(real), d(fake));
        let real = Judged { images: real, scores: &on_real };
        let fake = Judged { images: fake, scores: &on_fake };
        let value = penalty.of(&real, &fake, d).expect("a penalty");
        g.output("value", &value);
        let wanted: Vec<&str> = shapes[2..7].iter().map(|(name, _)| *name).collect();
        for (name, grad) in std::iter::zip(&wanted, gradients(&value, &vars[2..7])) {
            // Where every unit is a piece of a line, biases only move its kink.
            if let Some(grad) = grad {
                g.output(name, &grad);
            }
        }
        let source = g.finish().expect("a graph");
        for device in [Device::Reference, Device::Cpu, gpu()] {
            let got = Rig::on(&source, &device, &values).outputs();
            let want = &fixture[name];
            assert_close(&got["value"], &[want["value"].as_f64().expect("a number") as f32], 1e-5, name);
            for tensor in &wanted {
                let want = numbers(&want[*tensor]);
                match got.get(*tensor) {
                    Some(grad) => assert_close(grad, &want, 2e-5, &format!("{name} {tensor} {}", device.name())),
                    None => assert!(want.iter().all(|v| *v == 0.0), "{name} {tensor}"),
                }
            }
        }
    }
}

#[test]
fn a_penalty_of_a_discriminator_that_is_flat_is_finite() {
    for (penalty, want) in [(Penalty::WganGp, 1.0), (Penalty::Dragan, 1.0), (Penalty::R1, 0.0), (Penalty::R2, 0.0)] {
        let g = graph();
        let (x, w) = (g.input("x", &[2, 3]), g.input("w", &[1, 3]));
        let d = |x: &Var| x.linear(&w, None).reshape(&[2]);
        let scores = d(&x);
        let judged = Judged { images: &x, scores: &scores };
        let value = penalty.of(&judged, &judged, d).expect("a penalty");
        g.output("value", &value);
        g.output("grad", &gradients(&value, std::slice::from_ref(&w)).remove(0).expect("a gradient"));
        let values = Tensors::from([("x".into(), normals(1, 6)), ("w".into(), vec![0.0; 3])]);
        let got = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values).outputs();
        assert_close(&got["value"], &[want], 1e-5, "the value");
        assert!(got["grad"].iter().all(|v| *v == 0.0), "{penalty:?} {:?}", got["grad"]);
    }
}

#[test]
fn spectral_norm_follows_pytorch() {
    let fixture = fixture("spectral_norm");
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let mut net = NetworkBuilder::new("d", &Numbering::default());
        let layers = net.sequence("").spectral_norm().conv(2, 4, 4, ConvSpec::new(2, 1), true).leaky_relu(0.2);
        let layers = layers.flatten().linear(64, 1, true).build();
        let net = net.build();
        let g = fixture_graph();
        let x = g.input("x", &[5, 2, 8, 8]);
        layers.power_iteration(&g);
        let loss = (-&layers.forward(&x, Mode::Train)).softplus().mean();
        g.output("loss", &loss);
        Optimizer::plain(OptimConfig::sgd(0.1, 1.0, 0.0)).minimize(&loss, &net);
        let (params, stats) = net.initial(0);
        let values = Tensors::from([
            ("x".into(), fixture_normals(200, 640, 1.0)),
            (net.params_state(), params),
            (net.stats_state(), stats),
        ]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), &device, &values);
        for want in numbers(&fixture["losses"]) {
            assert_close(&rig.outputs()["loss"], &[want], 1e-6, &device.name());
        }
        for (infos, state) in [(&net.params, net.params_state()), (&net.stats, net.stats_state())] {
            let all = rig.store.read(&state).expect("a state");
            for info in infos {
                // Layers are numbered with those that have no parameters.
                let name = info.name.replace("3.", "1.");
                let got = &all[info.offset..info.offset + info.len()];
                assert_close(got, &numbers(&fixture[&name]), 2e-6, &format!("{} {}", device.name(), info.name));
            }
        }
    }
}

#[test]
fn a_spectral_norm_is_the_largest_singular_value_after_some_iterations() {
    let mut net = NetworkBuilder::new("d", &Numbering::default());
    let layer = net.sequence("").spectral_norm().linear(2, 2, false).build();
    let net = net.build();
    let g = graph();
    g.output("y", &layer.forward(&g.constant(&[1, 2], 1.0), Mode::Eval));
    layer.power_iteration(&g);
    // The singular values of [[3, 0], [4, 5]] are √45 and √5.
    let (mut params, stats) = net.initial(0);
    params[..4].copy_from_slice(&[3.0, 0.0, 4.0, 5.0]);
    let values = Tensors::from([(net.params_state(), params), (net.stats_state(), stats)]);
    let mut rig = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values);
    (0..20).for_each(|_| drop(rig.outputs()));
    let sigma = 45.0f32.sqrt();
    assert_close(&rig.outputs()["y"], &[3.0 / sigma, 9.0 / sigma], 1e-6, "W x / σ");
}

#[test]
fn dropout_draws_the_same_mask_backward_and_another_one_at_each_step() {
    let g = graph();
    let x = g.input("x", &[40, 25]);
    let y = x.dropout(0.8);
    g.output("y", &y);
    g.output("dx", &gradients(&y.sum(), std::slice::from_ref(&x)).remove(0).expect("a gradient"));
    g.advance(&g.clock());
    let source = g.finish().expect("a graph");
    let ones = Tensors::from([("x".into(), vec![1.0; 1000])]);
    for device in [Device::Reference, gpu()] {
        let mut rig = Rig::on(&source, &device, &ones);
        let [first, second] = [(); 2].map(|()| rig.outputs());
        assert_eq!(first["y"], first["dx"]);
        assert_ne!(first["y"], second["y"]);
        assert!(first["y"].iter().all(|y| *y == 0.0 || *y == 1.25));
        let kept = first["y"].iter().filter(|y| **y > 0.0).count();
        // Three standard deviations of a binomial count.
        assert!((762..=838).contains(&kept), "{kept} of 1000 stay");
    }
    assert_same_everywhere(&source, &random_values(&source), &gpu(), 2);
}

#[test]
fn a_ramp_arrives_and_stays() {
    let g = graph();
    g.output("y", &g.ramp(0.5, 0.0, 4));
    g.advance(&g.clock());
    let source = g.finish().expect("a graph");
    for device in [Device::Reference, gpu()] {
        let mut rig = Rig::on(&source, &device, &Tensors::new());
        let values: Vec<f32> = (0..6).map(|_| rig.outputs()["y"][0]).collect();
        assert_eq!(values, [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]);
    }
}

/// A session of a small network after some steps, and the losses of each step.
fn trained(preset: &str, settings: &[&str], steps: usize) -> (Session, Vec<Vec<f32>>) {
    let mut config = Config::preset(preset).expect("a preset");
    config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
    config.validate().expect("settings that make sense");
    let mut session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
    let mut step = session.train_step(3).expect("a program");
    let [c, h, w] = session.model.geometry();
    let images = 3 * session.model.batches_per_step();
    let source = Stream { seed: 5, domain: 9, stream: 0, step: 0, first: 0 };
    for _ in 0..steps {
        let bytes = (0..images * c * h * w).map(|i| (255.0 * source.uniform(i)) as u8).collect();
        step.write("images", &pack(bytes)).expect("an upload");
        step.run().expect("a step");
    }
    let columns = session.model.losses().len();
    let history = session.store.read("history").expect("losses");
    (session, history.chunks(columns).take(steps).map(<[f32]>::to_vec).collect())
}

const SMALL: [&str; 3] = ["model.width=2", "model.latent=3", "model.discriminator_norm=none"];

#[test]
fn clipping_keeps_every_parameter_of_the_critic_within_its_bound() {
    let clipped = [&SMALL[..], &["model.clip=0.01", "optim.lr=0.005"]].concat();
    let (session, losses) = trained("wgan", &clipped, 2);
    assert_eq!(losses[0].len(), 2);
    let largest = |state: &str| session.store.read(state).expect("a state").iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert_eq!(largest("discriminator.params"), 0.01);
    assert!(largest("generator.params") > 0.03);
}

#[test]
fn every_penalty_is_a_column_of_its_own_and_goes_into_the_step() {
    let (plain, losses) = trained("lsgan", &SMALL, 1);
    let read = |session: &Session| session.store.read("discriminator.params").expect("parameters");
    for penalty in ["wgan-gp", "dragan", "r1", "r2"] {
        let setting = format!("model.penalty={penalty}");
        let (session, with) = trained("lsgan", &[&SMALL[..], &[&setting]].concat(), 1);
        assert_eq!(session.model.losses(), ["loss_d", "loss_g", "penalty"]);
        assert_eq!(with[0][0], losses[0][0], "{penalty}: the first loss of the discriminator is without it");
        assert!(with[0][2] > 0.0 && with[0][2].is_finite(), "{penalty}: {}", with[0][2]);
        assert_ne!(read(&session), read(&plain), "{penalty}");
    }
}

#[test]
fn augmented_images_are_what_the_discriminator_is_trained_on() {
    let (plain, without) = trained("dcgan-28", &SMALL, 1);
    let read = |session: &Session| session.store.read("generator.params").expect("parameters");
    for augment in ["color", "translation", "cutout"] {
        let setting = format!("model.augment=[\"{augment}\"]");
        let (session, with) = trained("dcgan-28", &[&SMALL[..], &[&setting]].concat(), 1);
        assert_ne!(with[0], without[0], "{augment}");
        assert_ne!(read(&session), read(&plain), "{augment}");
    }
}

#[test]
fn instance_noise_fades() {
    let noisy = [&SMALL[..], &["model.instance_noise=0.5", "model.instance_noise_steps=1"]].concat();
    let (_, quiet) = trained("dcgan-28", &SMALL, 1);
    let (_, noise) = trained("dcgan-28", &noisy, 1);
    assert_ne!(quiet[0][0], noise[0][0]);
    let (session, losses) = trained("dcgan-28", &noisy, 3);
    assert!(losses.iter().flatten().all(|v| v.is_finite()));
    assert_eq!(session.store.read("clock").expect("the clock")[0].to_bits(), 3);
}

/// Every side that halves to 4, 5 or 7, and pairs of such with as many halvings.
#[test]
fn dcgans_play_on_images_of_many_sides() {
    let sizes = |settings: &[String]| -> Config {
        let mut config = Config::preset("dcgan").expect("a preset");
        config
            .set_all(&Setting::all(&["model.width=2", "model.latent=3", "train.batch=2"]).expect("settings"))
            .expect("settings");
        config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
        config.validate().expect("sides that fit");
        config
    };
    let square = |side: usize| vec![format!("model.image={side}")];
    let pair = |h: usize, w: usize| vec![format!("model.image_height={h}"), format!("model.image_width={w}")];
    let every = [16, 20, 28, 32, 40, 56, 64, 80, 112, 128, 160, 224, 256];
    let pairs = [(16, 20), (28, 16), (40, 56), (64, 80), (112, 64), (128, 224)];
    let all = every.map(|side| (square(side), [side; 2])).into_iter();
    for (settings, sides) in all.chain(pairs.map(|(h, w)| (pair(h, w), [h, w]))) {
        let config = sizes(&settings);
        let model = config.model.build().expect("a model");
        assert_eq!(model.geometry()[1..], sides);
        limn::train::train_source(model.as_ref(), &config.optimizer(), 2, 0, limn::graph::Shard::WHOLE)
            .expect("a step");
        if sides.iter().product::<usize>() <= 80 * 80 {
            let tiny = ["model.width=2", "model.latent=3", "train.batch=2"].map(String::from);
            let settings: Vec<&str> = tiny.iter().chain(&settings).map(String::as_str).collect();
            let (session, losses) = trained("dcgan", &settings, 1);
            assert!(losses[0].iter().all(|v| v.is_finite()), "{settings:?}: {losses:?}");
            assert_eq!(session.model.geometry()[1..], sides);
        }
    }
}
