//! `limn train`: a run from a preset or a file, or one that goes on.

use super::images::{ChangedArg, ShapeArg, reading};
use super::ranks::{self, Rank};
use super::screen::{JsonLines, Screen, object};
use super::times::{self, Times};
use super::{DeviceArg, Error, PrecisionArg, TuneArg, advice, device, setting, signals, term, tune};
use crate::bench::quantile;
use crate::data::{self, Split};
use crate::eval::{self, Sample};
use crate::kernels::Class;
use crate::models::{self, Family};
use crate::program::{Device, speak};
use crate::report;
use crate::sample::{self, Drawing};
use crate::train::{
    self, Config, Hooks, LogKind, Outcome, Phase, Reading, Resume, RunDir, Session, Setting, Start, Tested, TraceSteps,
    Watch,
};
use crate::tune::Budget;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Arguments of `limn train`.
#[derive(clap::Args, Debug)]
pub struct TrainArgs {
    /// Preset (`limn presets` lists them) or a TOML file
    #[arg(
        value_name = "PRESET|FILE.toml",
        required_unless_present = "resume",
        value_parser = super::names::PRESETS,
        hide_possible_values = true
    )]
    what: Option<String>,
    /// Go on with the run in this folder, where it stopped and on the device it was made on; with
    /// --set its rate (optim.lr), its intervals and some other settings may change
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "seed", "out", "size", "color", "grey"])]
    resume: Option<PathBuf>,
    /// Go on from the checkpoint of this step, of those a run with train.keep=N keeps; what came
    /// after is set aside
    #[arg(long, value_name = "STEP", requires = "resume", conflicts_with = "what")]
    from: Option<u64>,
    #[arg(long, value_name = "D", value_parser = super::names::DATA, hide_possible_values = true, help = format!("Dataset: {}; with --resume where the images of the run are now. Of one without images for testing a tenth, at most 1000, is held out for it and never trained on", data::in_words()))]
    data: Option<String>,
    #[command(flatten)]
    shape: ShapeArg,
    #[command(flatten)]
    changed: ChangedArg,
    /// Start the new run from the weights in this file, by name: a state dict of PyTorch's saved by
    /// safetensors, such as `limn export --format pytorch` writes, or a checkpoint.safetensors; what
    /// the file lacks starts as in any run
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Training steps
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Passes over the training images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Images per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Keep a log for another program too: `tensorboard` for event files, beside each other in
    /// `tensorboard --logdir runs`, or `jsonl` for an object a step in metrics.jsonl; a run that
    /// goes on goes on with those it has
    #[arg(long, value_name = "tensorboard|jsonl", value_parser = super::variant::<LogKind>, value_delimiter = ',')]
    log: Vec<LogKind>,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    tune: TuneArg,
    #[command(flatten)]
    precision: PrecisionArg,
    /// Record what happens in some steps for ui.perfetto.dev: kernels by part of the model, uploads,
    /// read-backs and the host
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// Steps to record, behind the first three
    #[arg(long, value_name = "N", default_value_t = 5, requires = "trace", value_parser = clap::value_parser!(u64).range(1..=100))]
    trace_steps: u64,
    /// Print an object of JSON a line: what begins, progress, figures, pictures, warnings, the end
    #[arg(long)]
    json: bool,
    /// Run folder; by default runs/PRESET-N
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting of the preset, e.g. optim.lr=0.0005; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
}

/// What the numbers of a training mean, and examples: the end of `limn train --help`.
pub fn help() -> String {
    let mut text = String::from("What the numbers mean:\n");
    for (names, meaning) in models::meanings() {
        text += &format!("  {}: {meaning}\n", names.join(", "));
    }
    format!("{text}\n{}", super::examples::TRAIN)
}

/// Set by the first Ctrl-C; whatever may take longer than a second asks for it on its way.
static STOP: AtomicBool = AtomicBool::new(false);

fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Starts a run, or goes on with one, or takes part in one, and returns the exit code.
pub fn train(args: &TrainArgs) -> Result<u8, Error> {
    ranks::each(stopped, |rank| train_as(rank, args))
}

fn train_as(rank: Option<&Rank>, args: &TrainArgs) -> Result<u8, Error> {
    let pause = || rank.map(|rank| speak(&rank.together).pause());
    let preparing = pause();
    if let Some(trace) = &args.trace
        && let Some(folder) = trace.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        return Err(Error::new(format!("cannot write {}: there is no folder {}", trace.display(), folder.display())));
    }
    let first = rank.is_none_or(|rank| rank.number == 0);
    // Settings are looked at before a device is opened: their mistakes are found sooner.
    let mut own = None;
    let (start, settings) = match (&args.resume, &args.what) {
        (Some(dir), _) => {
            let run = RunDir::open(dir)?;
            if first {
                warn_of_breakdown(&run, args)?;
            }
            own = run.provenance()?.device().and_then(device::of_run);
            (Start::Resume(resume(dir, args)), run.config.train)
        }
        (None, Some(what)) => {
            let config = config(what, args)?;
            let settings = config.train.clone();
            (Start::New { config, out: args.out.clone(), init: args.init.clone() }, settings)
        }
        (None, None) => return Err(Error::new("say what to train: a preset, a FILE.toml, or --resume DIR")),
    };
    let precision = args.precision.precision.unwrap_or(settings.precision);
    let wanted = match rank {
        Some(rank) => device::of_rank(args.device.device.as_deref(), rank.local)?.or_else(|| Some("cpu".into())),
        None => args.device.device.clone().or(own),
    };
    let device = device::open_to_compute(wanted.as_deref(), precision)?;
    let name = device::number(&device);
    let session_name = device.name();
    let software = device.caps().is_none_or(|caps| caps.class == Class::Lanes);
    // What is known before is said before.
    let long = match &start {
        Start::New { config, .. } => {
            let run = Times::load().run(&session_name, config);
            run.and_then(|seconds| times::too_long(config, &session_name, software, seconds))
        }
        Start::Resume(_) => None,
    };
    let told = long.is_some();
    long.iter().filter(|_| first).for_each(term::note);
    if let Err(error) = signals::watch(&STOP) {
        term::note(format!("Ctrl-C will end training at once: {error}"));
    }
    let (seed, batch) = (settings.seed, settings.batch);
    if let Some(rank) = rank.filter(|rank| rank.number > 0) {
        drop(preparing);
        return take_part(rank, device, args, (seed, batch));
    }
    let mut tuner = tune::tuner(args.tune, &device).map(|tuner| tuner.until(stopped));
    let mut measure =
        |session: &mut Session, batch, end| tune::tune(session, batch, end, Budget::Runs(end), tuner.as_mut());
    let tune: &mut train::Tune = &mut measure;
    let phase = |phase: Phase| signals::PHASE.store(phase as u8, Ordering::Relaxed);
    let trained = reading(Some(&STOP), |options| {
        let reading = Reading {
            options: options.clone(),
            moved: args.data.clone().filter(|_| args.resume.is_some()),
            changed: args.changed.accept_changed_data,
        };
        let mut screen: Box<dyn Watch> = if args.json { Box::new(JsonLines) } else { Box::new(Screen::new()) };
        let (mut sampler, mut evaluate, mut views) = (sampler(seed), evaluator(batch), viewer(seed));
        let mut live = report::Live::default();
        let mut report = |run: &RunDir, ends: bool| Ok(live.refresh(run, ends).map(|_| ())?);
        let mut paced =
            Paced { device: session_name.clone(), software, told, alone: rank.is_none(), seconds: Vec::new() };
        let mut pace = |config: &Config, seconds: f64, left: Duration| paced.step(config, seconds, left);
        let hooks = Hooks {
            tune: Some(tune),
            sampler: Some(&mut sampler),
            evaluate: Some(&mut evaluate),
            views: Some(&mut views),
            logs: &args.log,
            report: Some(&mut report),
            pace: Some(&mut pace),
            stop: &STOP,
            phase: &phase,
            watch: Some(screen.as_mut()),
            trace: args.trace.clone().map(|path| TraceSteps { path, steps: args.trace_steps }),
            reading,
            ranks: rank.map(|rank| rank.together.clone()),
        };
        drop(preparing);
        train::train(start, device, hooks)
    });
    let _telling = pause();
    let told = trained.map_err(Error::from).and_then(|outcome| match args.json {
        true => {
            tell_machines(&outcome);
            Ok(())
        }
        false if term::is_quiet() => term::say(outcome.run.path.display()),
        false => tell(&outcome, &name),
    });
    match told {
        // What is said then is why it stopped, and it stopped because it was asked to.
        Err(error) if stopped() => {
            term::note(error);
            Ok(signals::INTERRUPTED)
        }
        told => told.map(|()| if stopped() { signals::INTERRUPTED } else { 0 }),
    }
}

