//! What commands write, and where; and what they refuse because it could not be held.

use super::models::{Place, on_cpu, picture};
use super::text;
use image::{GrayImage, Luma, LumaA};
use std::path::Path;

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_gets_single_files() {
    let place = Place::new();
    let run = place.vae();
    let folder = place.path("new");
    let with_slash = format!("{}/", folder.display());
    on_cpu(&["sample", text(&run), "--n", "12", "--out", &with_slash]).good();
    let there = names(&folder);
    assert_eq!((there.len(), there[0].as_str(), there[11].as_str()), (12, "sample-0001.png", "sample-0012.png"));
    assert_eq!(picture(&folder.join("sample-0001.png")), (28, 28));
    // An existing folder needs no slash, and nothing in it is replaced.
    on_cpu(&["sample", text(&run), "--n", "2", "--out", text(&folder)]).good();
    assert_eq!(names(&folder)[12..], ["sample-0013.png", "sample-0014.png"]);
    on_cpu(&["latent", text(&run), "traverse", "--out", text(&folder)]).good();
    assert!(names(&folder).contains(&"traverse-0001.png".to_string()));
    on_cpu(&["latent", text(&run), "traverse", "--gif", "--out", text(&folder)]).good();
    assert!(names(&folder).contains(&"traverse.gif".to_string()));
}

