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
    assert!(compared.contains("limn report ") && !compared.contains("at step"), "{compared}");
    // The speed is that of the whole run, whatever its last moments were.
    let metrics = std::fs::read_to_string(dir.path().join("one/metrics.csv")).unwrap();
    let slow: Vec<String> = metrics.lines().map(|line| line.rsplit_once(',').unwrap().0.to_string() + ",2.0").collect();
    let slow = slow.join("\n").replacen(",2.0", ",seconds", 1) + "\n";
    std::fs::write(dir.path().join("one/metrics.csv"), slow).unwrap();
    let rates = limn(&["compare", &path("one"), &path("two")]).good().out;
    let rate = rates.lines().find(|line| line.starts_with("images/s")).unwrap();
    assert_eq!(rate.split_whitespace().nth(1), Some("12"), "6 steps of 4 in 2 seconds: {rates}");
    // A figure of an earlier checkpoint than the last says so.
    limn(&["train", "--resume", &path("one"), "--steps", "8", "--device", "cpu"]).good();
    let later = limn(&["compare", &path("one"), &path("two")]).good().out;
    assert!(later.lines().any(|line| line.starts_with("elbo (eval)") && line.contains("(at step 6)")), "{later}");
    limn(&["runs", &path("nothere")]).bad(&["there is no folder", "nothere"]);
    let json = limn(&["compare", &path("one"), &path("two"), "--json"]).good().out;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["of"], &first["name"]), (&Value::from("setting"), &Value::from("optim.lr")));
    limn(&["compare", &path("one"), &path("gone")]).bad(&["gone", "does not exist"]);
    limn(&["eval", &path("one"), "--data", "nowhere"]).bad(&["no file or folder called 'nowhere'", "--data"]);
    // What computes is no matter where nothing does.
    limn(&["bench", "step", "vae", "--set", "train.steps=3"]).bad(&["--set train.steps: single steps are timed"]);
    let call = limn(&["train", "vae", "--data", "nowhere", "--out", &path("three")]);
    assert!(call.err.contains("'nowhere'") && call.err.lines().count() == 1, "{}", call.err);

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
    assert!(text.contains("elbo (linear: not all of it is above 0)") && !text.contains("kl (linear"), "{text:.500}");
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

#[test]
fn logs_for_other_programs_are_read_by_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("logged");
    let files = || {
        let names = std::fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut events: Vec<String> = names.filter(|name| name.contains("tfevents")).collect();
        events.sort();
        events
    };
    train(dir.path(), "logged", &["--log", "tensorboard,jsonl", "--set", "train.checkpoint_every=3"]);
    assert_eq!(files().len(), 1);
    // It goes on with the logs that it has.
    let folder = run.display().to_string();
    limn(&["train", "--resume", &folder, "--steps", "9", "--device", "cpu"]).good();
    assert_eq!(files().len(), 2);
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<u64> = lines.iter().filter(|l| l["loss"].is_number()).map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=9).collect::<Vec<_>>());
    assert!(lines.iter().any(|line| line["test"]["elbo"].is_number()), "{text}");
    limn(&["train", "vae", "--log", "csv"]).code.filter(|code| *code == 2).expect("an unknown log is refused");

    let Some(python) = python("tensorboard", "event files by TensorBoard's own reader") else { return };
    let read = "import sys, json\n\
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n\
        e = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0, 'images': 0, 'histograms': 0}).Reload()\n\
        t = e.Tags()\n\
        print(json.dumps({'tags': {k: t[k] for k in ('scalars', 'images', 'histograms')},\n\
          'steps': [s.step for s in e.Scalars('train/loss')], 'losses': [s.value for s in e.Scalars('train/loss')],\n\
          'size': [e.Images('samples')[-1].width, e.Images('samples')[-1].height],\n\
          'count': e.Histograms(t['histograms'][0])[-1].histogram_value.num}))";
    let told = Command::new(python).args(["-c", read, &folder]).output().unwrap();
    let told: Value =
        serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&told.stderr)));
    assert_eq!(told["steps"], serde_json::json!([1, 2, 3, 4, 5, 6, 7, 8, 9]));
    for (read, line) in
        std::iter::zip(told["losses"].as_array().unwrap(), lines.iter().filter(|l| l["loss"].is_number()))
    {
        assert_eq!(read.as_f64().unwrap() as f32, line["loss"].as_f64().unwrap() as f32);
    }
    let picture = image::open(run.join("samples/step-9.png")).unwrap();
    assert_eq!(told["size"], serde_json::json!([picture.width(), picture.height()]));
    let tags = told["tags"].to_string();
    assert!(tags.contains("test/elbo") && tags.contains("rate/images_per_s") && tags.contains("weights/"), "{tags}");
    assert!(told["count"].as_f64().unwrap() > 1.0);
}

