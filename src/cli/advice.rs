//! What to do about an error of the library, which knows what is wrong but not the command line.

use super::term::quoted;
use crate::data;
use crate::eval::FigureError;
use crate::gpu::GpuError;
use crate::train::{RunError, SessionError, TrainError};
use crate::tune::TuneError;
use std::error::Error;

/// An error in the command line's words: what is wrong, and what to do.
pub fn told(error: &(dyn Error + 'static)) -> String {
    let mut causes = Some(error);
    let causes = std::iter::from_fn(|| {
        let cause = causes?;
        causes = cause.source();
        Some(cause)
    });
    match { causes }.find_map(advice) {
        Some(advice) => format!("{error}; {advice}"),
        None => error.to_string(),
    }
}

/// What to do about one error in a chain of causes.
fn advice(error: &(dyn Error + 'static)) -> Option<String> {
    let of_gpu = || error.downcast_ref().and_then(gpu);
    let of_data = || error.downcast_ref().and_then(images);
    let of_run = || error.downcast_ref().and_then(run);
    let of_tuner = || error.downcast_ref().and_then(tuner);
    let of_training = || error.downcast_ref().and_then(training);
    let of_session = || error.downcast_ref().and_then(session);
    let of_figure = || error.downcast_ref().and_then(figure);
    let of_program = || of_gpu().or_else(of_data).or_else(of_tuner);
    of_program().or_else(of_run).or_else(of_training).or_else(of_session).or_else(of_figure)
}

fn gpu(error: &GpuError) -> Option<String> {
    let advice = match error {
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

fn training(error: &TrainError) -> Option<String> {
    match error {
        TrainError::Complete { .. } => Some("to train on, resume it with a larger --steps".into()),
        TrainError::Diverged { saved, .. } | TrainError::Stopped { saved, .. } => {
            let resume = format!("limn train --resume {}", quoted(&saved.dir));
            saved.step.map(|_| match saved.lr {
                Some(lr) => format!("go on from it with a smaller rate: `{resume} --set optim.lr={lr:?}`"),
                None => format!("go on from it with `{resume}`"),
            })
        }
        _ => None,
    }
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
        FigureError::Size { .. } => "train one of that size (--set model.image=... --set model.channels=...)",
        _ => return None,
    };
    Some(advice.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::DeviceError;
    use crate::train::Saved;

    #[test]
    fn advice_is_found_under_whatever_an_error_became() {
        let gpu = || GpuError::NoF16 { adapter: "A card".into() };
        let whole = "A card cannot compute in f16 (it lacks shader_f16), so there is no mixed precision on it; use \
                     --precision full, or another device";
        assert_eq!(told(&gpu()), whole);
        assert_eq!(told(&TrainError::from(DeviceError::from(gpu()))), whole);
        assert_eq!(told(&RunError::from(SessionError::from(DeviceError::from(gpu())))), whole);
        let gone = RunError::Gone { path: "a run".into(), step: 4 };
        assert!(told(&TrainError::from(gone)).ends_with("; limn train --resume 'a run' --from 4"));
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
            Box::new(RunError::NoCheckpoint { path: path() }),
            Box::new(RunError::InUse { path: path(), run: true }),
            Box::new(SessionError::NoClass { class: 3, classes: 0 }),
            Box::new(SessionError::NoImages),
            Box::new(FigureError::Size { takes: "8x8".into(), makes: "9x9".into() }),
            Box::new(TrainError::Stopped {
                why: "the disk is full".into(),
                saved: Saved { dir: path(), step: Some(3), lr: None },
            }),
            Box::new(TrainError::Complete { dir: path(), step: 3 }),
        ];
        for error in errors {
            assert!(!error.to_string().contains("--") && told(&*error).contains("--"), "{error}");
        }
    }
}
