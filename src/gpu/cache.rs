//! Compiled pipelines kept from one run to the next, where the driver lets a program keep them.

use super::Gpu;
use crate::files;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The driver's cache of compiled pipelines, and the file it goes to.
pub(super) struct PipelineCache {
    pub(super) raw: wgpu::PipelineCache,
    file: PathBuf,
    /// Whether a pipeline was made since the file was read.
    pub(super) grown: AtomicBool,
}

impl Gpu {
    /// Keeps compiled pipelines in `folder`, and takes what an earlier run left there. Does nothing
    /// on devices without such a cache; a file that cannot be read or written only costs time.
    pub fn keep_pipelines(&self, folder: &Path) {
        let Some(name) = self.cache_name.as_deref() else { return };
        let file = folder.join(name);
        let data = files::read_in_memory(&file).ok().and_then(|bytes| unsealed(&bytes).map(<[u8]>::to_vec));
        let desc = wgpu::PipelineCacheDescriptor { label: Some("limn"), data: data.as_deref(), fallback: true };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        // SAFETY: the file holds what `get_data` gave for an adapter of this key, which its checksum
        // is of; wgpu and the driver look at its header and start afresh if it is not theirs.
        #[allow(unsafe_code, reason = "the driver takes what it is given at its word")]
        let raw = unsafe { self.device.create_pipeline_cache(&desc) };
        if pollster::block_on(scope.pop()).is_none() {
            let _ = self.cache.set(PipelineCache { raw, file, grown: AtomicBool::new(false) });
        }
    }
}

impl Drop for PipelineCache {
    fn drop(&mut self) {
        let data = if self.grown.load(Ordering::Relaxed) { self.raw.get_data() } else { None };
        if let (Some(data), Some(folder)) = (data, self.file.parent()) {
            // Without the file the next run compiles again.
            let _ = std::fs::create_dir_all(folder)
                .and_then(|()| files::replace(&self.file, |file| file.write_all(&sealed(&data))));
        }
    }
}

/// What goes into the file: the digest of what the driver gave, and that.
fn sealed(data: &[u8]) -> Vec<u8> {
    [&Sha256::digest(data), data].concat()
}

/// What the driver gave, if that is what is in the file.
fn unsealed(bytes: &[u8]) -> Option<&[u8]> {
    let (digest, data) = bytes.split_first_chunk::<32>()?;
    (Sha256::digest(data)[..] == digest[..]).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_damaged_anywhere_is_not_given_to_the_driver() {
        let whole = sealed(b"what a driver made");
        assert_eq!(unsealed(&whole), Some(&b"what a driver made"[..]));
        assert_eq!(unsealed(&sealed(b"")), Some(&b""[..]));
        for i in 0..whole.len() {
            assert_eq!(unsealed(&whole[..i]), None, "{i}");
            let mut other = whole.clone();
            other[i] ^= 1;
            assert_eq!(unsealed(&other), None, "{i}");
        }
        assert_eq!(unsealed(&[&whole[..], b"!"].concat()), None);
    }
}
