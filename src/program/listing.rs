//! The program as text: every launch with its shapes, variant, arithmetic and traffic.

use super::{Launch, Program, Purpose, View};
use serde::Serialize;
use std::fmt::Write;

/// What a program costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Launches a run.
    pub launches: usize,
    /// Floating-point operations a run.
    pub flops: u64,
    /// Bytes a run moves when every operand is touched once.
    pub bytes: u64,
    /// Bytes of states, inputs, flat buffers and temporaries together.
    pub memory: u64,
    /// Bytes of temporaries.
    pub temporary: u64,
    /// Bytes temporaries would take without reuse.
    pub unshared: u64,
}

/// A launch as a machine reads it.
#[derive(Clone, Debug, Serialize)]
pub struct LaunchRow {
    /// Part of the model.
    pub part: String,
    /// Kernel name.
    pub kernel: &'static str,
    /// Its shapes and settings, for people.
    pub shape: String,
    /// Variant, `cpu` where the processor computes.
    pub variant: &'static str,
    /// Its operands that are there, reads before writes.
    pub operands: Vec<Operand>,
    /// Shader and workgroups of each of its dispatches; none where the processor computes.
    pub stages: Vec<StageRow>,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes when every operand is touched once.
    pub bytes: u64,
}

/// Something that a launch reads or writes.
#[derive(Clone, Debug, Serialize)]
pub struct Operand {
    /// Its name in the kernel's signature.
    pub name: &'static str,
    /// Whether it is written.
    pub written: bool,
    /// Its buffer, by its number in the listing.
    pub buffer: usize,
    /// The first element in there.
    pub offset: usize,
    /// Elements.
    pub len: usize,
}

/// One dispatch of a launch.
#[derive(Clone, Debug, Serialize)]
pub struct StageRow {
    /// Its shader.
    pub shader: &'static str,
    /// Workgroups in each dimension.
    pub workgroups: [u32; 3],
}

impl LaunchRow {
    fn of(launch: &Launch) -> LaunchRow {
        let (signature, cost) = (launch.kernel.signature(), launch.kernel.cost());
        let operand = |name, written, view: &View| Operand {
            name,
            written,
            buffer: view.buffer,
            offset: view.offset,
            len: view.len,
        };
        let reads = std::iter::zip(signature.reads, &launch.reads);
        let reads = reads.filter_map(|(name, view)| Some(operand(*name, false, view.as_ref()?)));
        let writes =
            std::iter::zip(signature.writes, &launch.writes).map(|((name, _), view)| operand(name, true, view));
        let stages = launch.recipe.iter().flat_map(|recipe| &recipe.stages);
        LaunchRow {
            part: launch.scope.to_string(),
            kernel: signature.name,
            shape: launch.kernel.label(),
            variant: launch.recipe.as_ref().map_or("cpu", |recipe| recipe.name),
            operands: reads.chain(writes).collect(),
            stages: stages.map(|s| StageRow { shader: s.shader.name, workgroups: s.grid }).collect(),
            flops: cost.flops,
            bytes: cost.bytes,
        }
    }
}

impl Program {
    /// Every launch, in order.
    pub fn rows(&self) -> Vec<LaunchRow> {
        self.launches.iter().map(LaunchRow::of).collect()
    }

    /// Sums over all launches and buffers.
    pub fn totals(&self) -> Totals {
        let mut t = Totals { launches: self.launches.len(), unshared: 4 * self.unshared as u64, ..Totals::default() };
        for launch in &self.launches {
            let cost = launch.kernel.cost();
            t.flops += cost.flops;
            t.bytes += cost.bytes;
        }
        for buffer in &self.buffers {
            let bytes = 4 * buffer.len as u64;
            t.memory += bytes;
            if buffer.purpose == Purpose::Temp {
                t.temporary += bytes;
            }
        }
        t
    }

    /// One line per launch: number, part of the model, kernel and shapes, variant, megaflops,
    /// kilobytes, and the buffers read and written.
    pub fn listing(&self) -> String {
        let mut out = String::new();
        let place = |v: &View| match v.offset {
            0 => format!("{}", v.buffer),
            at => format!("{}+{at}", v.buffer),
        };
        for (i, launch) in self.launches.iter().enumerate() {
            let cost = launch.kernel.cost();
            let kernel = format!("{} {}", launch.kernel.signature().name, launch.kernel.label());
            let variant = launch.recipe.as_ref().map_or("cpu", |r| r.name);
            let reads: Vec<String> = launch.reads.iter().flatten().map(place).collect();
            let writes: Vec<String> = launch.writes.iter().map(place).collect();
            let _ = writeln!(
                out,
                "{i:4}  {:<22} {kernel:<72} {variant:<16} {:>9.3} Mflop {:>9.1} kB  b{} -> b{}",
                launch.scope,
                cost.flops as f64 / 1e6,
                cost.bytes as f64 / 1e3,
                reads.join(",b"),
                writes.join(",b"),
            );
        }
        for (i, buffer) in self.buffers.iter().enumerate() {
            let what = match &buffer.purpose {
                Purpose::State(name) => format!("state {name}"),
                Purpose::Input(name) => format!("input {name}"),
                Purpose::Flat => "flat".to_string(),
                Purpose::Temp => "temporary".to_string(),
            };
            let _ = writeln!(out, "  b{i:<4} {:>10} words  {what}", buffer.len);
        }
        out
    }
}
