//! The layers of BigGAN against PyTorch and against differences.

use crate::derivatives::{check_first, check_second, off_grid};
use crate::support::fixtures::{fixture, fixture_graph, fixture_normals, numbers};
use crate::support::{Rig, Tensors, assert_close, gpu, normals};
use limn::graph::{Graph, Var, gradients};
use limn::nn::{Attention, ConditionalBatchNorm, Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
use limn::program::Device;
use limn::sample;
use limn::train::{Config, Session, Setting, pack};

/// Three steps of plain descent as the fixture has them, and everything they leave behind.
fn follows_pytorch(
    part: &str,
    start: &[(&str, f32)],
    inputs: &[(&str, Vec<usize>, u32)],
    layer: impl Fn(&mut NetworkBuilder) -> Box<dyn Fn(&Graph, &[Var]) -> Var>,
) {
    let fixture = &fixture("biggan")[part];
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let mut net = NetworkBuilder::new("net", &Numbering::default());
        let forward = layer(&mut net);
        let net = net.build();
        let g = fixture_graph();
        let vars: Vec<Var> = inputs.iter().map(|(name, shape, _)| g.input(name, shape)).collect();
        let loss = (-&forward(&g, &vars)).softplus().mean();
        g.output("loss", &loss);
        g.output("dx", &gradients(&loss, &vars[..1]).remove(0).expect("a gradient"));
        Optimizer::plain(OptimConfig::sgd(0.1, 1.0, 0.0)).minimize(&loss, &net);
        let (mut params, stats) = net.initial(0);
        for (name, value) in start {
            let info = net.params.iter().find(|info| info.name.ends_with(name)).expect("a parameter");
            params[info.offset..info.offset + info.len()].fill(*value);
        }
        let mut values = Tensors::from([(net.params_state(), params), (net.stats_state(), stats)]);
        for (name, shape, stream) in inputs {
            values.insert(name.to_string(), fixture_normals(*stream, shape.iter().product(), 1.0));
        }
        let mut rig = Rig::on(&g.finish().expect("a graph"), &device, &values);
        for (step, want) in numbers(&fixture["losses"]).into_iter().enumerate() {
            let got = rig.outputs();
            assert_close(&got["loss"], &[want], 2e-6, &device.name());
            if step == 0 {
                assert_close(&got["dx"], &numbers(&fixture["dx"]), 1e-5, &device.name());
            }
        }
        for (infos, state) in [(&net.params, net.params_state()), (&net.stats, net.stats_state())] {
            let all = rig.store.read(&state).expect("a state");
            for info in infos {
                let name = info.name.trim_start_matches("layer.");
                let got = &all[info.offset..info.offset + info.len()];
                assert_close(got, &numbers(&fixture[name]), 5e-6, &format!("{} {name}", device.name()));
            }
        }
    }
}

#[test]
fn attention_follows_pytorch() {
    let inputs = [("x", vec![2, 8, 4, 4], 400)];
    follows_pytorch("attention", &[("gamma", 0.5)], &inputs, |net| {
        let layer = Attention::new(net, "layer", 8);
        Box::new(move |graph, x| {
            layer.power_iteration(graph);
            layer.forward(&x[0], Mode::Train)
        })
    });
}

#[test]
fn conditional_batch_norm_follows_pytorch() {
    let inputs = [("x", vec![6, 3, 2, 2], 401), ("v", vec![6, 4], 402)];
    follows_pytorch("norm", &[], &inputs, |net| {
        let layer = ConditionalBatchNorm::new(net, "layer", 3, 4);
        Box::new(move |graph, x| {
            layer.power_iteration(graph);
            layer.forward(&x[0], &x[1], Mode::Train)
        })
    });
}

#[test]
fn what_attention_is_made_of_agrees_with_differences() {
    check_first(&[off_grid(&[2, 3, 5])], |x| vec![x[0].softmax()]);
    check_second(&[off_grid(&[3, 4])], |x| vec![x[0].softmax()]);
    check_first(&[off_grid(&[2, 1, 4, 2])], |x| vec![x[0].max_pool()]);
    check_first(&[off_grid(&[2, 3, 4]), off_grid(&[2, 3, 5]), off_grid(&[2, 2, 5])], |x| {
        vec![x[0].attend(&x[1], &x[2])]
    });
}

