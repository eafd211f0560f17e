//! Pipelines and ready-made dispatches.

use super::{Gpu, GpuError, Span, reflect};
use crate::kernels::{Recipe, Shader, Slot, Stage};
use rayon::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What makes two stages share a pipeline: shader, override constants, run-time checks.
pub(super) type Key = (usize, Vec<(&'static str, u64)>, bool);

/// A compiled entry point and its bind group layout.
pub struct Pipeline {
    raw: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// A dispatch with everything made: replaying it costs one recorded command.
pub struct Ready {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    grid: [u32; 3],
}

impl Ready {
    /// Records the dispatch.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
    }
}

/// What tells shaders apart: two of different crates may have one name.
fn address(shader: &'static Shader) -> usize {
    std::ptr::from_ref(shader).addr()
}

fn key(stage: &Stage, checks: bool) -> Key {
    (address(stage.shader), stage.constants.iter().map(|(n, v)| (*n, v.to_bits())).collect(), checks)
}

impl Gpu {
    /// The pipeline of a stage, made on first use. With `checks` the shader keeps its bounds and
    /// loop checks: tests want them, training does not pay for them.
    pub fn pipeline(&self, stage: &Stage, checks: bool) -> Result<Arc<Pipeline>, GpuError> {
        let key = key(stage, checks);
        if let Some(known) = self.pipelines.lock().unwrap_or_else(|e| e.into_inner()).get(&key) {
            return Ok(known.clone());
        }
        reflect(stage)?;
        let made = Arc::new(self.compile(stage, checks)?);
        if let Some(cache) = self.cache.get() {
            cache.grown.store(true, Ordering::Relaxed);
        }
        let mut all = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        Ok(all.entry(key).or_insert(made).clone())
    }

    /// Makes the pipelines of many stages, side by side.
    pub fn pipelines(&self, stages: &[&Stage], checks: bool) -> Result<(), GpuError> {
        let mut seen = HashSet::new();
        let distinct: Vec<_> = stages.iter().filter(|stage| seen.insert(key(stage, checks))).collect();
        distinct.into_par_iter().try_for_each(|stage| self.pipeline(stage, checks).map(drop))
    }

    /// Lets go of the pipelines that nothing bound uses, as those of variants that were only tried: each is code of its
    /// own in a driver, half a megabyte and more on a processor. One that is wanted again is made again.
    pub fn release_pipelines(&self) {
        let mut all = self.pipelines.lock().unwrap_or_else(|e| e.into_inner());
        all.retain(|_, pipeline| Arc::strong_count(pipeline) > 1);
    }

    fn compile(&self, stage: &Stage, checks: bool) -> Result<Pipeline, GpuError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = self.module(stage, checks);
        let entries: Vec<_> = std::iter::once(wgpu::BufferBindingType::Uniform)
            .chain(stage.bind.iter().map(|(_, slot)| wgpu::BufferBindingType::Storage { read_only: slot.is_read() }))
            .enumerate()
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
                count: None,
            })
            .collect();
        let label = Some(stage.shader.name);
        let layout =
            self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let raw = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &stage.constants,
                // No shader of limn's own reads workgroup memory before writing it.
                zero_initialize_workgroup_memory: !stage.shader.is_unchecked(),
            },
            cache: self.cache.get().map(|cache| &cache.raw),
        });
        match pollster::block_on(scope.pop()) {
            Some(error) => Err(GpuError::Validation(format!("{}: {error}", stage.shader.name))),
            None => Ok(Pipeline { raw, layout }),
        }
    }

    #[allow(unsafe_code, reason = "shaders that are vouched for do without checks")]
    fn module(&self, stage: &Stage, checks: bool) -> wgpu::ShaderModule {
        let mut modules = self.modules.lock().unwrap_or_else(|e| e.into_inner());
        let checks = checks || !stage.shader.is_unchecked();
        let make = || {
            let desc = wgpu::ShaderModuleDescriptor {
                label: Some(stage.shader.name),
                // A stage whose shader has no source was refused by `reflect`.
                source: wgpu::ShaderSource::Wgsl(stage.shader.source().unwrap_or_default().into()),
            };
            if checks {
                return self.device.create_shader_module(desc);
            }
            // SAFETY: who wrote the shader vouches for its indices and loops, see
            // `Shader::unchecked`.
            unsafe { self.device.create_shader_module_trusted(desc, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        modules.entry((address(stage.shader), checks)).or_insert_with(make).clone()
    }

    /// Binds all stages of a recipe to the operands of its kernel, in the order of the signature:
    /// what is returned is to be recorded in this order, in one pass or several. Scratch is made
    /// here, and lives as long as what is returned.
    ///
    /// # Errors
    /// Operands of another number than the recipe refers to, and whatever the device refuses.
    pub fn bind(&self, recipe: &Recipe, reads: &[Span], writes: &[Span]) -> Result<Vec<Ready>, GpuError> {
        let scratch: Vec<Span> =
            recipe.scratch.iter().map(|words| self.buffer(*words, "scratch")).collect::<Result<_, _>>()?;
        let operand = |(name, slot): &(&'static str, Slot)| {
            let span = match *slot {
                Slot::Read(i) => reads.get(i),
                Slot::Write(i) => writes.get(i),
                Slot::ScratchIn(i) | Slot::ScratchOut(i) => scratch.get(i),
            };
            let missing = || GpuError::Validation(format!("{}: there is no operand for {name}", recipe.name));
            span.cloned().ok_or_else(missing)
        };
        let ready = |stage: &Stage| {
            let operands: Vec<Span> = stage.bind.iter().map(operand).collect::<Result<_, _>>()?;
            self.ready(stage, false, &self.uniforms(&stage.params)?, &operands)
        };
        recipe.stages.iter().map(ready).collect()
    }

    /// Binds a stage's parameters and operands: `params` is the span of its uniform block.
    pub fn ready(&self, stage: &Stage, checks: bool, params: &Span, operands: &[Span]) -> Result<Ready, GpuError> {
        let pipeline = self.pipeline(stage, checks)?;
        let entries: Vec<_> = std::iter::once(params)
            .chain(operands)
            .enumerate()
            .map(|(i, span)| wgpu::BindGroupEntry { binding: i as u32, resource: span.binding() })
            .collect();
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(stage.shader.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        match pollster::block_on(scope.pop()) {
            Some(error) => Err(GpuError::Validation(format!("{}: {error}", stage.shader.name))),
            None => Ok(Ready { pipeline, group, grid: stage.grid }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Kernel;
    use crate::kernels::matmul::MatMul;

    #[test]
    fn what_is_bound_keeps_its_pipelines_and_nothing_else_does() {
        let gpu = Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device");
        let made = || gpu.pipelines.lock().expect("no panic").len();
        let kernel = MatMul::new(5, 6, 7);
        let (lens, recipes) = (kernel.lens(), kernel.variants(gpu.caps()));
        let stages: Vec<&Stage> = recipes.iter().flat_map(|recipe| &recipe.stages).collect();
        gpu.pipelines(&stages, false).expect("pipelines");
        let buffers = |lens: &[usize]| -> Vec<Span> {
            lens.iter().map(|len| gpu.buffer(*len, "operand").expect("a buffer")).collect()
        };
        let bound = gpu.bind(&recipes[0], &buffers(&lens.reads), &buffers(&lens.writes)).expect("binds");
        let distinct: HashSet<Key> = recipes[0].stages.iter().map(|stage| key(stage, false)).collect();
        assert!(made() > distinct.len());
        gpu.release_pipelines();
        assert_eq!(made(), distinct.len());
        assert!(bound.iter().all(|ready| Arc::strong_count(&ready.pipeline) > 1));
        gpu.pipelines(&stages, false).expect("made again");
        assert!(made() > distinct.len());
        drop(bound);
        gpu.release_pipelines();
        assert_eq!(made(), 0);
    }
}
