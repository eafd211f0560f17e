//! Pictures of what models make: their scale, as arrays with latents, as films, and of pictures that
//! somebody has.

use super::models::{Place, on_cpu, picture};
use super::text;
use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, Frame, GrayImage, Luma};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::io::Cursor;
use std::path::Path;

/// The frames of a film.
fn frames(path: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let frames = match bytes.starts_with(b"GIF8") {
        true => GifDecoder::new(Cursor::new(bytes)).expect("a GIF").into_frames(),
        false => WebPDecoder::new(Cursor::new(bytes)).expect("a WebP").into_frames(),
    };
    frames.collect_frames().expect("frames")
}

/// A file with this tensor.
fn tensors(path: &Path, name: &str, shape: &[usize], values: &[f32]) {
    let view = TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).expect("a tensor");
    std::fs::write(path, safetensors::serialize([(name, view)], None).expect("a file")).expect("a file");
}

#[test]
fn pixels_are_shown_as_large_as_somebody_wants() {
    let place = Place::new();
    let run = place.vae();
    let out = place.path("a.png");
    let draw = |more: &[&str]| on_cpu(&[&[more[0], text(&run)], &more[1..], &["--out", text(&out)]].concat());
    draw(&["sample", "-n", "4"]).good();
    assert_eq!(picture(&out), (2 * 58 + 2, 2 * 58 + 2), "as it always was");
    draw(&["sample", "-n", "4", "--scale", "2"]).good();
    assert_eq!(picture(&out), (2 * 58 + 2, 2 * 58 + 2));
    draw(&["sample", "-n", "4", "--scale", "5"]).good();
    assert_eq!(picture(&out), (2 * 142 + 2, 2 * 142 + 2));
    draw(&["latent", "traverse", "--scale", "1"]).good();
    assert_eq!(picture(&out), (11 * 30 + 2, 2 * 30 + 2));
    let folder = format!("{}/", place.path("single").display());
    on_cpu(&["sample", text(&run), "-n", "2", "--scale", "16", "--out", &folder]).good();
    assert_eq!(picture(&place.path("single/sample-0002.png")), (28 * 16, 28 * 16));
    let film = place.path("a.gif");
    on_cpu(&["latent", text(&run), "interpolate", "--scale", "1", "--out", text(&film)]).good();
    assert_eq!(picture(&film), (3 * 30 + 2, 3 * 30 + 2));
    for bad in ["0", "17", "-1", "x", "1.5", "4294967296"] {
        assert_eq!(draw(&["sample", "--scale", bad]).code, Some(2), "{bad}");
    }
    // WebP has no number for so wide a picture.
    let wide = place.path("wide.webp");
    on_cpu(&["sample", text(&run), "-n", "1600", "--scale", "16", "--out", text(&wide)]).bad(&[
        "wide.webp",
        "18002x18002",
        "at most 16384",
        "call it .png",
    ]);
    assert!(!wide.exists());
    let sounds = place.train("wavegan-small", &["--set", "model.width=2", "--set", "train.samples=1"]);
    on_cpu(&["sample", text(&sounds), "--scale", "2"]).bad(&["--scale is for images", "leave it away"]);
}

