//! PixelCNN++: its normalised weights, its mixture and its losses against PyTorch, and what a pixel
//! sees.

use crate::support::fixtures::{fixture, fixture_graph, fixture_normals, numbers};
use crate::support::{Rig, Tensors, assert_close, gpu, graph, normals};
use limn::graph::{Graph, Var, gradients};
use limn::kernels::philox::Domain;
use limn::models::{Batch, Family};
use limn::nn::{Mode, Network, NetworkBuilder, NormedConv, Numbering, OptimConfig, Optimizer};
use limn::ops::{ConvSpec, Head};
use limn::program::Device;
use limn::sample::{self, Drawing};
use limn::train::{Config, Session, Setting};

fn devices() -> [Device; 3] {
    [Device::Reference, Device::Cpu, gpu()]
}

/// A strided convolution that ends at the pixel's row, ELU, and its transposed relative.
fn layers() -> (Network, impl Fn(&Var, Mode) -> Var) {
    let mut net = NetworkBuilder::new("net", &Numbering::default());
    let spec = |padding| ConvSpec { stride: [2, 2], padding, ..ConvSpec::default() };
    let first = NormedConv::new(&mut net, "0", [3, 4], [2, 3], spec([1, 1, 0, 1])).starting_with(0.5);
    let second = NormedConv::transposed(&mut net, "1", [4, 3], [2, 3], spec([0, 1, 0, 0]));
    (net.build(), move |x, mode| second.forward(&first.forward(x, mode).elu(), mode))
}

#[test]
fn normalised_weights_start_from_data_and_follow_pytorch() {
    let (fixture, (net, forward)) = (fixture("weight_norm"), layers());
    let x = fixture_normals(500, 4 * 3 * 6 * 6, 1.0);
    let parameter = |all: &[f32], name: &str| {
        let info = net.params.iter().find(|info| info.name == name).expect("a parameter");
        all[info.offset..info.offset + info.len()].to_vec()
    };
    let graph = |build: &dyn Fn(&Graph, &Var)| {
        let g = fixture_graph();
        build(&g, &g.input("x", &[4, 3, 6, 6]));
        g.finish().expect("a graph")
    };
    let start = graph(&|g, x| g.output("y", &forward(x, Mode::Initialise)));
    let step = graph(&|g, x| {
        let loss = (-&forward(x, Mode::Train)).softplus().mean();
        g.output("loss", &loss);
        g.output("dx", &gradients(&loss, std::slice::from_ref(x)).remove(0).expect("a gradient"));
        Optimizer::plain(OptimConfig::sgd(0.1, 1.0, 0.0)).minimize(&loss, &net);
    });
    for device in devices() {
        let name = device.name();
        let mut values = Tensors::from([("x".into(), x.clone()), (net.params_state(), net.initial(0).0)]);
        let mut rig = Rig::on(&start, &device, &values);
        let y = rig.outputs().remove("y").expect("outputs");
        // Three channels of planes of 6x6: what the last layer says is normalised over the batch.
        for channel in 0..3 {
            let of: Vec<f64> = (0..4 * 36).map(|i| f64::from(y[(i / 36 * 3 + channel) * 36 + i % 36])).collect();
            let mean = of.iter().sum::<f64>() / 144.0;
            let variance = of.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 144.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{name}: mean {mean}, variance {variance}");
        }
        let started = rig.store.read(&net.params_state()).expect("parameters");
        for part in ["0.weight_g", "0.bias", "1.weight_g", "1.bias"] {
            let want = numbers(&fixture[format!("started.{part}")]);
            assert_close(&parameter(&started, part), &want, 1e-5, &format!("{name}: {part} at the start"));
        }
        values.insert(net.params_state(), started);
        let mut rig = Rig::on(&step, &device, &values);
        for (step, want) in numbers(&fixture["losses"]).into_iter().enumerate() {
            let got = rig.outputs();
            assert_close(&got["loss"], &[want], 5e-6, &name);
            if step == 0 {
                assert_close(&got["dx"], &numbers(&fixture["dx"]), 2e-5, &name);
            }
        }
        let all = rig.store.read(&net.params_state()).expect("parameters");
        for info in &net.params {
            let want = numbers(&fixture[&info.name]);
            assert_close(&parameter(&all, &info.name), &want, 2e-5, &format!("{name}: {}", info.name));
        }
    }
}

