//! Copies from the device to the host.

use super::{Gpu, GpuError, Span, Submission};
use std::sync::{Arc, Mutex, mpsc};

/// Buffers that copies have landed in and others may land in now.
type Free = Arc<Mutex<Vec<wgpu::Buffer>>>;

/// A copy on its way from the device to the host.
pub struct Readback {
    landing: wgpu::Buffer,
    /// The submission that copies.
    copy: Submission,
    done: mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>,
    /// Where the buffer goes when it has been read, if anywhere.
    free: Option<Free>,
}

/// A span that is copied to the host time and again: a copy that has been read leaves its buffer to
/// a later one, so that there are only ever as many as were on their way at once.
pub struct ReadbackRing {
    span: Span,
    free: Free,
    made: usize,
}

impl ReadbackRing {
    /// Buffers made so far.
    pub fn made(&self) -> usize {
        self.made
    }
}

impl Gpu {
    /// A ring of copies of `span`; it has no buffers yet.
    pub fn ring(&self, span: Span) -> ReadbackRing {
        ReadbackRing { span, free: Free::default(), made: 0 }
    }

    /// Starts copying a span to the host, behind everything submitted so far.
    pub fn start_read(&self, span: &Span) -> Readback {
        self.copy_out(span, self.landing(span), None)
    }

    /// Starts copying a ring's span to the host, behind everything submitted so far.
    pub fn start_ring(&self, ring: &mut ReadbackRing) -> Readback {
        let known = ring.free.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let landing = known.unwrap_or_else(|| {
            ring.made += 1;
            self.landing(&ring.span)
        });
        self.copy_out(&ring.span, landing, Some(ring.free.clone()))
    }

    /// A buffer that a copy of `span` can land in.
    fn landing(&self, span: &Span) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("readback"),
            size: 4 * span.len,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    fn copy_out(&self, span: &Span, landing: wgpu::Buffer, free: Option<Free>) -> Readback {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&span.buffer, 4 * span.offset, &landing, 0, 4 * span.len);
        let copy = self.course.hand_over(self.queue.submit([encoder.finish()]), "a copy to the host".into());
        let (send, done) = mpsc::channel();
        landing.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // The receiver is gone when nobody wants the answer any more.
            let _ = send.send(result);
        });
        Readback { landing, copy, done, free }
    }

    /// The contents of a finished copy, or `None` while it is under way; never blocks.
    pub fn try_read(&self, readback: &Readback) -> Result<Option<Vec<f32>>, GpuError> {
        self.look()?;
        match readback.done.try_recv() {
            Ok(result) => self.take(readback, result).map(Some),
            Err(mpsc::TryRecvError::Empty) => Ok(None),
            Err(mpsc::TryRecvError::Disconnected) => Err(self.lose("a copy was abandoned")),
        }
    }

    /// Waits for a copy and returns its contents.
    pub fn finish_read(&self, readback: &Readback) -> Result<Vec<f32>, GpuError> {
        // What was submitted behind it goes on.
        self.wait_for(readback.copy.clone())?;
        match readback.done.recv() {
            Ok(result) => self.take(readback, result),
            Err(_) => Err(self.lose("a copy was abandoned")),
        }
    }

    /// Reads a span, waiting for everything submitted so far.
    pub fn read(&self, span: &Span) -> Result<Vec<f32>, GpuError> {
        self.finish_read(&self.start_read(span))
    }

    fn take(&self, readback: &Readback, result: Result<(), wgpu::BufferAsyncError>) -> Result<Vec<f32>, GpuError> {
        result.map_err(|e| self.lose(&e.to_string()))?;
        let view = readback.landing.slice(..).get_mapped_range().map_err(|e| self.lose(&e.to_string()))?;
        let data = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        readback.landing.unmap();
        if let Some(free) = &readback.free {
            free.lock().unwrap_or_else(|e| e.into_inner()).push(readback.landing.clone());
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_gone_says_so_however_it_is_read() {
        let gpu = Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device");
        let span = gpu.buffer(4, "numbers").expect("a buffer");
        gpu.write(&span, &[1.0, 2.0, 3.0, 4.0]);
        let mut ring = gpu.ring(span.clone());
        for _ in 0..3 {
            let readback = gpu.start_ring(&mut ring);
            assert_eq!(gpu.finish_read(&readback).expect("the numbers"), [1.0, 2.0, 3.0, 4.0]);
        }
        assert_eq!(ring.made(), 1);
        gpu.device.destroy();
        let readback = gpu.start_ring(&mut ring);
        assert!(gpu.finish_read(&readback).is_err());
        assert!(gpu.read(&span).is_err());
    }
}
