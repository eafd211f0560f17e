//! The kernels of the presets at their own shapes, by criterion: `cargo bench --locked --features criterion -- NAME`.
//!
//! Each kernel runs in the variant a program would be given on this device. `limn bench` times all
//! variants; this one is for watching a change.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use limn::bench::for_software;
use limn::check::{Example, Trial};
use limn::gpu::Gpu;
use limn::kernels::{self, Class};

fn presets(criterion: &mut Criterion) {
    let gpu = match Gpu::open(None) {
        Ok(gpu) => gpu,
        Err(error) => return eprintln!("nothing to measure: {error}"),
    };
    for entry in kernels::all() {
        let mut group = criterion.benchmark_group(entry.name);
        group.sample_size(10);
        let software = gpu.caps().class == Class::Lanes;
        for kernel in (entry.shapes)().into_iter().filter(|kernel| !software || for_software(kernel.as_ref())) {
            let Some(recipe) = kernel.variants(gpu.caps()).into_iter().next() else { continue };
            let bench = match Trial::new(&gpu, &Example::inputs(kernel.as_ref(), 1, 0.0), &recipe, false) {
                Ok(bench) => bench,
                Err(error) => return eprintln!("{} {}: {error}", entry.name, kernel.label()),
            };
            group.throughput(Throughput::Elements(kernel.flops().max(1)));
            group.bench_function(format!("{} [{}]", kernel.label(), recipe.name), |b| {
                b.iter(|| {
                    gpu.submit(|pass| bench.stages().iter().for_each(|stage| stage.record(pass)));
                    gpu.wait()
                });
            });
        }
    }
}

criterion_group!(benches, presets);
criterion_main!(benches);