#[test]
fn samples_as_arrays_are_decoded_again_to_the_same_pictures() {
    let place = Place::new();
    let vae = place.vae();
    let conditional = place.train("vae-conditional", &["--set", "model.hidden=8", "--set", "train.samples=4"]);
    let gan = place.train("dcgan-28-small", &["--set", "model.width=2", "--set", "train.samples=1"]);
    let (drawn, again) = (place.path("drawn.png"), place.path("again.png"));
    for (run, more) in [
        (&vae, &[][..]),
        (&vae, &["--truncation", "0.5"]),
        (&conditional, &[]),
        (&conditional, &["--class", "3"]),
        (&gan, &[]),
    ] {
        for name in ["a.npz", "a.safetensors"] {
            let file = place.path(name);
            let draw = |out: &Path| {
                on_cpu(&[&["sample", text(run), "-n", "67", "--seed", "5", "--out", text(out)], more].concat())
            };
            draw(&drawn).good();
            let said = draw(&file).good().out;
            assert!(
                said.contains("67 samples")
                    && said.contains("images [67, 1, 28, 28]")
                    && said.contains("latents [67, "),
                "{said}"
            );
            let class = if more.contains(&"--class") { more } else { &[] };
            on_cpu(&[&["sample", text(run), "--latents", text(&file), "--out", text(&again)], class].concat()).good();
            assert!(
                std::fs::read(&drawn).expect("a picture") == std::fs::read(&again).expect("a picture"),
                "{name} {more:?}"
            );
        }
    }
    // What is in the file are the pictures, the labels of conditional models among it.
    on_cpu(&["sample", text(&conditional), "-n", "12", "--out", text(&place.path("b.safetensors"))]).good();
    let folder = place.path("single");
    std::fs::create_dir(&folder).expect("a folder");
    on_cpu(&["sample", text(&conditional), "-n", "12", "--out", text(&folder)]).good();
    let bytes = std::fs::read(place.path("b.safetensors")).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("tensors");
    assert_eq!(file.tensor("labels").expect("labels").data(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    let images: Vec<f32> = bytemuck::pod_collect_to_vec(file.tensor("images").expect("images").data());
    let eleventh = image::open(folder.join("sample-0011.png")).expect("a picture").into_luma8();
    let levels = images[10 * 784..11 * 784].iter().map(|v| (v * 255.0).round() as u8);
    assert!(levels.eq(eleventh.into_raw()));
    // Models without latents have images alone.
    let pixels = place.pixelcnn();
    let said = on_cpu(&["sample", text(&pixels), "-n", "2", "--out", text(&place.path("c.npz"))]).good().out;
    assert!(said.contains("images [2, 1, 28, 28])") && !said.contains("latents"), "{said}");
    on_cpu(&["sample", text(&vae), "--latents", text(&place.path("c.npz"))])
        .bad(&["no array called latents; its arrays: images"]);
}

#[test]
fn latents_of_ones_own_are_decoded_or_refused() {
    let place = Place::new();
    let run = place.vae();
    let out = place.path("out.png");
    let decode = |file: &Path, more: &[&str]| {
        on_cpu(&[&["sample", text(&run), "--latents", text(file), "--out", text(&out)], more].concat())
    };
    let table = place.path("codes.csv");
    std::fs::write(&table, "x,y\n0.5,-1\n2,0.25\n0,0\n").expect("a table");
    decode(&table, &["--scale", "1"]).good();
    assert_eq!(picture(&out), (2 * 30 + 2, 2 * 30 + 2));
    let file = place.path("codes.safetensors");
    tensors(&file, "z", &[3, 2], &[0.5, -1.0, 2.0, 0.25, 0.0, 0.0]);
    let first = std::fs::read(&out).expect("a picture");
    decode(&file, &["--scale", "1"]).good();
    assert!(first == std::fs::read(&out).expect("a picture"));
    std::fs::remove_file(&out).expect("a picture");
    tensors(&file, "z", &[2, 3], &[0.0; 6]);
    decode(&file, &[]).bad(&["codes.safetensors", "[2, 3]", "[n, 2]"]);
    tensors(&file, "z", &[1, 2], &[0.0, f32::NAN]);
    decode(&file, &[]).bad(&["number 0 (from 0) holds NaN"]);
    tensors(&file, "z", &[0, 2], &[]);
    decode(&file, &[]).bad(&["no latent vector"]);
    decode(&place.path("gone.npz"), &[]).bad(&["gone.npz", "(os error 2)"]);
    decode(&run, &[]).bad(&[".npz, .npy, .safetensors and .csv"]);
    decode(&table, &["--class", "1"]).bad(&["class 1", "not told classes"]);
    for more in [&["-n", "3"][..], &["--seed", "3"], &["--truncation", "1"]] {
        let call = decode(&table, more);
        assert!(call.code == Some(2) && call.err.contains("cannot be used with"), "{}", call.err);
    }
    assert!(!out.exists());
    let pixels = place.pixelcnn();
    on_cpu(&["sample", text(&pixels), "--latents", text(&table)]).bad(&["--latents is for models with latent vectors"]);
    let arrays = text(&place.path("file")).to_string() + "/a.npz";
    std::fs::write(place.path("file"), b"").expect("a file");
    on_cpu(&["sample", text(&run), "-n", "1", "--out", &arrays]).bad(&["a.npz"]);
    let npz = place.path("a.npz");
    on_cpu(&["sample", text(&run), "--neighbours", "--out", text(&npz)]).bad(&["--neighbours is a picture", "a.npz"]);
    on_cpu(&["sample", text(&run), "--scale", "2", "--out", text(&npz)]).bad(&["--scale is for pictures"]);
    assert!(!npz.exists());
}

#[test]
fn walks_and_training_are_films() {
    let place = Place::new();
    let run = place.vae();
    for (name, more, shown) in
        [("a.gif", &[][..], 80), ("a.webp", &["--fps", "20"], 50), ("b.gif", &["--film", "--fps", "0.5"], 2000)]
    {
        let out = place.path(name);
        on_cpu(&[&["latent", text(&run), "interpolate", "--out", text(&out)], more].concat()).good();
        let frames = frames(&out);
        // Twenty-four there, and back without the ends.
        assert_eq!(frames.len(), 46, "{name}");
        assert!(frames.iter().all(|frame| frame.delay().numer_denom_ms() == (shown, 1)), "{name}");
        assert_eq!(frames[1].buffer(), frames[45].buffer());
        assert!(frames[0].buffer() != frames[23].buffer());
    }
    // In another format the same view is a picture.
    on_cpu(&["latent", text(&run), "interpolate", "--out", text(&place.path("a.jpg"))]).good();
    on_cpu(&["latent", text(&run), "interpolate", "--fps", "9"]).bad(&["--fps is for films", "--film"]);
    for bad in ["0", "-1", "51", "nan", "x", "inf"] {
        assert_eq!(on_cpu(&["latent", text(&run), "interpolate", "--film", "--fps", bad]).code, Some(2), "{bad}");
        assert_eq!(super::limn(&["film", text(&run), "--fps", bad]).code, Some(2), "{bad}");
    }
    let long = place.train_in("long", "vae", &["--set", "model.hidden=8", "--set", "train.sample_every=1"]);
    let film = |run: &Path, more: &[&str]| super::limn(&[&["film", text(run)], more].concat());
    let said = film(&long, &[]).good().out;
    assert!(said.contains("2 pictures, of steps 1 to 2: ") && said.contains("training.gif"), "{said}");
    let out = place.path("t.webp");
    film(&long, &["--fps", "8", "--out", text(&out)]).good();
    for (path, shown) in [(long.join("training.gif"), 250), (out, 130)] {
        let frames = frames(&path);
        let times: Vec<u32> = frames.iter().map(|frame| frame.delay().numer_denom_ms().0).collect();
        assert!(times.len() == 2 && times[0].abs_diff(shown) <= 5 && times[1] == 2000, "{times:?}");
        let last = image::open(long.join("samples/step-2.png")).expect("a picture").into_rgba8();
        let of_film = image::imageops::crop_imm(frames[1].buffer(), 0, 0, last.width(), last.height()).to_image();
        let far = std::iter::zip(last.iter(), of_film.iter()).map(|(a, b)| a.abs_diff(*b)).max();
        // A GIF has 256 colours, which are enough for grey levels and a few others.
        assert!(far <= Some(6), "{}: {far:?}", path.display());
    }
    film(&long, &["--out", text(&place.path("t.png"))]).bad(&["t.png", ".gif or .webp"]);
    film(&place.path("nowhere"), &[]).bad(&["nowhere"]);
    film(&long, &["--out", "/proc/nowhere/t.gif"]).bad(&["t.gif"]);
    std::fs::remove_dir_all(long.join("samples")).expect("a folder");
    film(&long, &[]).bad(&["no pictures of samples"]);
}

#[test]
fn a_manifold_of_many_dimensions_goes_through_draws() {
    let place = Place::new();
    let deep = ["--set", "model.hidden=8", "--set", "model.latent=30", "--set", "train.samples=4"];
    let run = place.train("vae", &deep);
    let drawn = |more: &[&str]| {
        let out = place.path("m.png");
        on_cpu(&[&["latent", text(&run), "manifold", "--out", text(&out)], more].concat()).good();
        image::open(&out).expect("a picture").into_luma8()
    };
    // Its corners are the pictures that the same seed draws.
    let (first, other) = (drawn(&[]), drawn(&["--seed", "1"]));
    assert_eq!(first.dimensions(), (20 * 58 + 2, 20 * 58 + 2));
    assert!(first != other);
    let samples = place.path("s.png");
    on_cpu(&["sample", text(&run), "-n", "9", "--out", text(&samples)]).good();
    let samples = image::open(&samples).expect("a picture").into_luma8();
    let cell = |picture: &GrayImage, [x, y]: [u32; 2]| -> Vec<u8> {
        image::imageops::crop_imm(picture, x * 58 + 2, y * 58 + 2, 56, 56).to_image().into_raw()
    };
    for (corner, sample) in [([0, 0], [0, 0]), ([19, 0], [2, 0]), ([0, 19], [0, 2]), ([19, 19], [2, 2])] {
        let far = std::iter::zip(cell(&first, corner), cell(&samples, sample)).map(|(a, b)| a.abs_diff(b)).max();
        assert!(far <= Some(1), "{corner:?}: {far:?}");
    }
    on_cpu(&["latent", text(&run), "manifold", "--out", text(&place.path("m.webp"))]).good();
    let frames = frames(&place.path("m.webp"));
    assert_eq!((frames.len(), frames[0].buffer().dimensions()), (48, (3 * 58 + 2, 3 * 58 + 2)));
}

#[test]
fn few_images_are_shown_once() {
    let place = Place::new();
    let folder = place.path("few");
    std::fs::create_dir(&folder).expect("a folder");
    for k in 0..60u8 {
        GrayImage::from_pixel(28, 28, Luma([4 * k])).save(folder.join(format!("{k:02}.png"))).expect("a picture");
    }
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2", "--data", text(&folder)];
    let run = place.train("vae", &tiny);
    // Six of them are for testing.
    on_cpu(&["latent", text(&run), "reconstruct"]).good();
    assert_eq!(picture(&run.join("reconstruct.png")), (6 * 58 + 2, 2 * 58 + 2));
    let shown = image::open(run.join("reconstruct.png")).expect("a picture").into_luma8();
    let mut levels: Vec<u8> = (0..6).map(|k| shown.get_pixel(58 * k + 20, 20).0[0]).collect();
    levels.dedup();
    assert_eq!(levels.len(), 6, "{levels:?}");
    on_cpu(&["latent", text(&run), "interpolate"]).good();
    assert_eq!(picture(&run.join("interpolate.png")), (11 * 58 + 2, 3 * 58 + 2));
    for k in 2..60 {
        std::fs::remove_file(folder.join(format!("{k:02}.png"))).expect("a picture");
    }
    let two = place.path("two");
    let args = ["train", "vae", "--steps", "1", "--batch", "1", "--out", text(&two)];
    on_cpu(&[&args, &tiny[..]].concat()).good();
    on_cpu(&["latent", text(&two), "interpolate"]).bad(&["one test image only", "--data"]);
    on_cpu(&["latent", text(&two), "reconstruct"]).good();
    assert_eq!(picture(&two.join("reconstruct.png")), (58 + 2, 2 * 58 + 2));
}

#[test]
fn a_folder_of_pictures_is_completed() {
    let place = Place::new();
    let run = place.pixelcnn();
    let folder = place.path("mine");
    std::fs::create_dir_all(folder.join("deep")).expect("a folder");
    for (name, level, size) in [("a.png", 255, 28), ("deep/c.jpg", 0, 60), ("b.png", 255, 14)] {
        GrayImage::from_pixel(size, size, Luma([level])).save(folder.join(name)).expect("a picture");
    }
    std::fs::write(folder.join("bad.png"), b"no picture").expect("a file");
    std::fs::write(folder.join("notes.txt"), b"words").expect("a file");
    let out = place.path("c.png");
    let complete = |images: &Path, more: &[&str]| {
        on_cpu(&[&["complete", text(&run), "--images", text(images), "--out", text(&out)], more].concat())
    };
    let call = complete(&folder, &[]).good();
    assert_eq!(picture(&out), (6 * 58 + 2, 3 * 58 + 2), "{}", call.err);
    assert!(
        call.err.contains("left out: ") && call.err.contains("bad.png") && call.err.contains("1 .txt file"),
        "{}",
        call.err
    );
    assert!(call.err.contains("c.jpg is 60x60"), "{}", call.err);
    // In the order of their names, and only what is kept is as it was.
    let made = image::open(&out).expect("a picture").into_luma8();
    let originals: Vec<u8> = (0..3).map(|row| made.get_pixel(20, 58 * row + 20).0[0]).collect();
    assert_eq!(originals, [255, 255, 0]);
    for row in 0..3 {
        let kept = (2..6).all(|k| made.get_pixel(58 * k + 20, 58 * row + 10) == made.get_pixel(20, 58 * row + 10));
        assert!(kept, "row {row}");
    }
    let call = complete(&folder, &["-n", "1", "--scale", "1"]).good();
    assert!(call.err.contains("completed the first 1; -n N takes more, of the 3 files of "), "{}", call.err);
    assert_eq!(picture(&out), (6 * 30 + 2, 30 + 2));
    complete(&folder, &["-n", "4294967295"]).good();
    complete(&folder.join("a.png"), &[]).good();
    assert_eq!(picture(&out), (6 * 58 + 2, 58 + 2));
    on_cpu(&["complete", text(&run), "--images", "test", "-n", "2"]).good();
    assert_eq!(picture(&run.join("completed.png")), (6 * 58 + 2, 2 * 58 + 2));
    complete(&place.path("gone"), &[]).bad(&["gone", "no such file or folder", "test"]);
    let empty = place.path("empty");
    std::fs::create_dir(&empty).expect("a folder");
    complete(&empty, &[]).bad(&["empty", "holds no images"]);
    std::fs::write(empty.join("x.png"), b"no picture").expect("a file");
    complete(&empty, &[]).bad(&["x.png"]);
    assert_eq!(complete(&folder, &["-n", "0"]).code, Some(2));
}

#[test]
fn a_folder_of_classes_is_completed_as_these() {
    let place = Place::new();
    let folder = place.path("mine");
    for (class, level) in [("cats", 20), ("dogs", 200)] {
        std::fs::create_dir_all(folder.join(class)).expect("a folder");
        for k in 0..12 {
            let picture = GrayImage::from_pixel(28, 28, Luma([level]));
            picture.save(folder.join(class).join(format!("{k}.png"))).expect("a picture");
        }
    }
    let tiny = ["--set", "model.hidden=2", "--set", "train.samples=2"];
    let data = ["--set", "model.classes=2", "--data", text(&folder)];
    let run = place.train("pixelcnn-gated-conditional-small", &[&tiny[..], &data].concat());
    let complete = |more: &[&str]| on_cpu(&[&["complete", text(&run), "--images"], more].concat());
    complete(&[text(&folder), "-n", "14"]).good();
    assert_eq!(picture(&run.join("completed.png")), (6 * 58 + 2, 14 * 58 + 2));
    let loose = place.path("loose");
    std::fs::create_dir(&loose).expect("a folder");
    GrayImage::new(28, 28).save(loose.join("a.png")).expect("a picture");
    complete(&[text(&loose)]).bad(&["a.png", "no folder that is called like one", "--class"]);
    complete(&[text(&loose.join("a.png"))]).bad(&["--class"]);
    complete(&[text(&loose), "--class", "dogs"]).good();
    complete(&[text(&loose), "--class", "2"]).bad(&["class 2", "classes are 0 to 1"]);
}
