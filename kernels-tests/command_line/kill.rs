//! Runs killed at random moments, and resumed without the variants that had been measured: they go on from their
//! checkpoint and end bitwise where the uninterrupted ones do. One kill of four is drawn evenly over the whole of a
//! start, most of which measures variants on a driver, the others over what comes after. In short a few kills, with
//! `LIMN_TRUST` (`make trust`) a hundred and more.

use crate::support::{Choices, device_flag, is_long};
use limn::gpu::Gpu;
use limn::kernels::{Class, Precision};
use limn::program::Device;
use limn::train::{Config, Hooks, Resume, Setting, Start, checkpoint, train};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A model with settings that make it small, and save often.
struct Case {
    preset: &'static str,
    settings: &'static [&'static str],
    steps: [u64; 3],
}

/// A GAN, a VAE, one that draws pixel by pixel, a GAN that grows, and a mixture; steps on the processor, on the device
/// as it is, and opened as a GPU.
const CASES: [Case; 5] = [
    Case { preset: "gan-small", settings: &["train.batch=32", "model.hidden=32"], steps: [100, 40, 10] },
    Case { preset: "vae", settings: &["train.batch=32", "model.hidden=32"], steps: [100, 40, 10] },
    Case { preset: "pixelcnn-small", settings: &["train.batch=4", "model.hidden=4"], steps: [30, 15, 5] },
    Case {
        preset: "progan-small",
        settings: &[
            "train.batch=4",
            "model.image=8",
            "model.width=4",
            "model.widest=4",
            "model.latent=8",
            "model.fade_steps=6",
            "model.stable_steps=6",
        ],
        steps: [30, 25, 20],
    },
    Case { preset: "gmm-small", settings: &["train.batch=100", "model.components=5"], steps: [100, 40, 10] },
];

/// What they have in common.
const OFTEN: [&str; 5] =
    ["train.checkpoint_every=5", "train.sample_every=0", "train.views_every=0", "train.keep=2", "train.eval_every=0"];

/// Where a run is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum On {
    Processor,
    Driver,
    AsGpu,
}

/// A model on a device, in a folder of its own.
struct Victim<'a> {
    case: &'a Case,
    on: On,
    folder: PathBuf,
}

/// How long a start takes that has to measure its variants, which is the longest: until there is a run, and in all.
#[derive(Clone, Copy)]
struct Length {
    before: Duration,
    whole: Duration,
}

/// What a kill met.
#[derive(Default)]
struct Met {
    kills: usize,
    /// Before there was a run; before its first checkpoint.
    early: [usize; 2],
    /// While something was being written.
    writing: usize,
}

