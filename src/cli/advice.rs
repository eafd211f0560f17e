//! What to do about an error of the library, which knows what is wrong but not the command line.

use super::flags;
use super::term::quoted;
use crate::data;
use crate::eval::FigureError;
use crate::export::{ExportError, TooLarge};
use crate::gpu::GpuError;
use crate::report;
use crate::train::{ChangeError, CheckpointError, ConfigError, Cure, RunDir, RunError, SessionError, TrainError};
use crate::tune::TuneError;
use crate::words::{either, similar};
use std::error::Error;
use std::path::Path;

/// An error in the command line's words: what is wrong, and what to do.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut causes = Some(error);
    let causes = std::iter::from_fn(|| {
        let cause = causes?;
        causes = cause.source();
        Some(cause)
    });
    match { causes }.find_map(advice) {
        Some(advice) => format!("{}; {advice}", flags::flagged(&error.to_string())),
        None => flags::told(&error.to_string()),
    }
}

/// What to do about one error in a chain of causes.
fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let of_gpu = || error.downcast_ref().and_then(gpu);
    let of_data = || error.downcast_ref().and_then(images);
    let of_run = || error.downcast_ref().and_then(run).or_else(|| error.downcast_ref().and_then(checkpoint));
    let of_tuner = || error.downcast_ref().and_then(tuner);
    let of_training = || error.downcast_ref().and_then(training);
    let of_session = || error.downcast_ref().and_then(session);
    let of_figure = || error.downcast_ref().and_then(figure);
    let of_export = || error.downcast_ref().and_then(export).or_else(|| error.downcast_ref().and_then(folder));
    let of_program = || of_gpu().or_else(of_data).or_else(of_tuner);
    let of_settings = || error.downcast_ref().and_then(setting).or_else(|| error.downcast_ref().and_then(change));
    of_program()
        .or_else(of_settings)
        .or_else(of_run)
        .or_else(of_training)
        .or_else(of_session)
        .or_else(of_figure)
        .or_else(of_export)
}

/// What other programs call a GPU.
const OF_OTHERS_DEVICES: [&str; 5] = ["cuda", "gpu", "mps", "rocm", "auto"];

/// Whether a device is called so, with or without a number.
fn is_called(wanted: &str, name: &str) -> bool {
    wanted.to_lowercase().split(':').next() == Some(name)
}

fn gpu(error: &GpuError) -> Option<String> {
    let advice = match error {
        GpuError::UnknownDevice { wanted, .. } if OF_OTHERS_DEVICES.iter().any(|name| is_called(wanted, name)) => {
            "without --device it is the fastest, which is a GPU where there is one"
        }
        GpuError::NoAdapter => "or use --device cpu",
        GpuError::Limit { .. } => "choose another with --device",
        GpuError::NoF16 { .. } => "use --precision full, or another device",
        GpuError::NoDxc { .. } => {
            "put it there, choose the card's Vulkan driver with --device, or use --precision full"
        }
        _ => return None,
    };
    Some(advice.into())
}

fn tuner(error: &TuneError) -> Option<String> {
    matches!(error, TuneError::AllWrong { .. }).then(|| "or use --device cpu".into())
}

fn images(error: &data::Error) -> Option<String> {
    Some(match error {
        data::Error::NotFetched { name, .. } => format!("`limn data get {name}` fetches it"),
        data::Error::NotTheSet { name, .. } => format!("`limn data get {name}` fetches it again"),
        data::Error::Moved { .. } => "say where they are with --data".into(),
        data::Error::NotThere { .. } => "--data says where the images of the run are now".into(),
        data::Error::Changed { .. } => {
            "give the place where they are now with --data, or go on with what is there with --accept-changed-data"
                .into()
        }
        data::Error::BatchTooLarge { len, .. } => format!("use --batch {len} or less"),
        data::Error::BatchZero => "use --batch 1 or more".into(),
        _ => return None,
    })
}

