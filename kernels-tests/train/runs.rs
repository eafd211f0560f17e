//! The training loop: resuming, repeating, breaking down, and files that are not what they should
//! be. On the CPU device, with models small enough for it.

use crate::support::runs::{bytes, config, hooks, losses, resume, run, run_until, start, vae};
use limn::models::VaeConfig;
use limn::program::Device;
use limn::sample::Grid;
use limn::train::{Config, Resume, RunDir, Saved, Session, Setting, Start, TrainError, Weights, checkpoint, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

#[test]
fn resumed_and_repeated_runs_are_bitwise_equal() {
    let models = [
        vae(&["train.sample_every=1"]),
        config("dcgan-28", &["model.width=2", "model.latent=3", "model.discriminator_steps=2", "train.sample_every=1"]),
        config("pixelrnn-row-small", &["model.hidden=1", "train.sample_every=1"]),
        config("pixelrnn-diagonal-small", &["model.hidden=1", "train.sample_every=1"]),
        config("pixelcnn", &["model.hidden=1", "model.blocks=1", "train.sample_every=1", "optim.kind=rmsprop"]),
        vae(&["train.sample_every=1", "train.ema=0.9"]),
        vae(&["train.sample_every=1", "model.beta=4", "model.warm_up=5", "model.binarisation=static"]),
        vae(&["train.sample_every=1", "model.samples=3", "model.binarisation=dynamic", "model.layers=2"]),
        config("ae", &["model.hidden=8", "model.latent=2", "train.sample_every=1"]),
        config("dcgan-28", &["model.width=2", "model.latent=3", "train.sample_every=1", "train.ema=0.5"]),
        config("wgan-gp", &["model.width=2", "model.latent=3", "train.sample_every=1", "model.instance_noise=0.1"]),
        config(
            "wgan",
            &["model.width=2", "model.latent=3", "train.sample_every=1", "model.discriminator_norm=spectral"],
        ),
        // A stop in the middle of a side that fades in, and one at its end.
        config(
            "progan-small",
            &["model.image=8", "model.width=2", "model.widest=4", "model.latent=3", "model.fade_steps=3"]
                .into_iter()
                .chain(["model.stable_steps=2", "train.sample_every=1", "train.ema=0.5"])
                .collect::<Vec<_>>(),
        ),
        config("gan", &["model.hidden=4", "model.units=3", "train.sample_every=1", "optim.momentum_steps=5"]),
        config("vae-conditional", &["model.hidden=8", "model.latent=2", "train.sample_every=1"]),
        // Its parameters start from the first batch, and the average with them.
        config(
            "pixelcnn++-small",
            &["model.filters=2", "model.components=2", "model.height=8", "model.width=8", "train.sample_every=1"],
        ),
        // It stops in the middle of passes.
        config("gmm", &["model.components=3", "train.sample_every=1", "optim.batches=2"]),
    ];
    for config in models {
        let dir = tempfile::tempdir().expect("a folder");
        let [whole, reference, parts] = ["whole", "reference", "parts"].map(|name| dir.path().join(name));
        let outcome = run(start(&config, &whole)).expect("a run");
        assert_eq!((outcome.step, outcome.total), (7, 7));
        run(start(&config, &reference)).expect("a run");
        assert!(bytes(&whole) == bytes(&reference), "{}: two runs differ", config.name);
        assert_eq!(losses(&whole), losses(&reference));

        assert_eq!(run_until(start(&config, &parts), 3).step, 3);
        assert_eq!(losses(&parts).len(), 1 + 3);
        // As if killed after more steps than the checkpoint knows.
        let mut metrics = std::fs::read_to_string(parts.join("metrics.csv")).expect("metrics");
        metrics.push_str("4,1,9,9,9\n5,1,");
        std::fs::write(parts.join("metrics.csv"), metrics).expect("metrics");
        assert_eq!(run_until(resume(&parts), 5).step, 5);
        run(resume(&parts)).expect("the rest");
        assert!(bytes(&whole) == bytes(&parts), "{}: the resumed run differs", config.name);
        assert_eq!(losses(&whole), losses(&parts));
        assert_eq!(losses(&whole).len(), 1 + 7);

        let error = run(resume(&parts)).expect_err("nothing left").to_string();
        assert!(error.contains("is complete (7 steps)"), "{error}");
    }
}

/// To begin again would lead to the same bits: what it does is what shows.
#[test]
fn a_resumed_run_takes_the_steps_that_are_left_and_no_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run_until(start(&vae(&["train.sample_every=1"]), &out), 3);
    let mut drawn = Vec::new();
    let stop = AtomicBool::new(false);
    let mut sampler = |_: &mut Session, _: usize, path: &Path| {
        drawn.push(path.file_stem().expect("a name").display().to_string());
        Ok(None)
    };
    let outcome = train(resume(&out), Device::Cpu, hooks(&mut sampler, &stop)).expect("the rest");
    assert_eq!((outcome.step, outcome.total), (7, 7));
    assert_eq!(drawn, ["step-4", "step-5", "step-6", "step-7"]);
}

