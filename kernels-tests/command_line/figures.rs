//! Figures of samples and of features, as a user asks for them.

use super::models::{Place, on_cpu, picture};
use super::text;

#[test]
fn samples_are_held_against_images_by_a_parzen_window_and_by_their_neighbours() {
    let place = Place::new();
    for run in [place.vae(), place.pixelcnn()] {
        let parzen = ["eval", text(&run), "--metric", "parzen", "--samples", "70", "--images", "20", "--json"];
        let rows = on_cpu(&parzen).good().rows();
        let names: Vec<_> = rows.iter().map(|r| r["name"].as_str().expect("a name")).collect();
        assert_eq!(names, ["parzen", "parzen_standard_error", "parzen_sigma"]);
        assert!(rows.iter().all(|r| r["value"].as_f64().expect("a value").is_finite()));
        let protocol = rows[0]["protocol"].as_str().expect("a protocol");
        for words in ["70 samples, seed 0", "20 evenly spread of the 1000 test images", "on 1000 training images"] {
            assert!(protocol.contains(words), "{protocol}");
        }
        let said = on_cpu(&["sample", text(&run), "--neighbours", "3", "--n", "2"]).good().out;
        assert!(said.contains("2 samples, each before its 3 nearest") && said.contains("2 test images at"), "{said}");
        assert_eq!(picture(&run.join("neighbours.png")), (4 * 58 + 2, 2 * 58 + 2));
        on_cpu(&["eval", text(&run), "--metric", "parzen", "--images", "1001"]).bad(&["1000 test images"]);
    }
    assert_eq!(on_cpu(&["sample", text(&place.vae_in("v")), "--neighbours", "0"]).code, Some(2));
}

/// A model of which training has made numbers that are none.
#[test]
fn a_broken_model_has_no_figures() {
    let place = Place::new();
    let run = place.path("broken");
    let tiny = ["train", "vae", "--set", "model.hidden=8", "--set", "optim.lr=3e37", "--steps", "1", "--batch", "4"];
    on_cpu(&[&tiny[..], &["--out", text(&run)]].concat()).good();
    for more in [&[][..], &["--metric", "parzen", "--samples", "70"], &["--metric", "iwae-3"], &["--json"]] {
        let call = on_cpu(&[&["eval", text(&run), "--images", "20"], more].concat());
        assert!(!call.out.contains("null") && !call.out.contains("NaN"), "{}", call.out);
        call.bad(&["not finite"]);
    }
    on_cpu(&["sample", text(&run)]).bad(&["not finite"]);
    on_cpu(&["latent", text(&run), "reconstruct"]).bad(&["not finite"]);
}

#[test]
fn samples_are_compared_by_the_features_of_a_classifier() {
    let place = Place::new();
    let classifier = place.train("classifier", &["--set", "model.width=4", "--set", "model.features=12"]);
    let rows = on_cpu(&["eval", text(&classifier), "--json"]).good().rows();
    assert_eq!((&rows[0]["name"], &rows[1]["name"]), (&"accuracy".into(), &"cross_entropy".into()));
    assert!((0.0..=1.0).contains(&rows[0]["value"].as_f64().expect("a value")));
    let run = place.vae();
    let eval = |metric: &str, more: &[&str]| {
        let args = ["eval", text(&run), "--metric", metric, "--images", "40", "--samples", "30"];
        on_cpu(&[&args, more].concat())
    };
    let by = ["--features", text(&classifier), "--json"];
    for (metric, names) in [
        ("frechet", &["frechet"][..]),
        ("kernel", &["kernel", "kernel_deviation"]),
        ("prdc", &["precision", "recall", "density", "coverage"]),
    ] {
        let rows = eval(metric, &by).good().rows();
        let found: Vec<_> = rows.iter().map(|r| r["name"].as_str().expect("a name").to_string()).collect();
        let wanted: Vec<_> = names.iter().map(|name| format!("{name}_classifier_fashion_mini")).collect();
        assert_eq!(found, wanted);
        let protocol = rows[0]["protocol"].as_str().expect("a protocol");
        for words in [
            "12 hidden units of limn's classifier of fashion-mini, 2 steps",
            "30 samples, seed 0",
            "40 evenly spread of",
        ] {
            assert!(protocol.contains(words), "{protocol}");
        }
    }
    eval("frechet", &[]).bad(&["--features", "limn train classifier"]);
    eval("frechet", &["--features", text(&run)]).bad(&["no run of a classifier"]);
    eval("frechet", &["--features", text(&place.path("nowhere"))]).bad(&["nowhere"]);
    eval("parzen", &["--features", text(&classifier)]).bad(&["--features is for"]);
    let wrong = place.train_in("wrong", "classifier", &["--set", "model.image=32", "--set", "model.width=2"]);
    eval("prdc", &["--features", text(&wrong)]).bad(&["32x32", "28x28"]);
    on_cpu(&["sample", text(&classifier)]).bad(&["draws no images"]);
    on_cpu(&["latent", text(&classifier), "manifold"]).bad(&["no latent space"]);
    on_cpu(&["eval", text(&classifier), "--metric", "parzen"]).bad(&["draws no images"]);
}

#[test]
fn a_discriminator_is_probed_and_what_has_none_is_refused() {
    let place = Place::new();
    let run = place.train("dcgan-28-small", &["--set", "model.width=2", "--set", "train.samples=4"]);
    let rows = on_cpu(&["probe", text(&run), "--images", "300", "--json"]).good().rows();
    let names: Vec<_> = rows.iter().map(|r| r["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["probe_accuracy", "probe_accuracy_held_out", "probe_accuracy_training"]);
    assert!(rows.iter().all(|r| (0.0..=1.0).contains(&r["value"].as_f64().expect("a value"))));
    on_cpu(&["probe", text(&run), "--images", "6001"]).bad(&["--images 6001", "6000 training images"]);
    let pictures = place.path("pictures");
    std::fs::create_dir(&pictures).expect("a folder");
    for i in 0..12u8 {
        image::GrayImage::from_pixel(28, 28, image::Luma([20 * i]))
            .save(pictures.join(format!("{i}.png")))
            .expect("a file");
    }
    on_cpu(&["probe", text(&run), "--data", text(&pictures)]).bad(&["no labels"]);
    on_cpu(&["probe", text(&place.vae())]).bad(&["no discriminator with convolutions"]);
}
