//! Whole training steps: against PyTorch's losses and against the CPU reference.

use crate::support::fixtures::fixture;
use crate::support::gpu;
use limn::models::Family;
use limn::nn::OptimConfig;
use limn::program::Device;
use limn::train::{Config, Session, Setting, presets};

/// A session after `steps` steps on the built-in images in order, and the losses of
/// each step, one row a step.
fn train(config: &Config, device: Device, batch: usize, steps: usize) -> (Session, Vec<Vec<f32>>) {
    let seed = config.train.seed;
    let mut session = Session::new(&config.model, &config.optimizer(), seed, device).expect("a session");
    let [c, h, w] = session.model.geometry();
    let data = limn::data::open("builtin", Some(limn::data::Geometry::new(c, h, w)), &limn::data::Options::default())
        .expect("the built-in set");
    let (images, labelled) = (batch * session.model.batches_per_step(), session.model.classes() > 0);
    let words = |i: usize| {
        let mut bytes = Vec::new();
        data.train.upload(i * images..(i + 1) * images, labelled, &mut bytes);
        limn::train::pack(bytes)
    };
    session.initialise(batch, &words(0)).expect("a start");
    let mut step = session.train_step(batch).expect("a program");
    for i in 0..steps {
        step.write("images", &words(i)).expect("an upload");
        step.run().expect("a step");
    }
    let history = session.store.read("history").expect("losses");
    let columns = session.model.losses().len();
    let losses = history.chunks(columns).take(steps).map(<[f32]>::to_vec).collect();
    (session, losses)
}

pub fn preset(name: &str) -> Config {
    Config::preset(name).expect("a preset")
}

fn follows_pytorch(name: &str, batch: usize, floor: f64) {
    follows(&preset(name), &fixture("losses")[name], batch, floor);
}

/// Holds the fixture's losses against PyTorch's in f64. The tolerance at step t is `floor`, or four
/// times the worst that f32 rounding alone did to PyTorch's own losses up to then.
pub fn follows(config: &Config, fixture: &serde_json::Value, batch: usize, floor: f64) {
    let name = &config.name;
    let number = |kind: &str, loss: &str, t: usize| fixture[kind][loss][t].as_f64().expect("a number");
    let steps = fixture["float64"].as_object().and_then(|all| all.values().next()?.as_array()).expect("losses").len();
    let (session, losses) = train(config, gpu(), batch, steps);
    let mut rounding = 0.0f64;
    for (t, row) in losses.iter().enumerate() {
        let columns: Vec<_> = std::iter::zip(session.model.losses(), row).collect();
        // The fixture names one loss where the model also shows its parts.
        let held = |loss: &str| fixture["float64"].get(loss).is_some();
        let known = |loss: &'static str| if held(loss) { Some(loss) } else { (loss == "nll").then_some("loss") };
        let columns: Vec<_> = columns.into_iter().filter_map(|(l, v)| Some((known(l)?, v))).collect();
        assert!(!columns.is_empty());
        for (loss, _) in &columns {
            rounding = rounding.max(number("rounding", loss, t));
        }
        for (loss, got) in columns {
            let want = number("float64", loss, t);
            let error = (f64::from(*got) - want).abs() / want.abs();
            assert!(error <= floor.max(1e-6 + 4.0 * rounding), "{name} step {t}: {loss} {got}, PyTorch has {want}");
        }
    }
}

#[test]
fn vae_follows_pytorch() {
    follows_pytorch("vae", 128, 5e-6);
}

#[test]
fn the_bound_of_five_draws_follows_pytorch() {
    follows_pytorch("vae-iwae-small", 50, 5e-6);
}

#[test]
fn the_first_gan_follows_pytorch() {
    follows_pytorch("gan", 50, 5e-6);
}

#[test]
fn dcgan_follows_pytorch() {
    follows_pytorch("dcgan-28", 64, 2.5e-6);
}

#[test]
fn pixelcnn_follows_pytorch() {
    follows_pytorch("pixelcnn", 16, 5e-6);
}

#[test]
fn the_gated_pixelcnn_follows_pytorch() {
    // Its loss nearly halves within the ten steps, which magnifies what the device's tanh and exp
    // differ by.
    follows_pytorch("pixelcnn-gated", 2, 2e-5);
}

#[test]
fn the_row_lstm_follows_pytorch() {
    follows_pytorch("pixelrnn-row-small", 4, 5e-6);
}

#[test]
fn the_diagonal_bilstm_follows_pytorch() {
    follows_pytorch("pixelrnn-diagonal-small", 4, 5e-6);
}

