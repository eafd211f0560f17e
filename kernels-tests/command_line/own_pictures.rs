//! Own pictures: what a preset takes over from them, what is said of them, and what can be seen of
//! them before anything is trained.

use super::models::{Place, on_cpu};
use super::{limn, text};
use image::{Rgb, RgbImage};
use limn::data::Options;
use limn::train::{Config, RunDir, fitted};
use std::path::{Path, PathBuf};

/// A folder of so many pictures of this size, in colour or all grey.
pub(super) fn pictures(place: &Place, name: &str, count: u32, [w, h]: [u32; 2], colour: bool) -> PathBuf {
    let folder = place.path(name);
    std::fs::create_dir(&folder).expect("a folder");
    for i in 0..count {
        let picture = RgbImage::from_fn(w, h, |x, y| {
            let v = (x * 5 + y * 3 + i * 7) as u8;
            Rgb(if colour { [v, 255 - v, v / 2] } else { [v; 3] })
        });
        picture.save(folder.join(format!("{i:03}.png"))).expect("a picture");
    }
    folder
}

const TINY: [&str; 8] =
    ["--steps", "2", "--set", "model.dense=8", "--set", "model.filters1=2", "--set", "model.filters2=2"];

/// What is said at the start of a run of `preset` on pictures, and the run.
fn trained(place: &Place, preset: &str, data: &Path, more: &[&str]) -> (String, RunDir) {
    let out = place.path(&format!("run-{}", std::fs::read_dir(place.path(".")).expect("a folder").count()));
    let args = ["train", preset, "--data", text(data), "--out", text(&out), "--set", "train.samples=1"];
    let said = on_cpu(&[&args, more].concat()).good();
    (said.out, RunDir::open(&out).expect("a run"))
}

fn takes(run: &RunDir) -> [usize; 3] {
    run.config.model.build().expect("a model").geometry()
}

#[test]
fn a_preset_follows_own_pictures_and_says_what_it_does_with_them() {
    let place = Place::new();
    let data = pictures(&place, "colour", 40, [48, 44], true);
    let (said, run) = trained(&place, "vae-conv", &data, &TINY);
    assert_eq!(takes(&run), [3, 44, 48]);
    let line = "your 40 pictures are 48x44 RGB; vae-conv takes them so in place of its 28x28 grey";
    assert!(said.lines().any(|l| l == line), "{said}");
    // Flags decide, and what is then done to the pictures is one line.
    let (said, run) = trained(&place, "vae-conv", &data, &[&TINY[..], &["--size", "28", "--grey"]].concat());
    assert_eq!(takes(&run), [1, 28, 28]);
    let converted = "your 40 pictures are 48x44 RGB; vae-conv takes 28x28 grey: cropped to the middle 44x44, scaled to \
                     28x28, made grey";
    assert_eq!(said.matches("your 40 pictures").count(), 1);
    assert!(said.lines().next() == Some(converted), "{said}");
    let log = std::fs::read_to_string(run.log()).expect("a log");
    assert!(log.contains(converted));
    // A run goes on with what it took.
    let resumed = on_cpu(&["train", "--resume", text(&run.path), "--steps", "3"]).good().out;
    assert!(resumed.contains("are 48x44 RGB; vae-conv takes 28x28 grey"), "{resumed}");
    // What an RGB file without colour holds is grey.
    let grey = pictures(&place, "grey", 12, [32, 32], false);
    let (_, run) = trained(&place, "vae-conv", &grey, &TINY);
    assert_eq!(takes(&run), [1, 32, 32]);
    let (_, run) = trained(&place, "vae-conv", &grey, &[&TINY[..], &["--color", "--size", "16x20"]].concat());
    assert_eq!(takes(&run), [3, 20, 16]);
}

