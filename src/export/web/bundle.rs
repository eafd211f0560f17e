//! Programs in the words of a page: what WebGPU needs to replay them.

use super::blob::Blob;
use super::limits::{TooLarge, fitting};
use super::pipeline::WebPipeline;
use crate::kernels::{Class, Slot, Stage, words};
use crate::program::{Program, Purpose, Source, View};
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes between the beginnings of what is bound: WebGPU's default for uniforms and storage.
const ALIGN: usize = 256;

/// Programs, with all that they need and share.
#[derive(Default, Serialize)]
pub(super) struct Bundle {
    /// Texts of WGSL modules, with a name for people.
    modules: Vec<(&'static str, &'static str)>,
    pipelines: Vec<PipelineRow>,
    programs: Programs,
    limits: Limits,
}

/// The most that a program takes of what WebGPU limits, by its names: bytes that a dispatch binds of
/// a buffer, bytes of a buffer.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    max_storage_buffer_binding_size: usize,
    max_buffer_size: usize,
}

/// Programs by their names, planned for both classes of devices: a browser without a GPU computes as
/// a software rasteriser does.
#[derive(Default, Serialize)]
struct Programs {
    gpu: BTreeMap<&'static str, ProgramRow>,
    lanes: BTreeMap<&'static str, ProgramRow>,
}

impl Programs {
    fn all(&self) -> impl Iterator<Item = &ProgramRow> {
        self.gpu.values().chain(self.lanes.values())
    }
}

/// An entry point `main` with its constants.
#[derive(PartialEq, Serialize)]
struct PipelineRow {
    module: usize,
    constants: BTreeMap<&'static str, f64>,
    /// As in [`WebPipeline`].
    access: String,
}

/// A program: dispatches in order.
#[derive(Serialize)]
struct ProgramRow {
    /// Words of each buffer, and the name of those that outlive the program.
    buffers: Vec<(usize, Option<String>)>,
    /// Buffer, first word and words of what the page writes.
    inputs: BTreeMap<String, [usize; 3]>,
    /// The same of what it reads.
    outputs: BTreeMap<String, [usize; 3]>,
    dispatches: Vec<DispatchRow>,
    /// Words of all parameter blocks, one behind the other, each from a multiple of 64 on.
    params: Vec<u32>,
    /// Floating-point operations.
    flops: u64,
}

/// One dispatch.
#[derive(Serialize)]
struct DispatchRow {
    /// The kernel with its shapes, for people.
    label: String,
    pipeline: usize,
    /// First byte of its parameter block, and how many there are.
    params: [usize; 2],
    grid: [u32; 3],
    /// Buffer, first word and words of each storage binding; nothing where an operand is absent.
    bind: Vec<Option<[usize; 3]>>,
    /// Words of `params` that hold the halves of the seed, the lower first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seed: Vec<[usize; 2]>,
    /// The word of `params` that holds the number of the first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<usize>,
}

impl Bundle {
    /// Plans a graph for devices with WebGPU's default limits, and adds it.
    ///
    /// # Errors
    /// What such a device cannot do; nothing is added then.
    pub fn add(&mut self, name: &'static str, source: &Source) -> Result<(), TooLarge> {
        let (gpu, lanes) = (fitting(source, Class::Gpu)?, fitting(source, Class::Lanes)?);
        let (gpu, lanes) = (self.row(&gpu), self.row(&lanes));
        self.programs.gpu.insert(name, gpu);
        self.programs.lanes.insert(name, lanes);
        Ok(())
    }

    /// Floating-point operations of a program.
    pub fn flops(&self, name: &str) -> u64 {
        self.programs.gpu.get(name).map_or(0, |program| program.flops)
    }

