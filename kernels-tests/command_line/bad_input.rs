//! Bad input to `limn run`: one plain sentence, exit code 2, and OUT untouched.

use super::pytorch::{load, save};
use super::{fixture, limn, text};
use std::path::{Path, PathBuf};

/// A folder with a sound conv2d input, and an OUT that must stay as it is.
struct Place {
    folder: tempfile::TempDir,
    input: PathBuf,
    out: PathBuf,
}

const OLD: &[u8] = b"what was there before";

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let (input, out) = (folder.path().join("in.safetensors"), folder.path().join("out.safetensors"));
        std::fs::copy(fixture("conv2d-1x1.in.safetensors"), &input).expect("the fixture");
        std::fs::write(&out, OLD).expect("a file");
        Place { folder, input, out }
    }

    /// Expects a refusal that says `words`, and that nothing was written.
    #[track_caller]
    fn refuses(&self, op: &str, more: &[&str], words: &[&str]) {
        let args = ["run", op, "--in", text(&self.input), "--out", text(&self.out), "--device", "cpu"];
        limn(&[&args, more].concat()).bad(words);
        assert_eq!(std::fs::read(&self.out).expect("OUT"), OLD);
        assert_eq!(std::fs::read_dir(self.folder.path()).expect("the folder").count(), 2, "something was left behind");
    }

    fn save(&self, tensors: &[(&str, &[usize], &[f32])]) {
        save(&self.input, tensors);
    }
}

#[test]
fn settings_that_make_no_sense() {
    let place = Place::new();
    for (setting, words) in [
        ("stride=0", &["stride=0", "at least 1"][..]),
        ("stride=1,0", &["stride=1,0", "at least 1"]),
        ("stride=-1", &["stride=-1", "whole number"]),
        ("stride=two", &["stride=two", "whole number"]),
        ("stride=1,2,3", &["stride=1,2,3", "vertical,horizontal"]),
        ("stride=99999999999999999999", &["stride"]),
        ("stride=4000000000", &["too large"]),
        ("stride=", &["stride="]),
        ("padding=1,2,3", &["padding=1,2,3", "top,left,bottom,right"]),
        ("padding=1.5", &["padding=1.5"]),
        ("padding=900000", &["more than limn run takes"]),
        ("dilation=0", &["dilation=0"]),
        ("output_padding=1", &["output_padding", "conv_transpose2d"]),
        ("groups=2", &["groups", "masked_conv2d"]),
        ("mask=A", &["mask", "masked_conv2d"]),
        ("strid=1", &["strid", "did you mean stride"]),
        ("seed=1", &["seed", "stride, padding, dilation"]),
    ] {
        place.refuses("conv2d", &["--set", setting], words);
    }
    place.refuses("masked_conv2d", &[], &["mask=A", "mask=B"]);
    place.refuses("masked_conv2d", &["--set", "mask=C"], &["mask=C", "A or B"]);
    place.refuses("masked_conv2d", &["--set", "mask=A", "--set", "groups=0"], &["groups=0"]);
    place.refuses("conv3d", &[], &["conv3d", "conv2d"]);
}