/// Takes the steps of a run that the first rank does all else of, and returns the exit code.
fn take_part(rank: &Rank, device: Device, args: &TrainArgs, (seed, batch): (u64, usize)) -> Result<u8, Error> {
    // A step is waited for.
    signals::PHASE.store(Phase::Training as u8, Ordering::Relaxed);
    let was_stopped = reading(Some(&STOP), |options| {
        let reading = Reading {
            options: data::Options { progress: None, ..options.clone() },
            moved: None,
            changed: args.changed.accept_changed_data,
        };
        let (mut sampler, mut evaluate, mut views) = (sampler(seed), evaluator(batch), viewer(seed));
        let hooks = Hooks {
            sampler: Some(&mut sampler),
            evaluate: Some(&mut evaluate),
            views: Some(&mut views),
            stop: &STOP,
            reading,
            ..Hooks::default()
        };
        train::take_part(rank.together.clone(), device, hooks)
    })?;
    Ok(if was_stopped { signals::INTERRUPTED } else { 0 })
}

/// What is made of a model on the way: nothing, or why nothing is.
type Made<T> = Result<T, Box<dyn std::error::Error>>;

/// Draws pictures of samples with this seed.
fn sampler(seed: u64) -> impl FnMut(&mut Session, usize, &Path) -> Made<Option<f64>> {
    move |session, n, path| match (session.model.family(), sample::refusal(session)) {
        (Family::Features(_), _) => Ok(None),
        // That may take longer than training.
        (Family::Pixels(_), Some(why)) => Err(format!("{why}; limn sample draws them").into()),
        _ => {
            session.stop = Some(stopped);
            Ok(Some(sample::picture(session, n, None, seed, Drawing::Cached, path)?))
        }
    }
}

/// Measures on test images, so many at a time.
fn evaluator(batch: usize) -> impl FnMut(&mut Session, &Split, &str, usize) -> Made<Vec<Tested>> {
    move |session, test, data, count| {
        session.stop = Some(stopped);
        Ok(eval::followed(session, &Sample { data, test, count }, batch)?)
    }
}

/// Draws what else there is to see, with this seed.
fn viewer(seed: u64) -> impl FnMut(&mut Session, &Split, &Path) -> Made<()> {
    move |session, test, folder| {
        session.stop = Some(stopped);
        Ok(sample::views(session, test, seed, folder).map(drop)?)
    }
}

/// Says so where a run goes on that broke down, and nothing is done against that.
fn warn_of_breakdown(run: &RunDir, args: &TrainArgs) -> Result<(), Error> {
    let untouched = args.set.is_empty() && args.batch.is_none() && args.from.is_none();
    if let Some(how) = run.broke_down()?.filter(|_| untouched) {
        let advice = advice::cured(&run.path, &run.cure());
        term::note(advice.into_iter().fold(format!("the last time {how}"), |words, advice| words + "; " + &advice));
    }
    Ok(())
}

