//! Progressive growing: its layers against PyTorch, and a model whose steps change on its way.

use crate::support::fixtures::{fixture, fixture_graph, fixture_normals, numbers};
use crate::support::{Rig, Tensors, assert_close, gpu, normals};
use limn::graph::gradients;
use limn::nn::{Mode, NetworkBuilder, Numbering, OptimConfig, Optimizer};
use limn::ops::ConvSpec;
use limn::program::Device;
use limn::sample::{self, Drawing};
use limn::train::{Config, Session, Setting, pack};
use std::f32::consts::SQRT_2;

#[test]
fn its_layers_follow_pytorch() {
    let fixture = fixture("progan");
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let mut net = NetworkBuilder::new("d", &Numbering::default());
        let layers = net
            .sequence("")
            .pixel_norm()
            .equalised_lr(SQRT_2)
            .conv(2, 3, 3, ConvSpec::new(1, 1), true)
            .leaky_relu(0.2)
            .minibatch_stddev(2)
            .conv(4, 2, 4, ConvSpec::new(1, 0), true)
            .leaky_relu(0.2)
            .flatten()
            .equalised_lr(1.0)
            .linear(2, 1, true)
            .build();
        let net = net.build();
        let g = fixture_graph();
        let x = g.input("x", &[8, 2, 4, 4]);
        let loss = (-&layers.forward(&x, Mode::Train)).softplus().mean();
        g.output("loss", &loss);
        g.output("dx", &gradients(&loss, std::slice::from_ref(&x)).remove(0).expect("a gradient"));
        Optimizer::plain(OptimConfig::sgd(0.1, 1.0, 0.0)).minimize(&loss, &net);
        let values =
            Tensors::from([("x".into(), fixture_normals(300, 256, 1.0)), (net.params_state(), net.initial(0).0)]);
        let mut rig = Rig::on(&g.finish().expect("a graph"), &device, &values);
        for (step, want) in numbers(&fixture["losses"]).into_iter().enumerate() {
            let got = rig.outputs();
            assert_close(&got["loss"], &[want], 1e-6, &device.name());
            if step == 0 {
                assert_close(&got["dx"], &numbers(&fixture["dx"]), 5e-6, &device.name());
            }
        }
        let all = rig.store.read(&net.params_state()).expect("a state");
        for info in &net.params {
            let name = &info.name;
            let got = &all[info.offset..info.offset + info.len()];
            assert_close(got, &numbers(&fixture[name]), 2e-6, &format!("{} {}", device.name(), info.name));
        }
    }
}

/// 4x4 for four steps, then 8x8 that fades in for four, and 8x8.
fn session(device: Device, step: u64) -> Session {
    let mut config = Config::preset("progan-small").expect("a preset");
    let sizes = ["model.image=8", "model.width=4", "model.widest=6", "model.latent=5"];
    let steps = ["model.fade_steps=4", "model.stable_steps=4", "optim.kind=sgd", "optim.lr=1e-6"];
    config.set_all(&Setting::all(&[&sizes[..], &steps].concat()).expect("settings")).expect("settings");
    let mut session = Session::new(&config.model, &config.optimizer(), 3, device).expect("a session");
    session.go_to(step).expect("a model");
    session
}

fn images(session: &mut Session) -> Vec<f32> {
    sample::samples(session, 3, None, 1, Drawing::Cached).expect("images")
}

#[test]
fn a_step_of_every_stage_on_the_gpu_follows_the_reference() {
    let states = ["history", "generator.momentum", "discriminator.momentum"];
    for (step, name) in [(0, "4x4"), (4, "8x8, fading in"), (6, "8x8, fading in"), (8, "8x8")] {
        let [got, want] = [gpu(), Device::Reference].map(|device| {
            let mut session = session(device, step);
            assert_eq!(session.model.stage().expect("a stage").name, name);
            let mut train = session.train_step(4).expect("a program");
            session.store.write("clock", &[f32::from_bits(step as u32)]).expect("the clock");
            let bytes = normals(7, 4 * 64).into_iter().map(|v| (128.0 + 50.0 * v) as u8).collect();
            train.write("images", &pack(bytes)).expect("an upload");
            train.run().expect("a step");
            states.map(|state| session.store.read(state).expect("a state"))
        });
        for (state, (got, want)) in std::iter::zip(states, std::iter::zip(got, want)) {
            assert!(want.iter().any(|v| *v != 0.0), "{name}: {state} is all zeros");
            assert_close(&got, &want, 1e-4, &format!("{name} {state}"));
        }
    }
}