#[test]
fn tensors_that_do_not_fit() {
    let place = Place::new();
    let (x, w): (&[f32], &[f32]) = (&[1.0; 64], &[1.0; 36]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("v", &[1, 4, 3, 3], w)]);
    place.refuses("conv2d", &[], &["\"w\"", "x", "v"]);
    place.save(&[("x", &[4, 4, 4], x), ("w", &[1, 4, 3, 3], w)]);
    place.refuses("conv2d", &[], &["x", "[4, 4, 4]", "n,channels,height,width"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[4, 9], w)]);
    place.refuses("conv2d", &[], &["w", "[4, 9]"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[4, 1, 3, 3], w)]);
    place.refuses("conv2d", &[], &["4 channels", "[1, 4, 4, 4]", "[4, 1, 3, 3]"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[1, 4, 9, 1], w)]);
    place.refuses("conv2d", &[], &["larger than the padded input"]);
    place.refuses("conv2d", &["--set", "padding=2,0", "--set", "dilation=1,1"], &["larger than the padded input"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[1, 4, 3, 3], w), ("b", &[2], &[0.0; 2])]);
    place.refuses("conv2d", &[], &["bias of 1"]);
    place.save(&[("x", &[1, 0, 4, 4], &[]), ("w", &[1, 0, 3, 3], &[])]);
    place.refuses("conv2d", &[], &["x", "no elements"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[4, 1, 3, 3], w)]);
    place.refuses("conv_transpose2d", &["--set", "output_padding=1"], &["output_padding", "smaller than stride"]);
    place.save(&[("x", &[1, 1, 4096, 1], &[1.0; 4096]), ("w", &[1, 1, 3, 3], &[1.0; 9])]);
    place.refuses("conv_transpose2d", &["--set", "stride=1000000"], &["larger"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[4, 1, 3, 3], w)]);
    place.refuses("conv_transpose2d", &["--set", "padding=6"], &["leaves nothing"]);
    place.refuses("conv_transpose2d", &["--set", "stride=1000000"], &["more than limn run takes"]);
    place.save(&[("x", &[1, 4, 4, 4], x), ("w", &[1, 4, 1, 2], &[1.0; 8])]);
    place.refuses("masked_conv2d", &["--set", "mask=A"], &["odd", "1x2"]);
    place.save(&[("mu", &[2, 3], &[0.0; 6]), ("logvar", &[3, 2], &[0.0; 6])]);
    place.refuses("reparameterize", &[], &["[2, 3]", "[3, 2]"]);
    place.refuses("reparameterize", &["--set", "seed=-1"], &["seed=-1"]);
    place.refuses("reparameterize", &["--set", "seed=18446744073709551616"], &["seed"]);
    place.save(&[("mu", &[1, 2, 3], &[0.0; 6]), ("logvar", &[1, 2, 3], &[0.0; 6])]);
    place.refuses("reparameterize", &[], &["mu", "[1, 2, 3]"]);
    place.save(&[("a", &[2, 3], &[0.0; 6]), ("b", &[2, 3], &[0.0; 6])]);
    place.refuses("matmul", &[], &["matmul", "[2, 3]"]);
    place.save(&[("a", &[2, 3], &[0.0; 6]), ("b", &[3, 2], &[0.0; 6]), ("bias", &[3], &[0.0; 3])]);
    place.refuses("matmul", &[], &["bias", "[3]"]);
}

#[test]
fn gradients_without_what_they_need() {
    let place = Place::new();
    let (x, w): (&[f32], &[f32]) = (&[1.0; 16], &[1.0; 9]);
    place.save(&[("x", &[1, 1, 4, 4], x), ("w", &[1, 1, 3, 3], w)]);
    place.refuses("conv2d", &["--grad"], &["--grad", "\"dy\""]);
    place.save(&[("x", &[1, 1, 4, 4], x), ("w", &[1, 1, 3, 3], w), ("dy", &[1, 1, 4, 1], &[1.0; 4])]);
    place.refuses("conv2d", &["--grad"], &["dy", "[1, 1, 2, 2]", "[1, 1, 4, 1]"]);
    place.save(&[("mu", &[3], &[0.0; 3]), ("logvar", &[3], &[0.0; 3])]);
    place.refuses("reparameterize", &["--grad"], &["\"dz\" or \"dkl\""]);
}

