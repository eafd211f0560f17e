//! Runs that are measured on test images on their way, and the page about them.

use crate::support::runs::{bytes, config, resume, start, vae};
use limn::eval::{self, Sample};
use limn::program::Device;
use limn::report;
use limn::train::{Config, Hooks, Outcome, RunDir, Session, Start, Tested, train};
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Trains, measured as the command does it.
fn measured(from: Start) -> Outcome {
    let mut evaluate = |session: &mut Session, test: &limn::data::Split, data: &str, count: usize| {
        Ok(eval::followed(session, &Sample { data, test, count }, 4)?)
    };
    let hooks = Hooks { evaluate: Some(&mut evaluate), ..Hooks::default() };
    train(from, Device::Cpu, hooks).expect("a run")
}

/// The same with made-up figures.
fn figured(from: Start, figure: impl Fn(u64) -> f64) -> Outcome {
    let mut step = 0;
    let mut evaluate = |_: &mut Session, _: &limn::data::Split, _: &str, _: usize| {
        step += 2;
        Ok(vec![Tested { name: "loss".into(), value: figure(step) }])
    };
    train(from, Device::Cpu, Hooks { evaluate: Some(&mut evaluate), ..Hooks::default() }).expect("a run")
}

fn steps(dir: &Path) -> Vec<u64> {
    RunDir::open(dir)
        .expect("a run")
        .tests()
        .expect("tests")
        .into_iter()
        .next()
        .map_or_else(Vec::new, |curve| curve.step)
}

#[test]
fn measuring_changes_no_bit_and_is_what_eval_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let [plain, watched] = ["plain", "watched"].map(|name| folder.path().join(name));
    let config = vae(&["train.ema=0.5", "train.eval_every=1"]);
    train(start(&config, &plain), Device::Cpu, Hooks::default()).expect("a run");
    let outcome = measured(start(&config, &watched));
    assert!(bytes(&plain) == bytes(&watched), "measuring changed the run");
    let tests = outcome.run.tests().expect("tests");
    let names: Vec<&str> = tests.iter().map(|curve| curve.name.as_str()).collect();
    assert_eq!(names, ["loss", "bce", "kl", "elbo"]);
    // What somebody asked for is done, however short the run.
    assert_eq!(tests[0].step.len() as u64, outcome.step, "{tests:?}");
    assert!(std::iter::zip(&tests[0].value, &tests[3].value).all(|(loss, elbo)| *loss == -elbo));
    // A discriminator's figures tell nothing of progress.
    let game = config_of_a_game();
    let dir = folder.path().join("game");
    assert!(measured(start(&game, &dir)).run.tests().expect("none").is_empty());
    assert!(!dir.join("tests.csv").exists() && !dir.join("best.safetensors").exists());
}

/// Whoever stops a run while it draws or is measured waits for neither; where it goes on both are made up for.
#[test]
fn what_a_stop_cut_short_is_there_where_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let config = vae(&["train.eval_every=2", "train.sample_every=2", "train.steps=8"]);
    let (stop, cut) = (AtomicBool::new(false), Cell::new(true));
    let sitting = |from: Start| {
        let drawn = Cell::new(0);
        let mut sampler = |_: &mut Session, _: usize, path: &Path| {
            drawn.set(drawn.get() + 1);
            if cut.get() && drawn.get() == 2 {
                stop.store(true, Ordering::Relaxed);
                return Err("cut short".into());
            }
            std::fs::write(path, "a picture")?;
            Ok(None)
        };
        let mut evaluate =
            |_: &mut Session, _: &limn::data::Split, _: &str, _: usize| match stop.load(Ordering::Relaxed) {
                true => Err("cut short".into()),
                false => Ok(vec![Tested { name: "loss".into(), value: 1.0 }]),
            };
        let hooks =
            Hooks { sampler: Some(&mut sampler), evaluate: Some(&mut evaluate), stop: &stop, ..Hooks::default() };
        train(from, Device::Cpu, hooks).expect("a run")
    };
    let is_drawn = |step: u64| dir.join(format!("samples/step-{step}.png")).exists();
    assert_eq!(sitting(start(&config, &dir)).step, 4);
    assert_eq!((steps(&dir), is_drawn(2), is_drawn(4)), (vec![2], true, false));
    stop.store(false, Ordering::Relaxed);
    cut.set(false);
    assert_eq!(sitting(resume(&dir)).step, 8);
    assert_eq!(steps(&dir), [2, 4, 6, 8]);
    assert!(is_drawn(4) && is_drawn(6) && is_drawn(8));
}

fn config_of_a_game() -> Config {
    config("dcgan-28", &["model.width=2", "model.latent=3", "train.eval_every=1"])
}

