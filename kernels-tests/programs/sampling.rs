//! Cached against naive sampling, and graphs as code for single pixels.

use crate::support::{gpu, graph, normals};
use limn::graph::Var;
use limn::models::{
    Autoregressive, Batch, ModelConfig, PixelCnn, PixelCnnConfig, PixelCnnGatedConfig, PixelModel, PixelRnnConfig,
    Recurrence,
};
use limn::nn::{Mode, Network};
use limn::ops::{ConvSpec, Head, Mask};
use limn::program::{Device, NotPerPixel, PixelProgram};
use limn::sample::{self, Drawing};
use limn::train::{Config, Session};

fn devices() -> [Device; 3] {
    [Device::Reference, Device::Cpu, gpu()]
}

/// A PixelCNN without a list of last layers, of black and white images.
fn pixelcnn([height, width]: [usize; 2], hidden: usize, blocks: usize) -> PixelCnnConfig {
    PixelCnnConfig { channels: 1, height, width, levels: 2, hidden, blocks, last: vec![] }
}

fn session(size: [usize; 2], hidden: usize, blocks: usize, seed: u64, device: &Device) -> Session {
    loud(&ModelConfig::new(pixelcnn(size, hidden, blocks)), seed, device)
}

fn loud(config: &ModelConfig, seed: u64, device: &Device) -> Session {
    let preset = Config::preset("pixelcnn-small").expect("a preset");
    let mut session = Session::new(config, &preset.optimizer(), seed, device.clone()).expect("a session");
    // Larger weights than fresh ones, so that pixels hang on one another.
    let names: Vec<String> = session.model.networks().iter().map(|n| n.params_state()).collect();
    for name in names {
        let params = session.store.read(&name).expect("parameters");
        let noise = normals(50, params.len());
        let louder: Vec<f32> = std::iter::zip(params, noise).map(|(p, z)| 1.7 * p + 0.05 * z).collect();
        session.store.write(&name, &louder).expect("parameters");
    }
    session
}

fn both(session: &mut Session, images: &[f32], keep: &[f32], seed: u64) -> [Vec<f32>; 2] {
    both_of(session, images, keep, &[], seed)
}

fn both_of(session: &mut Session, images: &[f32], keep: &[f32], labels: &[u8], seed: u64) -> [Vec<f32>; 2] {
    [Drawing::Cached, Drawing::Naive]
        .map(|drawing| sample::complete(session, images, keep, labels, seed, drawing).expect("images"))
}

/// Fails unless the images are the same and hold both colours.
fn assert_same_pictures([cached, naive]: &[Vec<f32>; 2], what: &str) {
    let differ: Vec<usize> = (0..naive.len()).filter(|i| cached[*i] != naive[*i]).collect();
    assert!(differ.is_empty() && cached.len() == naive.len(), "{what}: pixels {differ:?} differ");
    assert!(naive.contains(&0.0) && naive.contains(&1.0), "{what}: an image of one colour proves nothing");
}

#[test]
fn cached_images_are_the_naive_ones() {
    for device in devices() {
        for (seed, (n, size, hidden, blocks)) in
            [(1, [9, 7], 3, 2), (5, [7, 12], 8, 1), (3, [6, 5], 5, 3), (9, [10, 10], 4, 0)].into_iter().enumerate()
        {
            let mut session = session(size, hidden, blocks, seed as u64, &device);
            assert_eq!(sample::refusal(&session), None);
            let len = size[0] * size[1];
            let images = both(&mut session, &vec![0.0; n * len], &vec![0.0; len], 11 + seed as u64);
            assert_same_pictures(&images, &format!("{} seed {seed}", device.name()));
        }
    }
}