fn run(error: &RunError) -> Option<String> {
    Some(match error {
        RunError::NoRun { path, .. } => return meant(path, Path::new("runs")),
        RunError::NoCheckpoint { path } if RunDir::open(path).is_ok_and(|run| run.is_training()) => {
            "it is being trained: the first is there after some minutes, or at Ctrl-C".into()
        }
        RunError::NoCheckpoint { path } => format!("train it with `limn train --resume {}`", quoted(path)),
        RunError::NoAverages { .. } => "a run keeps them with --set train.ema=0.999".into(),
        RunError::InUse { path, run: true } => {
            let resume = format!("limn train --resume {}", quoted(path));
            format!("give another folder with --out, or go on with the run in it: {resume}")
        }
        RunError::InUse { run: false, .. } => "give another folder with --out".into(),
        RunError::Gone { path, step } | RunError::Earlier { path, step, .. } => {
            format!("limn train --resume {} --from {step}", quoted(path))
        }
        _ => return None,
    })
}

/// The other checkpoints of a run whose last one is damaged.
fn checkpoint(error: &CheckpointError) -> Option<String> {
    let CheckpointError::Damaged { path, .. } = error else { return None };
    let run = RunDir::open(path.parent()?).ok().filter(|run| run.checkpoint() == *path)?;
    let resumed =
        |step: &u64| format!("`limn train --resume {} --from {step}` goes on from an earlier one", quoted(&run.path));
    let best = || {
        run.best().is_file().then(|| "`limn sample --best` and others take the one that did best on test images".into())
    };
    let all: Vec<String> = run.kept().last().map(resumed).into_iter().chain(best()).collect();
    (!all.is_empty()).then(|| all.join(", and "))
}

/// The run that somebody means by its name alone, where it is in the folder of runs.
pub fn run_called(name: &str) -> Option<String> {
    let run = Path::new("runs").join(name);
    run.join("config.toml").is_file().then(|| format!("did you mean {}?", quoted(run)))
}