#[test]
fn the_built_in_images_are_taken_as_ever() {
    let place = Place::new();
    let (said, run) = trained(&place, "dcgan-32", Path::new("fashion-mini"), &["--steps", "1", "--batch", "2"]);
    assert_eq!(takes(&run), [3, 32, 32]);
    assert!(said.contains("the 7000 pictures of fashion-mini are 28x28 grey; dcgan-32 takes 32x32 RGB"), "{said}");
    assert!(said.contains("6000 images of 32x32 RGB (1000 more to test on)"), "{said}");
    assert!(!said.contains("few"), "{said}");
    // The name is the same wherever it stands, and the other one that it had is understood.
    let (_, run) = trained(&place, "vae", Path::new("builtin"), &["--steps", "1", "--set", "model.hidden=4"]);
    let settings = std::fs::read_to_string(run.path.join("config.toml")).expect("settings");
    assert!(settings.contains("source = \"fashion-mini\""), "{settings}");
    let old = settings.replace("source = \"fashion-mini\"", "source = \"builtin\"");
    std::fs::write(run.path.join("config.toml"), old).expect("a file");
    let said = on_cpu(&["train", "--resume", text(&run.path), "--steps", "2"]).good().out;
    assert!(said.contains("on fashion-mini") && !said.contains("builtin"), "{said}");
}

#[test]
fn of_few_pictures_it_is_said_what_helps_and_a_batch_is_no_larger_than_the_set() {
    let place = Place::new();
    let data = pictures(&place, "few", 30, [28, 28], false);
    let tiny = ["--set", "model.width=2", "--set", "train.epochs=10"];
    let (said, run) = trained(&place, "dcgan-28", &data, &tiny);
    assert_eq!((run.config.train.batch, run.config.train.steps), (27, Some(10)));
    for words in [
        "a batch of 64 is more than the 27 images to train on: made 27",
        "27 images of 28x28 grey (3 more held out for testing, never trained on)",
        "27 images are few to train on",
        "--set model.augment=color,translation,cutout",
        "10 passes over them are 10 steps, where dcgan-28 takes 930 on fashion-mini: --set train.steps=930 may help",
    ] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
    // What it says can be typed, and is then not said again.
    let helped = [&tiny[..], &["--set", "model.augment=color,translation,cutout", "--steps", "3"]].concat();
    let (said, _) = trained(&place, "dcgan-28", &data, &helped);
    assert!(said.contains("27 images are few") && !said.contains("augment") && !said.contains("may help"), "{said}");
}

#[test]
fn sizes_and_colours_that_a_model_does_not_take_are_refused_with_presets_that_do() {
    let train = |args: &[&str], words: &[&str]| on_cpu(&[&["train"], args].concat()).bad(words);
    train(&["dcgan", "--size", "50"], &["model.image = 50", "must be one of", "presets that take 50x50: vae"]);
    train(&["progan", "--size", "32x40"], &["progan has no settings for images that are not square"]);
    train(&["pixelcnn-gated", "--color"], &["pixelcnn-gated takes no images in colour", "dcgan"]);
    for size in ["0", "x", "64x", "3.5", "8x8x8", "99999999999"] {
        let call = on_cpu(&["train", "vae", "--size", size]);
        assert!(call.code == Some(2) && call.err.contains("--size"), "{size}: {}", call.err);
    }
    let both = on_cpu(&["train", "vae", "--color", "--grey"]);
    assert!(both.code == Some(2) && both.err.contains("--grey"), "{}", both.err);
    let help = on_cpu(&["train", "--help"]).good().out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("a tenth, at most 1000, is held out for it and never trained on"), "{help}");
}

#[test]
fn a_picture_shows_exactly_what_is_trained_on() {
    let place = Place::new();
    let data = pictures(&place, "colour", 20, [48, 44], true);
    let out = place.path("shown.png");
    let show = |args: &[&str]| limn(&[&["data", "show"], args, &["--out", text(&out)]].concat()).good();
    let said = show(&[text(&data), "--preset", "vae-conv", "--size", "28", "--grey", "--n", "4"]).out;
    for words in [
        "your 20 pictures are 48x44 RGB; vae-conv takes 28x28 grey",
        "18 images to train on, 2 held out for testing",
        "each is 28x28 grey",
        "4 of those to train on",
        "limn train vae-conv --data",
    ] {
        assert!(said.contains(words), "no \"{words}\" in {said}");
    }
    // Two by two images, each pixel two by two, with two pixels between them.
    let shown = image::open(&out).expect("a picture").into_rgb8();
    assert_eq!(shown.dimensions(), (2 * 58 + 2, 2 * 58 + 2));
    let mut config = Config::preset("vae-conv").expect("a preset");
    config.data.source = text(&data).into();
    config.set_sides(28, 28).and_then(|()| config.set_channels(1)).expect("a size");
    let images = fitted(&mut config, &Options::default()).expect("images").dataset.train;
    for (k, at) in limn::data::spread(4, images.len()).into_iter().enumerate() {
        let image = images.image(at);
        for (y, x) in (0..28).flat_map(|y| (0..28).map(move |x| (y, x))) {
            let (left, top) = (2 + (k as u32 % 2) * 58, 2 + (k as u32 / 2) * 58);
            assert_eq!(shown.get_pixel(left + 2 * x, top + 2 * y).0, [image[(y * 28 + x) as usize]; 3]);
        }
    }
    // A preset that makes black and white once trains on black and white.
    show(&["fashion-mini", "--preset", "vae-static"]);
    let binary = image::open(&out).expect("a picture").into_luma8();
    let grey = (0..56 * 56).map(|i| binary.get_pixel(2 + i % 56, 2 + i / 56)[0]).filter(|v| ![0, 255].contains(v));
    assert_eq!(grey.count(), 0);
}

