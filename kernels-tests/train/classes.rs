//! Models that are told the classes of their images.

use crate::latent::{trained, value};
use crate::support::{Rig, Tensors, gpu, graph};
use limn::data::{Dataset, Geometry};
use limn::eval::{Measure, Sample, evaluate};
use limn::models::Prior;
use limn::program::Device;
use limn::sample::{self, Drawing};
use limn::train::{Config, Session, Setting, images, pack};

/// What makes the conditional VAE small.
const TINY: [&str; 6] =
    ["model.classes=10", "model.hidden=48", "model.latent=2", "model.beta=100", "train.batch=32", "optim.lr=0.003"];

fn builtin() -> Dataset {
    limn::data::open("builtin", Some(Geometry::new(1, 28, 28)), &limn::data::Options::default())
        .expect("the built-in set")
}

#[test]
fn labels_ride_behind_the_pixels_and_come_out_as_rows_with_a_one() {
    let data = builtin().train;
    let mut bytes = Vec::new();
    for (count, classes) in [(3, 10), (7, 12)] {
        data.upload(0..count, true, &mut bytes);
        let g = graph();
        let words = g.input("words", &[bytes.len().div_ceil(4)]);
        g.output("images", &g.decode_u8(&words, &[count, 784], 255.0, 0.0));
        g.output("labels", &g.one_hot(&words, 784 * count, [count, classes]));
        let source = g.finish().expect("a graph");
        for device in [Device::Reference, Device::Cpu, gpu()] {
            let given = Tensors::from([("words".into(), pack(bytes.clone()))]);
            let out = Rig::on(&source, &device, &given).outputs();
            for i in 0..count {
                let label = data.label(i).expect("a label");
                let row = &out["labels"][i * classes..(i + 1) * classes];
                assert!((0..classes).all(|c| row[c] == f32::from(u8::from(c == usize::from(label)))), "{row:?}");
                let image = data.image(i);
                let mut pixels = std::iter::zip(&out["images"][784 * i..], image.iter());
                assert!(pixels.all(|(got, byte)| (got - f32::from(*byte)).abs() < 1e-3));
            }
        }
    }
}

#[test]
fn a_conditional_vae_draws_the_class_it_is_asked_for() {
    // Its codes cost so much that they say nothing: what it knows of an image is its label.
    let (mut session, losses) = trained("vae", &TINY, 400);
    assert!(losses[399][0] < 0.7 * losses[0][0], "it learns");
    let test = builtin().test;
    let mut means = vec![vec![0.0f32; 784]; 10];
    for i in 0..test.len() {
        let mean = &mut means[usize::from(test.label(i).expect("a label"))];
        std::iter::zip(mean, test.image(i).iter()).for_each(|(m, b)| *m += f32::from(*b) / 255.0);
    }
    let counts: Vec<f32> =
        (0..10).map(|c| (0..test.len()).filter(|i| test.label(*i) == Some(c)).count() as f32).collect();
    std::iter::zip(&mut means, counts).for_each(|(mean, n)| mean.iter_mut().for_each(|m| *m /= n));
    let far = |a: &[f32], b: &[f32]| std::iter::zip(a, b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    let nearest = |image: &[f32]| (0..10).min_by(|a, b| far(image, &means[*a]).total_cmp(&far(image, &means[*b])));
    let labels = sample::labels(session.model.as_ref(), 10, None).expect("labels");
    assert_eq!(labels, (0..10).collect::<Vec<u8>>());
    // The mean over the prior of what is decoded for a class is nearest to that class's mean.
    let n = 60;
    let z = sample::prior(Prior::Normal, n, 2, 5);
    let mean_of = |session: &mut Session, class: u8| {
        let drawn = sample::decode(session, &z, &vec![class; n]).expect("images");
        (0..784).map(|p| drawn.iter().skip(p).step_by(784).sum::<f32>() / n as f32).collect::<Vec<f32>>()
    };
    let right = (0..10u8).filter(|c| nearest(&mean_of(&mut session, *c)) == Some(usize::from(*c))).count();
    assert!(right >= 8, "{right} of 10 classes look like themselves");
    let drawn = sample::samples(&mut session, 4, Some(7), 0, Drawing::Cached).expect("images");
    let z = sample::prior(Prior::Normal, 4, 2, 0);
    assert_eq!(drawn, sample::decode(&mut session, &z, &[7; 4]).expect("images"));
    for (class, words) in [(10, "classes are 0 to 9"), (usize::MAX, "classes are 0 to 9")] {
        let e = sample::labels(session.model.as_ref(), 1, Some(class)).expect_err("a refusal").to_string();
        assert!(e.contains(words), "{e}");
    }
    assert!(sample::decode(&mut session, &[0.0; 20], &[]).is_err());

    // The right labels explain the images better than others, by every measure.
    let mut wrong = test.clone();
    wrong.labels = wrong.labels.map(|labels| labels.iter().map(|l| (l + 1) % 10).collect());
    for (measure, name) in [(Measure::Own, "elbo"), (Measure::Bound(3), "iwae_3")] {
        let mut of = |test| {
            let sample = Sample { data: "fashion-mini", test, count: 60 };
            value(&evaluate(&mut session, &sample, measure, 32).expect("figures"), name)
        };
        let (told, misled) = (of(&test), of(&wrong));
        assert!(told > misled + 10.0, "{name}: {told} with the right labels, {misled} with others");
    }
}

#[test]
fn images_without_the_labels_a_model_needs_are_refused() {
    let session = |classes: usize| {
        let mut config = Config::preset("vae").expect("a preset");
        config
            .set_all(&Setting::all(&["model.hidden=4", &format!("model.classes={classes}")]).expect("settings"))
            .expect("settings");
        Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session")
    };
    let e = images("builtin", session(5).model.as_ref(), &limn::data::Options::default())
        .expect_err("too few classes")
        .to_string();
    assert!(e.contains("of class 9, and the model's classes are 0 to 4; set model.classes=10"), "{e}");
    assert!(images("builtin", session(11).model.as_ref(), &limn::data::Options::default()).is_ok());
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.png", "b.png", "c.png"] {
        image::RgbImage::new(28, 28).save(folder.path().join(name)).expect("a picture");
    }
    let path = folder.path().to_str().expect("a path");
    assert!(images(path, session(0).model.as_ref(), &limn::data::Options::default()).is_ok());
    let e =
        images(path, session(10).model.as_ref(), &limn::data::Options::default()).expect_err("no labels").to_string();
    assert!(e.contains("have no labels") && e.contains("model.classes=0"), "{e}");
    let unconditional = session(0);
    let e = sample::labels(unconditional.model.as_ref(), 1, Some(3)).expect_err("a refusal").to_string();
    assert!(e.contains("class 3: this model was not told classes"), "{e}");
    let mut config = Config::preset("vae").expect("a preset");
    config.set("model.classes=257".parse().expect("a setting")).expect("a setting");
    assert!(config.validate().expect_err("a refusal").to_string().contains("model.classes = 257 must be at most 256"));
}