#[test]
fn a_run_that_recomputes_resumes_and_has_the_bits_of_one_that_does_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let [plain, whole, parts] = ["plain", "whole", "parts"].map(|name| dir.path().join(name));
    let tiny = ["model.hidden=2", "model.blocks=3", "train.sample_every=1"];
    let mut config = config("pixelcnn", &tiny);
    run(start(&config, &plain)).expect("a run");
    config.set("train.recompute=true".parse().expect("a setting")).expect("a setting");
    run(start(&config, &whole)).expect("a run");
    run_until(start(&config, &parts), 3);
    assert!(RunDir::open(&parts).expect("a run").config.train.recompute);
    run(resume(&parts)).expect("the rest");
    assert!(bytes(&whole) == bytes(&parts), "the resumed run differs");
    let read = |dir: &Path| state(dir, "pixelcnn.params", None);
    assert!(std::iter::zip(read(&whole), read(&plain)).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(losses(&whole), losses(&plain));
}

/// A state of a run's model with these weights.
fn state(dir: &Path, name: &str, weights: Option<Weights>) -> Vec<f32> {
    let (session, _) = RunDir::open(dir).expect("a run").session(Device::Cpu, weights).expect("a session");
    session.store.read(name).expect("a state")
}

#[test]
fn a_run_with_averages_trains_like_one_without_and_is_looked_at_by_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let [plain, kept] = ["plain", "kept"].map(|name| dir.path().join(name));
    let tiny = ["model.width=2", "model.latent=3", "train.sample_every=2"];
    let mut config = config("dcgan-28", &tiny);
    run(start(&config, &plain)).expect("a run");
    config.set("train.ema=0.9".parse().expect("a setting")).expect("a setting");
    // What pictures under way see.
    let mut seen = Vec::new();
    let stop = AtomicBool::new(false);
    let mut sampler = |session: &mut Session, _: usize, _: &Path| {
        assert_eq!(session.weights, Weights::Averaged);
        seen = session.store.read("generator.params").expect("parameters");
        Ok(None)
    };
    train(start(&config, &kept), Device::Cpu, hooks(&mut sampler, &stop)).expect("a run");
    assert_eq!(losses(&kept), losses(&plain));
    let (trained, averaged) = (Some(Weights::Trained), Some(Weights::Averaged));
    let file = bytes(&kept);
    let file = safetensors::SafeTensors::deserialize(&file).expect("safetensors");
    for net in ["generator", "discriminator"] {
        let params = format!("{net}.params");
        assert_eq!(state(&kept, &params, trained), state(&plain, &params, None), "{net}");
        assert_eq!(state(&kept, &params, averaged), state(&kept, &params, None), "{net}");
        // A judge makes no images, and running statistics stay those of training.
        let same = state(&kept, &params, averaged) == state(&kept, &params, trained);
        assert_eq!(same, net == "discriminator");
        let stats = format!("{net}.stats");
        assert_eq!(state(&kept, &stats, averaged), state(&kept, &stats, trained));
        let named = |prefix: &str| file.names().iter().filter(|n| n.starts_with(prefix)).count();
        assert_eq!(named(&format!("average.{net}.")) > 0, net == "generator");
    }
    assert_eq!(seen, state(&kept, "generator.params", averaged));
    let error = RunDir::open(&plain).expect("a run").session(Device::Cpu, averaged).err().expect("none").to_string();
    assert!(error.contains("keeps no averaged weights"), "{error}");
    // Settings that were changed by hand are no reason to start an average late.
    let settings = std::fs::read_to_string(plain.join("config.toml")).expect("settings");
    let settings = settings.replace("ema = 0.0", "ema = 0.9");
    std::fs::write(plain.join("config.toml"), settings).expect("settings");
    let error = run(Start::Resume(Resume { dir: plain, steps: Some(9), ..Resume::default() }))
        .expect_err("no average")
        .to_string();
    assert!(error.contains("train.ema = 0.0, and the settings say 0.9"), "{error}");
}