#[test]
fn shares_of_large_numbers_are_finite_and_add_up() {
    let g = fixture_graph();
    g.output("y", &g.input("x", &[2, 3]).softmax());
    let values = Tensors::from([("x".into(), vec![1000.0, 1000.0, -1000.0, 0.0, 2f32.ln(), 3f32.ln()])]);
    let got = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values).outputs();
    assert_close(&got["y"], &[0.5, 0.5, 0.0, 1.0 / 6.0, 1.0 / 3.0, 0.5], 1e-6, "shares");
}

/// BigGAN made small enough for the CPU.
fn session(device: Device, settings: &[&str]) -> Session {
    let mut config = Config::preset("biggan-small").expect("a preset");
    let sizes = ["model.image=8", "model.width=4", "model.widest=6", "model.latent=4", "model.embedding=3"];
    let rest = ["model.attention=8", "model.classes=3", "optim.kind=sgd", "optim.lr=1e-6"];
    config.set_all(&Setting::all(&[&sizes[..], &rest, settings].concat()).expect("settings")).expect("settings");
    Session::new(&config.model, &config.optimizer(), 3, device).expect("a session")
}

/// Six images and their labels as they are uploaded.
fn upload() -> Vec<f32> {
    let pixels = normals(7, 6 * 64).into_iter().map(|v| (128.0 + 50.0 * v) as u8);
    pack(pixels.chain([0, 1, 2, 2, 1, 0]).collect())
}

#[test]
fn a_small_step_on_the_gpu_follows_the_reference_also_where_it_is_differentiated_twice() {
    for settings in [&[][..], &["model.penalty=r1"], &["model.discriminator_steps=2"]] {
        let states = ["history", "generator.momentum", "discriminator.momentum", "generator.stats"];
        let [got, want] = [gpu(), Device::Reference].map(|device| {
            let mut session = session(device, settings);
            let batch = 6 / session.model.batches_per_step();
            let mut train = session.train_step(batch).expect("a program");
            train.write("images", &upload()).expect("an upload");
            train.run().expect("a step");
            states.map(|state| session.store.read(state).expect("a state"))
        });
        for (state, (got, want)) in std::iter::zip(states, std::iter::zip(got, want)) {
            assert!(want.iter().any(|v| *v != 0.0), "{state} is all zeros");
            assert_close(&got, &want, 2e-4, &format!("{settings:?} {state}"));
        }
    }
}

#[test]
fn images_depend_on_every_part_of_z_and_on_the_class() {
    let mut session = session(Device::Cpu, &[]);
    let mut made = |z: [f32; 4], class: u8| sample::decode(&mut session, &z, &[class]).expect("an image");
    let z = [0.5, -0.3, 0.8, 0.1];
    let image = made(z, 0);
    assert_ne!(image, made(z, 1), "the class");
    for k in 0..4 {
        let mut moved = z;
        moved[k] += 1.0;
        assert_ne!(image, made(moved, 0), "z[{k}]");
    }
}

#[test]
fn parameters_are_counted_as_the_paper_has_them() {
    let conv = |inputs: usize, outputs: usize, kernel: usize| inputs * outputs * kernel * kernel + outputs;
    let counts = |name: &str| -> Vec<usize> {
        let model = Config::preset(name).expect("a preset").model.build().expect("a model");
        model.networks().iter().map(|net| net.count()).collect()
    };
    // Four parts of 32 latent dimensions; all planes have 256 channels; both networks attend to
    // 16x16.
    let (wide, known) = (256, 128 + 32);
    let attention = 2 * wide * wide / 8 + 2 * wide * wide / 2 + 1;
    let up = 2 * 2 * known * wide + 2 * conv(wide, wide, 3) + conv(wide, wide, 1);
    let generator = 10 * 128 + 33 * 16 * wide + 3 * up + attention + 2 * wide + conv(wide, 3, 3);
    let block = |from| conv(from, wide, 3) + conv(wide, wide, 3);
    let halving = |from| block(from) + conv(from, wide, 1);
    let blocks = halving(3) + halving(wide) + 2 * block(wide);
    assert_eq!(counts("biggan"), [generator, blocks + attention + conv(wide, 1, 1) + 10 * wide]);
    // In a conditional DCGAN a class is a latent dimension more, and a channel of the image.
    for (name, plain, c) in [("dcgan-conditional", "dcgan-28", 64), ("dcgan-conditional-small", "dcgan-28-small", 32)] {
        let plain = counts(plain);
        assert_eq!(counts(name), [plain[0] + 10 * 98 * c, plain[1] + 10 * 16 * c]);
    }
}