#[test]
fn levels_colours_and_stacks_are_drawn_the_same_both_ways() {
    let gated = |levels, dilations: &[usize], classes| {
        let dilations = dilations.to_vec();
        ModelConfig::new(PixelCnnGatedConfig { height: 6, width: 7, levels, hidden: 6, dilations, classes })
    };
    let grey = PixelCnnConfig { levels: 256, last: vec![9], ..pixelcnn([7, 5], 4, 2) };
    let colours = PixelCnnConfig { channels: 3, levels: 17, last: vec![11, 40], ..pixelcnn([5, 6], 7, 2) };
    let wide = PixelCnnConfig { channels: 3, levels: 256, last: vec![300], ..pixelcnn([2, 3], 5, 1) };
    let recurrent = |recurrence, levels, channels, layers| {
        let last = vec![6];
        let (height, width, hidden) = (6, 7, 6);
        ModelConfig::new(PixelRnnConfig { channels, height, width, levels, recurrence, hidden, layers, last })
    };
    let networks = [
        recurrent(Recurrence::Row, 2, 1, 2),
        recurrent(Recurrence::Diagonal, 2, 1, 2),
        recurrent(Recurrence::Row, 256, 3, 1),
        recurrent(Recurrence::Diagonal, 5, 3, 2),
        gated(2, &[1, 2], 0),
        gated(256, &[1, 4, 2], 0),
        gated(4, &[2, 1], 3),
        ModelConfig::new(grey),
        ModelConfig::new(colours),
        ModelConfig::new(wide),
    ];
    for device in devices() {
        for (k, config) in networks.iter().enumerate() {
            let what = format!("{} network {k}", device.name());
            let mut session = loud(config, k as u64, &device);
            assert_eq!(sample::refusal(&session), None, "{what}");
            let size = session.model.geometry().iter().product::<usize>();
            let keep: Vec<f32> = (0..size).map(|i| f32::from(u8::from(i % 5 == 0))).collect();
            let labels: &[u8] = if session.model.classes() > 0 { &[2, 0, 2] } else { &[] };
            let [cached, naive] = both_of(&mut session, &vec![0.4; 3 * size], &keep, labels, 7);
            let differ: Vec<usize> = (0..naive.len()).filter(|i| cached[*i] != naive[*i]).collect();
            assert!(differ.is_empty(), "{what}: pixels {differ:?} differ");
            assert!(naive.iter().any(|v| *v < 0.3) && naive.iter().any(|v| *v > 0.6), "{what}: {naive:?}");
        }
    }
}

#[test]
fn known_pixels_stay_and_count() {
    for device in devices() {
        let (n, size) = (7, [8, 11]);
        let len = size[0] * size[1];
        let mut session = session(size, 6, 2, 4, &device);
        let known: Vec<f32> = normals(60, n * len).iter().map(|z| f32::from(u8::from(*z > 0.3))).collect();
        let keep: Vec<f32> = normals(61, n * len).iter().map(|z| f32::from(u8::from(*z > 0.0))).collect();
        let images = both(&mut session, &known, &keep, 2);
        assert_same_pictures(&images, &device.name());
        let kept = |image: &[f32]| (0..n * len).all(|i| keep[i] == 0.0 || image[i] == known[i]);
        assert!(kept(&images[0]) && kept(&images[1]), "a known pixel changed");
        // Other known pixels lead to other unknown ones.
        let inverted: Vec<f32> = known.iter().map(|v| 1.0 - v).collect();
        let others = both(&mut session, &inverted, &keep, 2);
        assert_same_pictures(&others, &device.name());
        assert!((0..n * len).any(|i| keep[i] == 0.0 && others[0][i] != images[0][i]));
        // All known: nothing is drawn.
        let all = both(&mut session, &known, &vec![1.0; len], 2);
        assert!(all.iter().all(|images| *images == known));
    }
}

