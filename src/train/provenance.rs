//! What a run was made with: `provenance.json` in its folder.

use super::breakdown::Breakdown;
use super::change::Change;
use super::folder::{RunDir, RunError};
use super::initial::Initial;
use crate::choices::Choices;
use crate::files::{read_small, replace};
use crate::gpu::AdapterDesc;
use crate::kernels::Precision;
use crate::program::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::SystemTime;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// The file's name in the run's folder.
pub(super) const PROVENANCE: &str = "provenance.json";

/// A device that training ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The adapter's name, or that of a built-in device: `cpu` or `reference`.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`; `cpu` of a built-in device.
    pub backend: String,
    /// Driver and its version; the processor of a built-in device, whose widest vectors decide in
    /// which order it adds up.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
    pub kind: String,
}

impl Machine {
    /// The machine behind an open device.
    pub fn of(device: &Device) -> Machine {
        match device.gpu() {
            Some(gpu) => Machine::of_adapter(gpu.desc()),
            None => {
                Machine { name: device.name(), backend: BUILT_IN.into(), driver: processor(), kind: BUILT_IN.into() }
            }
        }
    }

    fn of_adapter(desc: &AdapterDesc) -> Machine {
        let AdapterDesc { name, backend, driver, kind, .. } = desc;
        Machine { name: name.clone(), backend: backend.clone(), driver: driver.clone(), kind: (*kind).into() }
    }

    /// The machine that choices were made on, which are kept under adapter, backend and driver in
    /// one line.
    fn of_choices(choices: &Choices) -> Option<Machine> {
        let split = |backend: &&str| choices.device.split_once(&format!(", {backend}, "));
        let backend = ["vulkan", "metal", "dx12"].into_iter().find(|backend| split(backend).is_some())?;
        let (name, driver) = split(&backend)?;
        Some(Machine { name: name.into(), backend: backend.into(), driver: driver.into(), kind: "other".into() })
    }

    /// Whether it is built in, so that every machine has it.
    pub fn is_built_in(&self) -> bool {
        self.backend == BUILT_IN
    }

    /// Whether an adapter is this one, with whatever driver.
    pub fn is(&self, adapter: &AdapterDesc) -> bool {
        self.name == adapter.name && self.backend == adapter.backend
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_built_in() {
            true => f.write_str(&self.name),
            false => write!(f, "{} ({})", self.name, self.backend),
        }
    }
}

/// The backend of devices that need no driver.
const BUILT_IN: &str = "cpu";

/// The processor's name.
fn processor() -> String {
    let known = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(known);
    system.cpus().first().map(|cpu| cpu.brand().trim().to_string()).unwrap_or_default()
}

/// From a start or a resume of a run to its end or its stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sitting {
    /// When it began, in UTC.
    pub began: String,
    /// Steps that had been done.
    pub step: u64,
    /// Version of limn.
    pub limn: String,
    /// What it ran on.
    pub device: Machine,
    /// How products were computed.
    #[serde(default)]
    pub precision: Precision,
    /// Fingerprint of the kernels' variants; none on a built-in device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<String>,
    /// Settings that are others than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// How its numbers broke down, where that is how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_down: Option<Breakdown>,
    /// What whoever stopped it did not wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Unfinished>,
    /// The weights that a new run was started from, where they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Initial>,
    /// Ranks that trained together.
    #[serde(default = "super::config::one", skip_serializing_if = "super::config::is_one")]
    pub ranks: usize,
}

/// What was due at a step as a run was stopped there, and is made where it goes on from that step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The step.
    pub step: u64,
    /// Whether its picture of samples is missing.
    pub picture: bool,
    /// Whether its figures of test images are.
    pub figures: bool,
}

impl Sitting {
    /// One that begins now.
    pub(super) fn now(device: &Device, choices: Option<&Choices>, step: u64, changes: Vec<Change>) -> Sitting {
        Sitting {
            began: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            step,
            limn: env!("CARGO_PKG_VERSION").into(),
            device: Machine::of(device),
            precision: device.precision(),
            variants: choices.filter(|_| device.gpu().is_some()).map(variants),
            changes,
            broke_down: None,
            unfinished: None,
            initial: None,
            ranks: 1,
        }
    }