#[test]
fn pixelcnn_pp_follows_pytorch() {
    let fixture = fixture("pixelcnn_pp");
    let keys = ["filters", "blocks", "components", "dropout"];
    let sizes = keys.map(|key| format!("model.{key}={}", fixture[key]));
    let settings = ["model.channels=1", "model.height=28", "model.width=28", "train.ema=0", "optim.lr=0.001"];
    let mut config = preset("pixelcnn++-small");
    for settings in [Setting::all(&settings), Setting::all(&sizes)] {
        config.set_all(&settings.expect("settings")).expect("settings");
    }
    follows(&config, &fixture, fixture["batch"].as_u64().expect("a number") as usize, 5e-6);
}

/// ‖a - b‖ / ‖b‖
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut std::iter::zip(a, b).map(|(x, y)| f64::from(*x) - f64::from(*y)));
    difference / norm(&mut b.iter().map(|y| f64::from(*y))).max(f64::MIN_POSITIVE)
}

/// One step of a preset on the GPU and on the reference: the worst distance of the losses and of
/// each network's gradient. In their full size the reference would take minutes, so there the CPU
/// stands for it, whose kernels are held against it one by one and share no code with the GPU's.
fn apart(config: Config, seed: u64) -> (f64, f64) {
    let name = config.name.clone();
    // Adam's first step has every gradient's sign and nothing of its size, so an update of the
    // discriminator would blow rounding up before the generator sees it. Plain descent does not,
    // and its momentum after one step is the gradient.
    let descends = config.optimizer().em().is_none();
    let mut config = match descends {
        true => Config { optim: OptimConfig::sgd(1e-6, 1.0, 0.9), ..config },
        false => config,
    };
    if !descends {
        // A mixture's first means are images of the batch.
        config.set("model.components=2".parse().expect("a setting")).expect("a setting");
    }
    if config.model.build().expect("a model").batches_per_step() > 2 {
        // A third step of the critic is like the second.
        config.set("model.discriminator_steps=2".parse().expect("a setting")).expect("a setting");
    }
    // These would take minutes on the CPU and on a GPU that is one.
    let smaller: &[&str] = match name.as_str() {
        "biggan" => &["model.width=24", "model.widest=32"],
        "pixelcnn-cifar" => &["model.blocks=2"],
        "pixelcnn++" => &["model.filters=8", "model.blocks=2"],
        _ => &[],
    };
    config.set_all(&Setting::all(smaller).expect("settings")).expect("settings");
    config.train.seed = seed;
    let batch = if name == "dcgan" { 2 } else { 3 };
    let (on_gpu, losses) = train(&config, gpu(), batch, 1);
    let reference = if name.ends_with("-small") { Device::Reference } else { Device::Cpu };
    let (on_cpu, want) = train(&config, reference, batch, 1);
    let gradients = on_cpu.model.networks().into_iter().map(|net| {
        let state = if descends { format!("{}.momentum", net.name) } else { net.params_state() };
        let read = |session: &Session| session.store.read(&state).expect("a moment");
        let want = read(&on_cpu);
        assert!(want.iter().any(|v| *v != 0.0), "{name}: {state} is all zeros");
        distance(&read(&on_gpu), &want)
    });
    (distance(&losses[0], &want[0]), gradients.fold(0.0, f64::max))
}

/// Steps of the presets of a kind, which are tests of their own so that they run side by side.
fn presets_follow_the_reference(kind: &str) {
    let mut configs: Vec<Config> = presets().iter().map(|(name, _)| preset(name)).collect();
    configs.retain(|config| match config.model.build().expect("a model").family() {
        Family::Pixels(_) => kind == "pixels",
        Family::Latent(model) if model.encoder().is_none() => kind == "generators",
        _ => kind == "others",
    });
    assert!(!configs.is_empty());
    configs.iter().for_each(follows_the_reference);
}

#[test]
fn a_step_of_every_preset_that_draws_pixel_by_pixel_on_the_gpu_follows_the_reference() {
    presets_follow_the_reference("pixels");
}

#[test]
fn a_step_of_every_preset_with_a_generator_on_the_gpu_follows_the_reference() {
    presets_follow_the_reference("generators");
}

#[test]
fn a_step_of_every_other_preset_on_the_gpu_follows_the_reference() {
    presets_follow_the_reference("others");
}

