//! The command line: what can be typed, one file for each command, and how errors are told.
//!
//! Exit codes: 0 when all went well, 1 when `limn check` found a kernel that falls short, 2 for bad
//! input or any other failure, told in one plain sentence, 130 for a training that was interrupted.

mod advice;
mod bar;
mod bench;
mod bench_kernels;
mod bench_sample;
mod bench_shape;
mod check;
mod commands;
mod compare;
mod complete;
mod completions;
mod data;
mod data_show;
mod device;
mod devices;
mod eval;
mod examples;
mod export;
mod film;
mod flags;
mod images;
mod latent;
mod names;
mod plan;
mod presets;
mod probe;
mod profile;
mod ranks;
mod readers;
mod report;
mod roofline;
mod run;
mod runs;
mod sample;
mod screen;
mod shader;
mod signals;
mod term;
mod times;
mod train;
mod tune;
mod usage;

use self::ranks::Rank;
pub(crate) use self::readers::READERS;
use crate::gpu;
use crate::kernels::Precision;
use crate::program::Device;
use crate::train::{Config, RunDir, Session, Setting, Weights, presets};
use crate::words::{either, nearest, word};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use strum::VariantNames;

/// What others wrote that the program is made of; `benches/licences.py` lists it.
const LICENCES: &str = include_str!("../../assets/licences.txt");

/// Trains generative models on any GPU that speaks Vulkan, Metal or DX12.
#[derive(Parser)]
#[command(name = "limn", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = examples::LIMN)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print what is built into limn, and on what terms
    #[arg(long, exclusive = true)]
    licences: bool,
    /// Tell results, warnings and errors only: no progress, no remarks on the way
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List adapters, drivers, limits and features; the built-in cpu device is one of them
    #[command(after_help = examples::DEVICES)]
    Devices(devices::DevicesArgs),
    /// List the presets, or tell of one: its images, its size, its settings
    #[command(after_help = examples::PRESETS)]
    Presets(presets::PresetsArgs),
    /// Train a model from a preset or a TOML file, or go on with a run
    #[command(after_help = examples::TRAIN, after_long_help = train::help())]
    Train(train::TrainArgs),
    /// Draw samples from a trained model
    #[command(after_help = examples::SAMPLE)]
    Sample(sample::SampleArgs),
    /// Complete images of which a part is hidden
    #[command(after_help = examples::COMPLETE)]
    Complete(complete::CompleteArgs),
    /// Look at a model's latent space: manifold, traversals, interpolations, reconstructions,
    /// arithmetic
    #[command(after_help = examples::LATENT)]
    Latent(latent::LatentArgs),
    /// Make a film of a model that learns, of the samples that its training left behind
    #[command(after_help = examples::FILM)]
    Film(film::FilmArgs),
    /// Hand a trained model to other programs: a page for a browser, PyTorch, ONNX, the Hub
    #[command(after_help = examples::EXPORT)]
    Export(export::ExportArgs),
    /// Test loss with its parts and units: nats/image, bits/dim, ELBO, log p
    #[command(after_help = examples::EVAL)]
    Eval(eval::EvalArgs),
    /// List the runs there are: model, data, steps, best figure, age
    #[command(after_help = examples::RUNS)]
    Runs(runs::RunsArgs),
    /// Print what runs differ in, and their losses and figures beside each other
    #[command(after_help = examples::COMPARE)]
    Compare(compare::CompareArgs),
    /// Write a page about a run, or about several beside each other: curves, pictures, settings,
    /// data, devices
    #[command(after_help = examples::REPORT)]
    Report(report::ReportArgs),
    /// Train a linear classifier on what a discriminator makes of images: its accuracy on the test
    /// set
    #[command(after_help = examples::PROBE)]
    Probe(probe::ProbeArgs),
    /// Hold every kernel and case against its CPU reference; exit code 1 if any falls short
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Run one operation on tensors of your own, to hold it against PyTorch
    Run(run::RunArgs),
    /// Time kernels (ms, GFLOP/s, GB/s), whole training steps, or sampling
    #[command(after_help = examples::BENCH)]
    Bench(bench::BenchArgs),
    /// GPU time of a training step, kernel by kernel
    #[command(after_help = examples::PROFILE)]
    Profile(profile::ProfileArgs),
    /// Print the WGSL that a device is given for a kernel
    Shader(shader::ShaderArgs),
    /// Print a preset's program, its parameters and its memory
    #[command(after_help = examples::PLAN)]
    Plan(plan::PlanArgs),
    /// List known datasets, fetch one, or show what a model is trained on
    #[command(after_help = examples::DATA)]
    Data(data::DataArgs),
    /// Print what a shell needs to complete commands, flags, presets and datasets
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
}

