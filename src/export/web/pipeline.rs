//! A stage of a kernel in the words of a page.

use crate::kernels::{Slot, Stage};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a page gives a browser of a stage: a module of WGSL, whose entry point is called `main`, and
/// how the pipeline is made of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WebPipeline {
    /// The shader's name, for people.
    pub name: &'static str,
    /// The text of the module.
    pub code: &'static str,
    /// Values of its override constants.
    pub constants: BTreeMap<&'static str, f64>,
    /// A letter for each storage binding from 1 on: `r` is read, `w` is written. Binding 0 is a
    /// uniform block.
    pub access: String,
}

impl WebPipeline {
    /// The stage as pages have it.
    pub fn of(stage: &Stage) -> WebPipeline {
        let letter = |slot: &Slot| if slot.is_read() { 'r' } else { 'w' };
        WebPipeline {
            name: stage.shader.name,
            // A shader without a source makes no recipe that a device would take.
            code: stage.shader.source().unwrap_or_default(),
            constants: stage.constants.iter().copied().collect(),
            access: stage.bind.iter().map(|(_, slot)| letter(slot)).collect(),
        }
    }
}
