//! Buffers, writes and submission.

use super::poll::Submission;
use super::{Gpu, GpuError};

/// A range of a buffer, in 32-bit words.
#[derive(Clone, Debug)]
pub struct Span {
    pub(super) buffer: wgpu::Buffer,
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl Span {
    /// All of a buffer that somebody made, a storage buffer of whole words.
    pub fn of(buffer: &wgpu::Buffer) -> Span {
        Span { buffer: buffer.clone(), offset: 0, len: buffer.size() / 4 }
    }

    /// A part of the span. Offsets that are bound must be multiples of 64 words.
    pub fn slice(&self, offset: usize, len: usize) -> Span {
        debug_assert!((offset + len) as u64 <= self.len);
        Span { buffer: self.buffer.clone(), offset: self.offset + offset as u64, len: len as u64 }
    }

    /// Words in the span.
    pub fn words(&self) -> usize {
        self.len as usize
    }

    pub(super) fn binding(&self) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: 4 * self.offset,
            size: wgpu::BufferSize::new(4 * self.len),
        })
    }
}

/// Recorded commands, to be submitted once.
pub struct Commands(pub(super) wgpu::CommandBuffer);

impl Gpu {
    /// Bytes of the largest storage buffer there may be. A launch takes no more of it than
    /// [`Caps::max_binding_bytes`](crate::kernels::Caps::max_binding_bytes).
    pub fn largest_buffer(&self) -> u64 {
        self.limits.max_buffer_size
    }

    /// A zeroed storage buffer of `words` 32-bit words; `what` names it in errors.
    pub fn buffer(&self, words: usize, what: &str) -> Result<Span, GpuError> {
        let needs = 4 * words.max(1) as u64;
        let has = self.largest_buffer();
        if needs > has {
            return Err(GpuError::TooLarge { what: what.to_string(), needs, has });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.make(words, what, usage)
    }

    /// A buffer for parameter blocks, filled with `bytes`.
    pub fn uniforms(&self, bytes: &[u8]) -> Result<Span, GpuError> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let span = self.make(bytes.len().div_ceil(4), "parameters", usage)?;
        self.queue.write_buffer(&span.buffer, 0, bytes);
        Ok(span)
    }

    fn make(&self, words: usize, what: &str, usage: wgpu::BufferUsages) -> Result<Span, GpuError> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let len = words.max(1) as u64;
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            size: 4 * len,
            usage,
            mapped_at_creation: false,
        });
        match pollster::block_on(scope.pop()) {
            Some(_) => Err(GpuError::OutOfMemory(format!("{what}, {} bytes", 4 * len))),
            None => Ok(Span { buffer, offset: 0, len }),
        }
    }

    /// Stand-ins for absent operands: one only read, one only written.
    pub fn dummies(&self) -> Result<&[Span; 2], GpuError> {
        if self.dummies.get().is_none() {
            let made = [self.buffer(64, "absent read")?, self.buffer(64, "absent write")?];
            let _ = self.dummies.set(made);
        }
        self.dummies.get().ok_or_else(|| GpuError::OutOfMemory("dummies".into()))
    }

    /// Words between bindable offsets: the larger of the storage and uniform alignments.
    pub fn alignment(&self) -> usize {
        let l = &self.limits;
        (l.min_storage_buffer_offset_alignment.max(l.min_uniform_buffer_offset_alignment) / 4) as usize
    }

    /// Queues a copy from the host; it happens before anything submitted later.
    pub fn write(&self, span: &Span, data: &[f32]) {
        self.queue.write_buffer(&span.buffer, 4 * span.offset, bytemuck::cast_slice(data));
    }

    /// Records commands into one compute pass.
    pub fn record(&self, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Commands {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            record(&mut pass);
        }
        Commands(encoder.finish())
    }

    /// Records copies between spans of equal lengths, each from the first of two to the second.
    pub fn record_copies(&self, copies: &[[Span; 2]]) -> Commands {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        for [from, to] in copies {
            let (at, onto) = (4 * from.offset, 4 * to.offset);
            encoder.copy_buffer_to_buffer(&from.buffer, at, &to.buffer, onto, 4 * to.len);
        }
        Commands(encoder.finish())
    }

    /// Submits commands in this order without waiting.
    pub fn submit_recorded(&self, commands: impl IntoIterator<Item = Commands>) -> Submission {
        self.submit_named("commands without a name", commands)
    }

    /// The same of commands that are called `what`, should the device never end them.
    pub fn submit_named(&self, what: impl Into<String>, commands: impl IntoIterator<Item = Commands>) -> Submission {
        self.course.hand_over(self.queue.submit(commands.into_iter().map(|c| c.0)), what.into())
    }

    /// Records commands into one compute pass and submits them without waiting.
    pub fn submit(&self, record: impl FnOnce(&mut wgpu::ComputePass<'_>)) -> Submission {
        self.submit_recorded([self.record(record)])
    }
}