#[test]
fn what_a_set_holds_is_told_with_or_without_a_preset() {
    let place = Place::new();
    let out = place.path("shown.png");
    let show = |args: &[&str]| limn(&[&["data", "show"], args, &["--out", text(&out)]].concat());
    let row = show(&["fashion-mini", "--json"]).good().rows()[0].clone();
    assert_eq!((&row["train"], &row["test"], &row["held_out"]), (&6000.into(), &1000.into(), &false.into()));
    assert_eq!(row["classes"].as_array().map(Vec::len), Some(10));
    let of_class = |split: &str| -> u64 {
        row["classes"].as_array().expect("classes").iter().filter_map(|class| class[split].as_u64()).sum()
    };
    assert_eq!([of_class("train"), of_class("test")], [6000, 1000]);
    for sub in ["cats", "dogs"] {
        let folder = place.path(&format!("pets/{sub}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        for i in 0..6u8 {
            RgbImage::from_pixel(500, 300, Rgb([i, 0, 90])).save(folder.join(format!("{i}.png"))).expect("a picture");
        }
    }
    let said = show(&[text(&place.path("pets"))]).good().out;
    assert!(
        said.contains("2 classes (to train + to test on): cats (") && said.contains("each is 256x153 RGB"),
        "{said}"
    );
    assert!(show(&[text(&place.path("pets")), "--size", "32", "--grey"]).good().out.contains("each is 32x32 grey"));
    for (data, is) in [("bouncing", "frames"), ("drums", "Hz")] {
        assert!(show(&[data, "--n", "4"]).good().out.contains(is), "{data}");
    }
    show(&["--preset", "vae"]).good();
    show(&["nowhere"]).bad(&["nowhere"]);
    show(&["fashion-mini", "--preset", "vea"]).bad(&["vea", "did you mean vae"]);
    show(&[text(&place.path("pets")), "--preset", "wavegan-small"]).bad(&["no sounds"]);
    assert_eq!(show(&[]).code, Some(2));
}

#[test]
fn of_pictures_of_several_sizes_the_range_is_told_and_how_many_are_cropped() {
    let place = Place::new();
    let data = pictures(&place, "mixed", 9, [40, 40], true);
    for (name, [w, h]) in [("flat.png", [60, 30]), ("small.png", [20, 20]), ("tall.png", [30, 60])] {
        RgbImage::from_pixel(w, h, Rgb([9, 90, 200])).save(data.join(name)).expect("a picture");
    }
    let out = place.path("shown.png");
    let show = |args: &[&str]| limn(&[&["data", "show", text(&data), "--out", text(&out)], args].concat()).good().out;
    let said = show(&[]);
    let line = "pictures of several sizes, 20 to 60 wide and 20 to 60 high, shown as 40x40 RGB: 2 cropped to the middle, 3 scaled";
    assert!(said.lines().any(|l| l == line), "{said}");
    let sizes = show(&["--json"]).parse::<serde_json::Value>().expect("JSON")["sizes"].clone();
    assert_eq!([&sizes["count"], &sizes["cropped"]], [12, 2]);
    // The same of a set that is kept decoded, and for a preset.
    assert!(show(&[]).contains(line));
    let said = show(&["--preset", "dcgan-28", "--size", "28", "--grey"]).replace('\n', " ");
    let words = "your 12 pictures are of several sizes, 20 to 60 wide and 20 to 60 high; dcgan-28 takes 28x28 grey: 2 cropped to the middle, \
                 all scaled, all made grey";
    assert!(said.contains(words), "{said}");
    // A picture that can be seen through is counted, and a model of black and white says so.
    let clear = place.path("clear");
    std::fs::create_dir_all(&clear).expect("a folder");
    for i in 0..4u8 {
        let alpha = if i < 2 { 0 } else { 255 };
        let picture = image::RgbaImage::from_pixel(48, 48, image::Rgba([90 * (i % 2), 9, 9, alpha]));
        picture.save(clear.join(format!("{i}.png"))).expect("a picture");
    }
    let show = |args: &[&str]| limn(&[&["data", "show", text(&clear), "--out", text(&out)], args].concat()).good().out;
    let line = "2 of 4 pictures are transparent in places, which become white";
    for preset in ["vae-static", "pixelcnn-gated-small", "pixelcnn-small"] {
        let said = show(&["--preset", preset]).replace('\n', " ");
        assert!(said.contains(line) && said.contains(&format!("{preset} takes black and white")), "{said}");
    }
    assert!(show(&[]).lines().any(|l| l == line));
    // The size that is left is the preset's own.
    let said = show(&["--preset", "vae", "--size", "48"]);
    assert!(said.contains("vae takes them so in place of its 28x28 grey"), "{said}");
    let run = place.pixelcnn();
    let said =
        on_cpu(&["complete", text(&run), "--images", text(&clear.join("3.png"))]).good().err.replace("\n      ", " ");
    assert!(said.contains("scaled") && said.contains("made black and white"), "{said}");
    // A figure of other images than the run's says so.
    let said = on_cpu(&["eval", text(&run), "--data", text(&clear), "--accept-changed-data"]).good().out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("(other images than the run's)"), "{said}");
    on_cpu(&["complete", text(&run), "--images", "nowhere", "--keep", "lower-half"])
        .bad(&["--keep lower-half", "upper-half, left-half or box"]);
    // Of one size it is said what it was.
    let same = pictures(&place, "same", 4, [500, 300], true);
    let said = limn(&["data", "show", text(&same), "--out", text(&out)]).good().out;
    assert!(said.contains("each is 256x153 RGB (500x300 RGB, "), "{said}");
}