#[test]
fn mixtures_of_pixels_and_their_gradients_agree_with_pytorch() {
    let fixture = fixture("mixture");
    let components = fixture["components"].as_u64().expect("a number") as u32;
    for colours in [1, 3] {
        let of = &fixture[format!("colours-{colours}")];
        let head = Head::LogisticMixture { components };
        let g = graph();
        let outputs = g.input("outputs", &[2, head.channels(colours), 3, 4]);
        let nll = head.nll(&outputs, &g.input("images", &[2, colours, 3, 4]));
        g.output("nll", &nll);
        g.output("grad", &gradients(&nll.sum(), &[outputs]).remove(0).expect("a gradient"));
        let source = g.finish().expect("a graph");
        let images: Vec<f32> = numbers(&of["levels"]).iter().map(|level| level / 255.0).collect();
        assert!(images.contains(&0.0) && images.contains(&1.0), "the last bins are not tried");
        let values = Tensors::from([("outputs".into(), numbers(&of["outputs"])), ("images".into(), images)]);
        for device in devices() {
            let got = Rig::on(&source, &device, &values).outputs();
            let name = format!("{}, {colours} colours", device.name());
            assert_close(&got["nll"], &numbers(&of["nll"]), 1e-5, &name);
            assert_close(&got["grad"], &numbers(&of["grad"]), 2e-5, &name);
        }
    }
}

/// A network so small that tests can afford it, for images of `colours` in 16x16 pixels.
fn small(settings: &[&str]) -> Config {
    let mut config = Config::preset("pixelcnn++-small").expect("a preset");
    config
        .set_all(
            &Setting::all(&["model.filters=4", "model.components=2", "model.height=16", "model.width=16"])
                .expect("settings"),
        )
        .expect("settings");
    config.set_all(&Setting::all(settings).expect("settings")).expect("settings");
    config
}

#[test]
fn a_pixel_sees_those_before_it_and_no_other_wherever_it_lies() {
    const SIDE: usize = 16;
    let config = small(&[]);
    let mut session = Session::new(&config.model, &config.optimizer(), 5, Device::Cpu).expect("a session");
    let g = session.graph(Domain::Sample, 0, "clock");
    let one = Batch::given(&g, session.model.as_ref(), 1);
    let Family::Pixels(model) = session.model.family() else { panic!("a pixel model") };
    let outputs = model.outputs(&one, Mode::Eval);
    let (channels, probed) = (outputs.shape()[1], &outputs * &g.input("probe", outputs.shape()));
    g.output("seen", &gradients(&probed.sum(), std::slice::from_ref(&one.images)).remove(0).expect("a gradient"));
    let mut runner = session.runner(&g).expect("a program");
    runner.write("images", &normals(3, 3 * SIDE * SIDE)).expect("an image");
    // Positions of every remainder by the four rows and columns of a pixel at the smallest size.
    for (y, x) in (8..12).flat_map(|y| (8..12).map(move |x| (y, x))) {
        let here = y * SIDE + x;
        let mut probe = vec![0.0; channels * SIDE * SIDE];
        (0..channels).for_each(|c| probe[c * SIDE * SIDE + here] = 1.0 + 0.3 * (c as f32).sin());
        runner.write("probe", &probe).expect("a probe");
        runner.run().expect("a run");
        let seen = runner.read("seen").expect("a gradient");
        for (k, g) in seen.iter().enumerate() {
            let pixel = k % (SIDE * SIDE);
            let what = format!("row {y}, column {x}: pixel {pixel}, colour {}", k / (SIDE * SIDE));
            assert!(*g == 0.0 || pixel < here, "{what} leaks");
            // The row above is told along by the largest size alone: the first layer, two of the
            // block on the way down, one of that block's mate on the way up, and two of the last.
            // Four rows up the smallest size takes part.
            let (up, aside) = (y.saturating_sub(pixel / SIDE), (pixel % SIDE).abs_diff(x));
            assert!(*g != 0.0 || pixel >= here || (up < 4 && aside > 6), "{what} is not seen");
        }
    }
}