#[test]
fn averages_of_new_runs_warm_up_and_those_of_old_runs_go_on_as_they_began() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("run");
    let said = |dir: &Path| std::fs::read_to_string(dir.join("log.txt")).expect("a log");
    run(start(&vae(&["train.ema=0.999"]), &folder)).expect("a run");
    assert!(said(&folder).contains("averaged weights: decay min(0.999, (1 + t) / (10 + t))"), "{}", said(&folder));
    let settings = std::fs::read_to_string(folder.join("config.toml")).expect("settings");
    assert!(settings.contains("ema_warm_up = true\n"), "{settings}");
    // After a few steps it is near what has been learnt: the initial weights count for little.
    let [learnt, kept] = [Weights::Trained, Weights::Averaged].map(|w| state(&folder, "vae.params", Some(w)));
    let far = |a: &[f32], b: &[f32]| std::iter::zip(a, b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let start_of = |config: &Config| {
        let session = Session::new(&config.model, &config.optimizer(), config.train.seed, Device::Cpu);
        session.expect("a session").store.read("vae.params").expect("parameters")
    };
    let initial = start_of(&RunDir::open(&folder).expect("a run").config);
    assert!(far(&kept, &learnt) < 0.6 * far(&initial, &learnt));
    // A run from before there was the setting does not say; it goes on without.
    std::fs::write(folder.join("config.toml"), settings.replace("ema_warm_up = true\n", "")).expect("settings");
    run(Start::Resume(Resume { dir: folder.clone(), steps: Some(12), ..Resume::default() })).expect("more steps");
    assert!(said(&folder).contains("decay 0.999 from the first update"), "{}", said(&folder));
}

#[test]
fn a_longer_run_begins_like_the_shorter_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let [short, long] = ["short", "long"].map(|name| dir.path().join(name));
    run(start(&vae(&[]), &short)).expect("a run");
    run(start(&vae(&["train.steps=12"]), &long)).expect("a run");
    run(Start::Resume(Resume { dir: short.clone(), steps: Some(12), ..Resume::default() })).expect("more steps");
    assert!(bytes(&short) == bytes(&long));
    assert_eq!(RunDir::open(&short).expect("a run").config.train.steps, Some(12));
}

#[test]
fn a_run_killed_before_its_first_checkpoint_starts_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let [whole, killed] = ["whole", "killed"].map(|name| dir.path().join(name));
    run(start(&vae(&[]), &whole)).expect("a run");
    run(start(&vae(&[]), &killed)).expect("a run");
    std::fs::remove_file(killed.join("checkpoint.safetensors")).expect("gone");
    let error =
        RunDir::open(&killed).expect("a run").session(Device::Cpu, None).err().expect("no checkpoint").to_string();
    assert!(error.contains("has no checkpoint yet"), "{error}");
    run(resume(&killed)).expect("from the start");
    assert!(bytes(&whole) == bytes(&killed));
}