/// Where to run.
#[derive(Args, Clone, Debug)]
struct DeviceArg {
    /// Device: `cpu`, `reference`, or a number or a part of a name from `limn devices`; without one
    /// the fastest, which is a GPU, or else `cpu`
    #[arg(long, value_name = "D")]
    device: Option<String>,
}

/// A trained model to look at.
#[derive(Args, Clone, Debug)]
struct TrainedArg {
    /// Run folder
    dir: PathBuf,
    #[command(flatten)]
    weights: WeightsArg,
}

/// Which weights of a run, and where to compute.
#[derive(Args, Clone, Debug)]
struct WeightsArg {
    /// Weights: `trained`, or their moving average, which is the default of runs with train.ema
    #[arg(long, value_name = "averaged|trained", value_parser = variant::<Weights>)]
    weights: Option<Weights>,
    /// Take the checkpoint that did best on test images on the way, not the last one
    #[arg(long)]
    best: bool,
    #[command(flatten)]
    device: DeviceArg,
}

impl TrainedArg {
    /// The run, its model with these weights, and the training steps it has seen.
    fn open(&self) -> Result<(RunDir, Session, u64), Error> {
        self.open_as(None)
    }

    /// The same for a rank, which shares with others what is made of the model.
    fn open_as(&self, rank: Option<&Rank>) -> Result<(RunDir, Session, u64), Error> {
        let device = self.weights.device.device.as_deref();
        let device = rank.map_or_else(|| device::open(device), |rank| rank.open(device))?;
        let (run, mut session, step) = self.weights.open_on(&self.dir, device)?;
        session.share_work(rank.map(|rank| rank.together.clone()));
        Ok((run, session, step))
    }
}

impl WeightsArg {
    /// The run in a folder, its model with these weights, and the training steps it has seen.
    fn open(&self, dir: &Path) -> Result<(RunDir, Session, u64), Error> {
        self.open_on(dir, device::open(self.device.device.as_deref())?)
    }

    fn open_on(&self, dir: &Path, device: Device) -> Result<(RunDir, Session, u64), Error> {
        let run = RunDir::open(dir)?;
        let (mut session, step) =
            if self.best { run.best_session(device, self.weights)? } else { run.session(device, self.weights)? };
        session.remarks.iter().for_each(term::note);
        session.hear = Some(Box::new(term::listener()));
        Ok((run, session, step))
    }
}

/// The variant that `text` names.
fn variant<T: FromStr + VariantNames>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("it is {}", either(T::VARIANTS)))
}

/// Whether variants are chosen by measuring.
#[derive(Args, Clone, Copy, Debug)]
struct TuneArg {
    /// Choose the fastest variant of each kernel by measuring, once for each device and shape;
    /// before a training that takes up to 3% of it, from 2 to 120 seconds, and what it does not get
    /// to is measured the next time
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    tune: Switch,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq)]
enum Switch {
    On,
    Off,
}

/// How to compute.
#[derive(Args, Clone, Copy, Debug)]
struct PrecisionArg {
    /// `mixed`: products of f16, added in f32, for convolutions and matmul on a GPU
    #[arg(long, value_name = "full|mixed", value_parser = variant::<Precision>, global = true)]
    precision: Option<Precision>,
}

