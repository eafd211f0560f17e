//! Whole trainings on a disk that fails: at every call it is asked for, one after the other, until one passes untouched.

use crate::data::Split;
use crate::eval::{self, Figure, Sample};
use crate::files::system::Call;
use crate::files::system::faults::{Fault, with};
use crate::program::Device;
use crate::report;
use crate::sample::{self, Drawing};
use crate::train::{
    Config, Hooks, LogKind, Progress, Resume, RunDir, Session, Setting, Start, TrainError, Watch, checkpoint, train,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Steps of a run.
const STEPS: u64 = 5;

/// A small run that does all that a run can do with files, and often.
fn config() -> Config {
    let mut config = Config::preset("vae").unwrap();
    let set = [
        "model.hidden=4",
        "model.latent=2",
        "train.batch=4",
        "train.steps=5",
        "train.log_every=1",
        "train.keep=3",
        "train.checkpoint_every=2",
        "train.sample_every=2",
        "train.samples=1",
        "train.eval_every=2",
        "train.views_every=0",
    ];
    config.set_all(&Setting::all(&set).unwrap()).unwrap();
    config
}

/// Keeps what is told.
#[derive(Default)]
struct Told(Vec<String>);

impl Watch for Told {
    fn line(&mut self, line: &str) {
        self.0.push(line.into());
    }

    fn progress(&mut self, _: &Progress) {}
}

/// Trains with pictures, figures, pages and logs, and returns what became of it and what was told on the way.
fn trained(start: Start) -> (Result<u64, TrainError>, Vec<String>) {
    let mut told = Told::default();
    let mut sampler = |session: &mut Session, n: usize, path: &Path| {
        Ok(Some(sample::picture(session, n, None, 1, Drawing::Cached, path)?))
    };
    let mut evaluate = |session: &mut Session, test: &Split, data: &str, count: usize| {
        Ok(eval::followed(session, &Sample { data, test, count }, 4)?)
    };
    let mut live = report::Live::default();
    let mut page = |run: &RunDir, ends: bool| Ok(live.refresh(run, ends).map(|_| ())?);
    let result = train(
        start,
        Device::Cpu,
        Hooks {
            sampler: Some(&mut sampler),
            evaluate: Some(&mut evaluate),
            report: Some(&mut page),
            logs: &[LogKind::Jsonl, LogKind::Tensorboard],
            watch: Some(&mut told),
            ..Hooks::default()
        },
    );
    (result.map(|outcome| outcome.step), told.0)
}

fn start(run: &Path) -> Start {
    Start::New { config: config(), out: Some(run.into()), init: None }
}

fn resume(run: &Path) -> Start {
    Start::Resume(Resume { dir: run.into(), ..Resume::default() })
}

/// What of a run must be the same whatever happened on its way.
#[derive(Debug, PartialEq)]
struct Left {
    checkpoint: Vec<u8>,
    /// Step, epoch and losses of every row.
    losses: Vec<String>,
    /// Steps and figures.
    tests: Vec<Vec<String>>,
    /// Steps of the objects in `metrics.jsonl`.
    objects: Vec<u64>,
}

fn left(run: &Path) -> Left {
    let text = |name: &str| fs::read_to_string(run.join(name)).unwrap_or_default();
    let without_times = |line: &str| line.rsplitn(3, ',').last().unwrap().to_string();
    let figures =
        |line: &str| line.split(',').enumerate().filter(|(at, _)| *at != 1).map(|(_, cell)| cell.into()).collect();
    let object = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
    Left {
        checkpoint: fs::read(run.join("checkpoint.safetensors")).unwrap(),
        losses: text("metrics.csv").lines().map(without_times).collect(),
        tests: text("tests.csv").lines().map(figures).collect(),
        objects: text("metrics.jsonl").lines().map(object).collect(),
    }
}

/// Every checkpoint that is there can be read.
fn readable(run: &Path, what: &str) {
    let folders = [run.to_path_buf(), run.join("checkpoints")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    for file in files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "safetensors")) {
        checkpoint::info(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
    // What was measured of it is whole, and of no course that was left.
    let text = fs::read_to_string(run.join("figures.jsonl")).unwrap_or_default();
    let step = |line: &str| serde_json::from_str::<eval::KeptFigure>(line).map(|kept| kept.step);
    let steps: Vec<u64> =
        text.lines().map(|line| step(line).unwrap_or_else(|e| panic!("{what}: {e}: {line}"))).collect();
    let last = checkpoint::info(&run.join("checkpoint.safetensors")).map_or(STEPS, |info| info.step);
    assert!(steps.iter().all(|step| *step <= last), "{what}: figures of steps {steps:?} at step {last}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The names of pictures and pages.
fn shown(run: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(run.join("samples")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<PathBuf> = inside.chain([run.join("report.html")]).filter(|path| path.is_file()).collect();
    names.iter_mut().for_each(|name| *name = name.strip_prefix(run).unwrap().into());
    names.sort();
    names
}

/// Has a run that begins as `begin` says fail at every call in turn, and go on from what is left.
fn failing_everywhere(
    fault: Fault,
    base: Option<&Path>,
    begin: &dyn Fn(&Path) -> Start,
    again: &dyn Fn(&Path) -> Start,
) {
    let folder = tempfile::tempdir().unwrap();
    let fresh = |name: &str| {
        let run = folder.path().join(name);
        base.into_iter().for_each(|base| copy(base, &run));
        run
    };
    let whole = fresh("whole");
    let (result, calls) = with(fault, usize::MAX, || trained(begin(&whole)).0);
    assert_eq!(result.unwrap(), STEPS);
    let (wanted, wanted_shown) = (left(&whole), shown(&whole));
    let (mut failures, mut swallowed) = (BTreeMap::<Call, usize>::new(), 0);
    // In short every other call fails, in one way of the four; `make trust` has all calls in all ways.
    let (first, step) = if std::env::var_os("LIMN_TRUST").is_some() { (0, 1) } else { (2 * fault as usize, 8) };
    for at in (first..calls.len()).step_by(step) {
        let run = fresh(&format!("{at}"));
        let ((result, told), calls) = with(fault, at, || trained(begin(&run)));
        let Some((call, path)) = calls.get(at) else { break };
        let what = format!("{fault:?} at call {at}, {call:?} {}", path.display());
        *failures.entry(*call).or_default() += 1;
        readable(&run, &what);
        let sentence = result.as_ref().err().map(ToString::to_string);
        if let Some(sentence) = &sentence {
            assert!(sentence.contains("no space is left") && !sentence.contains('\n'), "{what}: {sentence}");
        }
        if let Err(TrainError::Stopped { saved, .. }) = &result {
            let there = checkpoint::info(&run.join("checkpoint.safetensors")).ok().map(|info| info.step);
            assert_eq!(saved.step, there, "{what}: {sentence:?}");
        }
        // What is missing where a run went on was told of.
        if result.is_ok() {
            swallowed += 1;
            let missing: Vec<_> = wanted_shown.iter().filter(|name| !shown(&run).contains(name)).collect();
            let gone = |line: &String| line.contains("no space is left");
            assert!(missing.is_empty() || told.iter().any(gone), "{what}: {missing:?} are not there: {told:?}");
        }
        let is_run = run.join("config.toml").is_file();
        match trained(if is_run { again(&run) } else { begin(&run) }).0 {
            Ok(_) | Err(TrainError::Complete { .. }) => {}
            Err(error) => panic!("{what}: {sentence:?}, and then: {error}"),
        }
        let log = fs::read_to_string(run.join("log.txt")).unwrap_or_default();
        assert!(!log.contains("lacks the rows"), "{what}: {log}");
        let is = left(&run);
        // A log for other programs that fails is left, and told of.
        let is = if told.iter().any(|line| line.contains("log ends here")) {
            Left { objects: wanted.objects.clone(), ..is }
        } else {
            is
        };
        assert!(is.checkpoint == wanted.checkpoint, "{what}: other bits");
        assert_eq!(Left { checkpoint: Vec::new(), ..is }, Left { checkpoint: Vec::new(), ..left(&whole) }, "{what}");
        readable(&run, &what);
        fs::remove_dir_all(&run).unwrap();
    }
    println!("{fault:?}: {} calls, {swallowed} of them without end; {failures:?}", calls.len());
}

#[test]
fn a_new_run_on_a_failing_disk() {
    for fault in [Fault::Once, Fault::Half, Fault::Dead, Fault::PowerCut] {
        failing_everywhere(fault, None, &start, &resume);
    }
}

#[test]
fn a_run_that_goes_on_on_a_failing_disk() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let mut half = config();
    half.train.steps = Some(3);
    trained(Start::New { config: half, out: Some(base.clone()), init: None }).0.unwrap();
    let longer = |run: &Path| Start::Resume(Resume { dir: run.into(), steps: Some(STEPS), ..Resume::default() });
    for fault in [Fault::Once, Fault::Half, Fault::Dead, Fault::PowerCut] {
        failing_everywhere(fault, Some(&base), &longer, &longer);
    }
}

#[test]
fn a_run_that_goes_back_on_a_failing_disk() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    trained(start(&base)).0.unwrap();
    let figure = Figure { name: "loss".into(), value: 1.0, unit: "nats".into(), protocol: "mean".into() };
    for step in [2, STEPS] {
        let run = RunDir::open(&base).unwrap();
        eval::keep(&run, step, std::slice::from_ref(&figure)).unwrap();
    }
    let back = |run: &Path| Start::Resume(Resume { dir: run.into(), from: Some(2), ..Resume::default() });
    for fault in [Fault::Once, Fault::Half, Fault::Dead, Fault::PowerCut] {
        failing_everywhere(fault, Some(&base), &back, &resume);
    }
}