#[test]
fn a_start_killed_before_its_run_is_one_is_begun_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let [first, whole, plain, half] = ["first", "whole", "plain", "half"].map(|name| dir.path().join(name));
    run(start(&vae(&[]), &first)).expect("a run");
    let settings = ["train.keep=9", "train.checkpoint_every=1000", "train.sample_every=1"];
    let given = |out: &Path| match start(&vae(&settings), out) {
        Start::New { config, out, .. } => Start::New { config, out, init: Some(first.join("checkpoint.safetensors")) },
        resumed => resumed,
    };
    run(given(&whole)).expect("a run");
    run(start(&vae(&settings), &plain)).expect("a run");
    let (known, begun) = (whole.join("provenance.json"), whole.join("checkpoints/step-0.safetensors"));
    // What there is in the folder, in the order in which a start makes it.
    let made: [(&str, Option<&Path>); 7] = [
        (".provenance.json.12-0.limn-tmp", None),
        ("provenance.json", Some(&known)),
        ("samples/", None),
        (".checkpoint.safetensors.12-1.limn-tmp", None),
        ("checkpoint.safetensors", Some(&begun)),
        (".config.toml.12-2.limn-tmp", None),
        (".lock", None),
    ];
    let left = |out: &Path, some: &[(&str, Option<&Path>)]| {
        std::fs::create_dir(out).expect("a folder");
        for (name, file) in some {
            let to = out.join(name);
            match file {
                Some(file) => std::fs::copy(file, to).map(drop),
                None if name.ends_with('/') => std::fs::create_dir(to),
                None => std::fs::write(to, b"half of "),
            }
            .expect("a file");
        }
    };
    for count in 1..=made.len() {
        left(&half, &made[..count]);
        run(given(&half)).unwrap_or_else(|e| panic!("{count}: {e}"));
        assert!(bytes(&whole) == bytes(&half), "{count}");
        std::fs::remove_dir_all(&half).expect("gone");
    }
    // Nothing of it is in another run, which would begin with those weights if it were killed too.
    left(&half, &made);
    let (stop, mut looked) = (AtomicBool::new(false), 0);
    let mut sampler = |_: &mut Session, _: usize, _: &Path| {
        looked += usize::from(!half.join("checkpoint.safetensors").exists());
        Ok(None)
    };
    train(start(&vae(&settings), &half), Device::Cpu, hooks(&mut sampler, &stop)).expect("a run");
    assert!(looked > 0 && bytes(&plain) == bytes(&half));
    // A checkpoint of more than that stays, and so does one of which nothing is known.
    let trained = whole.join("checkpoint.safetensors");
    let others: [&[(&str, Option<&Path>)]; 3] = [
        &[("provenance.json", Some(&known)), ("checkpoint.safetensors", Some(&trained))],
        &[("checkpoint.safetensors", Some(&begun))],
        &[("provenance.json", Some(&first.join("provenance.json"))), ("checkpoint.safetensors", Some(&begun))],
    ];
    for (k, other) in others.into_iter().enumerate() {
        let out = dir.path().join(format!("other-{k}"));
        left(&out, other);
        let before = bytes(&out);
        let refused = run(given(&out)).expect_err("somebody's").to_string();
        assert!(refused.contains("other-"), "{refused}");
        assert!(before == bytes(&out) && std::fs::read_dir(&out).expect("a folder").count() == other.len());
    }
}

#[test]
fn a_run_can_be_opened_and_its_settings_reproduce_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    run(start(&vae(&["train.seed=5"]), &first)).expect("a run");
    let file = first.join("config.toml");
    let config = Config::load(file.to_str().expect("a path")).expect("settings");
    run(start(&config, &second)).expect("a run");
    assert!(bytes(&first) == bytes(&second));
    let (session, step) = RunDir::open(&first).expect("a run").session(Device::Cpu, None).expect("a session");
    assert_eq!(step, 7);
    let params = session.store.read("vae.params").expect("parameters");
    let text = bytes(&first);
    let file = safetensors::SafeTensors::deserialize(&text).expect("safetensors");
    let weight = file.tensor("fc1.weight").expect("PyTorch's name");
    assert_eq!(weight.shape(), [8, 784]);
    assert_eq!(weight.data(), bytemuck::cast_slice::<f32, u8>(&params[..8 * 784]));

    for (path, words) in [
        (dir.path().join("nowhere"), "it does not exist"),
        (dir.path().to_path_buf(), "it has no config.toml"),
        (first.join("config.toml"), "it is a file"),
    ] {
        let error = RunDir::open(&path).expect_err("no run").to_string();
        assert!(error.contains("is no run folder") && error.contains(words), "{error}");
    }
    let error = run(start(&vae(&[]), &first)).expect_err("in use").to_string();
    assert!(error.contains("not empty"), "{error}");
}

