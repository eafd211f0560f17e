use super::*;
use std::fs;

/// A place to write files to.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// An `.npy` file with this header.
fn headed(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(elements);
    file
}

#[test]
fn what_is_written_is_read_again_bit_by_bit() {
    let place = Place::new();
    let images: Vec<f32> = (0..2 * 6).map(|i| i as f32 / 7.0).collect();
    let z = [0.1f32, -2.5, f32::MIN_POSITIVE, 3.0e-20, 1.0 / 3.0, 7.0];
    for (name, format) in [("new/a.npz", ArrayFormat::Npz), ("a.SafeTensors", ArrayFormat::Safetensors)] {
        let path = place.0.path().join(name);
        assert_eq!(ArrayFormat::of(&path), Some(format));
        for labels in [&[][..], &[3, 255]] {
            Arrays { images: &images, geometry: [1, 2, 3], latents: Some(&z), labels }.save(format, &path).unwrap();
            let read = read_latents(&path, 3).unwrap();
            assert_eq!(read.codes, z);
            assert_eq!(read.labels.unwrap_or_default(), labels);
        }
        let error = read_latents(&path, 4).unwrap_err().to_string();
        assert!(error.contains("[2, 3]") && error.contains("[n, 4]"), "{error}");
    }
    let nowhere = place.file("file", b"").join("a.npz");
    let arrays = Arrays { images: &images, geometry: [1, 2, 3], latents: None, labels: &[] };
    assert!(arrays.save(ArrayFormat::Npz, &nowhere).is_err());
    let path = place.0.path().join("b.npz");
    arrays.save(ArrayFormat::Npz, &path).unwrap();
    let error = read_latents(&path, 4).unwrap_err().to_string();
    assert!(error.contains("no array called latents; its arrays: images"), "{error}");
}

/// Files that NumPy wrote, by `assets/fixtures/arrays.py`.
#[test]
fn numpy_agrees() {
    let fixture = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fixtures/arrays").join(name);
    let images: Vec<f32> = (0..12).map(|i| i as f32 / 7.0).collect();
    let written = npy::bytes(Dtype::F32, &[2, 1, 2, 3], bytemuck::cast_slice(&images));
    assert_eq!(written, fs::read(fixture("images.npy")).unwrap());
    assert_eq!(npy::bytes(Dtype::U8, &[2], &[5, 9]), fs::read(fixture("labels.npy")).unwrap());
    let read = |name: &str| read_latents(&fixture(name), 3).map_err(|e| e.to_string());
    let z = [1.0, 2.0, 3.0, 4.0, 5.0, 6.5];
    for name in ["savez.npz", "labelled.npz", "fortran.npy", "big-endian.npy", "deep.npy"] {
        let labels = (name == "labelled.npz").then(|| vec![1, 2]);
        assert_eq!(read(name).unwrap(), Latents { codes: z.to_vec(), labels }, "{name}");
    }
    assert_eq!(read("integers.npy").unwrap().codes, z.map(|v| 2.0 * v));
    for name in ["objects.npy", "half.npy"] {
        let error = read(name).unwrap_err();
        assert!(error.contains("float32"), "{error}");
    }
}