    /// A sentence about what makes the bits of the steps after `earlier` others than if the run had
    /// never stopped, if there is something.
    pub(super) fn differs(&self, earlier: &Sitting) -> Option<String> {
        let (a, b) = (&earlier.device, &self.device);
        let mut why = Vec::new();
        let moved = (&a.name, &a.backend) != (&b.name, &b.backend);
        if moved {
            why.push(format!("it was made on {a} and now runs on {b}"));
        } else if a.driver != b.driver && !a.driver.is_empty() {
            let what = if a.is_built_in() { "the processor" } else { "the driver" };
            why.push(format!("{what} of {a} was {} and is {}", a.driver, b.driver));
        }
        if earlier.precision != self.precision {
            why.push(format!("its precision was {} and is {}", earlier.precision, self.precision));
        }
        if earlier.limn != self.limn {
            why.push(format!("it was made with limn {} and goes on with {}", earlier.limn, self.limn));
        }
        let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        if why.is_empty() && !same(&earlier.variants, &self.variants) {
            why.push("its kernels take other variants than before".into());
        }
        if earlier.ranks != self.ranks {
            why.push(format!("sums over a batch were taken in {} ranks and now are in {}", earlier.ranks, self.ranks));
        }
        let will = if moved { "will" } else { "may" };
        let bits = format!("its bits {will} differ from those of a run that never stopped");
        (!why.is_empty()).then(|| format!("{}: from step {} on {bits}", why.join(", and "), self.step + 1))
    }

    /// The same sentence where nothing says what the steps before were made on.
    pub(super) fn unknown(&self) -> String {
        let from = self.step + 1;
        format!("nothing says on what it was made: if not on {}, its bits differ from step {from} on", self.device)
    }
}

/// A fingerprint of the variants that kernels take.
fn variants(choices: &Choices) -> String {
    let mut hash = Sha256::new();
    for (key, choice) in &choices.kernels {
        hash.update(format!("{key}={}\n", choice.variant));
    }
    crate::words::hex(&hash.finalize()[..8])
}

/// What a run was made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Its start, and every time it went on.
    pub sittings: Vec<Sitting>,
}

impl Provenance {
    /// What it ran on last.
    pub fn device(&self) -> Option<&Machine> {
        self.sittings.last().map(|sitting| &sitting.device)
    }

    /// The steps of a run that has taken `step` of them, where its batches are now of `batch` images: how many, and of
    /// how many images, for each part of it that went on with another size. The last part comes first.
    pub fn batches(&self, mut batch: u64, step: u64) -> Vec<[u64; 2]> {
        let (mut end, mut parts) = (step, Vec::new());
        for sitting in self.sittings.iter().rev() {
            parts.push([end.saturating_sub(sitting.step), batch]);
            end = end.min(sitting.step);
            let change = sitting.changes.iter().find(|change| change.key == "train.batch");
            batch = change.and_then(|change| change.from.parse().ok()).unwrap_or(batch);
        }
        parts.push([end, batch]);
        parts.retain(|[steps, _]| *steps > 0);
        parts.dedup_by(|earlier, later| {
            let same = earlier[1] == later[1];
            later[0] += if same { earlier[0] } else { 0 };
            same
        });
        parts
    }
}

impl RunDir {
    /// Writes something down of the sitting that is under way, as far as that can be done.
    pub(super) fn note(&self, what: impl FnOnce(&mut Sitting)) {
        if let Ok(mut provenance) = self.provenance()
            && let Some(sitting) = provenance.sittings.last_mut()
        {
            what(sitting);
            let _ = self.write_provenance(&provenance);
        }
    }