#[test]
fn nan_stops_the_run_and_keeps_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&["train.steps=4"]), &out)).expect("a good start");
    let good = bytes(&out);
    // The rate is what the file says it is when the run goes on.
    let file = out.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("settings").replace("lr = 0.001", "lr = 1e30");
    std::fs::write(&file, text).expect("settings");
    let error =
        run(Start::Resume(Resume { dir: out.clone(), steps: Some(40), ..Resume::default() })).expect_err("no numbers");
    let words = error.to_string();
    assert!(words.contains("training broke down") && words.contains("step 4 is saved"), "{words}");
    // The same rate would break down again.
    let TrainError::BrokeDown { how, saved, cure } = &error else { panic!("{words}") };
    assert_eq!((saved.step, cure.lr, cure.clip_norm), (Some(4), Some(1e29), Some(1.0)));
    let broken = RunDir::open(&out).expect("a run");
    assert_eq!(broken.broke_down().expect("a provenance").as_ref(), Some(how));
    assert!(words.contains("fc"), "names a tensor: {words}");
    assert!(bytes(&out) == good);
    assert!(std::fs::read_to_string(out.join("log.txt")).expect("a log").contains("training broke down"));
    // Once it goes on with another rate it is a run as any.
    let set = vec![Setting::new("optim.lr", 0.001)];
    run(Start::Resume(Resume { dir: out.clone(), steps: Some(6), set, ..Resume::default() })).expect("numbers");
    assert_eq!(broken.broke_down().expect("a provenance"), None);
}

#[test]
fn a_checkpoint_that_is_not_this_runs_is_refused_and_nothing_is_loaded() {
    let dir = tempfile::tempdir().expect("a folder");
    let [ours, other] = ["ours", "other"].map(|name| dir.path().join(name));
    run(start(&vae(&[]), &ours)).expect("a run");
    run(start(&vae(&["model.hidden=9"]), &other)).expect("a run");
    let file = ours.join("checkpoint.safetensors");
    let good = bytes(&ours);
    let config = vae(&[]);
    let mut session =
        Session::new(&config.model, &config.optimizer(), config.train.seed, Device::Cpu).expect("a session");
    let before = session.store.read("vae.params").expect("parameters");

    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4]).expect("a tensor");
    let foreign = safetensors::serialize([("x", tensor)], None).expect("a file");
    let flipped = {
        let file = safetensors::SafeTensors::deserialize(&good).expect("safetensors");
        let weight = file.tensor("fc1.weight").expect("a tensor").data();
        let at = weight.as_ptr().addr() - good.as_ptr().addr();
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    };
    for (content, words) in [
        (good[..good.len() - 1].to_vec(), "damaged or cut short"),
        (good[..100].to_vec(), "damaged or cut short"),
        (good[..3].to_vec(), "damaged or cut short"),
        (Vec::new(), "it is empty"),
        (b"not a checkpoint at all".to_vec(), "damaged or cut short"),
        (foreign, "not one that limn wrote"),
        (bytes(&other), "model.hidden = 9, and the settings say 8"),
        (flipped, "does not match its own checksum"),
    ] {
        std::fs::write(&file, content).expect("a file");
        let error = checkpoint::load(&file, &mut session).expect_err("refused").to_string();
        assert!(error.contains(words) && error.contains("checkpoint.safetensors"), "{error}\n{words}");
        assert!(session.store.read("vae.params").expect("parameters") == before);
        assert!(RunDir::open(&ours).expect("a run").session(Device::Cpu, None).is_err());
    }
    std::fs::write(&file, &good).expect("a file");
    let mut sgd = config.clone();
    sgd.set("optim.kind=sgd".parse().expect("a setting")).expect("a setting");
    let mut session = Session::new(&sgd.model, &sgd.optimizer(), 0, Device::Cpu).expect("a session");
    let error = checkpoint::load(&file, &mut session).expect_err("another optimiser").to_string();
    assert!(error.contains("optim.kind = \"adam\", and the settings say \"sgd\""), "{error}");
    let mut session = Session::new(&config.model, &config.optimizer(), 1, Device::Cpu).expect("a session");
    let error = checkpoint::load(&file, &mut session).expect_err("another seed").to_string();
    assert!(error.contains("train.seed = 0, and the settings say 1"), "{error}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_old_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&["train.sample_every=1"]), &out)).expect("a run");
    let mut good = Vec::new();
    // A folder in the checkpoint's place stands for a disk that takes no more.
    let (file, aside) = (out.join("checkpoint.safetensors"), out.join("aside"));
    let mut sampler = |_: &mut Session, _: usize, _: &Path| {
        if !aside.exists() {
            good = bytes(&out);
            std::fs::rename(&file, &aside).expect("a name");
            std::fs::create_dir(&file).expect("a folder");
        }
        Ok(None)
    };
    let stop = AtomicBool::new(false);
    let hooks = hooks(&mut sampler, &stop);
    let more = Start::Resume(Resume { dir: out.clone(), steps: Some(20), ..Resume::default() });
    let error = train(more, Device::Cpu, hooks).expect_err("no room").to_string();
    assert!(error.contains("cannot save") && error.contains("is saved"), "{error}");
    std::fs::remove_dir(&file).expect("gone");
    std::fs::rename(&aside, &file).expect("a name");
    assert!(bytes(&out) == good && !good.is_empty());
    run(Start::Resume(Resume { dir: out, steps: Some(9), ..Resume::default() })).expect("room again");
}

