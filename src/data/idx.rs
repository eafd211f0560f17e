//! IDX files, the format of MNIST: a big-endian header, then bytes. Raw or gzipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::{Error, Geometry, Source};
use crate::machine::memory_available;
use crate::words::hex;

/// Magic number of a file of images: unsigned bytes, three dimensions.
pub(super) const IMAGES: u32 = 0x0000_0803;
/// Magic number of a file of labels: unsigned bytes, one dimension.
pub(super) const LABELS: u32 = 0x0000_0801;

pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Images as they lie in a file: `bytes` holds `geometry.elements()` bytes per image.
#[derive(Debug)]
pub(super) struct Images {
    pub geometry: Geometry,
    pub bytes: Vec<u8>,
}

/// Reads a file of images. Whether it is gzipped is told by its content, not its name.
pub(super) fn images(path: &Path) -> Result<Images, Error> {
    let (file, size) = open(path)?;
    parse_images(file, size, path)
}

/// Reads a file of labels, one byte each.
pub(super) fn labels(path: &Path) -> Result<Vec<u8>, Error> {
    let (file, size) = open(path)?;
    parse_labels(file, size, path)
}

/// Reads images from `file`, which has `size` bytes; `path` is for messages.
pub(super) fn parse_images(file: impl Read, size: u64, path: &Path) -> Result<Images, Error> {
    let (file, limit) = unzip(file, size, path)?;
    let (dims, bytes) = body::<3>(file, limit, IMAGES, "images", path)?;
    let [_, height, width] = dims.map(|d| d as usize);
    let geometry = Geometry::new(1, height, width);
    Ok(Images { geometry, bytes })
}

/// Reads labels from `file`, which has `size` bytes; `path` is for messages.
pub(super) fn parse_labels(file: impl Read, size: u64, path: &Path) -> Result<Vec<u8>, Error> {
    let (file, limit) = unzip(file, size, path)?;
    Ok(body::<1>(file, limit, LABELS, "labels", path)?.1)
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    Ok((BufReader::new(file), size))
}

/// Decompresses where the content begins like gzip. Also returns the most bytes that can come out:
/// deflate expands at most 1032 times, so a header that promises more is known to lie.
fn unzip<'a>(mut file: impl Read + 'a, size: u64, path: &Path) -> Result<(Box<dyn Read + 'a>, u64), Error> {
    let mut start = Vec::new();
    (&mut file).take(2).read_to_end(&mut start).map_err(Error::io("read", path))?;
    if start.is_empty() {
        return Err(Error::EmptyFile { path: path.into() });
    }
    let zipped = start == GZIP;
    let whole = std::io::Cursor::new(start).chain(file);
    Ok(if zipped {
        (Box::new(Members(Some(GzDecoder::new(BufReader::new(whole))))), size.saturating_mul(1032))
    } else {
        (Box::new(whole), size)
    })
}

