//! Where the time of a training step goes, as a table that can be kept: what `limn profile` saves and
//! a run's page reads.

use super::measure::{Profile, ProfileRow};
use crate::bench::{Clock, Roof};
use crate::files;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The time of a step by its kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepProfile {
    /// The preset, file or run whose step it is.
    pub of: String,
    /// Device name.
    pub device: String,
    /// How it computes: `full` or `mixed`.
    pub precision: String,
    /// Images a step trains on.
    pub batch: usize,
    /// Median milliseconds of a step in which nothing is timed inside.
    pub step_ms: f64,
    /// Milliseconds of all launches, each timed alone.
    pub launches_ms: f64,
    /// What launches were timed by.
    pub clock: String,
    /// The device's ceilings.
    pub ceilings: Roof,
    /// Launches of the same kernel, shape and variant in the same part of the model, in the order
    /// in which they come first.
    pub kernels: Vec<KernelTime>,
}

/// The time of a kernel in a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KernelTime {
    /// Kernel name.
    pub name: String,
    /// Part of the model.
    pub part: String,
    /// Its shapes.
    pub shape: String,
    /// Variant.
    pub variant: String,
    /// Launches in a step.
    pub count: usize,
    /// Milliseconds of all of them.
    pub ms: f64,
    /// 10⁹ operations a second.
    pub gflops: f64,
    /// 10⁹ bytes a second.
    pub gbs: f64,
    /// The share of the nearer ceiling.
    pub share: f64,
}

impl StepProfile {
    /// The file that `limn profile` leaves in a run's folder.
    pub const FILE: &'static str = "profile.json";

    /// The table of a profile.
    pub fn new(profile: &Profile, ceilings: Roof, [of, device, precision]: [String; 3], batch: usize) -> StepProfile {
        let mut groups: Vec<Vec<&ProfileRow>> = Vec::new();
        for row in &profile.rows {
            let alike = |group: &&mut Vec<&ProfileRow>| {
                let first = group[0];
                (first.kernel, first.variant) == (row.kernel, row.variant)
                    && (&first.shape, &first.scope) == (&row.shape, &row.scope)
            };
            match groups.iter_mut().find(alike) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        let clock = match profile.clock {
            Clock::Stamps => "timestamps",
            Clock::Differences => "differences",
            Clock::Host => "host",
        };
        StepProfile {
            of,
            device,
            precision,
            batch,
            step_ms: profile.step_ms,
            launches_ms: profile.rows.iter().map(|row| row.ms).sum(),
            clock: clock.into(),
            kernels: groups.iter().map(|group| KernelTime::of(group, &ceilings)).collect(),
            ceilings,
        }
    }

    /// The largest share of a ceiling that a launch of some weight reaches by these.
    pub fn highest(profile: &Profile, ceilings: &Roof) -> f64 {
        let total: f64 = profile.rows.iter().map(|row| row.ms).sum();
        // A clock's tick is a large part of what is hardly there.
        let weighty = profile.rows.iter().filter(|row| row.ms > 0.01 * total);
        weighty.map(|row| ceilings.share(row.cost, row.arithmetic, row.ms)).fold(0.0, f64::max)
    }

    /// What was saved in a file.
    ///
    /// # Errors
    /// What the system said, or what is wrong with the text.
    pub fn read(path: &Path) -> io::Result<StepProfile> {
        Ok(serde_json::from_slice(&files::read_small(path)?)?)
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// What the system said.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        files::replace(path, |file| writeln!(file, "{text}"))
    }
}

impl KernelTime {
    fn of(rows: &[&ProfileRow], ceilings: &Roof) -> KernelTime {
        let (first, count) = (rows[0], rows.len());
        let ms: f64 = rows.iter().map(|row| row.ms).sum();
        let seconds = 1e-3 * ms.max(1e-9);
        let of_all = |each: u64| 1e-9 * (count as u64 * each) as f64 / seconds;
        KernelTime {
            name: first.kernel.into(),
            part: first.scope.clone(),
            shape: first.shape.clone(),
            variant: first.variant.into(),
            count,
            ms,
            gflops: of_all(first.cost.flops),
            gbs: of_all(first.cost.bytes),
            share: ceilings.share(first.cost, first.arithmetic, ms / count as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    #[test]
    fn a_table_is_read_back_to_the_last_bit() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (name, part, shape, variant) = ("dot".into(), "loss".into(), "[2, 3]".into(), "lanes".into());
        let first = KernelTime { name, part, shape, variant, count: 1, ms: 0.0, gflops: 0.0, gbs: 0.0, share: 0.0 };
        let kernels =
            (0..1000).map(|_| KernelTime { ms: rng.random(), share: rng.random(), ..first.clone() }).collect();
        let [of, device, precision, clock] = ["vae", "cpu", "full", "host"].map(String::from);
        let ceilings = Roof { gflops: 1.0, ..Roof::default() };
        let table =
            StepProfile { of, device, precision, batch: 2, step_ms: 1.0, launches_ms: 1.0, clock, ceilings, kernels };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(StepProfile::FILE);
        table.save(&path).expect("a file");
        assert!(StepProfile::read(&path).expect("a table") == table);
    }
}
