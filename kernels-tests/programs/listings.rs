//! The step of every preset as it is planned within WebGPU's default limits, held against what it
//! was: three listings in full, and of each other preset what it costs and a hash of its listing.

use crate::support::step_of;
use limn::kernels::Caps;
use limn::kernels::conv::Conv;
use limn::program::{Options, plan};
use limn::train::presets;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// One of each family, kept in full.
const IN_FULL: [&str; 3] = ["dcgan-28-small", "pixelcnn-small", "vae"];

const HEAD: &str = "# preset                        launches  buffers        bytes  SHA-256 of its listing\n";

#[test]
fn listings_are_the_golden_ones() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden");
    let read = |name: &str| std::fs::read_to_string(golden.join(name)).unwrap_or_default();
    let (known, mut table) = (read("plans.txt"), HEAD.to_string());
    // Listings that are as they should be are kept, to compare others with once a plan has changed.
    let seen = Path::new(env!("CARGO_TARGET_TMPDIR")).join("listings");
    std::fs::create_dir_all(&seen).expect("a folder");
    let renew = std::env::var_os("LIMN_UPDATE_GOLDEN").is_some();
    let (mut stale, mut full) = (Vec::new(), Vec::new());
    for (name, _) in presets() {
        let program = plan(&step_of(name), &Options::new(Some(Caps::WEBGPU))).expect("a plan");
        let (listing, totals) = (program.listing(), program.totals());
        let hash: String = Sha256::digest(&listing).iter().map(|byte| format!("{byte:02x}")).collect();
        let (launches, buffers, bytes) = (totals.launches, program.buffers.len(), totals.memory);
        let row = format!("{name:<32}{launches:>8} {buffers:>8} {bytes:>12}  {hash}\n");
        let same = known.lines().any(|line| line == row.trim_end());
        let same = same && (!IN_FULL.contains(name) || read(&format!("{name}.txt")) == listing);
        let [was, is] = ["txt", "new.txt"].map(|kind| seen.join(format!("{name}.{kind}")));
        let _ = std::fs::remove_file(&is);
        std::fs::write(if same || renew { was } else { is }, &listing).expect("a listing");
        if !same {
            stale.push(*name);
        }
        let _ = write!(table, "{row}");
        full.extend(IN_FULL.contains(name).then_some((*name, listing)));
    }
    if renew {
        full.iter()
            .for_each(|(name, listing)| std::fs::write(golden.join(format!("{name}.txt")), listing).expect("a file"));
        return std::fs::write(golden.join("plans.txt"), table).expect("the table");
    }
    assert!(
        stale.is_empty(),
        "{stale:?} plan differently. Their listings are {seen}/PRESET.new.txt, beside PRESET.txt as it was where this test \
         passed before; `limn plan PRESET` shows what a device at hand gets. If that is as it should be, run this test with \
         LIMN_UPDATE_GOLDEN=1.",
        seen = seen.display(),
    );
    assert_eq!(known, table, "assets/golden/plans.txt has a preset that is no more; LIMN_UPDATE_GOLDEN=1 takes it out");
}

#[test]
fn labels_tell_paddings_apart() {
    let conv = |pad: [u32; 4], stride, size: u32| {
        Conv::new([2, 3, size, size], 4, [3, 3]).with([stride, stride], [1, 1], pad).label()
    };
    let shown =
        |label: &str| label.split("y[").nth(1).and_then(|rest| rest.split_once("] ")).map(|(_, s)| s.to_string());
    // What the convolutions of `vae-conv` pad, whose size halves: below and on the right.
    assert_eq!(shown(&conv([0, 0, 1, 1], 2, 28)).as_deref(), Some("stride 2 pad 0,0,1,1"));
    assert_eq!(shown(&conv([1, 1, 1, 1], 2, 28)).as_deref(), Some("stride 2 pad 1"));
    assert_eq!(shown(&conv([1, 2, 1, 2], 1, 28)).as_deref(), Some("pad 1,2"));
    assert_eq!(shown(&conv([2, 0, 1, 3], 1, 28)).as_deref(), Some("pad 2,0,1,3"));
    assert_eq!(shown(&conv([0; 4], 1, 28)), None);
    // A stride that does not divide leaves pixels unread, which are no padding.
    assert_eq!(shown(&conv([0; 4], 2, 28)).as_deref(), Some("stride 2"));
    // Choices are kept by labels: none may stand for two convolutions.
    let mut seen = BTreeMap::new();
    for pad in (0..81).map(|i| [i % 3, i / 3 % 3, i / 9 % 3, i / 27]) {
        let conv = Conv::new([1, 1, 7, 6], 1, [3, 3]).with([1, 1], [1, 1], pad);
        assert_eq!(conv.padding(), pad);
        assert_eq!(seen.insert(conv.label(), pad), None, "{pad:?}");
    }
    let step = plan(&step_of("vae-conv"), &Options::new(Some(Caps::WEBGPU))).expect("a plan");
    assert!(step.listing().contains("stride 2 pad 0,0,1,1"), "{}", step.listing());
}

#[test]
fn rows_of_a_plan_have_what_its_listing_has() {
    let program = plan(&step_of("vae-conv"), &Options::new(Some(Caps::WEBGPU))).expect("a plan");
    let (rows, totals) = (program.rows(), program.totals());
    assert_eq!(rows.len(), totals.launches);
    assert_eq!(rows.iter().map(|row| row.flops).sum::<u64>(), totals.flops);
    assert_eq!(rows.iter().map(|row| row.bytes).sum::<u64>(), totals.bytes);
    for (row, launch) in std::iter::zip(&rows, &program.launches) {
        let lens = launch.kernel.lens();
        let written: usize = row.operands.iter().filter(|o| o.written).map(|o| o.len).sum();
        assert_eq!(written, lens.writes.iter().sum::<usize>(), "{row:?}");
        assert!(!row.stages.is_empty() && row.stages.iter().all(|stage| stage.workgroups.iter().all(|n| *n > 0)));
        assert!(program.listing().contains(&format!("{} {}", row.kernel, row.shape)), "{row:?}");
    }
    // Without a recipe the processor computes.
    let program = plan(&step_of("vae-conv"), &Options::new(None)).expect("a plan");
    assert!(program.rows().iter().all(|row| row.variant == "cpu" && row.stages.is_empty()));
}

#[test]
fn steps_take_few_launches() {
    // Stages, and the copies of operands besides, which products with their channels last begin with.
    for (name, most, copies) in [
        ("dcgan", 132, 13),
        ("dcgan-28", 71, 4),
        ("pixelcnn", 175, 2),
        ("pixelcnn-gated", 182, 15),
        ("pixelcnn++", 2120, 492),
        ("pixelrnn-diagonal", 248, 16),
        ("pixelrnn-row", 93, 8),
        ("biggan", 2543, 278),
    ] {
        let program = plan(&step_of(name), &Options::new(Some(Caps::WEBGPU))).expect("a plan");
        let stages = || program.launches.iter().filter_map(|launch| launch.recipe.as_ref()).flat_map(|r| &r.stages);
        let copied = stages().filter(|stage| stage.shader.name == "pack_last").count();
        let counted = [stages().count() - copied, copied];
        println!("{name}: {counted:?}");
        assert!(counted[0] <= most && counted[1] <= copies, "{name}: {counted:?}, more than {most} and {copies}");
    }
}
