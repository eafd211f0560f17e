//! Uploads: buffers that the host fills on any thread while the device works.

use super::{Commands, Gpu, GpuError, Span};

/// A buffer that the host may write now, and the device copies from once it is handed over.
pub struct Staging(wgpu::Buffer);

impl Staging {
    /// Writes `bytes` to its start and `last` behind them, and hands it over.
    pub fn fill(&self, bytes: &[u8], last: &[u8]) -> Result<(), GpuError> {
        let mut view = self.0.slice(..).get_mapped_range_mut().map_err(|e| GpuError::Lost(e.to_string()))?;
        view.slice(..bytes.len()).copy_from_slice(bytes);
        view.slice(bytes.len()..bytes.len() + last.len()).copy_from_slice(last);
        drop(view);
        self.0.unmap();
        Ok(())
    }
}

impl Gpu {
    /// A buffer of `words` 32-bit words for the host to fill.
    pub fn staging(&self, words: usize) -> Result<Staging, GpuError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let size = 4 * words.max(1) as u64;
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size,
            usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: true,
        });
        match pollster::block_on(scope.pop()) {
            Some(_) => Err(GpuError::OutOfMemory(format!("uploads, {size} bytes"))),
            None => Ok(Staging(buffer)),
        }
    }

    /// Commands that fill `span` from what `staging` was filled with.
    pub fn upload(&self, staging: &Staging, span: &Span) -> Commands {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&staging.0, 0, &span.buffer, 4 * span.offset, 4 * span.len);
        Commands(encoder.finish())
    }

    /// Calls `done` when everything submitted so far has let go of `staging` and the host may fill
    /// it again. That is found out when somebody waits for the device or looks after a copy from
    /// it.
    pub fn recall(&self, staging: Staging, done: impl FnOnce(Staging) + Send + 'static) {
        let buffer = staging.0.clone();
        buffer.slice(..).map_async(wgpu::MapMode::Write, move |result| {
            // On a device that is lost it cannot be filled, and whoever tries hears of that.
            let _ = result;
            done(staging);
        });
    }
}