    fn row(&mut self, program: &Program) -> ProgramRow {
        let place = |view: &View| [view.buffer, view.offset, view.len];
        let named = |list: &[(String, View)]| list.iter().map(|(name, view)| (name.clone(), place(view))).collect();
        let (mut params, mut dispatches) = (Vec::new(), Vec::new());
        for launch in &program.launches {
            for stage in launch.recipe.iter().flat_map(|recipe| &recipe.stages) {
                params.resize(params.len().next_multiple_of(ALIGN / 4), 0);
                let at = params.len();
                params.extend_from_slice(bytemuck::pod_collect_to_vec::<u8, u32>(&stage.params).as_slice());
                let bind = stage.bind.iter().map(|(_, slot)| match *slot {
                    Slot::Read(i) => launch.reads.get(i).and_then(Option::as_ref).map(place),
                    Slot::Write(i) => launch.writes.get(i).map(place),
                    Slot::ScratchIn(i) | Slot::ScratchOut(i) => Some(place(&launch.scratch[i])),
                });
                let all = words(stage.fields);
                let word = |name: &'static str| {
                    all.iter().filter(move |w| w.name.ends_with(name)).map(move |w| at + w.offset / 4)
                };
                dispatches.push(DispatchRow {
                    label: format!("{} {}", launch.kernel.signature().name, launch.kernel.label()),
                    pipeline: self.pipeline(stage),
                    params: [4 * at, stage.params.len()],
                    grid: stage.grid,
                    bind: bind.collect(),
                    seed: std::iter::zip(word("seed_lo"), word("seed_hi")).map(|(lo, hi)| [lo, hi]).collect(),
                    first: (launch.kernel.signature().name == "draw_pixels").then(|| word("first").next()).flatten(),
                });
            }
        }
        let buffers = program.buffers.iter().map(|buffer| match &buffer.purpose {
            Purpose::State(name) => (buffer.len, Some(name.clone())),
            Purpose::Input(_) | Purpose::Flat | Purpose::Temp => (buffer.len, None),
        });
        let bytes = |words: usize| 4 * words.next_multiple_of(4);
        let bound = dispatches.iter().flat_map(|d| d.bind.iter().flatten()).map(|[_, _, words]| bytes(*words));
        let Limits { max_storage_buffer_binding_size: binding, max_buffer_size: buffer } = &mut self.limits;
        *binding = bound.fold(*binding, usize::max);
        *buffer = program.buffers.iter().map(|b| bytes(b.len)).fold(*buffer, usize::max);
        ProgramRow {
            buffers: buffers.collect(),
            inputs: named(&program.inputs),
            outputs: named(&program.outputs),
            dispatches,
            params,
            flops: program.totals().flops,
        }
    }

    fn pipeline(&mut self, stage: &Stage) -> usize {
        let WebPipeline { name, code, constants, access } = WebPipeline::of(stage);
        let row = PipelineRow { module: known(&mut self.modules, (name, code)), constants, access };
        known(&mut self.pipelines, row)
    }

    /// Adds the parts of the states that the programs read and `values` knows to a blob: what nobody
    /// reads is zero there.
    ///
    /// # Errors
    /// Those of `values`.
    pub fn states<E>(
        &self,
        blob: &mut Blob,
        mut values: impl FnMut(&str) -> Result<Option<Vec<f32>>, E>,
    ) -> Result<(), E> {
        let mut read: BTreeMap<&str, Vec<[usize; 2]>> = BTreeMap::new();
        for program in self.programs.all() {
            for [buffer, offset, len] in program.dispatches.iter().flat_map(|d| d.bind.iter().flatten()) {
                if let Some(name) = &program.buffers[*buffer].1 {
                    read.entry(name).or_default().push([*offset, offset + len]);
                }
            }
        }
        for (name, parts) in read {
            let Some(all) = values(name)? else { continue };
            let mut kept = vec![0.0; all.len()];
            for [from, to] in parts {
                kept[from..to].copy_from_slice(&all[from..to]);
            }
            blob.floats(name, &kept);
        }
        Ok(())
    }
}

/// Where a row is in a list, at whose end it is put if it is not there yet.
fn known<T: PartialEq>(list: &mut Vec<T>, row: T) -> usize {
    list.iter().position(|other| *other == row).unwrap_or_else(|| {
        list.push(row);
        list.len() - 1
    })
}
