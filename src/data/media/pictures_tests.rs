//! Tests of decoding pictures: what is cut, what is damaged, and what other programs write.

use super::*;
use image::{ImageBuffer, ImageEncoder, Luma, Rgb, RgbImage};

const SMALL: Geometry = Geometry::new(1, 4, 4);

/// Pictures that Pillow 12 wrote, of 23x19 pixels: JPEGs at quality 80.
const JPEGS: [(&str, &[u8]); 5] = [
    ("baseline.jpg", include_bytes!("../../../assets/fixtures/media/baseline.jpg")),
    ("progressive.jpg", include_bytes!("../../../assets/fixtures/media/progressive.jpg")),
    ("grey-progressive.jpg", include_bytes!("../../../assets/fixtures/media/grey-progressive.jpg")),
    ("restarts.jpg", include_bytes!("../../../assets/fixtures/media/restarts.jpg")),
    ("cmyk.jpg", include_bytes!("../../../assets/fixtures/media/cmyk.jpg")),
];

/// TIFFs that Pillow 12 wrote: numbers with a decimal point, with a sign, and colours in a file
/// that could be huge.
const TIFFS: [(&str, &[u8]); 3] = [
    ("float.tif", include_bytes!("../../../assets/fixtures/media/float.tif")),
    ("int.tif", include_bytes!("../../../assets/fixtures/media/int.tif")),
    ("big.tif", include_bytes!("../../../assets/fixtures/media/big.tif")),
];

/// One small picture of every format, with the extension it is read by.
fn pictures() -> Vec<(String, Vec<u8>)> {
    let rgb = RgbImage::from_fn(23, 19, |x, y| Rgb([(x * 11) as u8, (y * 13) as u8, (x * y) as u8]));
    let deep = ImageBuffer::from_fn(9, 7, |x, y| Luma([(x * 5000 + y * 300) as u16]));
    let files = JPEGS.iter().chain(&TIFFS);
    let mut all: Vec<(String, Vec<u8>)> = files.map(|(name, bytes)| ((*name).into(), bytes.to_vec())).collect();
    let mut add = |image: &DynamicImage, extension: &str, format: ImageFormat| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        all.push((format!("{}-{extension}.{extension}", image.color().bits_per_pixel()), bytes.into_inner()));
    };
    let rgb = DynamicImage::ImageRgb8(rgb);
    for (extension, format) in [
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("tif", ImageFormat::Tiff),
        ("gif", ImageFormat::Gif),
        ("ppm", ImageFormat::Pnm),
        ("jpg", ImageFormat::Jpeg),
    ] {
        add(&rgb, extension, format);
    }
    for (extension, format) in [("png", ImageFormat::Png), ("tif", ImageFormat::Tiff)] {
        add(&DynamicImage::ImageLuma16(deep.clone()), extension, format);
    }
    all.push(("plain.pgm".into(), b"P2\n# by hand\n3 2\n15\n0 1 2\n13 14 15\n".to_vec()));
    all.push(("plain.pbm".into(), b"P1\n3 2\n0 1 0\n1 0 1\n".to_vec()));
    all.push((
        "deep.pam".into(),
        b"P7\nWIDTH 1\nHEIGHT 2\nDEPTH 1\nMAXVAL 4095\nTUPLTYPE GRAYSCALE\nENDHDR\n\x0f\xff\x00\x01".to_vec(),
    ));
    all
}

fn read(path: &Path, bytes: &[u8]) -> Result<Picture, Error> {
    std::fs::write(path, bytes).unwrap();
    read_picture(path, None, None, &NEVER)
}