#[test]
fn what_a_model_can_do_is_drawn_at_the_end_and_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let drawn = |run: &str, name: &str| dir.path().join(run).join("samples").join(name).is_file();
    train(dir.path(), "every", &["--set", "train.views_every=3"]);
    assert!(drawn("every", "reconstructions.png") && drawn("every", "plane.png") && !drawn("every", "completions.png"));
    let page = std::fs::read_to_string(dir.path().join("every/report.html")).unwrap();
    assert!(page.contains("the latent plane, from one end"), "the plane is missing from the page");
    train(dir.path(), "never", &["--set", "train.views_every=0"]);
    assert!(!drawn("never", "reconstructions.png"));
    let out = dir.path().join("pixels").display().to_string();
    let small = ["--steps", "2", "--batch", "4", "--set", "train.views_every=1", "--set", "train.samples=2"];
    let small = [&small[..], &["--set", "model.blocks=1", "--set", "model.hidden=4"]].concat();
    limn(&[&["train", "pixelcnn", "--device", "cpu", "--out", &out], &small[..]].concat()).good();
    assert!(drawn("pixels", "completions.png") && !drawn("pixels", "plane.png"));
}

#[test]
fn a_run_that_broke_down_is_told_as_such_wherever_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run").display().to_string();
    train(
        dir.path(),
        "run",
        &["--set", "train.checkpoint_every=2", "--set", "train.keep=2", "--set", "train.sample_every=0"],
    );
    let broken = ["train", "--resume", &run, "--device", "cpu", "--steps", "40", "--set", "optim.lr=1e30"];
    let call = limn(&broken);
    let told =
        ["broke down at step 8", "step 6 is saved", "--set optim.lr=1e29`", "--set train.clip_norm=1.0`", "--from 4`"];
    assert!(call.code != Some(0) && told.iter().all(|part| call.err.contains(part)), "{}", call.err);
    let listed = limn(&["runs", &dir.path().display().to_string()]).good().out;
    assert!(listed.contains("broke down at 8") && !listed.contains("stopped"), "{listed}");
    let page = std::fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(page.contains("\"broke_down\":{\"step\":8,"), "the page tells it");
    // Going on as it was says why that is no use, and does it all the same.
    let again = limn(&["train", "--resume", &run, "--device", "cpu"]);
    assert!(again.code != Some(0) && again.err.matches("broke down at step 8").count() == 2, "{}", again.err);
    limn(&["train", "--resume", &run, "--device", "cpu", "--set", "optim.lr=0.001", "--steps", "8"]).good();
    assert!(limn(&["runs", &dir.path().display().to_string()]).good().out.contains(" done "));
    // A film of a run without pictures says what to do.
    std::fs::remove_dir_all(dir.path().join("run/samples")).unwrap();
    limn(&["film", &run]).bad(&["there are no pictures", "limn sample "]);
}

