//! Earlier checkpoints of a run, in the folder `checkpoints/`, and going back to one of them.
//!
//! The last checkpoint is always `checkpoint.safetensors`. Before the next takes its place it gets
//! a second name, `checkpoints/step-N.safetensors`: the file itself is written once, and whenever
//! the machine stops, every name that is there is that of a whole file.

use super::folder::{RunDir, RunError};
use super::jsonl::{JsonLines, leave_later};
use super::{checkpoint, testing};
use crate::files::{make_innermost_folder_of, read_in_memory, replace, system};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

impl RunDir {
    fn kept_folder(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    fn kept_file(&self, step: u64) -> PathBuf {
        self.kept_folder().join(format!("step-{step}.safetensors"))
    }

    /// Steps of the earlier checkpoints that are kept, in order.
    pub fn kept(&self) -> Vec<u64> {
        let step = |name: &OsStr| name.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok();
        let entries = fs::read_dir(self.kept_folder()).into_iter().flatten().flatten();
        let mut steps: Vec<u64> = entries.filter_map(|entry| step(&entry.file_name())).collect();
        steps.sort_unstable();
        steps
    }

    /// Keeps the last checkpoint, which is of this step, when the next takes its place.
    pub(super) fn keep_last(&self, step: u64) -> io::Result<()> {
        let kept = self.kept_file(step);
        make_innermost_folder_of(&kept)?;
        // One of this step from before is no other, or of a course of the run that was left.
        let _ = system::remove_file(&kept);
        second_name(&self.checkpoint(), &kept)
    }

    /// Removes earlier checkpoints but the last `count`.
    pub(super) fn prune(&self, count: usize) {
        let steps = self.kept();
        for step in steps.iter().rev().skip(count) {
            // One that stays costs room and nothing else, and the next time is soon.
            let _ = system::remove_file(&self.kept_file(*step));
        }
        if count == 0 {
            let _ = system::remove_dir(&self.kept_folder());
        }
    }

    /// The checkpoint of this step, and whether it is another than the last one.
    ///
    /// # Errors
    /// [`RunError::NoStep`] with those there are.
    pub(super) fn checkpoint_of(&self, step: u64) -> Result<(PathBuf, bool), RunError> {
        let last = checkpoint::info(&self.checkpoint()).ok().map(|info| info.step);
        let mut steps = self.kept();
        if last == Some(step) {
            return Ok((self.checkpoint(), false));
        }
        if steps.contains(&step) {
            return Ok((self.kept_file(step), true));
        }
        steps.extend(last);
        steps.dedup();
        let known = match steps.iter().map(u64::to_string).collect::<Vec<_>>().as_slice() {
            [] => "it has none that can be used".into(),
            [one] => format!("its only one is of step {one}; a run keeps more with train.keep"),
            several => format!("there are those of steps {}", several.join(", ")),
        };
        Err(RunError::NoStep { path: self.path.clone(), step, known })
    }

    /// Makes the kept checkpoint of this step the last one. Checkpoints and pictures after it, and the losses and
    /// figures so far, are set aside in a folder of their own, whose path is returned.
    pub(super) fn go_back(&self, step: u64) -> Result<PathBuf, RunError> {
        let aside = self.new_folder("left-at-step", step)?;
        let name = |path: &Path| aside.join(path.file_name().unwrap_or_default());
        // Whoever goes on takes the rows of later steps out of the first three.
        let tables = [self.metrics(), self.path.join(testing::FILE), JsonLines::file(&self.path), self.figures()];
        for table in tables.iter().filter(|table| table.exists()) {
            let copied = read_in_memory(table).and_then(|bytes| replace(&name(table), |file| file.write_all(&bytes)));
            copied.map_err(RunError::io("set aside", table))?;
        }
        leave_later(&self.figures(), step).map_err(RunError::io("set aside figures of", &self.path))?;
        for later in self.kept().into_iter().filter(|kept| *kept > step).map(|kept| self.kept_file(kept)) {
            system::rename(&later, &name(&later)).map_err(RunError::io("set aside", &later))?;
        }
        for picture in fs::read_dir(self.samples()).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let stem = picture.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            if stem.strip_prefix("step-").and_then(|of| of.parse().ok()).is_some_and(|of: u64| of > step) {
                system::rename(&picture, &name(&picture)).map_err(RunError::io("set aside", &picture))?;
            }
        }
        let best = self.best();
        if checkpoint::info(&best).is_ok_and(|info| info.step > step) {
            system::rename(&best, &name(&best)).map_err(RunError::io("set aside", &best))?;
        }
        let last = self.checkpoint();
        if last.exists() {
            second_name(&last, &name(&last)).map_err(RunError::io("set aside", &last))?;
        }
        // Until here the run is what it was, and from here on it stands at the step.
        let kept = self.kept_file(step);
        system::rename(&kept, &last).map_err(RunError::io("set aside", &kept))?;
        Ok(aside)
    }

    /// Makes a folder `NAME-STEP`, or with a further number where there is one.
    fn new_folder(&self, name: &str, step: u64) -> Result<PathBuf, RunError> {
        let numbered = |n: u64| if n == 1 { String::new() } else { format!("-{n}") };
        let mut paths = (1..).map(|n| self.path.join(format!("{name}-{step}{}", numbered(n))));
        loop {
            let path = paths.next().unwrap_or_default();
            match system::create_dir(&path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunError::io("create", &path)(error)),
            }
        }
    }
}

/// Gives a file a second name; where the file system knows no such thing, a copy.
fn second_name(path: &Path, second: &Path) -> io::Result<()> {
    system::hard_link(path, second).or_else(|_| {
        let bytes = read_in_memory(path)?;
        replace(second, |file| file.write_all(&bytes))
    })
}
