//! Activations computed again: less memory, and the same bits.

use crate::random_graphs::random;
use crate::support::{Rig, Tensors, assert_same_bits, gpu, graph, normals, random_values, sound, step_of};
use limn::kernels::{Caps, Class};
use limn::program::{Device, Options, Program, Source, plan, plan_recomputing};
use limn::train::{Config, Session, pack, presets};

fn recomputed(source: &Source, device: &Device) -> Program {
    let program = plan_recomputing(source, &Options::new(device.caps())).expect("a plan");
    if let Err(why) = sound(&program) {
        panic!("{why}\n{}", program.listing());
    }
    program
}

/// Results and states of both ways are the same in every bit; gives the launches of both.
fn assert_same(source: &Source, values: &Tensors, device: &Device) -> [usize; 2] {
    let program = recomputed(source, device);
    let plain = Rig::on(source, device, values);
    let counts = [plain.runner.program().launches.len(), program.launches.len()];
    assert!(program.totals().memory <= plain.runner.program().totals().memory);
    let got = Rig::holding(program, source, device, values).after(3);
    assert_same_bits(&got, &plain.after(3), &device.name());
    counts
}

#[test]
fn random_graphs_recomputed_are_the_same() {
    let mut more = 0;
    for seed in 0..200 {
        let source = random(seed, 4 + seed as usize % 40);
        let [plain, recomputing] = assert_same(&source, &random_values(&source), &Device::Reference);
        more += recomputing - plain;
    }
    assert!(more > 50, "only {more} launches were repeated: these graphs test nothing");
    for seed in 0..10 {
        let source = random(seed, 6 + 4 * seed as usize);
        assert_same(&source, &random_values(&source), &gpu());
    }
}

/// Much is computed from a small tensor, reduced, and wanted again at the end; `between` stands
/// between the two.
fn waiting(between: impl FnOnce(&limn::graph::Graph)) -> Source {
    let g = graph();
    let small = g.state("s", 8, 0, &[1, 8]);
    let noise = g.normal(&[64, 8]);
    let large: Vec<_> = (1..6).map(|k| (&noise * &small).mul_scalar(k as f32).tanh().flip(0)).collect();
    let sums: Vec<_> = large.iter().map(|x| x.square().sum()).collect();
    let sum = sums[1..].iter().fold(sums[0].clone(), |sum, x| &sum + x);
    // More is alive here than what is large.
    let wide = (&g.input("x", &[64, 16]).flip(0) * &sum).flip(1).square().sum();
    between(&g);
    let products = large.iter().rev().fold(wide, |sum, x| &sum + &(x * &sum).flip(1).sum());
    g.output("y", &products);
    g.finish().expect("a graph")
}

#[test]
fn nothing_is_repeated_across_an_update_of_what_it_reads() {
    let values = Tensors::from([("s".into(), normals(1, 8)), ("x".into(), normals(2, 64 * 16))]);
    for device in [Device::Reference, gpu()] {
        let draws = |source: &Source| {
            let program = recomputed(source, &device);
            program.launches.iter().filter(|l| l.kernel.signature().name == "random").count()
        };
        let free = waiting(|_| ());
        let [plain, repeated] = assert_same(&free, &values, &device);
        assert!(repeated > plain, "nothing was repeated");
        // The noise was drawn again as well, from the same clock.
        assert!(draws(&free) > 1);
        let ticked = waiting(|g| g.advance(&g.clock()));
        assert_same(&ticked, &values, &device);
        assert_eq!(draws(&ticked), 1);
        let moved = waiting(|g| {
            g.ema(
                &g.input("x", &[64, 16]).sum_axes(&[0]).reshape(&[16]).slice(0, 0, 8),
                &g.state("s", 8, 0, &[8]),
                0.5,
                1.0,
            )
        });
        assert_same(&moved, &values, &device);
    }
}

/// Losses and states after some steps of a preset on images that are not all alike.
fn trained(name: &str, device: &Device, recompute: bool) -> (usize, Tensors) {
    let config = Config::preset(name).expect("a preset");
    let mut session = Session::new(&config.model, &config.optimizer(), 3, device.clone()).expect("a session");
    session.recompute = recompute;
    // At few images a VAE is parameters and little else.
    let (batch, size) = (if name == "vae" { 256 } else { 6 }, session.model.geometry().iter().product::<usize>());
    let mut step = session.train_step(batch).expect("a step");
    for i in 0..3 {
        let bytes: Vec<u8> = normals(i, batch * size).into_iter().map(|v| (64.0 * v + 128.0) as u8).collect();
        step.write("images", &pack(bytes)).expect("images");
        step.run().expect("a step");
    }
    let names: Vec<String> = session.store.names().map(String::from).collect();
    let read = |name: String| (name.clone(), session.store.read(&name).expect("a state"));
    (step.program().launches.len(), names.into_iter().map(read).collect())
}

#[test]
fn training_that_recomputes_is_bitwise_the_same() {
    for device in [Device::Cpu, gpu()] {
        for name in ["vae", "vae-conv-small", "progan-small", "pixelcnn-small"] {
            let (launches, want) = trained(name, &device, false);
            let (more, got) = trained(name, &device, true);
            // On software devices its peak is a copy that a weight gradient makes, which nothing
            // can move.
            let bound = name == "vae-conv-small" && device.gpu().is_some();
            assert!(more > launches || bound, "{name}: nothing was repeated");
            assert_same_bits(&got, &want, &format!("{name} on {}", device.name()));
        }
    }
}

#[test]
fn recomputation_takes_less_memory_on_every_preset() {
    let mut failures = Vec::new();
    for &(name, _) in presets() {
        let source = step_of(name);
        for caps in [None, gpu().caps(), Some(Caps::WEBGPU)] {
            let options = Options::new(caps);
            let plain = plan(&source, &options).expect("a plan").totals();
            let small = plan_recomputing(&source, &options).expect("a plan").totals();
            let share = small.temporary as f64 / plain.temporary as f64;
            let lanes = caps.is_some_and(|caps| caps.class == Class::Lanes);
            let most = match name {
                "pixelcnn" | "pixelcnn-small" => 0.6,
                // Their peak there is a copy that a weight gradient makes, which nothing can move.
                "vae-conv" | "vae-conv-small" if lanes => 1.0,
                // Gradients of weights, or sums of responsibilities, are all there is to hold.
                "gan" | "gan-small" | "gmm" | "gmm-small" | "classifier" => 1.0,
                // A discriminator of few layers judges all its images at once, and they are held.
                "dcgan-28" | "dcgan-28-small" | "lsgan" | "lsgan-small" | "dragan-small" | "frames-small" => 1.0,
                // Of five critic steps none is found whose activations are worth making again.
                "wgan" | "wgan-small" | "wgan-gp" | "wgan-gp-small" | "wavegan-small" => 1.0,
                _ => 0.95,
            };
            if share > most {
                failures.push(format!("{name} {caps:?}: {share:.2} of what is held otherwise"));
            }
            // Nothing runs more than twice, and no backward pass.
            if small.flops >= plain.flops * 3 / 2 {
                failures.push(format!("{name} {caps:?}: {} operations instead of {}", small.flops, plain.flops));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
