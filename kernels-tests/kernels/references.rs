//! Every variant of every kernel in every case against its CPU reference.

use crate::support::device;
use limn::check::{self, Example, Outcome};
use limn::kernels::{self, Caps, Kernel};

/// The kernels named in `LIMN_KERNELS` (comma separated), or all of them.
pub fn wanted(name: &str) -> bool {
    std::env::var("LIMN_KERNELS").map_or(true, |list| list.split(',').any(|part| name.contains(part)))
}

/// Runs `run` on every case of every wanted kernel and fails with all failures at once.
pub fn every_case(run: impl Fn(&'static str, &dyn Kernel) -> Vec<Outcome>) {
    let mut failures = Vec::new();
    for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
        for kernel in (entry.cases)() {
            for o in run(entry.name, kernel.as_ref()) {
                println!(
                    "{} {} [{}] worst {:e} bound {:e} ratio {:.3}",
                    o.kernel, o.case, o.variant, o.worst, o.bound, o.ratio
                );
                if let Some(why) = o.failure {
                    failures.push(format!("{} {} [{}]: {why}", o.kernel, o.case, o.variant));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_variant_agrees_with_its_reference() {
    let gpu = device();
    every_case(|name, kernel| check::check(&gpu, name, kernel, 1));
}

#[test]
fn every_kernel_agrees_with_its_twin_on_the_cpu() {
    every_case(|name, kernel| vec![check::check_host(name, kernel, 3)]);
}

/// The first variant as training runs it, without bounds checks, on a device that pretends to allow
/// few workgroups per dimension, so that linear grids fold into two.
#[test]
fn the_first_variant_agrees_without_checks_and_with_folded_grids() {
    let gpu = device();
    let caps = Caps { max_groups: 61, ..*gpu.caps() };
    every_case(|name, kernel| {
        let example = Example::new(kernel, 2);
        let first = |caps: &Caps| kernel.variants(caps).into_iter().next();
        let Some(recipe) = first(&caps).or_else(|| first(gpu.caps())) else { return Vec::new() };
        vec![check::once(&gpu, name, kernel, &recipe, &example)]
    });
}
