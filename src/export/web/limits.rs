//! What a page may take: of WebGPU's default limits, which every device has, and of what browsers
//! load.

use super::super::ExportError;
use crate::kernels::{Caps, Class, Stage};
use crate::program::{Capacity, Exceeded, Options, PlanError, Program, Source, plan};
use crate::words::size;
use std::fmt;

/// Bytes of a page that browsers still load.
const LARGEST_PAGE: u64 = 256 << 20;
/// Bytes of a buffer and of the part of one that a dispatch binds, by WebGPU's default limits.
const DEVICE: Capacity = Capacity { buffer: 256 << 20, binding: Caps::WEBGPU.max_binding_bytes, total: None };
/// Bytes of a uniform block, by the same.
const LARGEST_BLOCK: usize = 64 << 10;

/// Why a model is too large for a page.
#[derive(Debug, thiserror::Error)]
pub enum TooLarge {
    /// More than browsers load.
    #[error("the page would take {}{}, and browsers load {} at most{half}", size(*.bytes), half.of(), size(LARGEST_PAGE))]
    Page {
        /// Bytes that it would take.
        bytes: u64,
        /// What weights in f16 would change.
        half: Half,
    },
    /// A kernel that has no variant within WebGPU's default limits, or a fault of the program.
    #[error("{}", planned(.0))]
    Plan(#[source] PlanError),
    /// A buffer, or what is bound of one.
    #[error("{0}: these are WebGPU's default limits, and numbers are f32 there whatever the weights are in the page")]
    Program(#[source] Exceeded),
    /// Something of a dispatch.
    #[error("a kernel takes {needs} {what}, and WebGPU's default limit is {has}")]
    Dispatch {
        /// What there is a limit of.
        what: &'static str,
        /// How many it takes.
        needs: usize,
        /// How many there may be.
        has: usize,
    },
}

/// What weights in f16 would change of a page's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// They are in f16.
    Taken,
    /// Some are too large for it.
    Impossible,
    /// Bytes of the page with such weights.
    Bytes(u64),
}

impl Half {
    /// Whether such a page could be loaded.
    pub fn suffices(self) -> bool {
        matches!(self, Half::Bytes(bytes) if bytes <= LARGEST_PAGE)
    }

    fn of(self) -> &'static str {
        if self == Half::Taken { " with weights in f16" } else { "" }
    }
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Half::Taken => Ok(()),
            Half::Impossible => write!(f, "; some of its weights are too large for f16"),
            Half::Bytes(bytes) if self.suffices() => write!(f, "; with weights in f16 it would take {}", size(*bytes)),
            Half::Bytes(bytes) => write!(f, ", and with weights in f16 it would still take {}", size(*bytes)),
        }
    }
}

/// Why a program cannot be planned, where the device is any browser's.
fn planned(error: &PlanError) -> String {
    match error {
        PlanError::NoVariant { kernel, label } => {
            format!("{kernel} {label} is too large for every variant within WebGPU's default limits")
        }
        other => other.to_string(),
    }
}

/// Whether browsers load a page of so many bytes; `half` is asked for where they do not.
pub(super) fn loads(bytes: u64, half: impl FnOnce() -> Result<Half, ExportError>) -> Result<(), ExportError> {
    match bytes > LARGEST_PAGE {
        true => Err(TooLarge::Page { bytes, half: half()? }.into()),
        false => Ok(()),
    }
}

/// A graph as a program for any device of WebGPU's of this class.
pub(super) fn fitting(source: &Source, class: Class) -> Result<Program, TooLarge> {
    let program =
        plan(source, &Options::new(Some(Caps { class, once: true, ..Caps::WEBGPU }))).map_err(TooLarge::Plan)?;
    DEVICE.check(&program).map_err(TooLarge::Program)?;
    let recipes = program.launches.iter().filter_map(|launch| launch.recipe.as_ref());
    recipes.flat_map(|recipe| &recipe.stages).try_for_each(dispatch)?;
    Ok(program)
}