#[test]
fn new_layers_begin_at_nothing_and_end_as_all_there_is() {
    let at = |step| images(&mut session(Device::Cpu, step));
    let pixels = |images: &[f32], side: usize| -> bool {
        let blocks =
            |image: &[f32]| (0..64).all(|at| image[at] == image[at / 8 / side * side * 8 + at % 8 / side * side]);
        images.chunks(64).all(blocks)
    };
    assert!(pixels(&at(0), 2) && pixels(&at(3), 2), "images of 4x4 pixels are shown at the full side");
    assert_eq!(at(4), at(3), "layers that fade in are not seen at first");
    assert!(!pixels(&at(5), 2));
    assert_eq!(at(8), at(1000));
    // The share grows by as much at each step, so images lie on a line but where they are clipped.
    let [first, middle, last] = [4, 6, 8].map(at);
    for ((a, m), b) in std::iter::zip(std::iter::zip(&first, &middle), &last) {
        let inside = [a, b].iter().all(|v| **v > 0.0 && **v < 1.0);
        assert!(!inside || ((a + b) / 2.0 - m).abs() < 1e-5, "{a} {m} {b}");
    }
}

#[test]
fn a_minibatch_that_does_not_vary_has_no_deviation() {
    let g = fixture_graph();
    let x = g.input("x", &[4, 1, 1, 2]);
    g.output("alone", &x.minibatch_stddev(1));
    g.output("pairs", &x.minibatch_stddev(2));
    // Images 0 and 2 are one group, 1 and 3 the other.
    let values = Tensors::from([("x".into(), vec![1.0, 2.0, 5.0, 5.0, 1.0, 2.0, 9.0, 3.0])]);
    let got = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values).outputs();
    let plane = |name: &str, i: usize| got[name][4 * i + 2..4 * i + 4].to_vec();
    assert!((0..4).all(|i| plane("alone", i) == [1e-4; 2]));
    assert_eq!([plane("pairs", 0), plane("pairs", 2)], [[1e-4; 2]; 2]);
    for i in [1, 3] {
        assert_close(&plane("pairs", i), &[1.5; 2], 1e-6, "the mean of deviations 2 and 1");
    }
}

#[test]
fn parameters_are_counted_as_the_paper_has_them() {
    let conv = |inputs: usize, outputs: usize, kernel: usize| inputs * outputs * kernel * kernel + outputs;
    // The convolutions of each side's two layers and the one to or from an image, those of 4x4
    // first.
    let networks = |widths: &[usize]| {
        let first = widths[0];
        let mut g = conv(512, first, 4) + conv(first, first, 3);
        let mut d = conv(first + 1, first, 3) + conv(first, first, 4) + conv(first, 1, 1);
        for pair in widths.windows(2) {
            g += conv(pair[0], pair[1], 3) + conv(pair[1], pair[1], 3);
            d += conv(pair[1], pair[1], 3) + conv(pair[1], pair[0], 3);
        }
        let to_image: usize = widths.iter().map(|width| conv(*width, 3, 1)).sum();
        let from_image: usize = widths.iter().map(|width| conv(3, *width, 1)).sum();
        [g + to_image, d + from_image]
    };
    let counts = |settings: &[&str]| -> Vec<usize> {
        let mut config = Config::preset("progan").expect("a preset");
        config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
        config.model.build().expect("a model").networks().iter().map(|net| net.count()).collect()
    };
    assert_eq!(counts(&[]), networks(&[512; 4]));
    // Table 2 of the paper.
    let large = networks(&[512, 512, 512, 512, 256, 128, 64, 32, 16]);
    assert_eq!(counts(&["model.image=1024", "model.width=16"]), large);
    assert_eq!(large, [23_079_115, 23_087_249]);
}
