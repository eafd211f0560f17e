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
        for words in ["70 samples, seed 0", "the first 20 of 1000 test images", "on the last 1000 training images"] {
            assert!(protocol.contains(words), "{protocol}");
        }
        let said = on_cpu(&["sample", text(&run), "--neighbours", "3", "--n", "2"]).good().out;
        assert!(said.contains("2 samples, each before its 3 nearest") && said.contains("2 test images at"), "{said}");
        assert_eq!(picture(&run.join("neighbours.png")), (4 * 58 + 2, 2 * 58 + 2));
        on_cpu(&["eval", text(&run), "--metric", "parzen", "--images", "1001"]).bad(&["1000 test images"]);
    }
    assert_eq!(on_cpu(&["sample", text(&place.vae_in("v")), "--neighbours", "0"]).code, Some(2));
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