#[test]
fn chunks_and_seeds_are_as_before() {
    let device = gpu();
    let (n, size) = (67, [4, 5]);
    let mut session = session(size, 2, 1, 9, &device);
    let draw = |session: &mut Session, n: usize, seed| both(session, &vec![0.0; n * 20], &[0.0; 20], seed);
    let images = draw(&mut session, n, 5);
    assert_same_pictures(&images, "67 images");
    assert_eq!(draw(&mut session, 1, 6)[0], images[0][64 * 20..65 * 20], "the second chunk has the next seed");
    assert_ne!(draw(&mut session, n, 6)[0], images[0]);
}

/// A PixelCNN whose logits look at the whole batch, and do nothing with it.
struct Peeping(PixelCnn);

impl PixelModel for Peeping {
    fn network(&self) -> &Network {
        self.0.network()
    }

    fn shape(&self) -> [usize; 3] {
        self.0.shape()
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        let logits = self.0.outputs(batch, mode);
        &logits + &logits.mean().mul_scalar(0.0)
    }
}

#[test]
fn a_network_without_code_for_pixels_is_drawn_the_naive_way() {
    for device in [Device::Cpu, gpu()] {
        let mut session = session([5, 6], 2, 1, 3, &device);
        let plain = both(&mut session, &[0.0; 60], &[0.0; 30], 8);
        let config: &PixelCnnConfig = session.config.downcast_ref().expect("a PixelCNN");
        session.model = Box::new(Autoregressive(Peeping(PixelCnn::new(config).expect("a model"))));
        let why = sample::refusal(&session).expect("a refusal");
        assert!(why.contains("reduce_sum") && why.contains("does not work on each pixel alone"), "{why}");
        let peeping = both(&mut session, &[0.0; 60], &[0.0; 30], 8);
        assert_same_pictures(&peeping, &device.name());
        assert_eq!(peeping[0], plain[0]);
    }
}

/// A PixelCNN that draws class 0 bright and class 1 dark.
struct Told(PixelCnn);

impl PixelModel for Told {
    fn network(&self) -> &Network {
        self.0.network()
    }

    fn shape(&self) -> [usize; 3] {
        self.0.shape()
    }

    fn classes(&self) -> usize {
        3
    }

    fn outputs(&self, batch: &Batch, mode: Mode) -> Var {
        let labels = batch.labels.as_ref().expect("labels");
        let bright = &labels.slice(1, 0, 1) - &labels.slice(1, 1, 1);
        &self.0.outputs(batch, mode) + &bright.mul_scalar(3.0).reshape(&[batch.len(), 1, 1, 1])
    }
}

#[test]
fn images_of_classes_are_drawn_by_class_and_stay_in_their_order() {
    for device in devices() {
        let mut session = session([5, 6], 2, 1, 3, &device);
        let config: &PixelCnnConfig = session.config.downcast_ref().expect("a PixelCNN");
        session.model = Box::new(Autoregressive(Told(PixelCnn::new(config).expect("a model"))));
        assert_eq!(sample::refusal(&session), None);
        let labels = [2, 0, 1, 0, 1, 0, 2];
        let blank = vec![0.0; 30 * labels.len()];
        let drawn = both_of(&mut session, &blank, &[0.0; 30], &labels, 4);
        assert_same_pictures(&drawn, &device.name());
        for (image, label) in std::iter::zip(drawn[0].chunks(30), labels) {
            let bright = image.iter().sum::<f32>() / 30.0;
            let expected = [0.7..=1.0, 0.0..=0.3, 0.0..=1.0];
            assert!(expected[usize::from(label)].contains(&bright), "class {label} has {bright} bright pixels");
        }
        let one = both_of(&mut session, &blank[..30], &[0.0; 30], &[1], 4);
        assert_eq!(one[0], drawn[0][60..90], "the first of a class does not hang on the others");
        let keep: Vec<f32> = (0..blank.len()).map(|i| f32::from(u8::from(i / 30 == 3))).collect();
        let kept = both_of(&mut session, &blank, &keep, &labels, 4);
        assert_eq!(kept[0], kept[1]);
        assert!(kept[0][90..120].iter().all(|v| *v == 0.0), "masks go with their images");
        let wrong = sample::complete(&mut session, &blank, &[0.0; 30], &[3; 7], 4, Drawing::Cached);
        assert!(wrong.expect_err("a refusal").to_string().contains("an image is of class 3"));
    }
}