#[test]
fn a_run_that_is_moved_while_it_draws_leaves_nothing_in_its_old_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let (out, elsewhere) = (dir.path().join("run"), dir.path().join("elsewhere"));
    let mut sampler = |session: &mut Session, _: usize, path: &Path| {
        if path.ends_with("step-3.png") {
            std::fs::rename(&out, &elsewhere).expect("another name");
        }
        let geometry = session.model.geometry();
        let images = vec![0.5; geometry.iter().product()];
        Ok(Grid { images: &images, geometry, columns: 1 }.save(path).map(|()| None)?)
    };
    let stop = AtomicBool::new(false);
    let every = ["train.sample_every=1", "train.checkpoint_every=1", "train.keep=3"];
    let error = train(start(&vae(&every), &out), Device::Cpu, hooks(&mut sampler, &stop)).expect_err("moved");
    assert!(matches!(error, TrainError::Stopped { saved: Saved { step: None, .. }, .. }), "{error}");
    assert!(!out.exists(), "{error}");
    // What was saved before is whole where it is now, and goes on.
    assert_eq!(checkpoint::info(&elsewhere.join("checkpoint.safetensors")).expect("a checkpoint").step, 2);
    run(Start::Resume(Resume { dir: elsewhere, steps: Some(5), ..Resume::default() })).expect("its rest");
}

#[test]
fn bad_settings_and_data_make_no_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    for (settings, words) in [
        (&["data.source=mnit"][..], "there is no dataset and no file or folder called 'mnit'; did you mean mnist"),
        (&["train.batch=0"], "train.batch = 0 must be at least 1"),
        (&["optim.lr=inf"], "optim.lr = inf must be a finite number"),
    ] {
        let error = run(start(&vae(settings), &out)).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}\n{words}");
        assert!(!out.exists());
    }
}

#[test]
fn only_one_process_trains_in_a_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&[]), &out)).expect("a run");
    let held = std::fs::File::open(out.join(".lock")).expect("the lock");
    held.lock().expect("held");
    let error =
        run(Start::Resume(Resume { dir: out, steps: Some(9), ..Resume::default() })).expect_err("locked").to_string();
    assert!(error.contains("another limn is training"), "{error}");
}

#[test]
fn a_new_run_and_one_that_goes_on_keep_others_out_as_long_as_they_train() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    let config = vae(&["train.sample_every=1", "train.steps=2"]);
    let further = || Start::Resume(Resume { dir: out.clone(), steps: Some(4), ..Resume::default() });
    for start in [start(&config, &out), further()] {
        let mut pictures = 0;
        let stop = AtomicBool::new(false);
        let mut sampler = |_: &mut Session, _: usize, _: &Path| {
            pictures += 1;
            assert!(RunDir::open(&out).expect("a run").is_training());
            let error = run(further()).expect_err("locked").to_string();
            assert!(error.contains("another limn is training"), "{error}");
            Ok(None)
        };
        train(start, Device::Cpu, hooks(&mut sampler, &stop)).expect("a run");
        assert_eq!(pictures, 2);
        assert!(!RunDir::open(&out).expect("a run").is_training());
    }
}

#[test]
fn models_keep_their_sizes_in_the_checkpoint() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("run");
    run(start(&vae(&[]), &out)).expect("a run");
    let info = checkpoint::info(&out.join("checkpoint.safetensors")).expect("metadata");
    let sizes: &VaeConfig = info.model.downcast_ref().expect("a vae");
    assert_eq!((info.step, info.seed, sizes.hidden), (7, 0, 8));
}