impl Victim<'_> {
    fn settings(&self) -> Vec<String> {
        let all = self.case.settings.iter().chain(&OFTEN).map(ToString::to_string);
        all.chain([format!("train.steps={}", self.case.steps[self.on as usize])]).collect()
    }

    /// Begins the run in a folder, or goes on with it.
    fn command(&self, run: &Path) -> Command {
        let goes_on = run.join("config.toml").is_file();
        let mut command;
        if self.on == On::AsGpu {
            command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["kill::child_as_a_gpu", "--exact", "--nocapture"]);
            command.env("LIMN_TRAINS_IN", run).env("LIMN_TRAINS", self.case.preset);
            command.env("LIMN_TRAINS_WITH", self.settings().join(" "));
        } else {
            command = Command::new(env!("CARGO_BIN_EXE_limn"));
            command.arg("train");
            if goes_on {
                command.arg("--resume").arg(run);
            } else {
                command.arg(self.case.preset).arg("--out").arg(run);
                self.settings().iter().for_each(|setting| _ = command.args(["--set", setting]));
            }
            command.args(if self.on == On::Processor { vec!["--device".into(), "cpu".into()] } else { device_flag() });
        }
        command.env("LIMN_CACHE", self.folder.join("cache")).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        command
    }

    /// Runs to the end, which must be a good one.
    fn ends_well(&self, run: &Path) {
        let output = self.command(run).stderr(Stdio::piped()).stdout(Stdio::piped()).output().expect("a run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{} {:?}: {said}", self.case.preset, self.on);
    }

    /// Whether something is being written in the run's folder, or was when it ended.
    fn writes(run: &Path) -> bool {
        let temporary = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".limn-tmp");
        fs::read_dir(run).into_iter().flatten().flatten().any(temporary)
    }

    /// Waits while the run goes on and `until` does not hold.
    fn wait(child: &mut Child, pause: Duration, until: impl Fn() -> bool) {
        while !until() && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(pause);
        }
    }

    /// How long a run takes that nobody kills, which must end well.
    fn length(&self, run: &Path) -> Length {
        let start = Instant::now();
        let mut child = self.command(run).spawn().expect("a run");
        Self::wait(&mut child, Duration::from_millis(2), || run.join("config.toml").is_file());
        let before = start.elapsed();
        assert!(child.wait().expect("a run").success(), "{} {:?}", self.case.preset, self.on);
        Length { before, whole: start.elapsed() }
    }

    /// Starts a run and kills it at a moment that is drawn; one time of four at the next that it writes something.
    /// Whether it was still running.
    fn kill(&self, run: &Path, draws: &mut Choices, length: Length) -> bool {
        let (share, whole, writing) = (draws.below(1000) as f64 / 1000.0, draws.below(4) == 0, draws.below(4) == 0);
        let mut child = self.command(run).spawn().expect("a run");
        if whole {
            std::thread::sleep(length.whole.mul_f64(share));
        } else {
            Self::wait(&mut child, Duration::from_millis(2), || run.join("config.toml").is_file());
            std::thread::sleep((length.whole - length.before).mul_f64(share));
        }
        if writing {
            Self::wait(&mut child, Duration::ZERO, || Self::writes(run));
        }
        let killed = child.try_wait().expect("a child").is_none();
        let _ = child.kill();
        let _ = child.wait();
        killed
    }

    /// One run, killed once or twice, against one that is not.
    fn round(&self, draws: &mut Choices, length: Length, met: &mut Met) {
        let (run, whole) = (self.folder.join("run"), self.folder.join("whole"));
        let _ = fs::remove_dir_all(&run);
        // The processor has no variants, and one run stands for all.
        if self.on != On::Processor {
            let _ = fs::remove_dir_all(&whole);
        }
        for _ in 0..1 + draws.below(2) {
            // No run finds what an earlier one measured.
            let _ = fs::remove_dir_all(self.folder.join("cache"));
            if !self.kill(&run, draws, length) {
                break;
            }
            met.kills += 1;
            met.writing += usize::from(Self::writes(&run));
            met.early[0] += usize::from(!run.join("config.toml").is_file());
            met.early[1] += usize::from(run.join("config.toml").is_file() && step_of(&run).is_none());
        }
        let _ = fs::remove_dir_all(self.folder.join("cache"));
        // The same run without an interruption takes the same variants.
        if run.join("config.toml").is_file() && self.on != On::Processor {
            Self::copy_beginning(&run, &whole);
        }
        let (before, began) = (step_of(&run), run.join("config.toml").is_file());
        let total = self.case.steps[self.on as usize];
        if before != Some(total) {
            self.ends_well(&run);
            Self::went_on_from(&run, before.filter(|_| began));
        }
        if self.on != On::Processor && !whole.exists() {
            Self::copy_beginning(&run, &whole);
        }
        if step_of(&whole) != Some(total) {
            self.ends_well(&whole);
        }
        let bits = |run: &Path| fs::read(run.join("checkpoint.safetensors")).expect("a checkpoint");
        assert!(bits(&whole) == bits(&run), "{} {:?}: the checkpoints differ", self.case.preset, self.on);
        assert_eq!(losses(&whole), losses(&run), "{} {:?}", self.case.preset, self.on);
        assert_eq!(losses(&run).len() as u64, total + 1);
        let log = fs::read_to_string(run.join("log.txt")).expect("a log");
        assert!(!log.contains("lacks the rows"), "{log}");
    }

    /// What a run begins with, in a folder where it has not begun.
    fn copy_beginning(run: &Path, to: &Path) {
        fs::create_dir(to).expect("a folder");
        for name in ["config.toml", "choices.json", "provenance.json"] {
            fs::copy(run.join(name), to.join(name)).expect("a file of the run");
        }
    }

    /// The run's last start was from the checkpoint of this step, or from the beginning without one.
    fn went_on_from(run: &Path, step: Option<u64>) {
        let log = fs::read_to_string(run.join("log.txt")).expect("a log");
        let last = log.lines().rfind(|line| line.contains(&format!("in {}", run.display()))).unwrap_or_default();
        let wanted = step.map_or_else(|| "steps 1 to".into(), |step| format!("goes on with steps {} to", step + 1));
        assert!(last.starts_with(&wanted), "{wanted}, and not: {last}");
    }
}

