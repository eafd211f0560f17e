//! What a pixel's logit depends on, by its gradient with respect to the image.

use limn::graph::gradients;
use limn::kernels::philox::Domain;
use limn::models::{Batch, Family};
use limn::program::Device;
use limn::train::{Config, Session};

const SIDE: usize = 28;

/// |∂logit(y, x)/∂pixel| for every pixel of an image of noise.
fn field(session: &mut Session, y: usize, x: usize) -> Vec<f32> {
    let graph = session.graph(Domain::Sample, 0, "clock");
    let one = Batch::given(&graph, session.model.as_ref(), 1);
    let Family::Pixels(model) = session.model.family() else { panic!("a pixel model") };
    let logit = model.logits(&one).slice(2, y, 1).slice(3, x, 1).sum();
    let grad = gradients(&logit, std::slice::from_ref(&one.images)).remove(0).expect("a gradient");
    graph.output("grad", &grad);
    let mut runner = session.runner(&graph).expect("a program");
    let noise = limn::sample::prior(limn::models::Prior::Normal, SIDE * SIDE, 1, 3);
    runner.write("images", &noise).expect("an image");
    runner.run().expect("a run");
    runner.read("grad").expect("a gradient").iter().map(|v| v.abs()).collect()
}

#[test]
fn a_pixel_sees_only_earlier_ones_and_the_stacked_masks_have_a_blind_spot() {
    let config = Config::preset("pixelcnn-small").expect("a preset");
    let (y, x) = (14, 13);
    // The network is piecewise linear: unions over several draws of its parameters see every path.
    let mut seen = vec![0.0f32; SIDE * SIDE];
    for seed in 0..4 {
        let mut session = Session::new(&config.model, &config.optimizer(), seed, Device::Twins).expect("a session");
        std::iter::zip(&mut seen, field(&mut session, y, x)).for_each(|(s, g)| *s += g);
    }
    let at = |dy: usize, dx: isize| seen[(y - dy) * SIDE + (x as isize + dx) as usize];
    for (pixel, g) in seen.iter().enumerate() {
        assert!(*g == 0.0 || pixel < y * SIDE + x, "pixel {pixel} leaks into {}", y * SIDE + x);
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