#[test]
fn the_best_checkpoint_is_the_one_of_the_least_figure() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let config = vae(&["train.eval_every=2", "train.steps=8"]);
    // Step 4 is the best.
    let outcome = figured(start(&config, &dir), |step| (step as f64 - 4.0).abs());
    assert_eq!(steps(&dir), [2, 4, 6, 8]);
    let (_, step) = outcome.run.best_session(Device::Cpu, None).expect("a session");
    assert_eq!(step, 4);
    assert_eq!(outcome.run.session(Device::Cpu, None).expect("a session").1, 8);
    // A run that goes on remembers what was best.
    let on = |more: u64, figure: f64| {
        let Start::Resume(resume) = resume(&dir) else { panic!("a resume") };
        figured(Start::Resume(limn::train::Resume { steps: Some(more), ..resume }), |_| figure)
    };
    let best = |outcome: Outcome| outcome.run.best_session(Device::Cpu, None).expect("a session").1;
    assert_eq!(best(on(10, 0.5)), 4);
    assert_eq!(best(on(12, -0.5)), 12);
    assert_eq!(steps(&dir), [2, 4, 6, 8, 10, 12]);
}

#[test]
fn a_run_that_goes_on_is_measured_on_as_many_images_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let settings = ["train.eval_every=4", "train.steps=4", "train.batch=16"];
    figured(start(&vae(&settings), &dir), |_| 1.0);
    let Start::Resume(on) = resume(&dir) else { panic!("a resume") };
    // So many steps would be measured on more, were they a new run's.
    figured(Start::Resume(limn::train::Resume { steps: Some(100), ..on }), |_| 0.5);
    let rows = std::fs::read_to_string(dir.join("tests.csv")).expect("figures");
    let images: Vec<&str> = rows.lines().skip(1).filter_map(|row| row.split(',').nth(2)).collect();
    assert!(images.len() > 2 && images.iter().all(|images| *images == "16"), "{rows}");
}

#[test]
fn a_page_holds_what_the_folder_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let config = vae(&["train.eval_every=2"]);
    let outcome = figured(start(&config, &dir), |step| step as f64);
    std::fs::write(outcome.run.samples().join("step-7.png"), b"a picture").expect("a picture");
    let page = report::page(std::slice::from_ref(&outcome.run)).expect("a page");
    let data = page.split("id=\"facts\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("the data");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    let run = &data[0];
    assert_eq!((run["step"].as_u64(), run["model"].as_str()), (Some(7), Some("vae")));
    assert_eq!(run["curves"]["losses"][0]["mean"].as_array().expect("a curve").len(), 7);
    assert_eq!(run["tests"][0]["step"].as_array().expect("tests").len(), steps(&dir).len());
    assert_eq!((&run["progress"][0]["title"], run["progress"][0]["step"].as_u64()), (&"step 7".into(), Some(7)));
    // The same picture in the run's own folder does not stand there twice.
    let beside = |bytes: &[u8]| {
        std::fs::write(dir.join("samples.png"), bytes).expect("a picture");
        report::page(std::slice::from_ref(&outcome.run)).expect("a page").contains("\"title\":\"samples\"")
    };
    assert!(!beside(b"a picture") && beside(b"another"));
    let changed = |key: &str| run["settings"].as_array().expect("settings").iter().find(|s| s["key"] == key).cloned();
    assert_eq!(changed("train.batch").expect("a batch")["preset"], "128");
    assert_eq!(run["sittings"]["sittings"][0]["device"]["name"], "cpu");
    // Two runs on one page, and one that has done nothing yet.
    std::fs::remove_file(outcome.run.metrics()).expect("metrics");
    let two = report::page(&[outcome.run.clone(), outcome.run]).expect("a page");
    assert!(two.contains("\"step\":0,"));
}

#[test]
fn a_measurement_says_on_how_many_of_the_test_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let (short, long) = (folder.path().join("short"), folder.path().join("long"));
    figured(start(&vae(&["train.eval_every=4", "train.steps=4"]), &short), |_| 1.0);
    figured(start(&vae(&["train.eval_every=80", "train.steps=80", "train.batch=1024"]), &long), |_| 1.0);
    let log = |dir: &Path| std::fs::read_to_string(dir.join("log.txt")).expect("a log");
    assert!(log(&short).contains("loss 1.000 (test: 4 of 1000; best)"), "{}", log(&short));
    assert!(log(&long).contains("(test: all 1000"), "{}", log(&long));
    // What the documents say of the number.
    let [step, batch, each] = [300, 16, 70];
    let middle = folder.path().join("middle");
    let settings = [format!("train.steps={step}"), format!("train.eval_every={step}"), format!("train.batch={batch}")];
    figured(start(&vae(&settings.each_ref().map(String::as_str)), &middle), |_| 1.0);
    let wanted = format!("(test: {} of 1000", step * batch / each);
    assert!(log(&middle).contains(&wanted), "{wanted}: {}", log(&middle));
}