fn step_of(run: &Path) -> Option<u64> {
    let file = run.join("checkpoint.safetensors");
    file.exists().then(|| checkpoint::info(&file).unwrap_or_else(|error| panic!("unreadable: {error}")).step)
}

/// Step, epoch and losses of every row.
fn losses(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.csv")).expect("metrics");
    text.lines().map(|line| line.rsplitn(3, ',').last().unwrap_or_default().to_string()).collect()
}

/// Trains as the tests of this file ask it to, on the driver opened as a GPU.
#[test]
fn child_as_a_gpu() {
    let Some(run) = std::env::var_os("LIMN_TRAINS_IN").map(PathBuf::from) else { return };
    let var = |name| std::env::var(name).expect("what to train");
    let mut config = Config::preset(&var("LIMN_TRAINS")).expect("a preset");
    let settings = var("LIMN_TRAINS_WITH");
    config.set_all(&Setting::all(&settings.split(' ').collect::<Vec<_>>()).expect("settings")).expect("settings");
    let wanted = device_flag()[1].clone();
    let gpu = Gpu::open_as_class(Some(&wanted), Precision::Full, Class::Gpu).expect("a device");
    let start = match run.join("config.toml").is_file() {
        true => Start::Resume(Resume { dir: run, ..Resume::default() }),
        false => Start::New { config, out: Some(run), init: None },
    };
    train(start, Device::Gpu(Arc::new(gpu)), Hooks::default()).expect("a run");
}

fn killed(case: &Case, on: On, kills: usize, seed: u64) -> Met {
    let folder = tempfile::tempdir().expect("a folder");
    let victim = Victim { case, on, folder: folder.path().to_path_buf() };
    let (mut met, mut draws) = (Met::default(), Choices::new(seed));
    let length = victim.length(&folder.path().join("first"));
    while met.kills < kills {
        victim.round(&mut draws, length, &mut met);
    }
    println!(
        "| {} | {on:?} | {:.1} s | {:.1} s | {} | {} | {} | {} |",
        case.preset,
        length.before.as_secs_f64(),
        length.whole.as_secs_f64(),
        met.kills,
        met.early[0],
        met.early[1],
        met.writing
    );
    met
}

#[test]
fn runs_killed_at_random_moments_end_like_those_that_were_not() {
    let driver = device_flag().get(1).is_some_and(|name| !["cpu", "reference"].contains(&name.as_str()));
    println!(
        "| model | device | a run begins | and ends | kills | before the run | before a checkpoint | while writing |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    if !is_long() {
        killed(&CASES[1], On::Processor, 2, 1);
        if driver {
            killed(&CASES[4], On::Driver, 1, 2);
        }
        return;
    }
    let (mut all, mut seed) = (Met::default(), 0);
    for case in &CASES {
        for on in [On::Processor, On::Driver, On::AsGpu].into_iter().filter(|on| driver || *on == On::Processor) {
            seed += 1;
            // The fewer, the longer a run takes.
            let kills = if driver { [11, 7, 2][on as usize] } else { 20 };
            let met = killed(case, on, kills, seed);
            (all.kills, all.writing) = (all.kills + met.kills, all.writing + met.writing);
        }
    }
    println!("{} kills, {} of them while something was written", all.kills, all.writing);
    assert!(all.kills >= 100 && all.writing > 0);
}

/// `timeout` and job schedulers tell a process and its group, so that it hears everything twice.
#[cfg(unix)]
#[test]
fn a_run_told_twice_at_once_to_stop_saves() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    command.env("LIMN_CACHE", folder.path().join("cache")).stdout(Stdio::null()).stderr(Stdio::null());
    // Its steps are long enough for the second to come within one.
    command.args(["train", "vae", "--steps", "1000000", "--batch", "4000", "--device", "cpu", "--out"]).arg(&dir);
    command.args([
        "--set",
        "train.sample_every=0",
        "--set",
        "train.checkpoint_every=1000000",
        "--set",
        "train.log_every=1",
    ]);
    let mut child = command.spawn().expect("a run");
    let under_way = || std::fs::read_to_string(dir.join("metrics.csv")).is_ok_and(|csv| csv.lines().count() > 1);
    while !under_way() {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = child.id();
    let told =
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}; sleep 0.1; kill -TERM {pid} || true")]).status();
    assert!(told.expect("a shell").success());
    let status = child.wait().expect("a child");
    assert!(dir.join("checkpoint.safetensors").exists(), "{status}");
}
