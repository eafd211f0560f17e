//! `limn train`: a run from a preset or a file, or one that goes on.

use super::images::{ChangedArg, reading};
use super::screen::Screen;
use super::{DeviceArg, Error, PrecisionArg, TuneArg, device, setting, signals, term, tune};
use crate::data::{self, Split};
use crate::eval::{self, Sample};
use crate::models::Family;
use crate::report;
use crate::sample::{self, Drawing};
use crate::train::{self, Config, Hooks, Outcome, Phase, Reading, Resume, RunDir, Session, Setting, Start, TraceSteps};
use crate::tune::Budget;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Arguments of `limn train`.
#[derive(clap::Args, Debug)]
pub struct TrainArgs {
    /// Preset (see assets/presets) or a TOML file
    #[arg(value_name = "PRESET|FILE.toml", required_unless_present = "resume")]
    what: Option<String>,
    /// Go on with the run in this folder, where it stopped and on the device it was made on; with
    /// --set its rate (optim.lr), its intervals and some other settings may change
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "seed", "out"])]
    resume: Option<PathBuf>,
    /// Go on from the checkpoint of this step, of those a run with train.keep=N keeps; what came
    /// after is set aside
    #[arg(long, value_name = "STEP", requires = "resume", conflicts_with = "what")]
    from: Option<u64>,
    #[arg(long, value_name = "D", help = format!("Dataset: {}; with --resume where the images of the run are now", data::in_words()))]
    data: Option<String>,
    #[command(flatten)]
    changed: ChangedArg,
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
    /// Run folder; by default runs/PRESET-N
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting of the preset, e.g. optim.lr=0.0005; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
}

/// Set by the first Ctrl-C; whatever may take longer than a second asks for it on its way.
static STOP: AtomicBool = AtomicBool::new(false);

fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Starts a run, or goes on with one, and returns the exit code.
pub fn train(args: &TrainArgs) -> Result<u8, Error> {
    // Settings are looked at before a device is opened: their mistakes are found sooner.
    let mut own = None;
    let (start, settings) = match (&args.resume, &args.what) {
        (Some(dir), _) => {
            let run = RunDir::open(dir)?;
            own = run.provenance()?.device().and_then(device::of_run);
            (Start::Resume(resume(dir, args)), run.config.train)
        }
        (None, Some(what)) => {
            let config = config(what, args)?;
            let settings = config.train.clone();
            (Start::New { config, out: args.out.clone() }, settings)
        }
        (None, None) => return Err(Error::new("say what to train: a preset, a FILE.toml, or --resume DIR")),
    };
    let precision = args.precision.precision.unwrap_or(settings.precision);
    let device = device::open_for(args.device.device.as_deref().or(own.as_deref()), precision)?;
    let name = device::number(&device);
    if let Err(error) = signals::watch(&STOP) {
        term::note(format!("Ctrl-C will end training at once: {error}"));
    }
    let (seed, batch) = (settings.seed, settings.batch);
    let mut sampler =
        |session: &mut Session, n: usize, path: &Path| match (session.model.family(), sample::refusal(session)) {
            (Family::Features(_), _) => Ok(()),
            // That may take longer than training.
            (Family::Pixels(_), Some(why)) => Err(format!("{why}; limn sample draws them").into()),
            _ => {
                session.stop = Some(stopped);
                Ok(sample::picture(session, n, None, seed, Drawing::Cached, path).map(|_| ())?)
            }
        };
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
        let mut screen = Screen::default();
        let mut evaluate = |session: &mut Session, test: &Split, data: &str, count: usize| {
            session.stop = Some(stopped);
            Ok(eval::followed(session, &Sample { data, test, count }, batch)?)
        };
        let mut report = |run: &RunDir| Ok(report::write(std::slice::from_ref(run), &run.path.join(report::FILE))?);
        let hooks = Hooks {
            tune: Some(tune),
            sampler: Some(&mut sampler),
            evaluate: Some(&mut evaluate),
            report: Some(&mut report),
            stop: &STOP,
            phase: &phase,
            watch: Some(&mut screen),
            trace: args.trace.clone().map(|path| TraceSteps { path, steps: args.trace_steps }),
            reading,
        };
        train::train(start, device, hooks)
    });
    let told = trained.map_err(Error::from).and_then(|outcome| tell(&outcome, &name));
    match told {
        // What is said then is why it stopped, and it stopped because it was asked to.
        Err(error) if stopped() => {
            term::note(error);
            Ok(signals::INTERRUPTED)
        }
        told => told.map(|()| if stopped() { signals::INTERRUPTED } else { 0 }),
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
        config.data.source = source.clone();
    }
    let t = &mut config.train;
    if let Some(epochs) = args.epochs {
        (t.epochs, t.steps) = (epochs, None);
    }
    t.steps = args.steps.or(t.steps);
    t.seed = args.seed.unwrap_or(t.seed);
    config.validate()?;
    Ok(config)
}

/// What there is now, and what to do with it, on the device of this name.
fn tell(outcome: &Outcome, device: &str) -> Result<(), Error> {
    let dir = term::quoted(&outcome.run.path);
    if outcome.interrupted() {
        term::say(format!("stopped after step {} of {} and saved; go on with:", outcome.step, outcome.total))?;
        return term::say(format!("  limn train --resume {dir}"));
    }
    let losses: Vec<String> = outcome.losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    term::say(format!("trained {} steps: {}", outcome.step, losses.join("  ")))?;
    term::say(format!("pictures    {}", outcome.run.samples().display()))?;
    term::say(format!("checkpoint  {}", outcome.run.checkpoint().display()))?;
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
