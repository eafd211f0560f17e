//! Tests of fetching. Those that need the network are ignored: `cargo test --locked -- --ignored fetches`.

use super::*;
use crate::data::{Dataset, Options, Split, sets};

static NO_WAY: Remote = Remote {
    files: &[
        ("a", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("b", "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"),
    ],
    // Port 1 of this machine refuses at once.
    hosts: &[Host::GzFiles("http://127.0.0.1:1/"), Host::TarGz("http://127.0.0.1:1/x.tar.gz")],
    package: Package::NpmFiles { spec: "limn-none@0.0.0", folder: "x" },
};

#[test]
fn other_names_are_refused_with_the_valid_ones() {
    for name in ["builtin", "imagenet", "", "../x"] {
        let e = get_into(name, Path::new("/nowhere"), &mut |_| ()).unwrap_err();
        assert!(e.to_string().contains("mnist, fashion-mnist, cifar10"), "{e}");
    }
}

#[test]
fn a_refused_connection_is_said() {
    let start = Instant::now();
    for way in ways(&NO_WAY).take(2) {
        let said = way.fetch(&NO_WAY, Path::new("/nowhere"), &mut |_| ()).unwrap_err();
        assert!(!said.is_empty());
    }
    assert!(start.elapsed() < 3 * CONNECT);
}

#[test]
fn content_is_checked() {
    let file = |name: &str, content: &str| (name.to_string(), content.as_bytes().to_vec());
    assert!(verify(&NO_WAY, vec![file("b", "b"), file("x", "x"), file("a", "a")]).is_ok());
    let e = verify(&NO_WAY, vec![file("a", "a")]).unwrap_err();
    assert!(e.contains('b'), "{e}");
    let e = verify(&NO_WAY, vec![file("a", "a"), file("b", "B")]).unwrap_err();
    assert!(e.contains("SHA-256"), "{e}");
}

#[test]
fn files_are_kept_whole_and_checked_again() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!is_whole(&NO_WAY, dir.path()));
    write(dir.path(), "a", b"a").unwrap();
    write(dir.path(), "b", b"wrong").unwrap();
    assert!(sets::is_cached(&NO_WAY, dir.path()));
    assert!(!is_whole(&NO_WAY, dir.path()));
    write(dir.path(), "b", b"b").unwrap();
    assert!(is_whole(&NO_WAY, dir.path()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no .part is left");
    assert!(matches!(write(&dir.path().join("none"), "a", b""), Err(Error::Io { .. })));
}

#[test]
fn scratch_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(dir.path()).unwrap();
    assert!(scratch.0.is_dir() && scratch.0.is_absolute());
    drop(scratch);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn archives_are_read_or_refused() {
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_cksum();
    builder.append_data(&mut header, "in/side.bin", &b"abc"[..]).unwrap();
    let packed = builder.into_inner().unwrap().finish().unwrap();
    assert_eq!(untar(&packed[..], |_| true).unwrap(), [("in/side.bin".into(), b"abc".to_vec())]);
    assert!(untar(&packed[..], |_| false).unwrap().is_empty());
    assert!(untar(&packed[..packed.len() / 2], |_| true).is_err());
    assert!(gunzip(&b"hello"[..]).is_err());
}

#[test]
fn cifar_pictures_become_records() {
    let mut picture = image::RgbImage::new(1024, 2);
    picture.put_pixel(1, 0, image::Rgb([1, 2, 3]));
    picture.put_pixel(1023, 1, image::Rgb([4, 5, 6]));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let mut files: Files = vec![
        ("package/train_lables.json".into(), b"[7,8]".to_vec()),
        ("package/test_lables.json".into(), b"[9]".to_vec()),
        ("package/data_batch_1.png".into(), png.into_inner()),
    ];
    // The test picture is missing; then it has one row too many.
    assert!(cifar_from_png(&files).is_err());
    files.push(("package/data_batch_2.png".into(), files[2].1.clone()));
    assert!(cifar_from_png(&files).unwrap_err().contains("1024 x 2 are not one row"));
    // It is refused for the size that it says it has: what is behind that is not looked at.
    let whole = files[3].1.clone();
    files[3].1.truncate(50);
    files[3].1[16..20].copy_from_slice(&(1u32 << 25).to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&files[3].1[12..29]);
    files[3].1[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    assert!(cifar_from_png(&files).unwrap_err().contains("33554432 x 2 are not one row"));
    files[3].1 = whole;
    files[1].1 = format!("[{}9]", "9,".repeat(10_000)).into_bytes();
    assert!(cifar_from_png(&files).unwrap_err().contains("2 and 10001 labels are more than"));
    files[1].1 = b"[9,9]".to_vec();
    let records = cifar_from_png(&files).unwrap();
    let first = &records[0].1;
    assert_eq!(first.len(), 2 * cifar::RECORD);
    assert_eq!((first[0], first[2], first[1026], first[2050]), (7, 1, 2, 3));
    let second = &first[cifar::RECORD..];
    assert_eq!((second[0], second[1024], second[2048], second[3072]), (8, 4, 5, 6));
}

/// Fetches one set for real into `$LIMN_CACHE`, opens it, and returns it.
fn really(name: &str) -> Dataset {
    let mut steps = Vec::new();
    let folder = get(name, &mut |p| {
        if let Progress::Step(line) = p {
            eprintln!("{line}");
            steps.push(line);
        }
    });
    let folder = folder.unwrap_or_else(|e| panic!("{e}"));
    assert!(folder.is_dir() && !steps.is_empty());
    let data = crate::data::open(name, None, &Options::default()).unwrap();
    let set = sets::find(name).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (set.train, set.test));
    assert_eq!(data.geometry(), set.geometry);
    data
}

fn sum(split: &Split) -> u64 {
    (0..split.len()).flat_map(|i| split.image(i).into_owned()).map(u64::from).sum()
}

fn per_class(labels: &Option<Vec<u8>>) -> [usize; 10] {
    let mut counts = [0; 10];
    labels.iter().flatten().for_each(|&l| counts[usize::from(l)] += 1);
    counts
}

#[test]
#[ignore = "needs the network"]
fn fetches_mnist() {
    let data = really("mnist");
    // Means 0.1307 and 0.1325, as everyone normalises with.
    assert_eq!(sum(&data.train), 1_567_298_545);
    assert_eq!(data.train.labels.as_ref().unwrap()[..5], [5, 0, 4, 1, 9]);
}

#[test]
#[ignore = "needs the network"]
fn fetches_fashion_mnist() {
    let data = really("fashion-mnist");
    assert_eq!(per_class(&data.train.labels), [6000; 10]);
    assert_eq!(per_class(&data.test.labels), [1000; 10]);
    let mini = crate::data::open("builtin", None, &Options::default()).unwrap();
    assert!((0..6000).all(|i| mini.train.image(i) == data.train.image(i)));
    assert!((0..1000).all(|i| mini.test.image(i) == data.test.image(i)));
    assert_eq!(mini.train.labels.unwrap()[..], data.train.labels.unwrap()[..6000]);
}

#[test]
#[ignore = "needs the network"]
fn fetches_cifar10() {
    let data = really("cifar10");
    assert_eq!(per_class(&data.train.labels), [5000; 10]);
    assert_eq!(per_class(&data.test.labels), [1000; 10]);
    assert_eq!(sum(&data.test), 3_733_375_634);
}

#[test]
#[ignore = "takes as long as a host may be silent"]
fn a_silent_host_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let start = Instant::now();
    let said = download(&url, &mut |_| ()).unwrap_err();
    assert!(said.contains("timeout"), "{said}");
    assert!(start.elapsed() < SILENCE + CONNECT);
}