impl PrecisionArg {
    /// The flag, or else what the settings say.
    fn of(self, config: &Config) -> Precision {
        self.precision.unwrap_or(config.train.precision)
    }
}

/// One `--set key=value`.
fn setting(text: &str) -> Result<Setting, String> {
    text.parse().map_err(|_| "write it as key=value, without spaces".into())
}

/// Why a command ended badly, in one plain sentence.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error told in these words.
    pub fn new(words: impl Into<String>) -> Error {
        Error(words.into())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

// `Error` itself is no std error, so that this may hold for all that are.
impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        Error(advice::told(&error))
    }
}

/// Settings to look at, whatever they come from.
#[derive(Args, Clone, Debug)]
struct SettingsArg {
    /// Preset, TOML file or run folder
    #[arg(value_name = "PRESET|FILE.toml|DIR", value_parser = names::PRESETS, hide_possible_values = true)]
    preset: String,
    /// Images per step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Change a setting, e.g. model.image=128; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
}

impl SettingsArg {
    /// The settings, changed by `--batch` and `--set`.
    fn config(&self) -> Result<Config, Error> {
        config(&self.preset, self.batch, &self.set)
    }
}

/// The settings of a preset, a file or a run, changed by `--batch` and `--set`.
fn config(what: &str, batch: Option<u32>, set: &[Setting]) -> Result<Config, Error> {
    let is_preset = presets().iter().any(|(name, _)| *name == what);
    let base = match !is_preset && std::path::Path::new(what).is_dir() {
        true => RunDir::open(std::path::Path::new(what))?.config,
        false => Config::load(what).map_err(|error| match advice::run_called(what) {
            Some(run) => Error::new(format!("there is no preset and no run folder {}; {run}", word(what))),
            None => error.into(),
        })?,
    };
    let config = set_in(base, batch, set)?;
    config.validate()?;
    Ok(config)
}

/// The settings of a preset or a file before anything is validated: further flags may still change
/// them.
fn changed(what: &str, batch: Option<u32>, set: &[Setting]) -> Result<Config, Error> {
    set_in(Config::load(what)?, batch, set)
}

fn set_in(mut config: Config, batch: Option<u32>, set: &[Setting]) -> Result<Config, Error> {
    config.set_all(set).map_err(|e| Error::new(format!("--set {e}")))?;
    config.train.batch = batch.map_or(config.train.batch, |b| b as usize);
    Ok(config)
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        if gpu::is_polling() {
            return;
        }
        let text = |p: &dyn std::any::Any| p.downcast_ref::<&str>().map(|s| s.to_string());
        term::be_heard();
        let words = text(info.payload()).or_else(|| info.payload().downcast_ref::<String>().cloned());
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        term::note(format!(
            "this is a mistake in limn itself, please report it ({place}: {})",
            words.unwrap_or_default()
        ));
    }));
    signals::live_with_limits();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            ranks::one_speaks();
            let typed: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
            let (text, code) = (usage.render().to_string(), usage.exit_code());
            if typed == ["train"] {
                term::lead(usage::train());
            } else if let Some(told) = usage::told(&usage, &typed) {
                term::note(told);
            } else if let Some(words) = text.strip_prefix("error: ") {
                let lines: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
                term::note(lines.join("\n"));
            } else if term::is_harmless(&text) {
                // Fails only where nobody reads on, and then there is nobody to tell.
                let _ = usage.print();
            } else {
                term::note(text.trim_end());
            }
            return ExitCode::from(code.clamp(0, 2) as u8);
        }
    };
    if cli.quiet {
        term::be_quiet();
    }
    let code = match std::panic::catch_unwind(|| match (cli.licences, cli.command) {
        (true, _) => LICENCES.lines().try_for_each(|line| term::say(line.replace('\t', "  "))).map(|()| 0),
        (false, Some(command)) => dispatch(command),
        (false, None) => Err(Error::new("which command? `limn --help` lists them")),
    }) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            // Nothing came of it, whatever would have computed.
            term::forget_later();
            term::note(error);
            2
        }
        Err(_) => 2,
    };
    // All is said. Ranks that did not end with this one, and would wait for it, are ended.
    #[cfg(feature = "mpi")]
    if code != 0 {
        crate::ranks::mpi::end(code.into());
    }
    ExitCode::from(code)
}