    /// What the run was made with; of one from before that was written down, what its variants say.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn provenance(&self) -> Result<Provenance, RunError> {
        let path = self.path.join(PROVENANCE);
        let text = match read_small(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self.earlier()),
            Err(error) => return Err(RunError::io("read", &path)(error)),
        };
        serde_json::from_slice(&text).map_err(|error| RunError::Provenance { path, why: error.to_string() })
    }

    /// The provenance of a run that has none written down.
    fn earlier(&self) -> Provenance {
        let device = self.all_choices().ok().flatten().and_then(|choices| Machine::of_choices(&choices));
        let sitting = |device| Sitting {
            began: String::new(),
            step: 0,
            limn: env!("CARGO_PKG_VERSION").into(),
            device,
            precision: self.config.train.precision,
            variants: None,
            changes: Vec::new(),
            broke_down: None,
            unfinished: None,
            initial: None,
            ranks: 1,
        };
        Provenance { sittings: device.map(sitting).into_iter().collect() }
    }

    /// Writes down what the run was made with.
    pub(super) fn write_provenance(&self, provenance: &Provenance) -> Result<(), RunError> {
        let path = self.path.join(PROVENANCE);
        let text = serde_json::to_string_pretty(provenance)
            .map_err(|error| RunError::Provenance { path: path.clone(), why: error.to_string() })?;
        replace(&path, |file| writeln!(file, "{text}")).map_err(RunError::io("save", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sitting(name: &str, backend: &str, driver: &str) -> Sitting {
        let machine = Machine { name: name.into(), backend: backend.into(), driver: driver.into(), kind: "cpu".into() };
        Sitting { device: machine, ..Sitting::now(&Device::Cpu, None, 9, Vec::new()) }
    }

    #[test]
    fn steps_are_told_by_the_batches_they_were_of() {
        let sitting = |step, was: Option<&str>| {
            let change = |from: &str| Change { key: "train.batch".into(), from: from.into(), to: String::new() };
            Sitting::now(&Device::Cpu, None, step, was.map(change).into_iter().collect())
        };
        let batches = |sittings, step| Provenance { sittings }.batches(8, step);
        assert_eq!(batches(vec![sitting(0, None)], 10), [[10, 8]]);
        // Ten steps of 4, and then five of 8; of a run that went back, those that count.
        assert_eq!(batches(vec![sitting(0, None), sitting(10, Some("4"))], 15), [[5, 8], [10, 4]]);
        assert_eq!(batches(vec![sitting(0, None), sitting(10, None), sitting(5, Some("4"))], 15), [[10, 8], [5, 4]]);
        assert_eq!(batches(Vec::new(), 3), [[3, 8]]);
        // Whoever goes on with the same size has the same part.
        assert_eq!(batches(vec![sitting(0, None), sitting(2, None), sitting(6, None)], 9), [[9, 8]]);
    }

    #[test]
    fn one_sentence_says_what_makes_the_bits_differ() {
        let card = sitting("Card", "vulkan", "driver 1");
        assert_eq!(card.differs(&card), None);
        let words = card.differs(&sitting("cpu", "cpu", "processor")).unwrap();
        let moved = "it was made on cpu and now runs on Card (vulkan): from step 10 on its bits will differ";
        assert!(words.starts_with(moved), "{words}");
        assert!(sitting("Card", "dx12", "driver 1").differs(&card).unwrap().contains("on Card (dx12)"));
        let words = sitting("Card", "vulkan", "driver 2").differs(&card).unwrap();
        assert!(words.starts_with("the driver of Card (vulkan) was driver 1 and is driver 2: "), "{words}");
        let words = sitting("cpu", "cpu", "new").differs(&sitting("cpu", "cpu", "old")).unwrap();
        assert!(words.starts_with("the processor of cpu was old and is new: "), "{words}");
        let mixed = Sitting { precision: Precision::Mixed, limn: "0.0.1".into(), ..card.clone() };
        let words = card.differs(&mixed).unwrap();
        assert!(words.contains("precision was mixed and is full, and it was made with limn 0.0.1"), "{words}");
        let [one, other] = ["a", "b"].map(|v| Sitting { variants: Some(v.into()), ..card.clone() });
        assert!(one.differs(&other).unwrap().contains("other variants"));
        assert_eq!((one.differs(&one), one.differs(&card)), (None, None));
    }

    #[test]
    fn a_device_is_read_from_the_line_its_choices_are_kept_under() {
        let choices = |device: &str| Choices { device: device.into(), ..Choices::default() };
        let line = "llvmpipe (LLVM 15.0.6, 256 bits), vulkan, llvmpipe, Mesa 22.3.6";
        let machine = Machine::of_choices(&choices(line)).unwrap();
        assert_eq!((&machine.name[..], &machine.backend[..]), ("llvmpipe (LLVM 15.0.6, 256 bits)", "vulkan"));
        assert_eq!(machine.driver, "llvmpipe, Mesa 22.3.6");
        assert_eq!(Machine::of_choices(&choices("")), None);
    }
}
