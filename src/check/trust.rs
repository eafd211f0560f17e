//! Whether a device's matrix units do what they say.

use super::{Example, check_as, compile};
use crate::gpu::{Gpu, GpuError};
use crate::kernels::activation::Activation;
use crate::kernels::conv::Conv;
use crate::kernels::conv_transpose2d::ConvTranspose2d;
use crate::kernels::conv2d::Conv2d;
use crate::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use crate::kernels::matmul::MatMul;
use crate::kernels::{Caps, Kernel, Recipe};
use std::path::Path;

/// Opens an adapter, as [`Gpu::open`] does, for mixed precision. Its matrix units are used only if
/// the variants that need them compile there and agree with their references; the string says why
/// they are not. Compiled pipelines are kept in the folder `pipelines`, these too.
///
/// # Errors
/// Those of [`Gpu::open_mixed`].
pub fn open_mixed(wanted: Option<&str>, pipelines: Option<&Path>) -> Result<(Gpu, Option<String>), GpuError> {
    let open = |matrix_units| {
        let gpu = Gpu::open_mixed(wanted, matrix_units)?;
        if let Some(folder) = pipelines {
            gpu.keep_pipelines(folder);
        }
        Ok(gpu)
    };
    let why = match open(true) {
        Ok(gpu) => match distrust(&gpu, gpu.caps()) {
            None => return Ok((gpu, None)),
            Some(why) => why,
        },
        Err(error @ GpuError::Open { .. }) => error.to_string(),
        Err(error) => return Err(error),
    };
    Ok((open(false)?, Some(format!("matrix units are not used: {why}"))))
}

/// The first variant that needs matrix units and falls short on this device, and why. Every size of
/// every such shader is run as training runs it, on shapes that fill no block; without matrix units
/// there is nothing to run.
pub fn distrust(gpu: &Gpu, caps: &Caps) -> Option<String> {
    let probes = probes();
    let without: Vec<&str> = probes[0].variants(&Caps { coop: None, ..*caps }).iter().map(|r| r.name).collect();
    let matrix_variants = |kernel: &dyn Kernel| {
        let mut variants = kernel.variants(caps);
        variants.retain(|recipe| !without.contains(&recipe.name));
        variants
    };
    let all: Vec<(&dyn Kernel, Vec<Recipe>)> =
        probes.iter().map(|kernel| (kernel.as_ref(), matrix_variants(kernel.as_ref()))).collect();
    compile(gpu, all.iter().flat_map(|(_, variants)| variants), false);
    all.iter().find_map(|(kernel, variants)| {
        let example = (!variants.is_empty()).then(|| Example::new(*kernel, 1))?;
        let name = kernel.signature().name;
        let mut outcomes = variants.iter().map(|recipe| check_as(gpu, name, *kernel, recipe, &example, false));
        let bad = outcomes.find(|outcome| outcome.failure.is_some())?;
        Some(format!("{name} [{}]: {}", bad.variant, bad.failure.unwrap_or_default()))
    })
}

/// Small products of every role, none of which fills its blocks.
fn probes() -> [Box<dyn Kernel>; 6] {
    let conv = Conv::new([2, 5, 9, 15], 70, [3, 3]).with([1, 1], [1, 1], [1; 4]);
    let strided = Conv::new([3, 37, 12, 10], 9, [4, 4]).with([2, 2], [1, 1], [1; 4]);
    [
        Box::new(Conv2d(conv.epilogue(Activation::LeakyRelu(0.2), true, true))),
        Box::new(Conv2d(conv.masked(2, 3))),
        Box::new(ConvTranspose2d(strided.epilogue(Activation::Identity, true, false))),
        Box::new(Conv2dWeightGrad(conv)),
        Box::new(MatMul { batch: 2, ..MatMul::new(70, 83, 67) }),
        Box::new(MatMul::new(131, 45, 66).transposed(true, true)),
    ]
}
