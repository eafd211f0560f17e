//! `limn train`: a run from a preset or a file, or one that goes on.

use super::images::{ChangedArg, reading};
use super::{DeviceArg, Error, PrecisionArg, Setting, TuneArg, device, setting, term, tune};
use crate::models::Family;
use crate::sample::{self, Drawing, Grid};
use crate::train::{self, Config, Hooks, Outcome, Reading, RunDir, Session, Start};
use crate::tune::Budget;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `limn train`.
#[derive(clap::Args, Debug)]
pub struct TrainArgs {
    /// Preset (see assets/presets) or a TOML file
    #[arg(value_name = "PRESET|FILE.toml", required_unless_present = "resume")]
    what: Option<String>,
    /// Go on with the run in this folder, where it stopped
    #[arg(long, value_name = "DIR", conflicts_with_all = ["what", "batch", "seed", "out", "set"])]
    resume: Option<PathBuf>,
    /// Dataset: builtin, mnist, fashion-mnist, cifar10, an IDX or CIFAR-10 file, or a folder of images, with
    /// --resume where the images of the run are now; for films bouncing or a folder of GIFs or numbered frames, for sounds drums or a folder of WAV files
    #[arg(long, value_name = "D")]
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
    /// Run folder; by default runs/PRESET-N
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a setting of the preset, e.g. optim.lr=0.0005; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
}

/// Set by the first Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

/// Starts a run, or goes on with one.
pub fn train(args: &TrainArgs) -> Result<(), Error> {
    // Settings are looked at before a device is opened: their mistakes are found sooner.
    let (start, settings) = match (&args.resume, &args.what) {
        (Some(dir), _) => {
            let settings = RunDir::open(dir)?.config.train;
            (Start::Resume { dir: dir.clone(), steps: args.steps, epochs: args.epochs }, settings)
        }
        (None, Some(what)) => {
            let config = config(what, args)?;
            let settings = config.train.clone();
            (Start::New { config, out: args.out.clone() }, settings)
        }
        (None, None) => return Err(Error::new("say what to train: a preset, a FILE.toml, or --resume DIR")),
    };
    let precision = args.precision.precision.unwrap_or(settings.precision);
    let device = device::open_for(args.device.device.as_deref(), precision)?;
    if let Err(error) = ctrlc::set_handler(interrupt) {
        term::note(format!("Ctrl-C will end training at once: {error}"));
    }
    let seed = settings.seed;
    let mut sampler =
        |session: &mut Session, n: usize, path: &Path| match (session.model.family(), sample::refusal(session)) {
            (Family::Features(_), _) => Ok(()),
            // That may take longer than training.
            (Family::Pixels(_), Some(why)) => Err(format!("{why}; limn sample draws them").into()),
            _ => picture(session, n, None, seed, Drawing::Cached, path).map(|_| ()),
        };
    let mut tuner = tune::tuner(args.tune, &device);
    let mut measure =
        |session: &mut Session, batch, end| tune::tune(session, batch, end, Budget::Runs(end), tuner.as_mut());
    let tune: &mut train::Tune = &mut measure;
    let outcome = reading(Some(&STOP), |options| {
        let reading = Reading {
            options: options.clone(),
            moved: args.data.clone().filter(|_| args.resume.is_some()),
            changed: args.changed.accept_changed_data,
        };
        train::train(
            start,
            device,
            Hooks { tune: Some(tune), sampler: &mut sampler, stop: &STOP, screen: true, reading },
        )
    })?;
    tell(&outcome)
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

/// A signal this soon after the first is the same one, sent to the process and to its group as well.
const ECHO: Duration = Duration::from_millis(500);

/// The first Ctrl-C lets the step end and saves; the second ends the process.
fn interrupt() {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = FIRST.get_or_init(Instant::now);
    if !STOP.swap(true, Ordering::Relaxed) {
        term::note("stopping after this step; once more to stop at once, without saving");
    } else if first.elapsed() > ECHO {
        std::process::exit(130);
    }
}

/// Samples in one picture, the same noise every time, so that pictures can be compared: of one class, or
/// without one of each class a column, if the model has classes. Says where films or sounds are beside it.
pub(super) fn picture(
    session: &mut Session,
    n: usize,
    class: Option<usize>,
    seed: u64,
    drawing: Drawing,
    path: &Path,
) -> Result<Option<PathBuf>, Box<dyn std::error::Error>> {
    let images = sample::samples(session, n, class, seed, drawing)?;
    show(session, &images, class, path)
}

/// Images in one picture, a class in each column where there are several; where films or sounds are beside it.
pub(super) fn show(
    session: &Session,
    images: &[f32],
    class: Option<usize>,
    path: &Path,
) -> Result<Option<PathBuf>, Box<dyn std::error::Error>> {
    let geometry = session.model.geometry();
    let n = images.len() / geometry.iter().product::<usize>();
    let columns = match session.model.classes() {
        classes if classes > 0 && class.is_none() => classes,
        _ => (n as f64).sqrt().ceil() as usize,
    };
    Ok(Grid { images, geometry, columns }.save_medium(session.model.medium(), path)?)
}

/// What there is now, and what to do with it.
fn tell(outcome: &Outcome) -> Result<(), Error> {
    let dir = term::quoted(&outcome.run.path);
    if outcome.interrupted() {
        term::say(format!("stopped after step {} of {} and saved; go on with:", outcome.step, outcome.total))?;
        return term::say(format!("  limn train --resume {dir}"));
    }
    let losses: Vec<String> = outcome.losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
    term::say(format!("trained {} steps: {}", outcome.step, losses.join("  ")))?;
    term::say(format!("pictures    {}", outcome.run.samples().display()))?;
    term::say(format!("checkpoint  {}", outcome.run.checkpoint().display()))?;
    let commands: &[&str] = match outcome.run.config.model.build().map_err(Error::new)?.family() {
        Family::Latent(model) if model.latent() == 2 => &["sample DIR", "latent DIR manifold", "eval DIR"],
        Family::Latent(_) => &["sample DIR", "latent DIR interpolate", "eval DIR"],
        Family::Pixels(_) => &["sample DIR", "complete DIR --images test", "eval DIR"],
        Family::Mixture(_) => &["sample DIR", "latent DIR components", "eval DIR"],
        Family::Features(_) => &["eval DIR", "eval ANOTHER --metric frechet --features DIR"],
    };
    term::say("next, try:")?;
    for command in commands {
        term::say(format!("  limn {}", command.replace("DIR", &dir)))?;
    }
    Ok(())
}
