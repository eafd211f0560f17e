//! NumPy's files of several arrays: ZIPs of `.npy` files.

use super::{File, Named, npy};
use crate::machine::memory_available;
use std::cell::RefCell;
use std::io::{Cursor, Read, Write};
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The bytes of a file of these arrays, as `numpy.savez_compressed` would write it.
pub(super) fn bytes(arrays: &[Named]) -> ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, dtype, shape, elements) in arrays {
        let file = npy::bytes(*dtype, shape, elements);
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(format!("{name}.npy"), options.large_file(u32::try_from(file.len()).is_err()))?;
        zip.write_all(&file)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The arrays of a file.
pub(super) fn open(bytes: Vec<u8>) -> Result<File, String> {
    let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("it is no sound .npz file ({e})"))?;
    let names = zip.file_names().flatten().filter_map(|name| Some(name.strip_suffix(".npy")?.to_string())).collect();
    let zip = RefCell::new(zip);
    let read = move |name: &str| {
        let wrong = |e: &dyn std::fmt::Display| format!("its array {name} cannot be read ({e})");
        let mut zip = zip.borrow_mut();
        let entry = zip.by_name(&format!("{name}.npy")).map_err(|e| wrong(&e))?;
        // What unpacks to more than it says, or than memory holds, is not unpacked.
        let most = memory_available() / 4;
        let mut unpacked = Vec::new();
        entry.take(most + 1).read_to_end(&mut unpacked).map_err(|e| wrong(&e))?;
        match unpacked.len() as u64 > most {
            true => Err(format!("its array {name} is larger than the memory that is free")),
            false => npy::read(&unpacked).map_err(|e| format!("its array {name}: {e}")),
        }
    };
    Ok(File { names, read: Box::new(read) })
}
