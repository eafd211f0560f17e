//! Every variant of every kernel in every case against its CPU twin.

use limn::{check, gpu::Gpu, kernels};

/// The kernels named in `LIMN_KERNELS` (comma separated), or all of them.
pub fn wanted(name: &str) -> bool {
    std::env::var("LIMN_KERNELS").map_or(true, |list| list.split(',').any(|part| name.contains(part)))
}

#[test]
fn every_variant_agrees_with_its_twin() {
    let gpu = Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device");
    let mut failures = Vec::new();
    for entry in kernels::all().iter().filter(|e| wanted(e.name)) {
        for kernel in (entry.cases)() {
            for o in check::check(&gpu, entry.name, kernel.as_ref(), 1) {
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