#[test]
fn a_page_shows_what_commands_leave_in_the_folder_of_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let often = ["--set", "train.sample_every=3"];
    train(dir.path(), "a", &often);
    let run = dir.path().join("a");
    let page = run.join("report.html");
    let path = |name: &str| run.join(name).display().to_string();
    let shows = |name: &str| std::fs::read_to_string(&page).unwrap().contains(&format!("\"title\":\"{name}\""));
    let dir_of = run.display().to_string();
    let (wide, moving) = (path("mine.JPG"), path("slow.webp"));
    let left: [(&[&str], &str); 7] = [
        (&["sample", &dir_of, "-n", "4"], "samples"),
        (&["sample", &dir_of, "-n", "4", "--out", &wide], "mine"),
        (&["sample", &dir_of, "-n", "2", "--neighbours", "1"], "neighbours"),
        (&["latent", &dir_of, "manifold"], "manifold"),
        (&["latent", &dir_of, "traverse", "--film"], "traverse"),
        (&["film", &dir_of], "training"),
        (&["film", &dir_of, "--out", &moving], "slow"),
    ];
    for (command, name) in left {
        assert!(!shows(name), "{name} is there before");
        let device: &[&str] = if command[0] == "film" { &[] } else { &["--device", "cpu"] };
        limn(&[command, device].concat()).good();
        assert!(shows(name), "{command:?} leaves the page as it was");
    }
    limn(&["profile", &dir_of, "--device", "cpu", "--steps", "1"]).good();
    assert!(std::fs::read_to_string(&page).unwrap().contains("\"launches_ms\""), "the profile is on the page");
    // What goes elsewhere is no reason to touch it, and without one none is made.
    std::fs::write(&page, "kept").unwrap();
    let elsewhere = dir.path().join("b.png").display().to_string();
    limn(&["sample", &dir_of, "-n", "4", "--device", "cpu", "--out", &elsewhere]).good();
    assert_eq!(std::fs::read_to_string(&page).unwrap(), "kept");
    std::fs::remove_file(&page).unwrap();
    limn(&["sample", &dir_of, "-n", "4", "--device", "cpu"]).good();
    assert!(!page.exists());
}

#[test]
fn a_page_shows_images_that_were_completed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("pixels").display().to_string();
    let small = ["--steps", "1", "--batch", "4", "--set", "train.samples=2", "--set", "train.views_every=0"];
    let small = [&small[..], &["--set", "model.blocks=1", "--set", "model.hidden=4"]].concat();
    limn(&[&["train", "pixelcnn", "--device", "cpu", "--out", &out], &small[..]].concat()).good();
    limn(&["complete", &out, "--images", "test", "-n", "1", "--device", "cpu"]).good();
    let page = std::fs::read_to_string(dir.path().join("pixels/report.html")).unwrap();
    assert!(page.contains("\"title\":\"completed\""), "the completed images are missing from the page");
}

#[test]
fn pages_hold_in_a_browser() {
    let Some(python) = python("json", "pages in a browser") else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let often = ["--set", "train.sample_every=2", "--set", "train.views_every=6"];
    train(dir.path(), "a", &often);
    train(dir.path(), "b", &[&often[..], &["--set", "optim.lr=0.01"]].concat());
    limn(&["eval", &path("a"), "--device", "cpu", "--images", "8"]).good();
    limn(&["profile", &path("a"), "--device", "cpu", "--steps", "1"]).good();
    let profile = std::fs::read_to_string(dir.path().join("a/profile.json")).unwrap();
    std::fs::write(dir.path().join("a/profile.json"), profile.replace("\"matmul", "\"<b>matmul")).unwrap();
    // As large as a picture of samples can be asked for.
    limn(&["sample", &path("a"), "--device", "cpu", "--scale", "16"]).good();
    limn(&["report", &path("a"), &path("b"), "--out", &path("both.html")]).good();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/report_test.py");
    let tested = Command::new(python).args([script, &path("a/report.html"), &path("both.html")]).output().unwrap();
    let told = String::from_utf8_lossy(&tested.stdout);
    match tested.status.code() {
        Some(77) => not_tested(&format!("pages in a browser: {told}")),
        code => assert_eq!(code, Some(0), "{told}{}", String::from_utf8_lossy(&tested.stderr)),
    }
    let page = std::fs::read_to_string(path("a/report.html")).unwrap();
    assert!(page.contains("\\u003cb>matmul") && !page.contains("<b>matmul"));
}
