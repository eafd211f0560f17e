//! Programs in the words of a page: what WebGPU needs to replay them.

use super::blob::Blob;
use crate::kernels::{Caps, Class, Slot, Stage, words};
use crate::program::{Options, PlanError, Program, Purpose, Source, View, plan};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Bytes between the beginnings of what is bound: WebGPU's default for uniforms and storage.
const ALIGN: usize = 256;

/// Programs, with all that they need and share.
#[derive(Default, Serialize)]
pub(super) struct Bundle {
    /// Texts of WGSL modules, with a name for people.
    modules: Vec<(&'static str, String)>,
    pipelines: Vec<PipelineRow>,
    programs: Programs,
    #[serde(skip)]
    known_modules: HashMap<usize, usize>,
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
    /// A letter for each storage binding from 1 on: `r` is read, `w` is written. Binding 0 is a
    /// uniform block.
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
    /// What such a device cannot do.
    pub fn add(&mut self, name: &'static str, source: &Source) -> Result<(), PlanError> {
        for class in [Class::Gpu, Class::Lanes] {
            let program = plan(source, &Options::new(Some(Caps { class, once: true, ..Caps::WEBGPU })))?;
            let row = self.row(&program);
            match class {
                Class::Gpu => self.programs.gpu.insert(name, row),
                Class::Lanes => self.programs.lanes.insert(name, row),
            };
        }
        Ok(())
    }

    /// Floating-point operations of a program.
    pub fn flops(&self, name: &str) -> u64 {
        self.programs.gpu.get(name).map_or(0, |program| program.flops)
    }

    /// Bytes of the largest binding.
    pub fn largest(&self) -> usize {
        let bound = self.programs.all().flat_map(|p| &p.dispatches).flat_map(|d| d.bind.iter().flatten());
        4 * bound.map(|[_, _, words]| *words).max().unwrap_or(0)
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
        let address = std::ptr::from_ref(stage.shader).addr();
        let modules = &mut self.modules;
        let module = *self.known_modules.entry(address).or_insert_with(|| {
            // A shader without a source makes no recipe that a device would take.
            modules.push((stage.shader.name, stage.shader.source().unwrap_or_default().to_string()));
            modules.len() - 1
        });
        let letter = |slot: &Slot| if matches!(slot, Slot::Read(_) | Slot::ScratchIn(_)) { 'r' } else { 'w' };
        let row = PipelineRow {
            module,
            constants: stage.constants.iter().copied().collect(),
            access: stage.bind.iter().map(|(_, slot)| letter(slot)).collect(),
        };
        self.pipelines.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.pipelines.push(row);
            self.pipelines.len() - 1
        })
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