#[test]
fn what_is_cut_anywhere_is_the_same_picture_or_named() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in pictures() {
        let path = dir.path().join(&name);
        let whole = read(&path, &bytes).unwrap().bytes;
        let (mut same, mut least) = (0, 0);
        for n in 0..bytes.len() {
            match read(&path, &bytes[..n]) {
                Ok(picture) => {
                    assert!(picture.bytes == whole, "{name}: another picture after {n} of {} bytes", bytes.len());
                    (same, least) = (same + 1, if least == 0 { n } else { least });
                }
                Err(e) => assert!(e.to_string().contains(&name) && !e.ends_reading(), "{n}: {e}"),
            }
        }
        assert!(same == 0 || 2 * least > bytes.len(), "{name}: half of it is enough");
        // What is behind a picture is nobody's.
        let mut long = bytes.clone();
        long.extend(b"and more");
        assert!(read(&path, &long).is_ok_and(|p| p.bytes == whole), "{name} with bytes behind it");
    }
}

#[test]
fn a_jpeg_needs_no_mark_of_its_end_but_all_of_its_scans() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jpg");
    for (name, bytes) in JPEGS {
        let whole = read(&path, bytes).unwrap().bytes;
        assert_eq!(bytes[bytes.len() - 2..], [0xff, 0xd9]);
        assert!(read(&path, &bytes[..bytes.len() - 2]).is_ok_and(|p| p.bytes == whole), "{name}");
        // With a mark where it is cut, or with a part missing in its middle, it is damaged all the
        // same.
        let cut = [&bytes[..bytes.len() - 60], &bytes[bytes.len() - 2..]].concat();
        assert!(read(&path, &cut).is_err(), "{name}");
        // Behind the first segment.
        let at = 4 + usize::from(bytes[5]);
        let junk = [&bytes[..at], b"between its headers", &bytes[at..]].concat();
        assert!(read(&path, &junk).is_ok_and(|p| p.bytes == whole), "{name}");
    }
}

#[test]
fn what_a_file_is_is_told_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in pictures() {
        let path = dir.path().join(&name);
        let right = read(&path, &bytes).unwrap();
        let wrong = read(&dir.path().join("wrong.png"), &bytes).unwrap();
        assert_eq!((right.bytes, right.levels), (wrong.bytes, wrong.levels), "{name}");
        assert!(looks_like_image(&bytes[..12]), "{name}");
    }
}

#[test]
fn a_png_of_which_a_chunk_is_damaged_is_named_where_that_changes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    ImageBuffer::from_fn(4, 4, |x, y| Luma([(x + 4 * y) as u8])).save(&path).unwrap();
    let plain = std::fs::read(&path).unwrap();
    // Behind the header.
    let with = |name: &[u8], body: &[u8], change: u8| {
        let mut crc = flate2::Crc::new();
        crc.update(&[name, body].concat());
        let sum = (crc.sum() ^ u32::from(change)).to_be_bytes();
        [&plain[..33], &(body.len() as u32).to_be_bytes(), name, body, &sum, &plain[33..]].concat()
    };
    let whole = read(&path, &plain).unwrap().bytes;
    // Five is transparent, which is laid on white.
    let clear = read(&path, &with(b"tRNS", &[0, 5], 0)).unwrap().bytes;
    assert_eq!((clear[5], &clear[6..], &clear[..5]), (255, &whole[6..], &whole[..5]));
    for name in [b"tRNS", b"eXIf", b"tRNX"] {
        let error = read(&path, &with(name, &[0, 5], 1)).unwrap_err().to_string();
        assert!(error.contains("x.png") && error.contains("checksum"), "{error}");
    }
    assert!(read(&path, &with(b"tEXt", b"a\0b", 1)).is_ok_and(|p| p.bytes == whole));
}

#[test]
fn what_stands_in_a_picture_s_place_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    for (bytes, word) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"[..], "git lfs pull"),
        (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        (b"8BPS\0\x01", "no format that limn knows"),
        (b"", "empty"),
    ] {
        let error = read(&path, bytes).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("x.png"), "{error}");
    }
}