/// The exit code of a command that did its work: 0, 1 where the verdict is bad, 130 where it was
/// interrupted.
fn dispatch(command: Command) -> Result<u8, Error> {
    if !matches!(command, Command::Train(_) | Command::Sample(_) | Command::Eval(_) | Command::Devices(_)) {
        ranks::refuse()?;
    }
    match command {
        Command::Devices(args) => devices::devices(&args)?,
        Command::Train(args) => return train::train(&args),
        Command::Sample(args) => sample::sample(&args)?,
        Command::Complete(args) => complete::complete(&args)?,
        Command::Latent(args) => latent::latent(&args)?,
        Command::Film(args) => film::film(&args)?,
        Command::Export(args) => export::export(&args)?,
        Command::Eval(args) => eval::eval(&args)?,
        Command::Presets(args) => presets::list(&args)?,
        Command::Probe(args) => probe::probe(&args)?,
        Command::Runs(args) => runs::runs(&args)?,
        Command::Compare(args) => compare::compare(&args)?,
        Command::Report(args) => report::report(&args)?,
        Command::Check(args) => return check::check(&args).map(|good| u8::from(!good)),
        Command::Run(args) => run::run(&args)?,
        Command::Bench(args) => bench::bench(&args)?,
        Command::Profile(args) => profile::profile(&args)?,
        Command::Shader(args) => shader::shader(&args)?,
        Command::Plan(args) => plan::plan(&args)?,
        Command::Data(args) => data::data(&args)?,
        Command::Completions(args) => completions::completions(&args)?,
    }
    Ok(0)
}