#[test]
fn files_are_written_as_they_are_called() {
    let place = Place::new();
    let run = place.vae();
    for (name, begins) in [("a.jpg", &[0xff, 0xd8][..]), ("a.bmp", b"BM"), ("a.PNG", b"\x89PNG"), ("a.gif", b"GIF8")] {
        on_cpu(&["sample", text(&run), "--n", "2", "--out", text(&place.path(name))]).good();
        assert!(std::fs::read(place.path(name)).expect("a picture").starts_with(begins), "{name}");
    }
    for name in ["a.xyz", "a", "a.wav"] {
        on_cpu(&["sample", text(&run), "--out", text(&place.path(name))]).bad(&["png", "jpg", "bmp"]);
        assert!(!place.path(name).exists());
    }
    on_cpu(&["latent", text(&run), "traverse", "--gif", "--out", text(&place.path("b.png"))]).bad(&[".gif"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_devices_stay() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let place = Place::new();
    let run = place.vae();
    symlink("there.png", place.path("link.png")).expect("a link");
    on_cpu(&["sample", text(&run), "--n", "1", "--out", text(&place.path("link.png"))]).good();
    assert!(std::fs::symlink_metadata(place.path("link.png")).expect("a link").is_symlink());
    picture(&place.path("there.png"));
    on_cpu(&["sample", text(&run), "--n", "1", "--out", "/dev/null"]).good();
    assert!(std::fs::metadata("/dev/null").expect("a device").file_type().is_char_device());
}

#[test]
fn masks_hide_what_is_dark_or_can_be_seen_through() {
    let place = Place::new();
    let run = place.pixelcnn();
    let complete = |mask: &Path| {
        let out = place.path("completed.png");
        on_cpu(&["complete", text(&run), "--images", "test", "--keep", text(mask), "--out", text(&out)])
    };
    // White all over, and clear on its right half.
    let mask = image::GrayAlphaImage::from_fn(28, 28, |x, _| LumaA([255, if x < 14 { 255 } else { 0 }]));
    let clear = place.path("clear.png");
    mask.save(&clear).expect("a mask");
    complete(&clear).good();
    let made = image::open(place.path("completed.png")).expect("a picture").into_rgb8();
    // What is kept stands in the second column; the grey of hidden pixels is on its right half
    // only.
    let grey = (0.35f32 * 255.0).round() as u8;
    let hidden = |x: u32| (4..50).all(|y| made.get_pixel(60 + x, y)[0] == grey);
    assert!(hidden(40) && !hidden(4));
    for (level, words) in [(255, "it hides nothing"), (0, "it hides everything")] {
        let path = place.path("whole.png");
        GrayImage::from_pixel(28, 28, Luma([level])).save(&path).expect("a mask");
        complete(&path).bad(&[words]);
    }
}

/// Numbers for which no machine has the memory.
#[test]
fn absurd_numbers_are_refused_before_anything_is_made() {
    let place = Place::new();
    let (vae, pixels) = (place.vae(), place.pixelcnn());
    for dir in [&vae, &pixels] {
        on_cpu(&["sample", text(dir), "--n", "4294967295"]).bad(&["4294967295 images would take", "are free"]);
        let more = ["sample", text(dir), "--n", "4294967295", "--neighbours"];
        on_cpu(&more).bad(&["4294967295 images would take"]);
    }
    let bench = ["bench", "sample", "pixelcnn-small", "--batch", "4294967295"];
    on_cpu(&bench).bad(&["4294967295 images would take", "are free"]);
    let truncated = ["sample", text(&vae), "--n", "4294967295", "--truncation", "1"];
    on_cpu(&truncated).bad(&["4294967295 images would take"]);
    for preset in ["biggan", "vae", "pixelcnn"] {
        let batch = "train.batch=4611686018427387904";
        on_cpu(&["plan", preset, "--set", batch]).bad(&["train.batch = 4611686018427387904 must be at most"]);
    }
    for images in ["1001", "4294967295"] {
        on_cpu(&["eval", text(&vae), "--images", images]).bad(&[images, "has 1000 test images"]);
    }
    on_cpu(&["bench", "step", "biggan", "--batch", "4294967295"]).bad(&["batch 4294967295 does not fit"]);
}

/// A limit that the system itself does not count among what is free.
#[cfg(target_os = "linux")]
#[test]
fn little_memory_is_a_sentence() {
    let place = Place::new();
    let out = place.path("run");
    let limn = env!("CARGO_BIN_EXE_limn");
    for kilobytes in [1_000_000, 600_000] {
        let train = format!(
            "ulimit -v {kilobytes}; exec '{limn}' train vae --device cpu --set model.hidden=32000 --steps 1 --out '{}'",
            out.display()
        );
        let output = std::process::Command::new("bash").args(["-c", &train]).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("of memory, and") && said.contains("are free") && !said.contains("backtrace"), "{said}");
        assert!(!out.exists());
    }
}

/// Several processes may share a stderr, as ranks and what started them do: a remark is one write,
/// so that nothing comes between its words. A socket of messages keeps writes apart.
#[cfg(unix)]
#[test]
fn remarks_are_written_whole() {
    use std::os::{fd::OwnedFd, unix::net::UnixDatagram};
    let calls: [&[&str]; 4] = [
        &["train", "vae", "--batch"],
        &["train", "vea"],
        &["eval", "no-run"],
        &["train", "vae", "--device", "cpu,no-such-device"],
    ];
    for args in calls {
        let (ours, theirs) = UnixDatagram::pair().expect("two sockets");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_limn"));
        command.args(args).stdin(std::process::Stdio::null()).stderr(OwnedFd::from(theirs));
        let status = command.status().expect("limn starts");
        ours.set_nonblocking(true).expect("a socket");
        let mut bytes = vec![0; 1 << 16];
        let length = ours.recv(&mut bytes).expect("a remark");
        let said = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(!status.success() && said.starts_with("limn: ") && said.ends_with('\n'), "{args:?}: {said:?}");
        let more = ours.recv(&mut bytes).map(|length| String::from_utf8_lossy(&bytes[..length]).into_owned());
        assert!(more.is_err(), "{args:?}: {said:?}, {more:?}");
    }
}

/// Names of folders come from anywhere; nothing they are made of may reach a terminal as it is.
#[cfg(unix)]
#[test]
fn names_do_not_steer_the_terminal_and_commands_can_be_pasted() {
    let place = Place::new();
    let run = place.vae_in("it's a \x1b[31m run");
    let calls = [
        on_cpu(&["sample", text(&run)]),
        on_cpu(&["eval", text(&place.path("no\x1b[2J"))]),
        on_cpu(&["complete", text(&run), "--images", "test"]),
        super::limn(&["\x1b]0;title\x07"]),
        super::limn(&["sample", "a", "b\x1b[2J"]),
    ];
    for call in &calls {
        let all = format!("{}{}", call.out, call.err);
        assert!(!all.contains('\x1b') && !all.contains('\x07') && !all.is_empty(), "{all:?}");
    }
    let tiny = ["--set", "model.hidden=8", "--set", "model.latent=2", "--steps", "1", "--batch", "4", "--out"];
    let spaced = place.path("two words");
    let call = on_cpu(&[&["train", "vae"][..], &tiny, &[text(&spaced)]].concat()).good();
    assert!(call.out.contains(&format!("limn sample '{}'", spaced.display())), "{}", call.out);
}

/// The system's own link to where output goes leads to a pipe that has no path.
#[cfg(target_os = "linux")]
#[test]
fn a_picture_can_go_down_a_pipe() {
    let place = Place::new();
    let run = place.vae();
    let sample =
        format!("'{}' sample '{}' --device cpu --n 2 --out /dev/stdout | cat", env!("CARGO_BIN_EXE_limn"), text(&run));
    let output = std::process::Command::new("bash").args(["-c", &sample]).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.starts_with(b"\x89PNG\r\n\x1a\n") && output.stdout.ends_with(b"IEND\xaeB`\x82"), "{said}");
    assert!(said.contains("2 samples"), "{said}");
}

/// A flag that means nothing without another is not passed over.
#[test]
fn a_step_to_go_on_from_needs_a_run() {
    for more in [&["vae"][..], &[], &["vae", "--seed", "3"]] {
        let call = on_cpu(&[&["train", "--from", "10", "--steps", "1"][..], more].concat());
        assert!(call.code == Some(2) && call.err.contains("--from <STEP>"), "{}", call.err);
    }
}
