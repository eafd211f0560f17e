//! Every variant of every kernel in every case against its CPU reference.

use crate::support::{device, is_long};
use limn::check::{self, Example, Outcome};
use limn::gpu::{Gpu, GpuError};
use limn::kernels::{self, Caps, Kernel, Recipe};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::ThreadId;

/// The kernels named in `LIMN_KERNELS` (comma separated), or all of them.
pub fn wanted(name: &str) -> bool {
    std::env::var("LIMN_KERNELS").map_or(true, |list| list.split(',').any(|part| name.contains(part)))
}

/// Whether only some kernels are wanted, which may have nothing of what is looked for.
pub fn is_part() -> bool {
    std::env::var_os("LIMN_KERNELS").is_some()
}

/// Runs `run` on every case of every wanted kernel, with its number, and fails with all failures at once. What the cases
/// of a kernel had compiled on `gpu` is let go of before the next, or a driver holds gigabytes of it in the end.
///
/// In short every `apart`-th case of a product: its many geometries are those of another, with a mask or without one, which
/// is given others.
pub fn every_case(gpu: Option<&Gpu>, apart: usize, run: impl Fn(&'static str, usize, &dyn Kernel) -> Vec<Outcome>) {
    let mut failures = Vec::new();
    let mut products = 0;
    for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
        let cases = (entry.cases)();
        let apart = if is_long() || !cases[0].sums() { 1 } else { apart };
        let taken = cases.iter().skip(products % apart).step_by(apart);
        products += usize::from(cases[0].sums());
        for (case, kernel) in taken.enumerate() {
            for o in run(entry.name, case, kernel.as_ref()) {
                println!(
                    "{} {} [{}] worst {:e} bound {:e} ratio {:.3}",
                    o.kernel, o.case, o.variant, o.worst, o.bound, o.ratio
                );
                if let Some(why) = o.failure {
                    failures.push(format!("{} {} [{}]: {why}", o.kernel, o.case, o.variant));
                }
            }
        }
        if let Some(gpu) = gpu {
            gpu.release_pipelines();
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// The variants that a case is tried with: all of them, or in short, as their pipelines take a software driver long to
/// compile, so many, which are others from case to case.
pub fn in_turn(case: usize, count: usize, mut recipes: Vec<Recipe>) -> Vec<Recipe> {
    if !is_long() && !recipes.is_empty() {
        let first = case * count % recipes.len();
        recipes.rotate_left(first);
        recipes.truncate(count);
    }
    recipes
}

/// Holds variants of one case against its reference.
pub fn check_variants(gpu: &Gpu, name: &'static str, kernel: &dyn Kernel, variants: &[Recipe]) -> Vec<Outcome> {
    if variants.is_empty() {
        return Vec::new();
    }
    let example = Example::new(kernel, 1);
    variants.iter().map(|recipe| check::check_variant(gpu, name, kernel, recipe, &example)).collect()
}

/// Two threads, or the longest test would be alone in the end: each takes the next kernel that the other has not.
#[test]
fn every_variant_agrees_with_its_reference() {
    let taken = Mutex::default();
    std::thread::scope(|scope| {
        scope.spawn(|| every_variant(&taken));
        scope.spawn(|| every_variant(&taken));
    });
}

/// The variants of the kernels that nobody has taken. In short two of a product's ten a case, in its next case the next two.
fn every_variant(taken: &Mutex<BTreeMap<&'static str, ThreadId>>) {
    let gpu = device();
    let me = std::thread::current().id();
    every_case(Some(&gpu), 1, |name, case, kernel| {
        if *taken.lock().expect("no panic").entry(name).or_insert(me) != me {
            return Vec::new();
        }
        let all = kernel.variants(gpu.caps());
        check_variants(&gpu, name, kernel, &if kernel.sums() { in_turn(case, 2, all) } else { all })
    });
}

#[test]
fn every_kernel_agrees_with_its_twin_on_the_cpu() {
    every_case(None, 1, |name, _, kernel| vec![check::check_host(name, kernel, 3)]);
}

/// What the processor computes does not depend on how many threads it has.
#[test]
fn every_kernel_has_the_same_bits_on_one_thread_and_on_three() {
    let pools = [1, 3].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool"));
    let mut shared = 0;
    for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
        for kernel in (entry.cases)() {
            let example = Example::inputs(kernel.as_ref(), 5, f32::NAN);
            let reads: Vec<&[f32]> = example.reads.iter().map(Vec::as_slice).collect();
            let [one, three] = pools.each_ref().map(|pool| {
                let mut writes = example.old.clone();
                let mut slices: Vec<&mut [f32]> = writes.iter_mut().map(Vec::as_mut_slice).collect();
                pool.install(|| kernel.host(&reads, &mut slices));
                writes.into_iter().flatten().map(f32::to_bits).collect::<Vec<u32>>()
            });
            assert!(one == three, "{} {}", entry.name, kernel.label());
            shared += one.len();
        }
    }
    assert!(shared > 0 || is_part());
}

/// The first variant as training runs it, without bounds checks, on a device that pretends to allow
/// few workgroups per dimension, so that linear grids fold into two.
#[test]
fn the_first_variant_agrees_without_checks_and_with_folded_grids() {
    let gpu = device();
    let caps = Caps { max_groups: 61, ..*gpu.caps() };
    every_case(Some(&gpu), 3, |name, _, kernel| {
        let example = Example::new(kernel, 2);
        let first = |caps: &Caps| kernel.variants(caps).into_iter().next();
        let Some(recipe) = first(&caps).or_else(|| first(gpu.caps())) else { return Vec::new() };
        vec![check::once(&gpu, name, kernel, &recipe, &example)]
    });
}

/// A device of these limits and no feature, as a browser or the least of GPUs may give.
fn of_limits(required_limits: wgpu::Limits) -> Result<Gpu, GpuError> {
    let wanted = std::env::var("LIMN_DEVICE").ok();
    let name = Gpu::open(wanted.as_deref()).expect("a device").desc().name.clone();
    let all = pollster::block_on(wgpu::Instance::default().enumerate_adapters(wgpu::Backends::all()));
    let adapter = all.into_iter().find(|adapter| adapter.get_info().name == name).expect("the same");
    let asked = adapter.request_device(&wgpu::DeviceDescriptor { required_limits, ..Default::default() });
    let (device, queue) = pollster::block_on(asked).expect("a device");
    assert!(device.features().is_empty());
    Gpu::adopt(&adapter, device, queue)
}

#[test]
fn devices_with_less_than_webgpus_default_limits_are_refused_by_name() {
    let least = wgpu::Limits::default;
    let too_small = [
        ("max_storage_buffers_per_shader_stage", wgpu::Limits { max_storage_buffers_per_shader_stage: 7, ..least() }),
        (
            "max_compute_invocations_per_workgroup",
            wgpu::Limits { max_compute_invocations_per_workgroup: 255, ..least() },
        ),
        ("max_compute_workgroup_storage_size", wgpu::Limits { max_compute_workgroup_storage_size: 16_380, ..least() }),
        ("max_storage_buffer_binding_size", wgpu::Limits { max_storage_buffer_binding_size: 127 << 20, ..least() }),
    ];
    for (name, limits) in too_small {
        let refused = of_limits(limits).map(drop).expect_err("too small").to_string();
        assert!(refused.contains(name), "{name}: {refused}");
    }
}

#[test]
fn every_kernel_agrees_with_its_reference_within_webgpus_default_limits() {
    let gpu = of_limits(wgpu::Limits::default()).expect("limits that are enough");
    assert_eq!(gpu.caps().max_workgroup_bytes, 16_384);
    every_case(Some(&gpu), 3, |name, case, kernel| {
        let variants = in_turn(case, 1, kernel.variants(gpu.caps()));
        assert!(!variants.is_empty(), "{name} {} has no variant", kernel.label());
        check_variants(&gpu, name, kernel, &variants)
    });
}