#[test]
fn arrays_of_any_number_and_order() {
    let place = Place::new();
    let read = |header: &str, elements: &[u8]| {
        let path = place.file("a.npy", headed(header, elements));
        read_latents(&path, 2).map(|read| read.codes).map_err(|e| e.to_string())
    };
    let fortran = "{'descr': '|i1', 'fortran_order': True, 'shape': (2, 2), }";
    assert_eq!(read(fortran, &[1, 2, 3, 255]).unwrap(), [1.0, 3.0, 2.0, -1.0]);
    let big = "{'shape': (2,), 'fortran_order': False, 'descr': '>i2'}";
    assert_eq!(read(big, &[1, 0, 255, 254]).unwrap(), [256.0, -2.0]);
    for (header, words) in [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }", "cut short or damaged"),
        ("{'descr': '|i1', 'fortran_order': False, 'shape': (18446744073709551615, 2), }", "cut short or damaged"),
        ("{'descr': '|i1', 'fortran_order': False, 'shape': (0, 18446744073709551615, 9), }", "cut short"),
        ("{'descr': '|i1', 'fortran_order': True, 'shape': (4, 1), }", "[4, 1]"),
        ("{'descr': '|i1', 'fortran_order': False, 'shape': (), }", "cut short or damaged"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 2), }", "records"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (1, 2), }", "float32"),
        ("{'descr': 'é', 'fortran_order': False, 'shape': (1, 2), }", "float32"),
        ("{'descr': '|i1', 'fortran_order': 7, 'shape': (1, 2), }", "does not understand"),
        ("{'descr': '|i1', 'fortran_order': False, 'shape': (-1, 2), }", "does not understand"),
        ("", "does not understand"),
    ] {
        let error = read(header, &[0; 4]).expect_err(header);
        assert!(error.contains(words), "{header}: {error}");
    }
}

#[test]
fn tables_are_read_and_their_faults_named() {
    let place = Place::new();
    let read = |text: &str| {
        let path = place.file("a.csv", text);
        read_latents(&path, 2).map(|read| read.codes).map_err(|e| e.to_string())
    };
    assert_eq!(read("0.5,-1\n2 , 3e-1\n").unwrap(), [0.5, -1.0, 2.0, 0.3]);
    assert_eq!(read("\u{feff}first,second\r\n1,2\r\n").unwrap(), [1.0, 2.0]);
    for (text, words) in [
        ("", "no latent vector"),
        ("a,b\n", "no latent vector"),
        ("1,2\n3\n", "line 2 has 1 numbers, and those before it 2"),
        ("1,2\n3,x\n", "\"x\" in line 2"),
        ("1,2,3\n", "[1, 3]"),
        ("1,nan\n", "number 0 (from 0) holds NaN"),
        ("1,2\n1,1e60\n", "number 1 (from 0) holds inf"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(words) && error.contains("a.csv: "), "{text}: {error}");
    }
}

#[test]
fn files_that_are_none_of_these_are_told_so() {
    let place = Place::new();
    for (name, bytes, words) in [
        ("a.txt", &b"1,2"[..], ".npz, .npy, .safetensors and .csv"),
        ("a", b"1,2", ".npz, .npy"),
        ("a.npz", b"PK\x03\x04 and nothing more", "no sound .npz"),
        ("a.npz", b"", "no sound .npz"),
        ("a.npy", b"\x93NUMPY", "cut short"),
        ("a.npy", b"\x93NUMPY\x01\0\xff\xff{", "cut short"),
        ("a.npy", b"\x93NUMPY\x09\0\x01\0{", "version 9.0"),
        ("a.npy", b"1,2", "no .npy file"),
        ("a.safetensors", b"1,2", "no sound safetensors"),
    ] {
        let error = read_latents(&place.file(name, bytes), 2).expect_err(name).to_string();
        assert!(error.contains(words), "{name}: {error}");
    }
    assert!(read_latents(&place.0.path().join("gone.npy"), 2).is_err());
    fs::create_dir(place.0.path().join("folder.npy")).unwrap();
    assert!(read_latents(&place.0.path().join("folder.npy"), 2).unwrap_err().to_string().contains("folder"));
    let labels = |labels: Vec<f32>, n| classes(Array { shape: vec![labels.len()], values: labels }, n);
    assert_eq!(labels(vec![0.0, 255.0], 2), Ok(vec![0, 255]));
    for bad in [vec![1.0], vec![0.5, 1.0], vec![-1.0, 1.0], vec![256.0, 1.0], vec![f32::NAN, 1.0]] {
        assert!(labels(bad, 2).is_err());
    }
}