/// The program of a graph on images of 6x5 pixels.
fn program(logits: impl Fn(&Var) -> Var) -> Result<PixelProgram, NotPerPixel> {
    let g = graph();
    let image = g.input("image", &[1, 1, 6, 5]);
    let logits = logits(&image);
    PixelProgram::new(&g.finish().expect("a graph"), image.id(), logits.id(), Head::Bernoulli)
}

fn weights(x: &Var, name: &str, co: usize, k: usize) -> Var {
    let ci = x.shape()[1];
    x.graph().state(name, co * ci * k * k, 0, &[co, ci, k, k])
}

fn conv(x: &Var, name: &str, co: usize, k: usize, mask: Mask) -> Var {
    x.conv2d(&weights(x, name, co, k), None, &ConvSpec::masked(mask, [k, k], 1))
}

#[test]
fn what_cannot_be_drawn_pixel_by_pixel_says_why() {
    let a = |x: &Var| conv(x, "a", 4, 5, Mask::A);
    let refused = |logits: &dyn Fn(&Var) -> Var, words: &str| {
        let why = program(logits).err().unwrap_or_else(|| panic!("{words}: not refused")).to_string();
        assert!(why.contains(words), "{why}");
    };
    assert!(program(|x| conv(&a(x), "b", 1, 3, Mask::B)).is_ok());
    refused(&|x| conv(&a(x), "b", 1, 3, Mask::None), "reads pixels that are drawn later");
    refused(&|x| conv(x, "b", 1, 3, Mask::B), "depends on the pixel itself");
    let along = |x: &Var, left: usize| {
        let spec = ConvSpec { padding: [0, left, 0, 2 - left], ..ConvSpec::default() };
        x.conv2d(&x.graph().state(&format!("along{left}"), 3, 0, &[1, 1, 1, 3]), None, &spec)
    };
    refused(&|x| along(x, 1), "reads pixels that are drawn later");
    refused(&|x| along(&conv(x, "b", 1, 3, Mask::A), 1), "depends on the pixel itself");
    refused(&|x| along(&conv(x, "b", 1, 3, Mask::A), 0), "reads pixels that are drawn later");
    refused(&|x| conv(&a(x), "b", 2, 1, Mask::B), "not what pixels are drawn from");
    refused(&|x| conv(&a(x).flip(3), "b", 1, 1, Mask::B), "strided");
    refused(&|x| conv(&(&a(x) - &a(x).mean()), "b", 1, 1, Mask::B), "does not work on each pixel alone");
    refused(&|x| a(x).conv2d(&weights(&a(x), "b", 1, 3), None, &ConvSpec::new(2, 1)), "something else than channels");
    refused(&|x| conv(&(&a(x) + &x.graph().input("z", &[1, 4, 6, 5])), "b", 1, 1, Mask::B), "input other than");
    refused(&|x| conv(&(&a(x) * &conv(&a(x), "c", 1, 1, Mask::B)), "b", 1, 1, Mask::B), "lays channels over others");
}

