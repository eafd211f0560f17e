//! Tests of opening: what a user can name, and what comes of it.

use super::*;
use std::path::Path;

fn put_idx(path: &Path, n: u32, side: u32) {
    let bytes: Vec<u8> = (0..n).flat_map(|i| vec![i as u8; (side * side) as usize]).collect();
    std::fs::write(path, idx::encode(idx::IMAGES, &[n, side, side], &bytes)).unwrap();
}

fn spec(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

#[test]
fn the_built_in_set() {
    let data = open("builtin", None, &Options::default()).unwrap();
    assert_eq!(data.name, "fashion-mini");
    assert_eq!((data.train.len(), data.test.len()), (6000, 1000));
    assert_eq!(data.geometry(), Geometry::new(1, 28, 28));
    let sum = |s: &Split| (0..s.len()).flat_map(|i| s.image(i).into_owned()).map(u64::from).sum::<u64>();
    assert_eq!((sum(&data.train), sum(&data.test)), (342_670_278, 58_034_149));
    assert_eq!(data.train.labels.as_ref().unwrap()[..4], [9, 0, 0, 3]);
    assert_eq!(data.test.labels.as_ref().unwrap().len(), 1000);
    assert_eq!(data.train.image(5999).len(), 784);
    assert!(data.require(Geometry::new(3, 64, 64)).is_err());
}

#[test]
fn the_built_in_set_in_another_geometry() {
    let wanted = Geometry::new(3, 64, 64);
    let data = open("fashion-mini", Some(wanted), &Options::default()).unwrap();
    assert_eq!(data.geometry(), wanted);
    assert_eq!(data.native, Geometry::new(1, 28, 28));
    assert_eq!((data.test.len(), data.test.image(999).len()), (1000, 3 * 64 * 64));
    let image = data.train.image(0);
    assert_eq!(image[..4096], image[4096..8192]);
    assert!(data.require(wanted).is_ok());
}

#[test]
fn a_file_without_test_siblings_holds_out_its_last_images() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pictures.idx");
    put_idx(&path, 45, 4);
    let data = open(&spec(&path), None, &Options::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (41, 4));
    assert_eq!(data.test.image(0)[..], [41; 16]);
    put_idx(&path, 2, 4);
    let data = open(&spec(&path), None, &Options::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (1, 1));
    put_idx(&path, 1, 4);
    assert!(matches!(open(&spec(&path), None, &Options::default()), Err(Error::TooFew { .. })));
    assert_eq!(to_hold_out(1_000_000), 1000);
}

#[test]
fn folders_and_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put_idx(&root.join("train-images-idx3-ubyte"), 30, 28);
    put_idx(&root.join("t10k-images-idx3-ubyte"), 7, 28);
    for path in [root.to_path_buf(), root.join("train-images-idx3-ubyte")] {
        let data = open(&spec(&path), None, &Options::default()).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (30, 7));
    }
    let bin = root.join("some.bin");
    let mut records = vec![3; cifar::RECORD * 20];
    std::fs::write(&bin, &records).unwrap();
    let grey = Geometry::new(1, 28, 28);
    let data = open(&spec(&bin), Some(grey), &Options::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (18, 2));
    assert_eq!((data.geometry(), data.native), (grey, cifar::GEOMETRY));
    assert_eq!(data.test.image(1)[..], [3; 784]);
    assert_eq!(data.train.labels.unwrap().len(), 18);
    records.pop();
    std::fs::write(&bin, &records).unwrap();
    assert!(matches!(open(&spec(&bin), None, &Options::default()), Err(Error::NotCifar { .. })));
}

