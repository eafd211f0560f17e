//! What runs leave behind: lists, comparisons, figures, and curves as pictures.

use super::*;

/// Trains a small run in `dir`.
fn train(dir: &Path, name: &str, more: &[&str]) {
    let out = dir.join(name).display().to_string();
    let small =
        ["--device", "cpu", "--steps", "6", "--batch", "4", "--set", "model.hidden=8", "--set", "model.latent=2"];
    let args = [&["train", "vae", "--out", &out, "--set", "train.log_every=2"], &small[..], more].concat();
    limn(&args).good();
}

#[test]
fn runs_are_listed_and_compared_with_their_figures() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let runs = |more: &[&str]| limn(&[&["runs", &path("")], more].concat()).good();
    assert!(runs(&[]).out.contains("there are no runs"));
    train(dir.path(), "one", &[]);
    train(dir.path(), "two", &["--set", "optim.lr=0.01"]);
    limn(&["eval", &path("one"), "--device", "cpu", "--images", "8"]).good();
    let listed = runs(&[]).out;
    assert!(listed.lines().any(|l| l.starts_with("one ") && l.contains(" done ") && l.contains(" vae ")), "{listed}");
    let json: Vec<Value> = runs(&["--json"]).out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(json.len(), 2);
    assert!(json.iter().all(|run| run["step"] == 6 && run["state"] == "done" && run["best"]["value"].is_number()));
    // A folder that is no run any more is told of, and the others stay.
    std::fs::create_dir(dir.path().join("bad")).unwrap();
    std::fs::write(dir.path().join("bad/config.toml"), "model = 3").unwrap();
    let call = runs(&[]);
    assert!(call.out.contains("two ") && call.err.contains("bad"), "{}{}", call.out, call.err);

    let compared = limn(&["compare", &path("one"), &path("two")]).good().out;
    let row =
        |name: &str| compared.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {compared}"));
    assert!(row("optim.lr").contains("0.001") && row("optim.lr").contains("0.01"), "{compared}");
    assert!(
        !compared.contains("train.batch") && row("elbo (eval)").contains("nats") && row("elbo (eval)").contains(" -")
    );
    assert!(compared.contains("limn report "), "{compared}");
    let json = limn(&["compare", &path("one"), &path("two"), "--json"]).good().out;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["of"], &first["name"]), (&Value::from("setting"), &Value::from("optim.lr")));
    limn(&["compare", &path("one"), &path("gone")]).bad(&["gone", "does not exist"]);

    let page = path("page.html");
    limn(&["report", &path("one"), "--out", &page]).good();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("evenly spread of the") && page.contains("\"counts\":[["), "figures or classes are missing");
}

#[test]
fn curves_are_drawn_into_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    train(dir.path(), "a", &[]);
    train(dir.path(), "b", &[]);
    let (svg, png) = (path("c.svg"), path("c.png"));
    limn(&["report", &path("a"), &path("b"), "--plot", &svg, "--log-scale", "--smoothing", "0"]).good();
    let text = std::fs::read_to_string(&svg).unwrap();
    assert!(text.contains("<polyline") && text.contains("b, test") && text.contains("kl"), "{text:.500}");
    limn(&["report", &path("a"), "--plot", &png]).good();
    assert!(image::open(&png).unwrap().width() > 500);
    limn(&["report", &path("a"), "--plot", &path("c.pdf")]).bad(&[".svg or .png"]);
    assert_eq!(limn(&["report", &path("a"), "--plot", &svg, "--smoothing", "1"]).code, Some(2));
}

#[test]
fn a_run_of_a_file_is_called_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("my.toml"), "preset = \"vae\"\n[model]\nhidden = 8\nlatent = 2\n").unwrap();
    for n in 1..=2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
        command.args(["train", "my.toml", "--steps", "1", "--batch", "4", "--device", "cpu"]).current_dir(dir.path());
        call(&mut command).good();
        assert!(dir.path().join(format!("runs/my-{n}/report.html")).is_file());
    }
}
