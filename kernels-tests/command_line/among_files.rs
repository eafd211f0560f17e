//! Runs and pictures that lie among a person's own files: limn's are not taken for data, and nothing that nobody named is
//! written over.

use super::models::{Place, on_cpu};
use super::own_pictures::pictures;
use super::{Call, call, limn, text};
use std::path::Path;
use std::process::Command;

/// Calls limn in a folder.
fn limn_in(folder: &Path, args: &[&str]) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_limn"));
    call(command.current_dir(folder).env("LIMN_DEVICE", "cpu").args(args))
}

const TINY: [&str; 6] = ["--set", "model.hidden=8", "--set", "model.latent=2", "--set", "train.samples=1"];

#[test]
fn a_run_among_its_pictures_goes_on_and_is_none_of_them() {
    let place = Place::new();
    let data = place.path("data");
    std::fs::create_dir(&data).expect("a folder");
    for class in ["data/cat", "data/dog"] {
        pictures(&place, class, 12, [28, 28], false);
    }
    let train = ["train", "vae-conditional", "--data", ".", "--batch", "4"];
    let said = limn_in(&data, &[&train, &TINY[..], &["--steps", "2"]].concat()).good().out;
    assert!(said.contains("2 classes"), "{said}");
    let run = data.join("runs/vae-conditional-1");
    assert!(run.join("samples/step-2.png").exists());
    let said = limn_in(&data, &["train", "--resume", "runs/vae-conditional-1", "--steps", "3"]).good().out;
    assert!(said.contains("1 folder of a run"), "{said}");
    limn_in(&data, &["eval", "runs/vae-conditional-1", "--images", "2"]).good();
    let said = limn_in(&data, &[&train, &TINY[..], &["--steps", "1"]].concat()).good().out;
    assert!(said.contains("2 classes"), "{said}");
    // Pictures of a run that somebody names are data as any others.
    let samples = run.join("samples");
    assert!(limn_in(&data, &["data", "show", text(&samples), "--out", "../x.png"]).good().out.contains("pictures"));
}

#[test]
fn a_sheet_of_data_is_not_put_among_them_unless_somebody_says_so() {
    let place = Place::new();
    let data = pictures(&place, "data", 12, [20, 20], false);
    for given in [".", text(&data)] {
        limn_in(&data, &["data", "show", given]).bad(&["limn-data.png", "--out"]);
    }
    std::fs::create_dir(data.join("deeper")).expect("a folder");
    limn_in(&data.join("deeper"), &["data", "show", ".."]).bad(&["would lie among the pictures"]);
    assert!(!data.join("limn-data.png").exists());
    limn_in(&data, &["data", "show", ".", "--out", "sheet.png"]).good();
    assert!(data.join("sheet.png").exists());
}

#[test]
fn what_nobody_named_is_not_written_over() {
    let place = Place::new();
    let [one, two] = ["one", "two"].map(|name| place.vae_in(name));
    let here = place.path("here");
    std::fs::create_dir(&here).expect("a folder");
    let mine = ["limn-data.png", "compare.html", "training.gif"];
    mine.iter().for_each(|name| std::fs::write(here.join(name), "mine").expect("a file"));
    let call = limn_in(&here, &["data", "show", "fashion-mini", "--n", "4", "--json"]).good();
    assert_eq!(call.rows()[0]["picture"], "limn-data-1.png");
    assert!(limn_in(&here, &["report", text(&one), text(&two)]).good().out.contains("compare-1.html"));
    assert!(limn_in(&here, &["film", text(&one), "--out", "."]).good().out.contains("training-1.gif"));
    for name in mine {
        assert_eq!(std::fs::read(here.join(name)).expect("a file"), b"mine", "{name}");
    }
    for name in ["limn-data-1.png", "compare-1.html", "training-1.gif"] {
        assert!(std::fs::metadata(here.join(name)).expect(name).len() > 100, "{name}");
    }
    // A named file may lie in folders that are not there yet, whatever it is.
    for (file, how) in [("new/a/page.html", "--out"), ("new/b/curves.svg", "--plot")] {
        limn_in(&here, &["report", text(&one), how, file]).good();
        assert!(here.join(file).exists(), "{file}");
    }
}

#[test]
fn runs_of_one_name_and_figures_of_other_images_are_told_apart() {
    let place = Place::new();
    for folder in ["a", "b"] {
        std::fs::create_dir(place.path(folder)).expect("a folder");
    }
    let runs = ["a/vae-1", "b/vae-1"].map(|name| place.vae_in(name));
    let [first, second] = runs.each_ref().map(|run| text(run));
    on_cpu(&["eval", first, "--images", "50"]).good();
    on_cpu(&["eval", second, "--images", "20"]).good();
    let compared = limn(&["compare", first, second]).good().out;
    let head = compared.lines().find(|line| line.contains("vae-1")).expect("names");
    assert!(head.contains("a/vae-1") && head.contains("b/vae-1"), "{compared}");
    let losses: Vec<&str> = compared.lines().filter(|line| line.starts_with("loss (eval) [")).collect();
    assert_eq!(losses.len(), 2, "{compared}");
    assert!(losses.iter().all(|line| line.split_whitespace().any(|word| word == "-")), "{compared}");
    assert!(compared.contains("\n[1] mean over 50") && compared.contains("\n[2] mean over 20"), "{compared}");
    let rows = limn(&["compare", first, second, "--json"]).good().rows();
    let protocols = rows.iter().filter(|row| row["name"] == "loss (eval)").map(|row| row["protocol"].is_string());
    assert_eq!(protocols.collect::<Vec<_>>(), [true, true]);
    on_cpu(&["eval", second, "--images", "50"]).good();
    let compared = limn(&["compare", first, second]).good().out;
    assert!(compared.lines().any(|line| line.starts_with("loss (eval) ")), "{compared}");
    let page = place.path("page.html");
    limn(&["report", first, second, "--out", text(&page)]).good();
    assert!(std::fs::read_to_string(page).expect("a page").contains("b/vae-1"));
}

#[test]
fn settings_that_no_step_can_be_taken_with_are_refused_in_words() {
    for command in ["train", "plan", "profile", "bench"] {
        let words = if command == "bench" { vec!["bench", "step"] } else { vec![command] };
        on_cpu(&[&words[..], &["vae", "--set", "train.accumulate=0"]].concat())
            .bad(&["train.accumulate", "at least 1"]);
    }
    for (set, says) in [
        ("train.keep=18446744073709551616", "is not between"),
        ("train.keep=-1", "expected a whole number, 0 or more"),
        ("train.accumulate=many", "expected a whole number, 0 or more, found string"),
        ("train.clip_norm=yes", "expected a number, found string"),
        ("optim.lr=1e300", "optim.lr = 1e300 is infinite"),
    ] {
        on_cpu(&["plan", "vae", "--set", set]).bad(&[says]);
    }
    // What the host alone reckons with may be as large as that.
    on_cpu(&["plan", "vae", "--set", "train.checkpoint_minutes=1e300"]).good();
}

#[test]
fn a_plan_is_of_the_small_batches_that_gradients_add_up_over() {
    let bytes = |parts: &str| {
        let set = format!("train.accumulate={parts}");
        let rows = on_cpu(&["plan", "dcgan-28-small", "--set", &set, "--json"]).good().rows();
        rows[0]["shared_bytes"].as_u64().expect("bytes")
    };
    assert!(3 * bytes("4") < bytes("1"), "{} {}", bytes("4"), bytes("1"));
}