#[test]
fn tiffs_of_measuring_programs_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let [float, int, big] = TIFFS.map(|(name, bytes)| read(&dir.path().join(name), bytes).unwrap());
    assert_eq!((float.geometry, float.levels), (Geometry::new(1, 4, 5), Levels { low: 0.0, high: 1.0 }));
    assert_eq!(float.bytes, (0..20).map(|i| (255.0 * i as f32 / 19.0).round() as u8).collect::<Vec<u8>>());
    assert_eq!((int.levels.low, int.levels.high), (-1.0, 1.0));
    assert_eq!(int.bytes, [0, 128, 255, 0]);
    assert_eq!(big.geometry, Geometry::new(3, 2, 3));
    assert_eq!(big.bytes[..6], [0, 3, 6, 9, 12, 15]);
    // Negative values and such beyond white are there where the range is automatic.
    let path = dir.path().join("int.tif");
    assert_eq!(read_picture(&path, None, Some(int.levels), &NEVER).unwrap().bytes, [128, 191, 255, 0]);
}

/// A note which side of a picture is up, as EXIF numbers them: a TIFF of one tag.
fn side_up(number: u8) -> Vec<u8> {
    let mut note = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    note.extend([number, 0, 0, 0, 0, 0, 0, 0]);
    note
}

/// The two rows of three pixels that every note is put on, and what it turns them into: rows below one another.
const LYING: [u8; 6] = [10, 20, 30, 40, 50, 60];
const UPRIGHT: [(u8, [usize; 2], [u8; 6]); 8] = [
    (1, [2, 3], [10, 20, 30, 40, 50, 60]),
    (2, [2, 3], [30, 20, 10, 60, 50, 40]),
    (3, [2, 3], [60, 50, 40, 30, 20, 10]),
    (4, [2, 3], [40, 50, 60, 10, 20, 30]),
    (5, [3, 2], [10, 40, 20, 50, 30, 60]),
    (6, [3, 2], [40, 10, 50, 20, 60, 30]),
    (7, [3, 2], [60, 30, 50, 20, 40, 10]),
    (8, [3, 2], [30, 60, 20, 50, 10, 40]),
];

#[test]
fn photographs_stand_as_their_note_says() {
    let dir = tempfile::tempdir().unwrap();
    let grey = image::ExtendedColorType::L8;
    for (number, [h, w], upright) in UPRIGHT {
        let mut png = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut png);
        encoder.set_exif_metadata(side_up(number)).unwrap();
        encoder.write_image(&LYING, 3, 2, grey).unwrap();
        let picture = read(&dir.path().join("a.png"), &png).unwrap();
        assert_eq!((picture.geometry, &picture.bytes[..]), (Geometry::new(1, h, w), &upright[..]), "note {number}");

        // Each pixel as 16x8 of them, for JPEG rounds what is near an edge.
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
        encoder.set_exif_metadata(side_up(number)).unwrap();
        let pixels: Vec<u8> = (0..48 * 16).map(|i| LYING[i / 48 / 8 * 3 + i % 48 / 16]).collect();
        encoder.write_image(&pixels, 48, 16, grey).unwrap();
        let picture = read(&dir.path().join("a.jpg"), &jpeg).unwrap();
        let [tall, wide] = if h == 2 { [16, 48] } else { [48, 16] };
        assert_eq!(picture.geometry, Geometry::new(1, tall, wide), "note {number}");
        // The middle of each of the six parts.
        for (part, want) in upright.iter().enumerate() {
            let (y, x) = ((2 * (part / w) + 1) * tall / (2 * h), (2 * (part % w) + 1) * wide / (2 * w));
            assert!(picture.bytes[y * wide + x].abs_diff(*want) <= 2, "note {number}, part {part}");
        }

        let mut tiff = Cursor::new(Vec::new());
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut tiff).unwrap();
        let mut image = encoder.new_image::<tiff::encoder::colortype::Gray32Float>(3, 2).unwrap();
        image.encoder().write_tag(tiff::tags::Tag::Orientation, u16::from(number)).unwrap();
        image.write_data(&LYING.map(|v| f32::from(v) / 255.0)).unwrap();
        let picture = read(&dir.path().join("a.tif"), tiff.get_ref()).unwrap();
        assert_eq!((picture.geometry, &picture.bytes[..]), (Geometry::new(1, h, w), &upright[..]), "note {number}");
    }
}