/// What the members of a gzip hold. Behind them there may be something else, zeros of a tape for
/// example, which gzip itself passes over.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(bytes)?;
            if read > 0 || bytes.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.0.take().map(GzDecoder::into_inner) else { break };
            if rest.fill_buf()?.first() == Some(&GZIP[0]) {
                self.0 = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Header of `D` dimensions and all that follows, checked against each other.
fn body<const D: usize>(
    mut file: Box<dyn Read + '_>,
    limit: u64,
    magic: u32,
    kind: &'static str,
    path: &Path,
) -> Result<([u32; D], Vec<u8>), Error> {
    let broken = |e: std::io::Error| match e.kind() {
        // flate2's word for a stream that stops early.
        std::io::ErrorKind::UnexpectedEof => {
            Error::Damaged { path: path.into(), why: "its compressed data is cut short".into() }
        }
        _ => Error::Damaged { path: path.into(), why: e.to_string() },
    };
    let header_len = 4 + 4 * D as u64;
    let mut header = Vec::new();
    (&mut file).take(header_len).read_to_end(&mut header).map_err(broken)?;
    if header.is_empty() {
        return Err(Error::EmptyFile { path: path.into() });
    }
    let mut words = header.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    if words.next() != Some(magic) {
        let found = format!("0x{}", hex(&header[..header.len().min(4)]));
        return Err(Error::WrongMagic { path: path.into(), kind, found, wanted: magic });
    }
    if (header.len() as u64) < header_len {
        let found = header.len() as u64;
        return Err(Error::Truncated { path: path.into(), wanted: header_len, found });
    }
    let mut dims = [0; D];
    dims.iter_mut().zip(words).for_each(|(d, w)| *d = w);
    if dims[0] == 0 {
        return Err(Error::NoRecords { path: path.into() });
    }
    if dims.contains(&0) || dims[1..].iter().any(|&d| d > 4096) {
        let why = format!("its header gives images of {} pixels", product(&dims[1..]));
        return Err(Error::Damaged { path: path.into(), why });
    }
    // The count is below 2^32 and both sides are at most 2^12: no overflow.
    let wanted = product(&dims);
    if wanted > limit {
        let (wanted, found) = (header_len + wanted, limit);
        return Err(Error::Truncated { path: path.into(), wanted, found });
    }
    if wanted > memory_available() / 4 * 3 {
        let (h, w) = (dims.get(1).copied().unwrap_or(1), dims.get(2).copied().unwrap_or(1));
        let geometry = Geometry::new(1, h as usize, w as usize);
        return Err(Error::TooLarge { name: path.display().to_string(), bytes: wanted, geometry });
    }
    // Grows with what is really there: nothing is reserved on the header's word alone.
    let mut bytes = Vec::new();
    (&mut file).take(wanted + 1).read_to_end(&mut bytes).map_err(broken)?;
    let found = bytes.len() as u64;
    match found.cmp(&wanted) {
        std::cmp::Ordering::Less => {
            Err(Error::Truncated { path: path.into(), wanted: header_len + wanted, found: header_len + found })
        }
        std::cmp::Ordering::Greater => Err(Error::Trailing { path: path.into(), wanted: header_len + wanted }),
        std::cmp::Ordering::Equal => Ok((dims, bytes)),
    }
}

fn product(dims: &[u32]) -> u64 {
    dims.iter().map(|&d| u64::from(d)).product()
}

/// What the sibling of an images file may be called: each part of MNIST's names, replaced.
const NAMES: [(&str, &str); 4] = [
    ("images-idx3-ubyte", "labels-idx1-ubyte"),
    ("images.idx3-ubyte", "labels.idx1-ubyte"),
    ("images", "labels"),
    ("idx3", "idx1"),
];

/// Names that the training images of a folder may have.
const TRAIN: [&str; 2] = ["train-images-idx3-ubyte", "train-images.idx3-ubyte"];

/// The training images of a folder with MNIST's names, if it has them.
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    TRAIN.iter().find_map(|name| raw_or_gz(folder, name))
}

/// Reads an images file as training split with its labels, and its test siblings where present.
pub(super) fn load(train: &Path) -> Result<Source, Error> {
    let (first, labels) = with_labels(train)?;
    let test = match sibling(train, &[("train", "t10k"), ("train", "test")]) {
        Some(path) => Some((path.clone(), with_labels(&path)?)),
        None => None,
    };
    let mut source = Source::new(first.geometry);
    source.train = (first.bytes, labels);
    if let Some((path, (images, labels))) = test {
        same(images.geometry, first.geometry, &path)?;
        source.test = Some((images.bytes, labels));
    }
    Ok(source)
}

/// Test images must have the geometry of the training images.
fn same(test: Geometry, train: Geometry, path: &Path) -> Result<(), Error> {
    if test == train {
        return Ok(());
    }
    let why = format!("its images are {test}, the training images are {train}");
    Err(Error::Damaged { path: path.into(), why })
}

fn with_labels(path: &Path) -> Result<(Images, Option<Vec<u8>>), Error> {
    let read = images(path)?;
    let Some(labels_path) = sibling(path, &NAMES) else {
        return Ok((read, None));
    };
    let labels = self::labels(&labels_path)?;
    let images = read.bytes.len() / read.geometry.elements();
    if labels.len() != images {
        let (images_path, labels) = (path.into(), labels.len());
        return Err(Error::LabelCount { images_path, images, labels_path, labels });
    }
    Ok((read, Some(labels)))
}

/// The existing file beside `path` whose name has one part replaced, gzipped or not.
fn sibling(path: &Path, replacements: &[(&str, &str)]) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let folder = path.parent()?;
    replacements
        .iter()
        .filter(|(from, _)| stem.contains(from))
        .find_map(|(from, to)| raw_or_gz(folder, &stem.replacen(from, to, 1)))
}

fn raw_or_gz(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|p| p.is_file())
}

