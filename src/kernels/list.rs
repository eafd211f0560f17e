//! The list of all kernels.

use super::*;

/// One entry of the list of kernels: its name and the cases it is checked with.
pub struct Entry {
    /// Kernel name; masked convolutions are entries of their own.
    pub name: &'static str,
    /// Odd shapes: 1x1, primes, edges, more than 65535 workgroups, strides that do not divide.
    pub cases: fn() -> Vec<Box<dyn Kernel>>,
    /// Shapes of the presets, for `limn bench`.
    pub shapes: fn() -> Vec<Box<dyn Kernel>>,
}

/// Every kernel, in the order `limn check` runs them.
pub fn all() -> Vec<Entry> {
    macro_rules! entries {
        ($($name:literal: $cases:path, $shapes:path;)*) => {
            vec![$(Entry { name: $name, cases: $cases, shapes: $shapes },)*]
        };
    }
    let mut all = entries! {
        "conv2d": conv2d::cases, conv2d::shapes;
        "conv_transpose2d": conv_transpose2d::cases, conv_transpose2d::shapes;
        "conv2d_weight_grad": conv2d_weight_grad::cases, conv2d_weight_grad::shapes;
        "masked_conv2d": conv2d::masked_cases, conv2d::masked_shapes;
        "masked_conv_transpose2d": conv_transpose2d::masked_cases, conv_transpose2d::masked_shapes;
        "masked_conv2d_weight_grad": conv2d_weight_grad::masked_cases, conv2d_weight_grad::masked_shapes;
        "depthwise_conv2d": depthwise::cases, depthwise::shapes;
        "matmul": matmul::cases, matmul::shapes;
        "pack_weights": pack_weights::cases, pack_weights::shapes;
        "sum_weight_grads": sum_weight_grads::cases, sum_weight_grads::shapes;
        "pointwise": pointwise::cases, pointwise::shapes;
        "reduce_sum": reduce::cases, reduce::shapes;
        "batch_norm": batch_norm::cases, batch_norm::shapes;
        "batch_norm_grad": batch_norm_grad::cases, batch_norm_grad::shapes;
        "weight_norm": weight_norm::cases, weight_norm::shapes;
        "weight_norm_grad": weight_norm::grad_cases, weight_norm::grad_shapes;
        "unit": spectral::unit_cases, spectral::unit_shapes;
        "spectral": spectral::cases, spectral::shapes;
        "spectral_grad": spectral::grad_cases, spectral::grad_shapes;
        "reparameterize": reparameterize::cases, reparameterize::shapes;
        "reparameterize_grad": reparameterize::grad_cases, reparameterize::grad_shapes;
        "random": random::random_cases, random::random_shapes;
        "fill": fill::cases, fill::shapes;
        "bernoulli": random::bernoulli_cases, random::bernoulli_shapes;
        "dropout": dropout::cases, dropout::shapes;
        "gate": halves::gate_cases, halves::gate_shapes;
        "gate_grad": halves::gate_grad_cases, halves::gate_grad_shapes;
        "concat_elu": halves::elu_cases, halves::elu_shapes;
        "concat_elu_grad": halves::elu_grad_cases, halves::elu_grad_shapes;
        "lstm_cell": lstm::cases, lstm::shapes;
        "lstm_cell_grad": lstm::grad_cases, lstm::grad_shapes;
        "memory": memory::cases, memory::shapes;
        "memory_grad": memory::grad_cases, memory::grad_shapes;
        "skew": skew::cases, skew::shapes;
        "translate": translate::cases, translate::shapes;
        "largest": largest::cases, largest::shapes;
        "ramp": ramp::cases, ramp::shapes;
        "pulse": pulse::cases, pulse::shapes;
        "cross_entropy": cross_entropy::cases, cross_entropy::shapes;
        "cross_entropy_grad": cross_entropy::grad_cases, cross_entropy::grad_shapes;
        "strided": strided::cases, strided::shapes;
        "concat": concat::cases, concat::shapes;
        "upsample": resample::upsample_cases, resample::upsample_shapes;
        "avg_pool": resample::avg_pool_cases, resample::avg_pool_shapes;
        "ema": ema::cases, ema::shapes;
        "clip": clip::cases, clip::shapes;
        "decode_u8": decode_u8::cases, decode_u8::shapes;
        "one_hot": one_hot::cases, one_hot::shapes;
        "advance": advance::cases, advance::shapes;
        "copy": copy::cases, copy::shapes;
        "mean_of_ranks": mean_of_ranks::cases, mean_of_ranks::shapes;
        "record": record::cases, record::shapes;
        "multiply_add": multiply_add::cases, multiply_add::shapes;
        "multiply_add_matrix": multiply_add_matrix::cases, multiply_add_matrix::shapes;
        "sample_pixel": sample_pixel::cases, sample_pixel::shapes;
        "draw_pixels": draw_pixels::cases, draw_pixels::shapes;
    };
    all.extend(optimisers::entries());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// A shader calls an operand what its kernel's signature calls it. Those whose parameter block
    /// serves several kernels have names of their own, as has an operand that is scratch in other
    /// variants.
    #[test]
    fn names_in_wgsl_are_those_of_the_signature() {
        let lanes = Caps { class: Class::Lanes, max_workgroup_bytes: 32768, subgroup: 8, ..Caps::WEBGPU };
        let large = Caps { max_storage_bindings: 64, ..Caps::WEBGPU };
        let mut serves: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
        let mut scratch = BTreeSet::new();
        let mut bound = BTreeSet::new();
        for kernel in all().iter().flat_map(|entry| (entry.cases)()) {
            let signature = kernel.signature();
            let recipes =
                [Caps::WEBGPU, lanes, large].iter().flat_map(|caps| kernel.variants(caps)).collect::<Vec<_>>();
            for stage in recipes.iter().flat_map(|recipe| &recipe.stages) {
                let shader = stage.shader.name;
                let block = stage.fields.as_ptr().addr();
                serves.entry(block).or_default().insert(signature.name);
                for (name, slot) in &stage.bind {
                    match slot {
                        Slot::Read(i) => drop(bound.insert((block, shader, *name, signature.reads[*i]))),
                        Slot::Write(i) => drop(bound.insert((block, shader, *name, signature.writes[*i].0))),
                        Slot::ScratchIn(_) | Slot::ScratchOut(_) => drop(scratch.insert((shader, *name))),
                    }
                }
            }
        }
        assert!(bound.len() > 150, "{} bindings", bound.len());
        let differ = bound.iter().filter(|(block, shader, name, said)| {
            name != said && serves[block].len() == 1 && !scratch.contains(&(*shader, *name))
        });
        let differ: Vec<_> = differ.map(|(_, shader, name, said)| format!("{shader}: {name} is {said}")).collect();
        assert!(differ.is_empty(), "{differ:#?}");
    }
}
