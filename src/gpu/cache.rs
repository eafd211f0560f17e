//! Compiled pipelines kept from one run to the next, where the driver lets a program keep them.

use super::Gpu;
use crate::files;
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
        let data = files::read_in_memory(&file).ok();
        let desc = wgpu::PipelineCacheDescriptor { label: Some("limn"), data: data.as_deref(), fallback: true };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        // SAFETY: the file holds what `get_data` gave for an adapter of this key, and is replaced
        // whole or not at all; wgpu and the driver look at its header and start afresh if it is not
        // theirs.
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
            let _ =
                std::fs::create_dir_all(folder).and_then(|()| files::replace(&self.file, |file| file.write_all(&data)));
        }
    }
}
