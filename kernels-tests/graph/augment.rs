//! Differentiable augmentation: what it does to images, its gradients against differences, and the
//! same numbers on every device.

use crate::derivatives::{check_first, check_second, off_grid};
use crate::support::{Rig, Tensors, assert_close, assert_same_everywhere, gpu, graph, normals, random_values};
use limn::models::Augmentation;
use limn::program::Device;

const ALL: [Augmentation; 3] = [Augmentation::Color, Augmentation::Translation, Augmentation::Cutout];

/// What `augmentation` makes of images of this shape at each of two steps, on the reference.
fn changed(augmentation: Augmentation, shape: [usize; 4], images: &[f32]) -> [Vec<f32>; 2] {
    let g = graph();
    g.output("y", &augmentation.apply(&g.input("x", &shape)));
    g.advance(&g.clock());
    let values = Tensors::from([("x".into(), images.to_vec())]);
    let mut rig = Rig::on(&g.finish().expect("a graph"), &Device::Reference, &values);
    [(); 2].map(|()| rig.outputs().remove("y").expect("images"))
}

#[test]
fn gradients_agree_with_differences() {
    for augmentation in ALL {
        for shape in [[2, 3, 5, 4], [3, 1, 4, 4]] {
            check_first(&[off_grid(&shape)], |x| vec![augmentation.apply(&x[0])]);
        }
        check_second(&[off_grid(&[2, 2, 3, 3])], |x| vec![augmentation.apply(&x[0].tanh()).tanh()]);
    }
}

#[test]
fn all_of_them_are_the_same_however_planned_and_on_every_device() {
    let g = graph();
    let x = g.input("x", &[5, 3, 9, 8]);
    g.output("y", &ALL.iter().fold(x, |x, augmentation| augmentation.apply(&x)));
    g.advance(&g.clock());
    let source = g.finish().expect("a graph");
    assert_same_everywhere(&source, &random_values(&source), &gpu(), 2);
}

#[test]
fn a_translation_moves_all_channels_of_an_image_by_up_to_an_eighth() {
    let (n, c, side) = (40, 2, 16);
    let images = normals(1, n * c * side * side);
    let steps = changed(Augmentation::Translation, [n, c, side, side], &images);
    let moves = steps.map(|moved| -> Vec<[i64; 2]> {
        let size = c * side * side;
        std::iter::zip(images.chunks(size), moved.chunks(size))
            .map(|(image, moved)| {
                let fits = |v: i64, u: i64| {
                    (0..size).all(|at| {
                        let (row, column) = ((at / side % side) as i64 - v, (at % side) as i64 - u);
                        let inside = [row, column].iter().all(|k| (0..side as i64).contains(k));
                        let from = at as i64 - v * side as i64 - u;
                        moved[at] == if inside { image[from as usize] } else { 0.0 }
                    })
                };
                let all = (-2..=2).flat_map(|v| (-2..=2).map(move |u| [v, u]));
                all.into_iter().find(|[v, u]| fits(*v, *u)).expect("a move of at most 2 pixels")
            })
            .collect()
    });
    assert_ne!(moves[0], moves[1], "another draw at each step");
    for axis in [0, 1] {
        let seen = |d: i64| moves.iter().flatten().any(|m| m[axis] == d);
        assert!((-2..=2).all(seen), "every distance along axis {axis} comes up");
    }
}

#[test]
fn a_cutout_is_a_square_of_half_the_side_that_may_reach_over_the_edge() {
    let (n, c, side) = (30, 3, 8);
    let images = normals(2, n * c * side * side);
    let [first, second] = changed(Augmentation::Cutout, [n, c, side, side], &images);
    assert_ne!(first, second);
    let mut sizes = Vec::new();
    for (image, cut) in std::iter::zip(images.chunks(c * side * side), first.chunks(c * side * side)) {
        let gone: Vec<usize> = (0..side * side).filter(|at| cut[*at] == 0.0).collect();
        let (rows, columns): (Vec<_>, Vec<_>) = gone.iter().map(|at| (at / side, at % side)).unzip();
        let extent = |v: &[usize]| v.iter().max().expect("a hole") - v.iter().min().expect("a hole") + 1;
        let (tall, wide) = (extent(&rows), extent(&columns));
        assert_eq!(tall * wide, gone.len(), "the hole is a rectangle");
        assert!((2..=4).contains(&tall) && (2..=4).contains(&wide), "{tall}x{wide}");
        for (at, (x, y)) in std::iter::zip(image, cut).enumerate() {
            assert_eq!(*y, if gone.contains(&(at % (side * side))) { 0.0 } else { *x }, "element {at}");
        }
        sizes.push(tall * wide);
    }
    assert!(sizes.contains(&16) && sizes.iter().any(|s| *s < 16));
}

#[test]
fn colour_moves_the_mean_and_stretches_what_is_around_it() {
    let (n, size) = (20, 36);
    let images = normals(3, n * size);
    let [first, second] = changed(Augmentation::Color, [n, 1, 6, 6], &images);
    assert_ne!(first, second);
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    for (x, y) in std::iter::zip(images.chunks(size), first.chunks(size)) {
        let (from, to) = (mean(x), mean(y));
        assert!((to - from).abs() <= 0.5, "the brightness");
        let contrast = (y[0] - to) / (x[0] - from);
        assert!((0.499..1.501).contains(&contrast), "the contrast is {contrast}");
        let want: Vec<f32> = x.iter().map(|x| (x - from) * contrast + to).collect();
        assert_close(y, &want, 1e-4, "an image");
    }
    // A grey picture in colour has no saturation to change.
    let grey: Vec<f32> = images.chunks(size).flat_map(|plane| plane.repeat(3)).collect();
    let [grey, _] = changed(Augmentation::Color, [n, 3, 6, 6], &grey);
    for image in grey.chunks(3 * size) {
        assert_close(&image[size..], &[&image[..size], &image[..size]].concat(), 1e-5, "the channels stay equal");
    }
    let [coloured, _] = changed(Augmentation::Color, [n / 2, 2, 6, 6], &images);
    for (x, y) in std::iter::zip(images.chunks(2 * size), coloured.chunks(2 * size)) {
        let apart = |v: &[f32]| -> Vec<f32> { (0..size).map(|i| v[i] - v[size + i]).collect() };
        let (before, after) = (apart(x), apart(y));
        let factor = after[0] / before[0];
        assert!((0.0..3.0).contains(&factor), "saturation times contrast is {factor}");
        let want: Vec<f32> = before.iter().map(|d| d * factor).collect();
        assert_close(&after, &want, 1e-4, "the distance of two channels");
    }
}
