//! CIFAR-10's binary format: records of one label byte and 3 x 32 x 32 planar bytes, no header.

use std::path::{Path, PathBuf};

use super::{Error, Geometry, Source};
use crate::machine::memory_available;

/// CIFAR-10's images.
pub(super) const GEOMETRY: Geometry = Geometry::new(3, 32, 32);
/// Bytes of one record.
pub(super) const RECORD: usize = 1 + 3072;

/// The `data_batch_1.bin` ... `data_batch_5.bin` that a folder, or the `cifar-10-batches-bin` that
/// the official archive puts inside it, has. Empty if none.
fn train_files(folder: &Path) -> Vec<PathBuf> {
    let names = (1..=5).map(|i| folder.join(format!("data_batch_{i}.bin")));
    names.filter(|p| p.is_file()).collect()
}

/// The folder that holds CIFAR-10's files: `folder` itself or the official archive's inside it.
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    [folder.to_path_buf(), folder.join("cifar-10-batches-bin")].into_iter().find(|f| !train_files(f).is_empty())
}

/// Reads the training batches of a folder and its `test_batch.bin`; says which are missing.
pub(super) fn load_folder(folder: &Path) -> Result<Source, Error> {
    let files = train_files(folder);
    let mut source = Source::new(GEOMETRY);
    let mut labels = Vec::new();
    for path in &files {
        let read = records(path, &mut source.train.0)?;
        labels.extend(read);
    }
    source.train.1 = Some(labels);
    let test = folder.join("test_batch.bin");
    if test.is_file() {
        let mut images = Vec::new();
        let labels = records(&test, &mut images)?;
        source.test = Some((images, Some(labels)));
    }
    if files.len() < 5 {
        source.warnings.push(format!("{} has only {} of CIFAR-10's 5 training files", folder.display(), files.len()));
    }
    Ok(source)
}

/// Reads a single .bin file as training split, without test split.
pub(super) fn load_file(path: &Path) -> Result<Source, Error> {
    let mut source = Source::new(GEOMETRY);
    let labels = records(path, &mut source.train.0)?;
    source.train.1 = Some(labels);
    Ok(source)
}

/// Appends a file's images to `images` and returns its labels.
fn records(path: &Path, images: &mut Vec<u8>) -> Result<Vec<u8>, Error> {
    let size = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if size > memory_available() / 8 * 3 {
        return Err(Error::TooLarge { name: path.display().to_string(), bytes: 2 * size, geometry: GEOMETRY });
    }
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    if bytes.is_empty() {
        return Err(Error::EmptyFile { path: path.into() });
    }
    let wrong = |why: String| Error::NotCifar { path: path.into(), why };
    if bytes.len() % RECORD != 0 {
        return Err(wrong(format!(
            "its {} bytes are not a whole number of 3073-byte records; fetch or copy it again",
            bytes.len()
        )));
    }
    images.reserve(bytes.len() / RECORD * GEOMETRY.elements());
    let mut labels = Vec::with_capacity(bytes.len() / RECORD);
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        if record[0] > 9 {
            return Err(wrong(format!("record {i} has label {}, labels are 0 to 9", record[0])));
        }
        labels.push(record[0]);
        images.extend_from_slice(&record[1..]);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, fill: u8) -> Vec<u8> {
        let mut r = vec![fill; RECORD];
        r[0] = label;
        r
    }

    #[test]
    fn reads_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inner).unwrap();
        for i in 1..=5 {
            std::fs::write(inner.join(format!("data_batch_{i}.bin")), record(i, i * 10)).unwrap();
        }
        std::fs::write(inner.join("test_batch.bin"), record(9, 99)).unwrap();
        let source = load_folder(&in_folder(dir.path()).unwrap()).unwrap();
        assert_eq!(source.train.1, Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(source.train.0[3072 * 4], 50);
        assert_eq!(source.test, Some((vec![99; 3072], Some(vec![9]))));
        assert!(source.warnings.is_empty());

        std::fs::remove_file(inner.join("data_batch_2.bin")).unwrap();
        assert_eq!(load_folder(&inner).unwrap().warnings.len(), 1);
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.bin");
        let mut short = record(1, 0);
        short.pop();
        for (bytes, word) in [(vec![], "empty"), (short, "3072 bytes"), (record(10, 0), "label 10")] {
            std::fs::write(&path, bytes).unwrap();
            let e = load_file(&path).unwrap_err().to_string();
            assert!(e.contains(word) && e.contains("x.bin"), "{e}");
        }
    }
}
