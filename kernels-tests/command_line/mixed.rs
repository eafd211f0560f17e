//! `--precision mixed`: what it changes, what keeps it, and where it is refused.

use super::{limn, limn_on_device};

/// Whether the device knows f16. One that does not must say so.
fn knows_f16() -> bool {
    let plan = limn_on_device(&["plan", "vae", "--precision", "mixed"]);
    if plan.code != Some(0) {
        plan.bad(&["does not compute in f16", "--precision full"]);
        return false;
    }
    true
}

#[test]
fn a_resumed_run_keeps_its_precision_and_its_bits() {
    if !knows_f16() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let read = |name: &str, file: &str| std::fs::read(dir.path().join(name).join(file)).expect("a file");
    // Left to itself, a software device would choose f32, which it is faster in.
    let small = "train vae --tune off --batch 8 --set model.hidden=12 --set train.sample_every=0";
    let train = |out: &str, rest: &str| {
        let line = format!("{small} --out {} {rest}", path(out));
        limn_on_device(&line.split(' ').collect::<Vec<_>>()).good()
    };
    train("whole", "--precision mixed --steps 5");
    train("parts", "--set train.precision=mixed --steps 2");
    limn(&["train", "--resume", &path("parts"), "--steps", "5"]).good();
    train("full", "--steps 5");
    let checkpoint = |name: &str| read(name, "checkpoint.safetensors");
    assert!(checkpoint("whole") == checkpoint("parts"), "the resumed run differs");
    assert!(checkpoint("whole") != checkpoint("full"), "mixed precision changes nothing");
    let settings = |name: &str| String::from_utf8(read(name, "config.toml")).expect("text");
    assert!(settings("parts").contains("precision = \"mixed\""));
    assert!(!settings("full").contains("precision"));
    assert!(String::from_utf8(read("parts", "log.txt")).expect("text").contains("in mixed precision"));

    let words = ["mixed precision needs a GPU's f16", "--device cpu", "--precision full"];
    limn(&["train", "--resume", &path("parts"), "--steps", "6", "--device", "cpu"]).bad(&words);
    limn(&["train", "--resume", &path("parts"), "--steps", "6", "--device", "cpu", "--precision", "full"]).good();
    assert!(!settings("parts").contains("precision"), "a flag wins, and stays");
}

#[test]
fn mixed_precision_is_refused_where_there_is_no_f16() {
    for device in ["cpu", "reference", "CPU"] {
        let name = format!("--device {device}");
        let words = ["mixed precision needs a GPU's f16", name.as_str()];
        for command in ["train vae", "bench matmul", "bench step vae", "profile vae", "check matmul", "plan vae"] {
            let line = format!("{command} --precision mixed --device {device}");
            limn(&line.split(' ').collect::<Vec<_>>()).bad(&words);
        }
    }
    limn(&["bench", "roof", "--precision", "mixed"]).bad(&["ceilings are those of every precision"]);
    if knows_f16() {
        limn_on_device(&["check", "pointwise", "--precision", "mixed"]).bad(&["for convolutions and matmul"]);
    }
    limn(&["train", "vae", "--set", "train.precision=half"]).bad(&["train.precision", "expected `full` or `mixed`"]);
    let call = limn(&["plan", "vae", "--precision", "half"]);
    assert!(call.code == Some(2) && call.err.contains("it is full or mixed"), "{}", call.err);
}

#[test]
fn the_commands_that_time_and_list_take_mixed_precision() {
    if !knows_f16() {
        return;
    }
    let plan = limn_on_device(&["plan", "vae", "--precision", "mixed"]).good().out;
    assert!(plan.lines().any(|line| line.contains("matmul") && line.contains("_f16_")), "{plan}");
    assert!(!limn_on_device(&["plan", "vae"]).good().out.contains("f16"));
    let step = ["bench", "step", "vae", "--batch", "4", "--precision", "mixed", "--json"];
    let step = limn_on_device(&step).good().rows();
    assert_eq!(step[0]["precision"], "mixed");
    // Left to itself, a software device would choose f32, which it is faster in.
    let line = "profile vae --batch 4 --steps 1 --precision mixed --tune off";
    let profile = limn_on_device(&line.split(' ').collect::<Vec<_>>()).good().out;
    assert!(profile.contains("[tile_f16_") || profile.contains("[coop_f16_"), "{profile}");
}