/// Graphs with slices, shifts, gates, concatenation, constants and dilation: the code's logits at
/// every pixel are those of the graph.
#[test]
fn code_computes_what_the_graph_does() {
    use limn::kernels::Kernel;
    use limn::kernels::draw_pixels::DrawPixels;
    use limn::kernels::philox::Stream;
    use limn::kernels::pixel_code::Instruction;
    use limn::program::{Options, Runner, Store, plan};
    type Net = fn(&Var) -> Var;
    let lead = [0, 0, 0, 3, 1, 1, 5];
    let nets: [Net; 7] = [
        |x| {
            // A gate of two halves of channels, with a constant for each channel and each pixel.
            let y = conv(&x.add_scalar(-0.5), "a", 7, 5, Mask::A).leaky_relu(0.2);
            let gated = &y.slice(1, 0, 3).tanh() * &y.slice(1, 4, 3).sigmoid();
            let scaled = &gated * &x.graph().state("scale", 3, 0, &[1, 3, 1, 1]);
            let moved = &scaled + &x.graph().state("moved", 90, 0, &[1, 3, 6, 5]);
            let both = moved.concat(&y, 1);
            let dilated = ConvSpec { dilation: [2, 2], padding: [2; 4], ..ConvSpec::masked(Mask::B, [3, 3], 1) };
            let z = both.conv2d(&weights(&both, "d", 5, 3), Some(&x.graph().state("bias", 5, 0, &[5])), &dilated);
            conv(&(&z.elu() + &z), "e", 1, 1, Mask::None)
        },
        |x| {
            // The rows above by a kernel that sees none but them, and a row more of the same moved
            // down.
            let above = ConvSpec { padding: [2, 1, 0, 1], ..ConvSpec::default() };
            let w = x.graph().state("v", 4 * 2 * 3, 0, &[4, 1, 2, 3]);
            let seen = x.conv2d(&w, None, &above).slice(2, 0, 6);
            let seen = &seen + &seen.relu().pad(2, 1, 0).slice(2, 0, 6);
            let left = conv(x, "left", 4, 3, Mask::A);
            conv(&(&seen + &left).relu(), "e", 1, 3, Mask::B)
        },
        |x| {
            // Weights that are computed, and a residual that waits for a later value.
            let w = weights(x, "a", 6, 3).mul_scalar(0.7).tanh();
            let y = x.conv2d(&w, None, &ConvSpec::masked(Mask::A, [3, 3], 1));
            let z = conv(&y.relu(), "b", 6, 3, Mask::B);
            conv(&(&conv(&z.relu(), "c", 6, 3, Mask::B) + &y), "e", 1, 1, Mask::None)
        },
        |x| {
            // A stack over the rows above that looks left and right, dilated once, beside one along
            // the row.
            let rows = |dilation: usize| ConvSpec {
                dilation: [dilation; 2],
                padding: [dilation, dilation, 0, dilation],
                ..ConvSpec::default()
            };
            let g = x.graph().clone();
            let first = x.conv2d(&g.state("v0", 5 * 3, 0, &[5, 1, 1, 3]), None, &rows(1)).slice(2, 0, 6);
            let second = first.tanh().conv2d(&g.state("v1", 4 * 5 * 6, 0, &[4, 5, 2, 3]), None, &rows(2));
            let third = second.relu().conv2d(&g.state("v2", 4 * 4 * 6, 0, &[4, 4, 2, 3]), None, &rows(1));
            let along = ConvSpec::masked(Mask::A, [1, 3], 1);
            let left = x.conv2d(&g.state("h0", 4 * 3, 0, &[4, 1, 1, 3]), None, &along);
            let all = &(&left + &conv(&second, "s", 4, 1, Mask::None)) + &conv(&third, "t", 4, 1, Mask::None);
            conv(&all.elu(), "e", 1, 1, Mask::None)
        },
        |x| {
            // A value that is read to the right of the pixel and where the pixel is.
            let g = x.graph().clone();
            let above = ConvSpec { padding: [1, 1, 0, 1], ..ConvSpec::default() };
            let seen = x.conv2d(&g.state("v0", 2 * 3, 0, &[2, 1, 1, 3]), None, &above).slice(2, 0, 6);
            let right = ConvSpec { padding: [0, 1, 0, 1], ..ConvSpec::default() };
            let wide = seen.relu().conv2d(&g.state("r", 3 * 2 * 3, 0, &[3, 2, 1, 3]), None, &right);
            conv(&(&wide + &conv(&seen, "s", 3, 1, Mask::None)), "e", 1, 1, Mask::None)
        },
        |x| {
            // Memories of the row above, one behind the other.
            let memory = |x: &Var, name| x.row_lstm(&x.graph().state(name, 12 * 3 * 3, 0, &[12, 3, 1, 3]));
            let first = memory(&conv(x, "a", 12, 3, Mask::A), "m0");
            conv(&memory(&conv(&first, "b", 12, 3, Mask::B), "m1"), "e", 1, 1, Mask::None)
        },
        |x| {
            // Memories that go right, and left one row above.
            let memory = |x: &Var, name, mirrored| {
                x.diagonal_lstm(&x.graph().state(name, 8 * 2 * 2, 0, &[8, 2, 1, 2]), mirrored)
            };
            let both = |x: &Var, right, left| &memory(x, right, false) + &memory(x, left, true).shift(2, 1);
            let first = both(&conv(x, "a", 8, 3, Mask::A), "m0", "m1");
            conv(&both(&conv(&first, "b", 8, 1, Mask::B), "m2", "m3"), "e", 1, 1, Mask::None)
        },
    ];
    for (k, net) in nets.iter().enumerate() {
        let g = graph();
        let image = g.input("image", &[1, 1, 6, 5]);
        let logits = net(&image);
        g.output("logits", &logits);
        let source = g.finish().expect("a graph");
        let mut store = Store::new(Device::Reference);
        for (i, state) in source.states.iter().enumerate() {
            store.write(&state.name, &normals(70 + i as u32, state.len)).expect("a state");
        }
        let picture: Vec<f32> = normals(69, 30).iter().map(|z| f32::from(u8::from(*z > 0.0))).collect();
        let program = plan(&source, &Options::new(None)).expect("a plan");
        let mut whole = Runner::new(program, &mut store).expect("a runner");
        whole.write("image", &picture).expect("an image");
        whole.run().expect("a run");
        let want = whole.read("logits").expect("logits");

        let g = graph().per_pixel();
        let image = g.input("image", &[1, 1, 6, 5]);
        let logits = net(&image);
        let source = g.finish().expect("a graph");
        let pixels = PixelProgram::new(&source, image.id(), logits.id(), Head::Bernoulli)
            .unwrap_or_else(|e| panic!("net {k}: {e}"));
        let program = plan(&pixels.operands, &Options::new(None)).expect("a plan");
        let mut operands = Runner::new(program, &mut store).expect("a runner");
        operands.run().expect("a run");
        let names = pixels.operands.outputs.iter().map(|(name, _)| operands.read(name).expect("an operand"));
        let weights = pixels.pack(&names.collect::<Vec<_>>());
        let code = std::sync::Arc::new(pixels.code);
        let home = code.instructions.iter().find_map(|placed| match placed.instruction {
            Instruction::Draw { logits, .. } => Some(logits),
            _ => None,
        });
        let home = home.expect("a draw");
        assert_eq!(code.lead(), lead[k], "net {k}");
        let (mut canvas, mut columns) = (picture.clone(), vec![f32::NAN; 4 * code.columns as usize]);
        for step in 0..code.steps() {
            let (y, x) = (step / code.line(), (step % code.line()).wrapping_sub(code.lead()));
            let run = 0..code.passes() * code.instructions.len() as u32;
            let kernel = DrawPixels::new(code.clone(), 1, run, 0, &Stream::of([0; 2], 0, 0, 0));
            kernel.cpu(&[&[], &weights, &[1.0; 30], &[f32::from_bits(step)]], &mut [&mut canvas, &mut columns]);
            if x >= 5 {
                continue;
            }
            let (got, want) = (columns[4 * home.at(y, x, 5)], want[(y * 5 + x) as usize]);
            let close = (got - want).abs() <= 1e-5 * (1.0 + want.abs());
            assert!(close, "net {k}, pixel ({y}, {x}): {got} and should be {want}");
        }
        assert_eq!(canvas, picture);
    }
}