/// The runs that somebody may have meant by a path that is none: those in it, or those of its name
/// in `folder`, where limn puts them.
fn meant(path: &Path, folder: &Path) -> Option<String> {
    let found = |folder: &Path| {
        let mut found = report::folders(folder).unwrap_or_default();
        found.sort();
        found
    };
    if path.is_dir() {
        let inside: Vec<_> = found(path).into_iter().filter(|run| run != path).collect();
        return inside.first().map(|first| format!("there are runs in it, such as {}", quoted(first)));
    }
    let below = folder.join(path);
    if below.join("config.toml").is_file() {
        return Some(format!("did you mean {}?", quoted(below)));
    }
    let all: Vec<String> = found(folder).iter().map(|run| run.display().to_string()).collect();
    let last = |path: &str| Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = all.iter().filter_map(|run| last(run)).collect();
    let wanted = path.file_name()?.to_string_lossy();
    let near = similar(&wanted, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let near: Vec<String> =
        all.iter().filter(|run| last(run).is_some_and(|name| near.contains(&&*name))).map(quoted).collect();
    let first: Vec<&str> = near.iter().take(3).map(String::as_str).collect();
    match (&first[..], &all[..]) {
        ([], []) => None,
        ([], _) => Some("`limn runs` lists those there are".into()),
        (first, _) => Some(format!("did you mean {}?", either(first))),
    }
}

fn export(error: &TooLarge) -> Option<String> {
    matches!(error, TooLarge::Page { half, .. } if half.suffices()).then(|| "make it with --f16".into())
}

fn folder(error: &ExportError) -> Option<String> {
    matches!(error, ExportError::Foreign { .. }).then(|| "give another folder with --out".into())
}

fn setting(error: &ConfigError) -> Option<String> {
    matches!(error, ConfigError::Folder { .. }).then(|| "to go on with a run, use --resume".into())
}

fn change(error: &ChangeError) -> Option<String> {
    match error {
        ChangeError::Fixed { key, .. } => (key == "train.precision").then(|| "say it with --precision".into()),
        ChangeError::Batch { next, .. } => Some(format!("go on until there with --steps {next}")),
    }
}

fn training(error: &TrainError) -> Option<String> {
    match error {
        TrainError::Complete { .. } => Some("to train on, resume it with a larger --steps".into()),
        TrainError::Stopped { saved, .. } => {
            let resume = format!("`limn train --resume {}`", quoted(&saved.dir));
            match saved.step {
                Some(_) => Some(format!("go on from it with {resume}")),
                None => saved.dir.join("config.toml").is_file().then(|| format!("begin again with {resume}")),
            }
        }
        TrainError::BrokeDown { saved, cure, .. } => cured(&saved.dir, cure),
        _ => None,
    }
}

/// What to try with a run in this folder that broke down, and would with the same settings again.
pub fn cured(dir: &Path, cure: &Cure) -> Option<String> {
    let resume = format!("limn train --resume {}", quoted(dir));
    let mut tries = Vec::new();
    tries.extend(cure.lr.map(|lr| format!("with a smaller rate (`{resume} --set optim.lr={lr:?}`)")));
    tries.extend(
        cure.clip_norm.map(|norm| format!("with bounded gradients (`{resume} --set train.clip_norm={norm:?}`)")),
    );
    tries.extend(
        cure.earlier.map(|step| format!("with either from the earlier checkpoint that is kept (`--from {step}`)")),
    );
    (!tries.is_empty()).then(|| {
        format!(
            "the same settings would break down again; go on {}",
            either(&tries.iter().map(String::as_str).collect::<Vec<_>>())
        )
    })
}

fn session(error: &SessionError) -> Option<String> {
    let advice = match error {
        SessionError::NoClass { classes: 0, .. } => "leave --class away, or train a conditional preset",
        SessionError::NoImages => "`limn eval DIR --features` takes them",
        _ => return None,
    };
    Some(advice.into())
}

fn figure(error: &FigureError) -> Option<String> {
    let advice = match error {
        FigureError::NoClassifier { .. } => "train one with `limn train classifier`",
        FigureError::Unknown { name, .. } => match name.to_lowercase().as_str() {
            "fid" => {
                "FID is `--metric frechet --features DIR|FILE` here: the Fréchet distance by the features of a network \
                 that you name"
            }
            "kid" => {
                "KID is `--metric kernel --features DIR|FILE` here: the kernel distance by the features of a network \
                 that you name"
            }
            "is" | "inception" | "inception-score" | "inception_score" => {
                "there is no Inception score; `--metric prdc --features DIR|FILE` tells how good images are (precision) \
                 and how varied (recall)"
            }
            _ => return None,
        },
        FigureError::Size { .. } => "train one of that size (--set model.image=... --set model.channels=...)",
        _ => return None,
    };
    Some(advice.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::DeviceError;
    use crate::train::{Breakdown, Saved};
    use crate::words::word;

    #[test]
    fn advice_is_found_under_whatever_an_error_became() {
        let gpu = || GpuError::NoF16 { adapter: "A card".into() };
        let whole = "A card cannot compute in f16 (it lacks shader_f16), so there is no mixed precision on it; use \
                     --precision full, or another device";
        assert_eq!(told(&gpu()), whole);
        assert_eq!(told(&TrainError::from(DeviceError::from(gpu()))), whole);
        assert_eq!(told(&RunError::from(SessionError::from(DeviceError::from(gpu())))), whole);
        let gone = RunError::Gone { path: "a run".into(), step: 4 };
        let go_on = format!("; limn train --resume {} --from 4", word("a run"));
        assert!(told(&TrainError::from(gone)).ends_with(&go_on));
        assert_eq!(told(&GpuError::Lost("x".into())), GpuError::Lost("x".into()).to_string());
    }

    #[test]
    fn no_library_error_speaks_of_a_flag_where_advice_does() {
        let path = || std::path::PathBuf::from("runs/a");
        let errors: Vec<Box<dyn Error>> = vec![
            Box::new(GpuError::NoAdapter),
            Box::new(GpuError::NoDxc { adapter: "A card".into() }),
            Box::new(data::Error::BatchZero),
            Box::new(data::Error::Moved { path: path() }),
            Box::new(data::Error::NotThere { path: path() }),
            Box::new(RunError::NoCheckpoint { path: path() }),
            Box::new(RunError::InUse { path: path(), run: true }),
            Box::new(SessionError::NoClass { class: 3, classes: 0 }),
            Box::new(SessionError::NoImages),
            Box::new(ConfigError::Folder { path: path() }),
            Box::new(ChangeError::Batch { from: 4, to: 5, step: 3, next: 6 }),
            Box::new(FigureError::Size { takes: "8x8".into(), makes: "9x9".into() }),
            Box::new(TrainError::Stopped {
                why: "the disk is full".into(),
                saved: Saved { dir: path(), step: Some(3) },
            }),
            Box::new(TrainError::BrokeDown {
                how: Breakdown { step: 4, why: "loss is NaN".into() },
                saved: Saved { dir: path(), step: None },
                cure: Cure { lr: Some(1e-4), ..Cure::default() },
            }),
            Box::new(TrainError::Complete { dir: path(), step: 3 }),
        ];
        for error in errors {
            assert!(!error.to_string().contains("--") && told(&*error).contains("--"), "{error}");
        }
    }

    #[test]
    fn a_run_that_is_not_there_leads_to_those_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        assert_eq!(meant(Path::new("vae-1"), &runs), None);
        for run in ["vae-1", "dcgan-1"] {
            std::fs::create_dir_all(runs.join(run)).unwrap();
            std::fs::write(runs.join(run).join("config.toml"), "").unwrap();
        }
        let one = quoted(runs.join("vae-1"));
        for name in ["vae-1", "vae1", "elsewhere/vae-1"] {
            assert_eq!(meant(Path::new(name), &runs), Some(format!("did you mean {one}?")), "{name}");
        }
        assert_eq!(meant(Path::new("other"), &runs).unwrap(), "`limn runs` lists those there are");
        assert!(meant(&runs, &runs).unwrap().starts_with("there are runs in it, such as "));
        assert_eq!(meant(&runs.join("vae-1"), &runs), None);
    }

    #[test]
    fn what_broke_down_is_told_with_all_that_may_help() {
        let how = Breakdown { step: 9, why: "loss is NaN".into() };
        let saved = Saved { dir: "runs/a".into(), step: Some(8) };
        let cure = Cure { lr: Some(1e-4), clip_norm: Some(1.0), earlier: Some(4) };
        let words = told(&TrainError::BrokeDown { how, saved, cure });
        for part in [
            "broke down at step 9: loss is NaN; step 8 is saved",
            "optim.lr=0.0001`",
            "train.clip_norm=1.0`",
            "--from 4`",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert_eq!(cured(Path::new("runs/a"), &Cure::default()), None);
    }

    /// Flags of other programs that the library calls.
    const OF_OTHERS: [&str; 2] = ["--loglevel=", "--ignore-scripts"];

    /// The lines of a folder's files, but for comments and tests, that name a flag or a command of
    /// limn's.
    fn speaking(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "cli" {
                speaking(&path, found);
            }
            // What is no Rust, a page's style and script, says nothing to whoever types.
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            let code = if name.ends_with("tests.rs") { "" } else { text.split("\nmod tests {").next().unwrap_or("") };
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                let line = OF_OTHERS.iter().fold(line.to_string(), |line, other| line.replace(other, ""));
                let flag = line.split("--").skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_lowercase()));
                if flag || line.contains("`limn ") {
                    found.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }

    #[test]
    fn nothing_the_library_says_names_a_flag_or_a_command() {
        let (source, mut found) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), Vec::new());
        speaking(&source, &mut found);
        assert!(found.is_empty(), "advice about flags is told in src/cli/advice.rs:\n{}", found.join("\n"));
        speaking(&source.join("cli"), &mut found);
        assert!(found.len() > 10, "they would be found where they are");
    }
}
