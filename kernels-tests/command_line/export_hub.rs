//! Folders for the Hub, sites of several models, and what limn is made of.

use super::*;

fn train(dir: &Path, name: &str, preset: &str, settings: &[&str]) -> String {
    let out = dir.join(name).display().to_string();
    let mut args = vec!["train", preset, "--out", &out, "--device", "cpu", "--steps", "6", "--batch", "4"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    limn(&args).good();
    out
}

#[test]
fn a_folder_for_the_hub_is_sampled_from_like_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    // Averages are what images are made with, and what is handed on.
    let run = train(dir.path(), "run", "vae", &["model.hidden=16", "model.latent=3", "train.ema=0.5"]);
    limn(&["eval", &run, "--device", "cpu", "--images", "8"]).good();
    limn(&["export", &run, "--format", "hub", "--with", "web,onnx,pytorch", "--device", "cpu", "--out", &path("hub")])
        .good();
    let hub = dir.path().join("hub");
    for file in ["README.md", "config.toml", "config.json", "model.safetensors", "samples.png", "model.html"] {
        assert!(hub.join(file).is_file(), "{file}");
    }
    assert!(hub.join("onnx/decode.onnx").is_file() && hub.join("pytorch/model.py").is_file());
    let card = std::fs::read_to_string(hub.join("README.md")).unwrap();
    let (front, rest) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    assert!(
        front.contains("library_name: limn") && front.contains("name: \"run\"") && front.contains("type: \"elbo\"")
    );
    assert!(rest.contains("![samples](samples.png)") && rest.contains("hidden = 16") && rest.contains("MIT"), "{rest}");
    // What the preset says of its size is not said of another.
    assert!(rest.contains("Here with model.hidden = 16") && !rest.contains("652,824 parameters"), "{rest}");
    let draw = |of: &str, to: &str| {
        limn(&["sample", of, "--n", "5", "--device", "cpu", "--out", &path(to)]).good();
        std::fs::read(path(to)).unwrap()
    };
    assert!(draw(&run, "a.npz") == draw(&path("hub"), "b.npz"), "the folder draws other images than the run");
    limn(&["eval", &path("hub"), "--device", "cpu", "--images", "8"]).good();
    limn(&["export", &run, "--format", "pytorch", "--with", "web"]).bad(&["--with", "hub"]);
    limn(&["export", &run, "--format", "onnx", "--f16"]).bad(&["--f16"]);
}

#[test]
fn where_somebody_has_pictures_stays_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    for k in 0..20u8 {
        image::GrayImage::from_fn(28, 28, |x, y| image::Luma([((x as u8 + k) * 5) ^ y as u8]))
            .save(photos.join(format!("{k}.png")))
            .unwrap();
    }
    let out = dir.path().join("run").display().to_string();
    let (photos, hub) = (photos.display().to_string(), dir.path().join("hub").display().to_string());
    limn(&["train", "vae", "--data", &photos, "--steps", "2", "--batch", "4", "--device", "cpu", "--out", &out]).good();
    limn(&["eval", &out, "--device", "cpu"]).good();
    limn(&["export", &out, "--format", "hub", "--with", "web,onnx,pytorch", "--device", "cpu", "--out", &hub]).good();
    let mut seen = 0;
    for folder in ["", "onnx", "pytorch"] {
        for file in std::fs::read_dir(dir.path().join("hub").join(folder)).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(bytes) = std::fs::read(&file) else { continue };
            let bytes = if file.ends_with("model.html") { content_of_page(&bytes) } else { bytes };
            let path = photos.as_bytes();
            assert!(!bytes.windows(path.len()).any(|part| part == path), "{} tells where they are", file.display());
            seen += usize::from(bytes.windows(6).any(|part| part == b"photos"));
        }
    }
    assert!(seen >= 4, "{seen} files name the pictures");
    limn(&["sample", &hub, "--n", "2", "--device", "cpu"]).good();
    limn(&["eval", &hub, "--device", "cpu", "--data", &photos]).good();
}

/// What a page says of its model, which it holds compressed.
fn content_of_page(page: &[u8]) -> Vec<u8> {
    use base64::Engine;
    use std::io::Read;
    let page = String::from_utf8_lossy(page);
    let text = page.split("id=\"content\"").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1)).expect("the content");
    let packed = base64::prelude::BASE64_STANDARD.decode(text.trim()).expect("the content in base64");
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut content).expect("the content, compressed");
    content
}

#[test]
fn a_site_has_a_page_of_each_model_whatever_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let one = train(dir.path(), "index", "vae", &["model.hidden=16", "model.latent=2"]);
    // Windows has no such brackets in names.
    let (name, escaped) = if cfg!(windows) {
        ("a & {{cards}}", "a &amp; {{cards}}")
    } else {
        ("a <b> & {{cards}}", "a &lt;b&gt; &amp; {{cards}}")
    };
    let other = train(dir.path(), name, "pixelcnn-small", &["model.hidden=2", "model.blocks=1"]);
    let site = dir.path().join("site");
    let out = site.display().to_string();
    limn(&["export", &one, &other, &one, "--gallery", "--device", "cpu", "--out", &out]).good();
    let index = std::fs::read_to_string(site.join("index.html")).unwrap();
    let pages: Vec<&str> = index.split("href=\"").skip(1).filter_map(|part| part.split('"').next()).collect();
    let pages: Vec<&str> = pages.into_iter().filter(|page| page.ends_with(".html")).collect();
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|page| *page != "index.html" && site.join(page).is_file()), "{pages:?}");
    assert!(index.contains(escaped) && !index.contains("<b>"));
    limn(&["export", &one, &other, "--format", "web"]).bad(&["--gallery"]);
    limn(&["export", &one, "--gallery"]).code.filter(|code| *code == 2).expect("a site needs a place");
}

#[test]
fn what_limn_is_made_of_is_told() {
    let told = limn(&["--licences"]).good().out;
    for part in ["wgpu 30", "Fashion-MNIST", "Ubuntu", "Permission is hereby granted", "Apache License"] {
        assert!(told.contains(part), "{part}");
    }
    assert_eq!(told, include_str!("../../assets/licences.txt").replace('\t', "  "));
    limn(&["--quiet"]).bad(&["which command?"]);
}
