//! What a pixel's distribution depends on, by its gradient with respect to the image.

use crate::support::normals;
use limn::graph::gradients;
use limn::kernels::philox::Domain;
use limn::models::{Batch, Family, ModelConfig};
use limn::nn::Mode;
use limn::program::Device;
use limn::train::{Config, Session};

/// The pixel that is looked at.
const Y: usize = 14;
const X: usize = 13;

/// |∂outputs(Y, X)/∂image| [c,h,w], summed over some draws of a network's parameters, which are piecewise
/// linear: together they see every path. Of the outputs those count that belong to `colour`.
fn field(config: &ModelConfig, colour: usize) -> Vec<f32> {
    let preset = Config::preset("pixelcnn-small").expect("a preset");
    let mut seen = Vec::new();
    for seed in 0..4 {
        let mut session = Session::new(config, &preset.optimizer(), seed, Device::Cpu).expect("a session");
        let [c, h, w] = session.model.geometry();
        let graph = session.graph(Domain::Sample, 0, "clock");
        let one = Batch::given(&graph, session.model.as_ref(), 1);
        let Family::Pixels(model) = session.model.family() else { panic!("a pixel model") };
        let all = model.outputs(&one, Mode::Eval).slice(2, Y, 1).slice(3, X, 1);
        // Different weights, so that nothing cancels, as it would in a sum over a softmax.
        let own: Vec<_> = (0..all.shape()[1]).filter(|k| k % c == colour).collect();
        let outputs = own.iter().map(|k| all.slice(1, *k, 1).mul_scalar(1.0 + 0.3 * (*k as f32).sin()));
        let output = outputs.reduce(|a, b| &a + &b).expect("an output").sum();
        let grad = gradients(&output, std::slice::from_ref(&one.images)).remove(0).expect("a gradient");
        graph.output("grad", &grad);
        let mut runner = session.runner(&graph).expect("a program");
        runner.write("images", &normals(3, c * h * w)).expect("an image");
        runner.run().expect("a run");
        let grad = runner.read("grad").expect("a gradient");
        seen.resize(grad.len(), 0.0f32);
        std::iter::zip(&mut seen, grad).for_each(|(s, g)| *s += g.abs());
    }
    seen
}

fn preset(name: &str) -> ModelConfig {
    Config::preset(name).expect("a preset").model
}

#[test]
fn a_pixel_sees_only_earlier_ones_and_the_stacked_masks_have_a_blind_spot() {
    const SIDE: usize = 28;
    let seen = field(&preset("pixelcnn-small"), 0);
    let at = |dy: usize, dx: isize| seen[(Y - dy) * SIDE + (X as isize + dx) as usize];
    for (pixel, g) in seen.iter().enumerate() {
        assert!(*g == 0.0 || pixel < Y * SIDE + X, "pixel {pixel} leaks into {}", Y * SIDE + X);
    }
    // A 7x7 mask A, then five 3x3 masks B: eight columns to the left, eight rows up.
    let radius = 3 + 5;
    for (dy, dx) in [(0, -1), (0, -(radius as isize)), (1, 0), (1, 3), (3, 3), (radius, 0), (2, 4)] {
        assert!(at(dy, dx) != 0.0, "{dy} up and {dx} across should be seen");
    }
    assert!(at(0, -(radius as isize) - 1) == 0.0 && at(radius + 1, 0) == 0.0, "beyond the receptive field");
    // To the right a path gains one column for each row it climbs, but for the first layer.
    for (dy, dx) in [(1, 4), (1, 8), (2, 5)] {
        assert!(at(dy, dx) == 0.0, "{dy} up and {dx} across lies in the blind spot");
    }
}

#[test]
fn gated_stacks_have_no_blind_spot() {
    const SIDE: usize = 28;
    let seen = field(&preset("pixelcnn-gated-small"), 0);
    // A first layer and dilations 1, 2, 1, 4: nine pixels to every side, and all of them.
    let reach = 1 + 1 + 2 + 1 + 4;
    for (pixel, g) in seen.iter().enumerate() {
        let (dy, dx) = (Y as isize - (pixel / SIDE) as isize, (pixel % SIDE) as isize - X as isize);
        let above = (1..=reach).contains(&dy) && dx.abs() <= reach;
        let left = dy == 0 && (-reach..0).contains(&dx);
        assert_eq!(*g != 0.0, above || left, "{dy} up and {dx} across");
    }
}

#[test]
fn a_row_lstm_sees_a_triangle_and_a_diagonal_one_all_that_came_before() {
    const SIDE: usize = 28;
    for (name, diagonal) in [("pixelrnn-row-small", false), ("pixelrnn-diagonal-small", true)] {
        let seen = field(&preset(name), 0);
        for (pixel, g) in seen.iter().enumerate() {
            let (dy, dx) = (Y as isize - (pixel / SIDE) as isize, (pixel % SIDE) as isize - X as isize);
            assert!(*g == 0.0 || dy > 0 || (dy == 0 && dx < 0), "{name}: {dy} up and {dx} across leaks");
            // Each row up the state widens by one pixel to both sides; at the top a 7x7 mask A
            // looks three pixels farther, and the gates one to the left.
            let row = if dy == 0 { (-4..0).contains(&dx) } else { (-dy - 4..=dy + 2).contains(&dx) };
            let within = diagonal || row;
            assert!(*g == 0.0 || within, "{name}: {dy} up and {dx} across");
            // Gates wear off what is far away, but nothing is out of reach.
            let near = dx.abs() <= 6 && ((1..=6).contains(&dy) || dy == 0 && dx < 0);
            assert!(*g != 0.0 || !(within && near), "{name}: {dy} up and {dx} across is not seen");
        }
    }
}

#[test]
fn colours_of_recurrent_layers_see_only_those_before_them() {
    for name in ["pixelrnn-row-small", "pixelrnn-diagonal-small"] {
        let mut config = Config::preset(name).expect("a preset");
        ["model.channels=3", "model.levels=5", "model.hidden=6"]
            .iter()
            .for_each(|set| config.set(set.parse().expect("a setting")).expect("a setting"));
        for colour in 0..3 {
            for (k, g) in field(&config.model, colour).iter().enumerate() {
                let (of, pixel, here) = (k / 784, k % 784, Y * 28 + X);
                let may = pixel < here || (pixel == here && of < colour);
                assert!(*g == 0.0 || may, "{name}: colour {of} of pixel {pixel} leaks into colour {colour} of {here}");
                assert!(*g != 0.0 || pixel != here || !may, "{name}: colour {colour} does not see {of} of its pixel");
            }
        }
    }
}

#[test]
fn a_colour_sees_those_before_it_in_the_same_pixel() {
    const SIDE: usize = 32;
    let config = preset("pixelcnn-cifar-small");
    for colour in 0..3 {
        let seen = field(&config, colour);
        for (k, g) in seen.iter().enumerate() {
            let (of, pixel) = (k / (SIDE * SIDE), k % (SIDE * SIDE));
            let here = Y * SIDE + X;
            let may = pixel < here || (pixel == here && of < colour);
            assert!(*g == 0.0 || may, "colour {of} of pixel {pixel} leaks into colour {colour} of {here}");
            assert!(*g != 0.0 || pixel != here || !may, "colour {colour} does not see colour {of} of its pixel");
        }
        assert!((0..3).all(|of| seen[of * SIDE * SIDE + Y * SIDE + X - 1] != 0.0), "the pixel to the left is seen");
    }
}