#[test]
fn values_are_measured_before_they_are_rounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.png");
    let deep = ImageBuffer::from_fn(4, 4, |x, y| Luma([(x + 4 * y) as u16 * 273]));
    deep.save(&path).unwrap();
    let plain = read_picture(&path, None, None, &NEVER).unwrap();
    assert_eq!(plain.levels.high, 4095.0 / 65535.0);
    assert_eq!(plain.bytes.iter().max(), Some(&16));
    let stretched = read_picture(&path, None, Some(plain.levels), &NEVER).unwrap();
    assert_eq!(stretched.bytes, (0..16).map(|i| i * 17).collect::<Vec<u8>>());
}

#[test]
fn a_webp_is_not_refused_for_its_wrapping() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.webp");
    let plain = pictures().into_iter().find(|(name, _)| name.ends_with(".webp")).unwrap().1;
    let whole = read(&path, &plain).unwrap().bytes;
    // A header that promises a profile, a note of the camera and one of the program, and none of
    // them is there.
    let mut extended = plain[..12].to_vec();
    extended.extend(b"VP8X\x0a\0\0\0\x2c\0\0\0");
    extended.extend([22, 0, 0, 18, 0, 0]);
    extended.extend(&plain[12..]);
    extended.extend(b"JUNK\x03\0\0\0abc");
    for len in [extended.len() as u32 - 8, extended.len() as u32 - 7, 0, u32::MAX] {
        extended[4..8].copy_from_slice(&len.to_le_bytes());
        let read = read(&path, &extended);
        assert!(read.as_ref().is_ok_and(|p| p.bytes == whole), "{len}: {:?}", read.err());
    }
}

#[test]
fn huge_promises_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    for (name, mut bytes) in pictures() {
        let most = |bytes: &mut Vec<u8>, at: usize, size: &[u8]| bytes[at..at + size.len()].copy_from_slice(size);
        match name.as_str() {
            "24-bmp.bmp" => most(&mut bytes, 18, &[0, 0x60, 0xea, 0, 0, 0x60, 0xea, 0]),
            "24-gif.gif" => most(&mut bytes, 6, &[0xff; 4]),
            "24-ppm.ppm" => bytes = b"P6\n60000 60000\n255\n000".to_vec(),
            "24-png.png" => most(&mut bytes, 16, &[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]),
            _ => continue,
        }
        assert!(read(&dir.path().join(&name), &bytes).is_err(), "{name}");
    }
    let stopped = AtomicBool::new(true);
    let e = read_picture(&dir.path().join("24-png.png"), None, None, &stopped).unwrap_err();
    assert!(matches!(e, Error::Stopped { .. }) && e.ends_reading() && e.to_string().contains("24-png"), "{e}");
    let e = read_picture(&dir.path().join("gone.png"), None, None, &NEVER).unwrap_err();
    assert!(matches!(e, Error::Io { .. }) && e.ends_reading(), "{e}");
}

#[test]
fn any_bytes_decode_or_fail_without_panic() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in pictures() {
        let path = dir.path().join(&name);
        for i in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[i] ^= 0xff;
            std::fs::write(&path, &broken).unwrap();
            if let Err(e) = read_picture(&path, Some(SMALL), None, &NEVER) {
                assert!(e.to_string().contains(&name), "{e}");
            }
        }
    }
}

/// A format may say that a picture has no columns or no rows; its decoder may agree.
#[test]
fn pictures_without_pixels_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let pictures: [(&str, &[u8]); 4] = [
        ("columns.pgm", b"P5 0 4 255\n"),
        ("rows.ppm", b"P6 4 0 255\n"),
        ("both.pbm", b"P1 0 0\n"),
        ("tuples.pam", b"P7\nWIDTH 0\nHEIGHT 4\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n"),
    ];
    for (name, bytes) in pictures {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        for wanted in [Some(SMALL), None] {
            let error = read_picture(&path, wanted, None, &NEVER).unwrap_err();
            assert!(matches!(error, Error::BadImage { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(read_mask(&path).is_err(), "{name}");
    }
}