/// Writes IDX, for tests here and in sibling files.
#[cfg(test)]
pub(super) fn encode(magic: u32, dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let words = std::iter::once(magic).chain(dims.iter().copied());
    words.flat_map(u32::to_be_bytes).chain(bytes.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn parse(bytes: &[u8]) -> Result<Images, Error> {
        parse_images(bytes, bytes.len() as u64, Path::new("some/file"))
    }

    fn good() -> Vec<u8> {
        encode(IMAGES, &[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    }

    #[test]
    fn reads_raw_and_gz() {
        for bytes in [good(), gz(&good())] {
            let images = parse(&bytes).unwrap();
            assert_eq!(images.geometry, Geometry::new(1, 2, 3));
            assert_eq!(images.bytes, (1..=12).collect::<Vec<u8>>());
        }
        let raw = encode(LABELS, &[3], &[7, 8, 9]);
        assert_eq!(parse_labels(&raw[..], 11, Path::new("l")).unwrap(), [7, 8, 9]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let raw = good();
        let zipped = gz(&raw);
        for n in 0..raw.len() {
            let e = parse(&raw[..n]).unwrap_err();
            assert!(e.to_string().contains("some/file"), "{e}");
            assert!(parse(&gz(&raw[..n])).is_err());
        }
        for n in 0..zipped.len() {
            assert!(parse(&zipped[..n]).is_err(), "{n}");
        }
        assert!(matches!(parse(&raw[..27]), Err(Error::Truncated { wanted: 28, found: 27, .. })));
    }

    #[test]
    fn wrong_magic_empty_and_trailing() {
        assert!(matches!(parse(&[]), Err(Error::EmptyFile { .. })));
        assert!(matches!(parse(&gz(&[])), Err(Error::EmptyFile { .. })));
        let labels = encode(LABELS, &[3], &[7, 8, 9]);
        let e = parse(&labels).unwrap_err().to_string();
        assert!(e.contains("0x00000801") && e.contains("0x00000803"), "{e}");
        assert!(matches!(parse(b"hello, world"), Err(Error::WrongMagic { .. })));
        assert!(matches!(parse(b"h"), Err(Error::WrongMagic { .. })));
        assert!(matches!(parse(&encode(IMAGES, &[0, 28, 28], &[])), Err(Error::NoRecords { .. })));
        let mut long = good();
        long.push(0);
        assert!(matches!(parse(&long), Err(Error::Trailing { wanted: 28, .. })));
        assert!(matches!(parse(&gz(&long)), Err(Error::Trailing { .. })));
    }

    #[test]
    fn a_lying_header_allocates_nothing() {
        let most = u32::MAX;
        for dims in [[most, 28, 28], [most, 4096, 4096], [most, most, most], [1, 0, 28]] {
            let raw = encode(IMAGES, &dims, &[0; 100]);
            assert!(parse(&raw).is_err());
            assert!(parse(&gz(&raw)).is_err());
        }
    }

    #[test]
    fn corrupted_gzip_is_an_error() {
        let zipped = gz(&good());
        // The ten bytes of the header have no checksum, and the last bits of the data may mean
        // nothing.
        for at in 10..zipped.len() {
            for bit in 0..8 {
                let mut broken = zipped.clone();
                broken[at] ^= 1 << bit;
                let same = parse(&broken).map_or(true, |images| images.bytes == good()[16..]);
                assert!(same, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_gzip_may_have_several_members_and_something_behind_them() {
        let raw = good();
        let two = [gz(&raw[..20]), gz(&raw[20..])].concat();
        for behind in [&b""[..], &[0; 100], b"junk"] {
            assert_eq!(parse(&[&two, behind].concat()).unwrap().bytes, raw[16..], "{behind:?}");
        }
        assert!(parse(&[&two[..], &GZIP].concat()).is_err());
        for n in 0..two.len() {
            assert!(parse(&two[..n]).is_err(), "{n}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn more_than_there_is_memory_for_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.idx");
        let header: Vec<u8> = [IMAGES, u32::MAX, 28, 28].iter().flat_map(|word| word.to_be_bytes()).collect();
        std::fs::write(&path, &header).unwrap();
        // A file with a hole takes no room on the disk.
        let file = File::options().write(true).open(&path).unwrap();
        if file.set_len(header.len() as u64 + u64::from(u32::MAX) * 784).is_ok() {
            let error = load(&path).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        }
    }

    #[test]
    fn siblings_are_found_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("train-images.idx3-ubyte", &good());
        put("train-labels.idx1-ubyte.gz", &gz(&encode(LABELS, &[2], &[4, 5])));
        put("t10k-images.idx3-ubyte.gz", &gz(&encode(IMAGES, &[1, 2, 3], &[0; 6])));
        let train = in_folder(dir.path()).unwrap();
        let source = load(&train).unwrap();
        assert_eq!(source.train.1, Some(vec![4, 5]));
        assert_eq!(source.test, Some((vec![0; 6], None)));

        put("train-labels.idx1-ubyte", &encode(LABELS, &[3], &[4, 5, 6]));
        assert!(matches!(load(&train), Err(Error::LabelCount { images: 2, labels: 3, .. })));
        put("train-labels.idx1-ubyte", &encode(LABELS, &[2], &[4, 5]));
        put("t10k-images.idx3-ubyte.gz", &encode(IMAGES, &[1, 3, 3], &[0; 9]));
        assert!(matches!(load(&train), Err(Error::Damaged { .. })));
    }
}