#[test]
fn averages_start_with_what_the_first_batch_gave() {
    let config = small(&["train.ema=0.5"]);
    let mut session = Session::new(&config.model, &config.optimizer(), 1, Device::Cpu).expect("a session");
    let read = |session: &Session, state| session.store.read(state).expect("a state");
    let before = read(&session, "pixelcnn.params");
    let bytes: Vec<u8> = normals(8, 2 * 3 * 256).into_iter().map(|v| (64.0 * v + 128.0) as u8).collect();
    session.initialise(2, &limn::train::pack(bytes)).expect("a start");
    let params = read(&session, "pixelcnn.params");
    assert!(params.iter().all(|v| v.is_finite()) && params != before);
    assert_eq!(read(&session, "pixelcnn.average"), params);
    // Directions stay, lengths and biases all move.
    for info in &session.model.networks()[0].params {
        let at = info.offset..info.offset + info.len();
        let moved = std::iter::zip(&params[at.clone()], &before[at]).filter(|(a, b)| a != b).count();
        assert_eq!(moved, if info.name.ends_with("weight_v") { 0 } else { info.len() }, "{}", info.name);
    }
}

/// Fresh lengths are 1 and fresh biases 0: others show where they are applied.
fn moved(config: &Config, device: Device) -> Session {
    let mut session = Session::new(&config.model, &config.optimizer(), 2, device).expect("a session");
    let params = session.store.read("pixelcnn.params").expect("parameters");
    let louder: Vec<f32> = std::iter::zip(&params, normals(50, params.len())).map(|(p, z)| p + 0.1 * z).collect();
    session.store.write("pixelcnn.params", &louder).expect("parameters");
    session
}

#[test]
fn without_strides_the_network_is_the_same() {
    let config = small(&["model.height=12"]);
    for device in [Device::Reference, gpu()] {
        let mut session = moved(&config, device);
        let g = session.graph(Domain::Sample, 0, "clock");
        let two = Batch::given(&g, session.model.as_ref(), 2);
        let Family::Pixels(model) = session.model.family() else { panic!("a pixel model") };
        g.output("sizes", &model.outputs(&two, Mode::Eval));
        g.output("spread", &model.outputs_by_pixel(&two));
        let mut runner = session.runner(&g).expect("a program");
        runner.write("images", &normals(3, 2 * 3 * 12 * 16)).expect("images");
        runner.run().expect("a run");
        let [sizes, spread] = ["sizes", "spread"].map(|name| runner.read(name).expect("outputs"));
        assert_close(&spread, &sizes, 1e-5, "spread");
    }
}

#[test]
fn cached_images_of_a_network_with_strides_are_the_naive_ones() {
    for channels in [1, 3] {
        let config = small(&["model.height=8", "model.width=4", &format!("model.channels={channels}")]);
        for device in devices() {
            let name = device.name();
            let mut session = moved(&config, device);
            assert_eq!(sample::refusal(&session), None);
            let size = channels * 32;
            let known: Vec<f32> = (0..2 * size).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
            let keep: Vec<f32> = (0..size).map(|i| f32::from(u8::from(i % 32 < 9 || i % 32 == 20))).collect();
            let mut draw = |drawing| sample::complete(&mut session, &known, &keep, &[], 3, drawing).expect("images");
            let [cached, naive] = [Drawing::Cached, Drawing::Naive].map(&mut draw);
            for (i, (v, other)) in std::iter::zip(&cached, &naive).enumerate() {
                assert!((v - other).abs() < 1e-6, "{name}: number {i} is {v} or {other}");
                assert!(keep[i % size] == 0.0 || *v == known[i], "{name}: a known pixel changed");
                assert!((v * 255.0 - (v * 255.0).round()).abs() < 1e-3 && (0.0..=1.0).contains(v), "{v} is no level");
            }
            assert!((0..size).any(|i| cached[i] != cached[size + i] && keep[i] == 0.0));
        }
    }
}