/// What a run teaches of how long steps take here.
struct Paced {
    device: String,
    /// Whether the processor computes.
    software: bool,
    /// Whether it has been said that the run is long.
    told: bool,
    /// Whether this process takes the whole of each step.
    alone: bool,
    /// Seconds of a step, each time that they are known.
    seconds: Vec<f64>,
}

impl Paced {
    /// Keeps what a step takes, and says so where something shorter would do.
    fn step(&mut self, config: &Config, seconds: f64, left: Duration) -> Option<String> {
        self.seconds.push(seconds);
        // Seldom enough to cost nothing, and the first time soon.
        if self.alone && self.seconds.len().is_power_of_two() {
            times::remember(&self.device, config, quantile(&mut self.seconds.clone(), 0.5), false);
        }
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        times::too_long(config, &self.device, self.software, left.as_secs_f64())
    }
}

/// How the arguments have a run go on. A flag wins over `--set`.
fn resume(dir: &Path, args: &TrainArgs) -> Resume {
    let mut set = args.set.clone();
    set.extend(args.batch.map(|batch| Setting::new("train.batch", batch)));
    Resume { dir: dir.into(), steps: args.steps, epochs: args.epochs, set, from: args.from }
}

/// The settings the arguments ask for. A flag wins over `--set`.
fn config(what: &str, args: &TrainArgs) -> Result<Config, Error> {
    let mut config = super::changed(what, args.batch, &args.set)?;
    if let Some(source) = &args.data {
        config.data.source = data::known_name(source.clone());
    }
    let t = &mut config.train;
    if let Some(epochs) = args.epochs {
        (t.epochs, t.steps) = (epochs, None);
    }
    t.steps = args.steps.or(t.steps);
    t.seed = args.seed.unwrap_or(t.seed);
    args.shape.apply(&mut config)?;
    config.validate()?;
    Ok(config)
}

/// What there is now, as the last object of a line.
fn tell_machines(outcome: &Outcome) {
    let losses = outcome.losses.iter().map(|(name, value)| (*name, f64::from(*value)));
    let values = json!({
        "run": outcome.run.path.to_string_lossy(),
        "step": outcome.step,
        "steps": outcome.total,
        "interrupted": outcome.interrupted(),
        "losses": object(losses),
        "checkpoint": outcome.run.checkpoint().to_string_lossy(),
        "samples": outcome.run.samples().to_string_lossy(),
    });
    JsonLines.event("end", values);
}

/// What there is now, and what to do with it, on the device of this name.
fn tell(outcome: &Outcome, device: &str) -> Result<(), Error> {
    let dir = term::quoted(&outcome.run.path);
    if outcome.interrupted() {
        term::say(format!("stopped after step {} of {} and saved; go on with:", outcome.step, outcome.total))?;
        return term::say(format!("  limn train --resume {dir}"));
    }
    term::say(format!("trained {} step{}", outcome.step, if outcome.step == 1 { "" } else { "s" }))?;
    term::say(format!("pictures    {}", outcome.run.samples().display()))?;
    term::say(format!("checkpoint  {}", outcome.run.checkpoint().display()))?;
    let report = outcome.run.path.join(crate::report::FILE);
    if report.is_file() {
        term::say(format!("report      {} (open it in a browser)", report.display()))?;
    }
    let commands: &[&str] = match outcome.model.family() {
        Family::Latent(model) if model.latent() == 2 => &["sample DIR", "latent DIR manifold", "eval DIR"],
        Family::Latent(_) => &["sample DIR", "latent DIR interpolate", "eval DIR"],
        Family::Pixels(_) => &["sample DIR", "complete DIR --images test", "eval DIR"],
        Family::Mixture(_) => &["sample DIR", "latent DIR components", "eval DIR"],
        Family::Features(_) => &["eval DIR", "eval ANOTHER --metric frechet --features DIR"],
    };
    term::say("next, try:")?;
    let flag = if device == device::number_taken() { String::new() } else { format!(" --device {device}") };
    for command in commands {
        term::say(format!("  limn {}{flag}", command.replace("DIR", &dir)))?;
    }
    Ok(())
}