/// The kernels that `wanted` names: exactly, or else by a part of the name; all without any.
fn kernels_named(wanted: &[String]) -> Result<Vec<crate::kernels::Entry>, Error> {
    let all = crate::kernels::all();
    let names: Vec<&str> = all.iter().map(|e| e.name).collect();
    let mut chosen = vec![wanted.is_empty(); all.len()];
    // As PyTorch spells them will do: ConvTranspose2d.
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], "");
    for wanted in wanted {
        let sought = plain(wanted);
        let exact = names.iter().any(|name| plain(name) == sought);
        let fits = |name: &str| match exact {
            true => plain(name) == sought,
            false => !sought.is_empty() && plain(name).contains(&sought),
        };
        if !names.iter().any(|name| fits(name)) {
            let words = format!("no kernel is called \"{wanted}\"; {}", nearest(wanted, names.iter().copied()));
            return Err(Error::new(words));
        }
        std::iter::zip(&mut chosen, &names).for_each(|(chosen, name)| *chosen |= fits(name));
    }
    Ok(std::iter::zip(all, chosen).filter(|(_, chosen)| *chosen).map(|(entry, _)| entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_manual_parses() {
        for line in [
            "devices --json",
            "train vae --data mnist --epochs 10 --batch 64 --seed 3 --device cpu --out d --set optim.lr=1e-3 --set a=b",
            "train my.toml --steps 100",
            "train --resume DIR",
            "train --resume DIR --set optim.lr=1e-5 --batch 8 --device cpu",
            "train --resume DIR --from 100 --steps 200",
            "sample DIR --n 64 --seed 1 --out a.png",
            "sample DIR --naive",
            "sample DIR --scale 4 --out folder/",
            "sample DIR -n 10 --out samples.npz",
            "sample DIR --latents codes.npy --class 3",
            "film DIR --out a.webp --fps 10",
            "sample DIR --neighbours",
            "sample DIR --neighbours 3 --n 5",
            "sample DIR --weights averaged",
            "eval DIR --weights trained --device cpu",
            "complete DIR --images test --keep upper-half --out a.png",
            "complete DIR --images a.png --keep mask.png",
            "complete DIR --images test --naive",
            "complete DIR --images folder -n 3 --scale 2",
            "latent DIR manifold --out a.png",
            "latent DIR traverse",
            "latent DIR interpolate",
            "latent DIR reconstruct",
            "latent DIR arithmetic --from 3 --to 8 --plus 5",
            "latent DIR arithmetic --z 3+7+12,5,9 --seed 1",
            "latent DIR traverse --gif --out a.gif",
            "latent DIR manifold --film --out a.webp --fps 24 --scale 1",
            "latent DIR components",
            "eval DIR --json",
            "eval DIR --metric iwae-50",
            "eval DIR --metric parzen --samples 500 --seed 1 --images 100",
            "eval DIR --metric log-p --images 100 --json",
            "eval DIR --metric frechet --features DIR --samples 1000",
            "eval DIR --metric prdc --features weights.safetensors",
            "probe DIR",
            "runs --json",
            "compare DIR DIR --json",
            "report DIR --plot curves.svg --log-scale --smoothing 0.9",
            "probe DIR --data cifar10 --images 5000 --json",
            "check",
            "check conv2d matmul --device 0 --json",
            "run conv2d --in a --out b --set stride=2,2 --set mask=A --grad --device cpu",
            "bench",
            "bench conv2d matmul --device 0 --json",
            "bench step dcgan --batch 64 --device 0 --json",
            "bench sample pixelcnn --batch 16 --device 0 --json",
            "bench --json --device 0 step dcgan",
            "bench roof --device 0 --json",
            "profile dcgan --steps 3 --trace t.json --json",
            "shader adam --variant vec4 --device cpu",
            "shader conv2d --stage 2 --precision mixed",
            "plan dcgan",
            "plan dcgan --ranks 8 --network 1.5 --step-ms 20 --json",
            "train vae --precision mixed",
            "train --resume DIR --precision full",
            "check conv2d --precision mixed",
            "bench conv2d --precision full",
            "bench step dcgan --batch 128 --precision mixed",
            "profile dcgan --precision mixed",
            "plan dcgan --precision mixed",
            "completions bash",
            "data list --json",
            "data get mnist",
            "data show mnist",
            "data show photos --preset dcgan --size 64x48 --grey --n 9 --out a.png --json",
            "data show --preset vae",
        ] {
            let args = std::iter::once("limn").chain(line.split(' '));
            Cli::try_parse_from(args).map(|_| ()).unwrap_or_else(|e| panic!("limn {line}: {e}"));
        }
    }

    #[test]
    fn every_command_ends_its_help_with_examples_that_can_be_typed() {
        use clap::CommandFactory;
        let mut examples = 0;
        let mut command = Cli::command();
        let mut helps = vec![("limn".to_string(), command.render_long_help().to_string())];
        for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let name = command.get_name().to_string();
            helps.push((name.clone(), command.render_long_help().to_string()));
            let below = command.get_subcommands_mut().filter(|below| below.get_name() != "help");
            helps.extend(below.map(|c| (format!("{name} {}", c.get_name()), c.render_long_help().to_string())));
        }
        for (name, help) in &helps {
            let lines: Vec<&str> = help.lines().filter(|line| line.starts_with("  limn ")).collect();
            // There is but one way to type this.
            let least = if name == "data clean" { 1 } else { 2 };
            assert!((least..=4).contains(&lines.len()), "{name} has {} examples:\n{help}", lines.len());
            for line in lines {
                // What stands far behind is what it is for; a shell takes what is behind >.
                let typed = line.trim().split("   ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
                let parsed = Cli::try_parse_from(typed.split(' '));
                parsed.map(|_| ()).unwrap_or_else(|e| panic!("{typed}: {e}"));
                examples += 1;
            }
        }
        assert!(examples > 60, "{examples}");
    }
}