#[test]
fn a_folder_of_pictures() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..20u8 {
        let image = image::RgbImage::from_pixel(40, 30, image::Rgb([i, i, i]));
        image.save(dir.path().join(format!("{i:02}.png"))).unwrap();
    }
    let data = open(&spec(dir.path()), Some(Geometry::new(1, 8, 8)), &Options::default()).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (18, 2));
    assert_eq!((data.test.image(0)[0], data.test.image(1)[0]), (9, 19));
    assert_eq!(data.native, Geometry::new(3, 30, 40));
    let one = dir.path().join("00.png");
    assert!(matches!(open(&spec(&one), None, &Options::default()), Err(Error::SingleImage { .. })));
}

#[test]
fn what_cannot_be_opened_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        spec(&path)
    };
    let bad = [
        ("mnsit".to_string(), "did you mean mnist"),
        ("no/such/place".into(), "use a known set: fashion-mini, "),
        ("".into(), "use a known set: fashion-mini, "),
        ("a\0b".into(), "use a known set: fashion-mini, "),
        (at("empty.idx", b""), "empty.idx is empty"),
        (at("text.idx", b"hello there"), "0x68656c6c"),
        (at("empty.bin", b""), "empty.bin is empty"),
        (at("short", &idx::encode(idx::IMAGES, &[9, 28, 28], &[0; 99])), "cut short"),
        (at("labels", &idx::encode(idx::LABELS, &[2], &[0; 2])), "0x00000801"),
        (spec(&nothing), "holds no images"),
    ];
    for (spec, word) in bad {
        let e = open(&spec, None, &Options::default()).unwrap_err().to_string();
        assert!(e.contains(word), "{spec}: {e}");
        assert!(!e.contains('\n'), "{e}");
    }
    let e = open("builtin", Some(Geometry::new(2, 28, 28)), &Options::default()).unwrap_err();
    assert!(matches!(e, Error::BadGeometry(_)));
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_named() {
    let e = open("/dev/null", None, &Options::default()).unwrap_err().to_string();
    assert!(e.contains("/dev/null"), "{e}");
}

#[test]
fn values_that_cannot_be_meant_are_said_and_stretched_where_that_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..12u16 {
        // Twelve bits in sixteen.
        let image =
            image::ImageBuffer::from_fn(4, 4, |x, _| image::Luma([(x as u16 * 1365).min(4095) - x as u16 * (i % 2)]));
        image::DynamicImage::ImageLuma16(image).save(dir.path().join(format!("{i:02}.png"))).unwrap();
    }
    let masks = dir.path().join("masks.idx");
    let bytes: Vec<u8> = (0..20 * 16).map(|i| u8::from(i % 3 == 0)).collect();
    std::fs::write(&masks, idx::encode(idx::IMAGES, &[20, 4, 4], &bytes)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let wanted = Some(Geometry::new(1, 4, 4));
    for source in [dir.path(), &masks] {
        let open = |range| {
            let options = Options { range, cache: Some(cache.path().into()), ..Options::default() };
            open(&spec(source), wanted, &options).unwrap()
        };
        let told = |set: &Dataset, word: &str| set.warnings.iter().any(|warning| warning.contains(word));
        let all =
            |set: &Dataset| (0..set.train.len()).flat_map(|i| set.train.image(i).into_owned()).collect::<Vec<u8>>();
        let full = open(Range::Full);
        assert!(told(&full, "data.range=\"auto\"") && all(&full).into_iter().max() < Some(17), "{:?}", full.warnings);
        // The second time from what was kept.
        for _ in 0..2 {
            let auto = open(Range::Auto);
            assert!(!told(&auto, "data.range") && auto.identity.stretched.is_some(), "{:?}", auto.warnings);
            let bytes = all(&auto);
            assert_eq!((bytes.iter().min(), bytes.iter().max()), (Some(&0), Some(&255)));
            assert!(auto.identity.difference(&full.identity).is_some());
        }
    }
    let auto = open(&spec(dir.path()), wanted, &Options { range: Range::Auto, ..Options::default() }).unwrap();
    assert_eq!(auto.train.image(0)[..4], [0, 85, 170, 255], "of all sixteen bits");
}