/// Whether a dispatch is within the limits.
fn dispatch(stage: &Stage) -> Result<(), TooLarge> {
    let caps = Caps::WEBGPU;
    let groups = stage.grid.iter().max().copied().unwrap_or(0);
    let all = [
        ("storage buffers", stage.bind.len(), caps.max_storage_bindings as usize),
        ("workgroups in a dimension", groups as usize, caps.max_groups as usize),
        ("bytes of parameters", stage.params.len(), LARGEST_BLOCK),
    ];
    match all.into_iter().find(|(_, needs, has)| needs > has) {
        Some((what, needs, has)) => Err(TooLarge::Dispatch { what, needs, has }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Noise};
    use crate::kernels::copy::Copy;
    use crate::kernels::{Kernel, Slot};

    #[test]
    fn a_page_that_browsers_do_not_load_says_what_f16_would_save() {
        let told = |bytes, half| {
            let words = loads(bytes, || Ok(half)).expect_err("too large").to_string();
            words.strip_prefix("this model is too large for a page: ").expect("how it begins").to_string()
        };
        assert!(loads(LARGEST_PAGE, || panic!("not asked for")).is_ok());
        let more = LARGEST_PAGE + 1;
        let head = "the page would take 268.4 MB, and browsers load 268.4 MB at most";
        assert_eq!(told(more, Half::Bytes(140_000_000)), format!("{head}; with weights in f16 it would take 140.0 MB"));
        assert!(Half::Bytes(LARGEST_PAGE).suffices());
        for half in [Half::Bytes(more), Half::Impossible, Half::Taken] {
            assert!(!half.suffices(), "{half:?}");
        }
        assert_eq!(
            told(600_000_000, Half::Bytes(310_000_000)),
            "the page would take 600.0 MB, and browsers load 268.4 MB at most, and with weights in f16 it would still \
             take 310.0 MB"
        );
        assert_eq!(told(more, Half::Impossible), format!("{head}; some of its weights are too large for f16"));
        assert_eq!(
            told(310_000_000, Half::Taken),
            "the page would take 310.0 MB with weights in f16, and browsers load 268.4 MB at most"
        );
    }

    /// What is said of a program that adds two states of so many numbers.
    fn sum(len: usize, of: usize) -> Result<Program, TooLarge> {
        let graph = Graph::new(Noise { seed: 0, domain: 0, clock: "clock".into() });
        let [a, b] = ["a", "b"].map(|name| graph.state(name, of, 0, &[1, len]));
        graph.output("y", &a.matmul(&b.reshape(&[len, 1])));
        fitting(&graph.finish().expect("a graph"), Class::Gpu)
    }

    #[test]
    fn bindings_and_buffers_are_within_the_default_limits() {
        let numbers = (Caps::WEBGPU.max_binding_bytes / 4) as usize;
        assert!(sum(numbers, numbers).is_ok());
        let told = |len, of| sum(len, of).expect_err("too large").to_string();
        let binding = told(numbers + 4, numbers + 4);
        assert!(
            binding.starts_with("it needs a tensor of 134.2 MB, and the device takes at most 134.2 MB"),
            "{binding}"
        );
        assert!(sum(64, 2 * numbers).is_ok());
        let buffer = told(64, 2 * numbers + 4);
        assert!(buffer.starts_with("it needs a buffer of 268.4 MB, and the device takes at most 268.4 MB"), "{buffer}");
        assert!(binding.contains("WebGPU's default limits"));
    }

    #[test]
    fn dispatches_are_within_the_default_limits() {
        let stage = || Copy { len: 7 }.variants(&Caps::WEBGPU).remove(0).stages.remove(0);
        let told = |stage: Stage| dispatch(&stage).map_err(|e| e.to_string());
        assert_eq!(told(stage()), Ok(()));
        let bound = |n| Stage { bind: vec![("x", Slot::Read(0)); n], ..stage() };
        assert_eq!(told(bound(8)), Ok(()));
        assert_eq!(told(bound(9)), Err("a kernel takes 9 storage buffers, and WebGPU's default limit is 8".into()));
        let groups = |y| Stage { grid: [1, y, 1], ..stage() };
        assert_eq!(told(groups(65535)), Ok(()));
        assert_eq!(
            told(groups(65536)),
            Err("a kernel takes 65536 workgroups in a dimension, and WebGPU's default limit is 65535".into())
        );
        let block = |n| Stage { params: vec![0; n], ..stage() };
        assert_eq!(told(block(65536)), Ok(()));
        assert!(told(block(65540)).is_err_and(|why| why.contains("65540 bytes of parameters")));
    }
}
