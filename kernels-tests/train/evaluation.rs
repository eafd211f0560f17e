//! What evaluations are made of: pooled activations of a discriminator, and a probe that learns
//! from them.

use crate::support::{Rig, Tensors, assert_close, gpu, graph, normals};
use limn::data::Options;
use limn::eval::{Measure, Sample, evaluate, probe};
use limn::graph::Var;
use limn::kernels::philox::Domain;
use limn::program::Device;
use limn::train::{Config, Session, Setting, images};

#[test]
fn windows_of_adaptive_pooling_are_those_of_pytorch() {
    let g = graph();
    let x = g.input("x", &[2, 3, 7, 14]);
    g.output("y", &x.adaptive_max_pool([4, 4]));
    g.output("same", &x.adaptive_max_pool([7, 14]));
    let source = g.finish().expect("a graph");
    let x = normals(1, 2 * 3 * 7 * 14);
    let mut want = Vec::new();
    for plane in x.chunks(7 * 14) {
        for (rows, columns) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            // torch.nn.AdaptiveMaxPool2d: from floor(k e / 4) to ceil((k + 1) e / 4).
            let window = |k: usize, e: usize| (k * e / 4)..((k + 1) * e).div_ceil(4);
            let values = window(rows, 7).flat_map(|y| window(columns, 14).map(move |x| plane[y * 14 + x]));
            want.push(values.fold(f32::NEG_INFINITY, f32::max));
        }
    }
    for device in [Device::Reference, Device::Cpu, gpu()] {
        let outputs = Rig::on(&source, &device, &Tensors::from([("x".into(), x.clone())])).outputs();
        assert_close(&outputs["y"], &want, 1e-6, "the pooled planes");
        assert_close(&outputs["same"], &x, 1e-6, "planes of the same size");
    }
    let g = graph();
    g.input("x", &[1, 1, 3, 9]).adaptive_max_pool([4, 4]);
    assert!(g.finish().is_err(), "three rows have no four windows");
}

fn session(preset: &str, settings: &[&str]) -> Session {
    let mut config = Config::preset(preset).expect("a preset");
    config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
    Session::new(&config.model, &config.optimizer(), 3, Device::Cpu).expect("a session")
}

#[test]
fn a_discriminator_shows_what_each_of_its_convolutions_sees() {
    let shapes = |preset: &str, settings: &[&str]| -> Vec<Vec<usize>> {
        let session = session(preset, settings);
        let [c, h, w] = session.model.geometry();
        let graph = session.graph(Domain::Eval, 0, "clock");
        let all = session.model.discriminator_activations(&graph.input("images", &[2, c, h, w]));
        graph.finish().expect("a graph");
        all.iter().map(|v: &Var| v.shape().to_vec()).collect()
    };
    assert_eq!(shapes("dcgan-28", &[]), [[2, 64, 14, 14], [2, 128, 7, 7]]);
    assert_eq!(
        shapes("dcgan", &["model.width=2"]),
        [[2, 2, 32, 32], [2, 4, 16, 16], [2, 8, 8, 8], [2, 16, 4, 4], [2, 1, 1, 1]]
    );
    assert_eq!(shapes("dcgan-28", &["model.discriminator_norm=spectral"]).len(), 2);
    assert!(shapes("vae", &[]).is_empty());
}

#[test]
fn a_probe_of_convolutions_that_know_nothing_yet_is_far_better_than_chance() {
    let mut session = session("dcgan-28-small", &["model.width=4"]);
    let data = images("builtin", session.model.as_ref(), &limn::data::Options::default()).expect("the built-in set");
    let figures = probe(&mut session, &data, 1000).expect("figures");
    let value = |name: &str| figures.iter().find(|f| f.name == name).expect(name).value;
    let (test, held_out, train) =
        (value("probe_accuracy"), value("probe_accuracy_held_out"), value("probe_accuracy_training"));
    assert!(test > 0.6 && held_out > 0.6 && train > test, "{test} {held_out} {train}");
    let protocol = &figures[0].protocol;
    for words in ["2 convolutions", "192 features", "1000 of 6000 training images of fashion-mini", "on 200 of them"] {
        assert!(protocol.contains(words), "{protocol}");
    }
}

#[test]
fn a_figure_says_what_pixels_its_images_have() {
    let protocol = |preset: &str, settings: &[&str], data: &str, count: usize| {
        let mut session = session(preset, settings);
        let data = images(data, session.model.as_ref(), &Options::default()).expect("images");
        let sample = Sample { data: &data.name, test: &data.test, count: count.min(data.test.len()) };
        evaluate(&mut session, &sample, Measure::Own, 2).expect("figures")[0].protocol.clone()
    };
    let colours = protocol("dcgan-28-small", &["model.width=2", "model.channels=3"], "builtin", 2);
    assert!(colours.contains("levels of each colour") && !colours.contains("grey"), "{colours}");
    assert!(protocol("dcgan-28-small", &["model.width=2"], "builtin", 2).contains("; grey levels;"));
    let sounds = protocol("wavegan-small", &["model.width=2"], "drums", 2);
    assert!(sounds.contains("amplitudes") && !sounds.contains("grey"), "{sounds}");
    assert!(protocol("vae", &["model.hidden=2"], "builtin", usize::MAX).contains("all 1000 test images"));
}