#[cfg(unix)]
#[test]
fn a_broken_picture_is_one_line_and_no_part_of_what_is_left_to_complete() {
    let place = Place::new();
    let data = pictures(&place, "some", 5, [28, 28], false);
    std::fs::write(data.join("001.png"), "no picture").expect("a file");
    let out = place.path("shown.png");
    let said = limn(&["data", "show", text(&data), "--out", text(&out)]).good();
    let all = format!("{}{}", said.out, said.err);
    assert_eq!(all.lines().filter(|line| line.contains("001.png") || line.contains("unreadable")).count(), 1, "{all}");
    assert!(all.contains("skipped 1 of 5 pictures: "), "{all}");
    let run = place.pixelcnn();
    let said = on_cpu(&["complete", text(&run), "--images", text(&data), "-n", "2", "--keep", "box"]).good().err;
    assert!(
        said.contains("completed the first 2; -n N takes more, of the 2 files of ") && !said.contains("of the 5"),
        "{said}"
    );
}

#[test]
fn what_is_shown_of_pictures_is_trained_on_by_the_command_below_it() {
    let place = Place::new();
    let data = pictures(&place, "some pictures", 40, [48, 44], true);
    let out = place.path("seen.png");
    let base = ["data", "show", text(&data), "--preset", "vae-conv", "--out", text(&out)];
    let more = ["--size", "32x28", "--grey", "--set", "model.latent=3"];
    let shown = limn(&[&base[..], &more].concat()).good().out;
    let quote = if cfg!(windows) { '"' } else { '\'' };
    let command = format!("limn train vae-conv --data {quote}{}{quote}", text(&data));
    assert!(shown.contains(&format!("`{command} --size 32x28 --grey --set model.latent=3`")), "{shown}");
    let shown = limn(&base).good().out;
    assert!(shown.contains(&format!("`{command}`")), "{shown}");
}