#[test]
fn files_that_are_no_sound_safetensors() {
    let place = Place::new();
    let sound = std::fs::read(&place.input).expect("the fixture");
    for end in [0, 1, 7, 8, 9, 100, sound.len() / 2, sound.len() - 1] {
        std::fs::write(&place.input, &sound[..end]).expect("a file");
        place.refuses("conv2d", &[], &["in.safetensors"]);
    }
    std::fs::write(&place.input, [&sound[..], b"more"].concat()).expect("a file");
    place.refuses("conv2d", &[], &["in.safetensors"]);
    std::fs::write(&place.input, b"PK\x03\x04 this is something else altogether").expect("a file");
    place.refuses("conv2d", &[], &["in.safetensors", "no safetensors file"]);
    let mut odd = sound.clone();
    odd[8..40].fill(b'!');
    std::fs::write(&place.input, odd).expect("a file");
    place.refuses("conv2d", &[], &["in.safetensors"]);
    // A shape whose number of elements overflows.
    let header = br#"{"x":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}"#;
    let huge = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    std::fs::write(&place.input, huge).expect("a file");
    place.refuses("conv2d", &[], &["in.safetensors"]);
}

#[test]
fn another_dtype_than_f32() {
    use safetensors::{Dtype, serialize, tensor::TensorView};
    let place = Place::new();
    for (dtype, size, name) in [(Dtype::F64, 8, "F64"), (Dtype::F16, 2, "F16"), (Dtype::I64, 8, "I64")] {
        let (x, w) = (vec![0; 16 * size], vec![0; 36]);
        let x = TensorView::new(dtype, vec![1, 1, 4, 4], &x).expect("a view");
        let w = TensorView::new(Dtype::F32, vec![1, 1, 3, 3], &w).expect("a view");
        let file = serialize([("x", x), ("w", w)], None).expect("serialises");
        std::fs::write(&place.input, file).expect("a file");
        place.refuses("conv2d", &[], &["x", name, "F32"]);
    }
}

#[test]
fn places_that_cannot_be_read_or_written() {
    let place = Place::new();
    let run =
        |input: &Path, out: &Path| limn(&["run", "conv2d", "--device", "cpu", "--in", text(input), "--out", text(out)]);
    let folder = place.folder.path();
    run(&folder.join("missing"), &place.out).bad(&["cannot read", "missing"]);
    run(folder, &place.out).bad(&["cannot read"]);
    run(&place.input, &folder.join("no/such/out.safetensors")).bad(&["cannot write", "no/such"]);
    run(&place.input, folder).bad(&["cannot write", "folder"]);
    run(&place.input, Path::new("..")).bad(&["cannot write", "folder"]);
    assert_eq!(std::fs::read(&place.out).expect("OUT"), OLD);
    // OUT may be IN: it is replaced when all is done.
    run(&place.input, &place.input).good();
    assert!(load(&place.input).contains_key("y"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_leaves_the_old_file() {
    let place = Place::new();
    limn(&["run", "conv2d", "--device", "cpu", "--in", text(&place.input), "--out", "/dev/full"]).bad(&[
        "cannot write",
        "/dev/full",
        "space",
    ]);
    // A folder that takes no more bytes, where the kernel lets us have one.
    let script = format!(
        "mount -t tmpfs -o size=4k none '{d}' && echo old > '{d}/out' && exec '{limn}' run conv2d --device cpu \
         --in '{d}/../in.safetensors' --out '{d}/out'; echo no mount >&2; exit 9",
        d = place.folder.path().join("full").display(),
        limn = env!("CARGO_BIN_EXE_limn"),
    );
    std::fs::create_dir(place.folder.path().join("full")).expect("a folder");
    let call = super::call(std::process::Command::new("unshare").args(["-rm", "bash", "-c", &script]));
    if call.code == Some(2) && call.err.starts_with("limn:") {
        call.bad(&["cannot write", "out", "space"]);
    }
}

#[test]
fn a_tensor_nobody_reads_is_told() {
    let place = Place::new();
    place.save(&[("x", &[1, 1, 1, 1], &[1.0]), ("w", &[1, 1, 1, 1], &[2.0]), ("bias", &[1], &[3.0])]);
    let args = ["run", "conv2d", "--device", "cpu", "--in", text(&place.input), "--out", text(&place.out)];
    let call = limn(&args).good();
    assert!(call.err.contains("\"bias\" is not used"), "{}", call.err);
    assert_eq!(load(&place.out)["y"].1, [2.0]);
}