#[test]
fn a_step_of_adversarial_settings_on_the_gpu_follows_the_reference() {
    let adversarial: [(&str, &[&str]); 4] = [
        ("dcgan-28-small", &["model.loss=hinge", "model.discriminator_norm=spectral"]),
        ("dcgan-28-small", &["model.penalty=r1", "model.discriminator_norm=spectral", "model.instance_noise=0.1"]),
        ("dcgan-28-small", &[r#"model.augment=["color", "translation", "cutout"]"#]),
        ("lsgan-small", &["model.penalty=r2", "model.discriminator_norm=none", "model.discriminator_steps=2"]),
    ];
    for (name, settings) in adversarial {
        let mut config = preset(name);
        config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
        follows_the_reference(&config);
    }
}

#[test]
fn a_step_with_every_decoder_on_the_gpu_follows_the_reference() {
    for decoder in ["gaussian", "discretised-logistic"] {
        let mut config = preset("vae-conv-small");
        config
            .set_all(&Setting::all(&[&format!("model.decoder={decoder}"), "model.beta=0.5"]).expect("settings"))
            .expect("settings");
        follows_the_reference(&config);
    }
}

fn follows_the_reference(config: &Config) {
    let name = &config.name;
    // A unit within rounding of its kink may fall either way and move a gradient by a
    // thousandth; that does not happen to two draws of the parameters alike.
    let [(loss, a), (_, b)] = [1, 2].map(|seed| apart(config.clone(), seed));
    assert!(loss < 1e-5, "{name}: the losses are off by {loss:e}");
    assert!(a.min(b) < 5e-5, "{name}: gradients are off by {a:e} and {b:e} of their length");
    assert!(a.max(b) < 5e-2, "{name}: gradients are off by {a:e} and {b:e} of their length");
}

#[test]
fn averages_of_a_whole_step_follow_its_parameters_and_the_reference() {
    for (name, averaged, judge) in [
        ("vae", "vae", None),
        ("dcgan-28-small", "generator", Some("discriminator")),
        ("pixelcnn-small", "pixelcnn", None),
    ] {
        let plain = preset(name);
        let mut config = plain.clone();
        config.set("train.ema=0.75".parse().expect("a setting")).expect("a setting");
        let (params, average) = (format!("{averaged}.params"), format!("{averaged}.average"));
        let read = |session: &Session, state: &str| session.store.read(state).expect("a state");
        let bits = |data: &[f32]| data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        // Programs count the launches of the same step, so no further one keeps the average.
        let launches = |config: &Config| {
            let mut session = Session::new(&config.model, &config.optimizer(), 0, gpu()).expect("a session");
            session.train_step(2).expect("a step").program().launches.len()
        };
        assert_eq!(launches(&config), launches(&plain));
        let mut want: Option<Vec<f32>> = None;
        for steps in 0..=2 {
            let (session, losses) = train(&config, gpu(), 2, steps);
            let (trained, kept) = (read(&session, &params), read(&session, &average));
            let want = want.get_or_insert_with(|| trained.clone());
            std::iter::zip(&mut *want, &trained).for_each(|(a, p)| *a += 0.25 * (p - *a));
            assert!(distance(&kept, want) < 1e-6, "{name}, {steps} steps: {:e}", distance(&kept, want));
            assert_eq!(kept == trained, steps == 0, "{name}: the average starts as a copy");
            assert!(judge.is_none_or(|net| session.store.read(&format!("{net}.average")).is_err()));
            // Training does not see it.
            let (without, same) = train(&plain, gpu(), 2, steps);
            assert_eq!(bits(&losses.concat()), bits(&same.concat()));
            assert_eq!(bits(&trained), bits(&read(&without, &params)));
        }
        let [on_gpu, on_reference] =
            [gpu(), Device::Reference].map(|device| read(&train(&config, device, 2, 1).0, &average));
        // Adam's first step has every gradient's sign: one within rounding of zero may go either
        // way.
        assert!(distance(&on_gpu, &on_reference) < 1e-3, "{name}: {:e}", distance(&on_gpu, &on_reference));
    }
}

/// The decay of a young average is (1 + t) / (10 + t), so that it follows what is learnt and not
/// what it began as.
#[test]
fn averages_warm_up() {
    let mut config = preset("vae");
    config.set_all(&Setting::all(&["train.ema=0.75", "train.ema_warm_up=true"]).expect("settings")).expect("settings");
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let read = |steps: usize, state: &str| {
            let session = train(&config, device.clone(), 2, steps).0;
            session.store.read(state).expect("a state")
        };
        let mut want = read(0, "vae.params");
        for (step, rate) in [9.0 / 10.0, 9.0 / 11.0].into_iter().enumerate() {
            let trained = read(step + 1, "vae.params");
            std::iter::zip(&mut want, &trained).for_each(|(a, p)| *a += rate * (p - *a));
            let kept = read(step + 1, "vae.average");
            assert!(distance(&kept, &want) < 1e-6, "{}, step {step}: {:e}", device.name(), distance(&kept, &want));
        }
    }
}

#[test]
fn two_trainings_on_the_gpu_agree_in_every_bit() {
    for name in ["vae-conv-small", "dcgan-28-small", "pixelcnn-small"] {
        let bits = || {
            let (session, losses) = train(&preset(name), gpu(), 8, 3);
            let params = session.model.networks().iter().map(|n| n.params_state()).collect::<Vec<_>>();
            let states = params.iter().flat_map(|p| session.store.read(p).expect("parameters"));
            losses.into_iter().flatten().chain(states).map(f32::to_bits).collect::<Vec<_>>()
        };
        assert!(bits() == bits(), "{name}");
    }
}
