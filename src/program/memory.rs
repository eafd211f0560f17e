//! Elements on a device, and elements on their way from it.

use super::{Buffer, DeviceError, Exceeded, Program, Purpose};
use crate::gpu::{self, Gpu, GpuError, Readback, Span};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What holds elements on one kind of device.
pub(super) trait Memory: Clone {
    /// What memory is made on.
    type Home;

    /// So many elements, all zero.
    fn new(home: &Self::Home, len: usize, what: &str) -> Result<Self, GpuError>;

    /// Writes from element `at` on, before whatever is run next.
    fn write(&self, at: usize, data: &[f32]);

    /// Starts reading behind everything submitted so far.
    fn start_read(&self, at: usize, len: usize) -> Pending;

    /// A ring that reads the first `len` elements.
    fn ring(&self, len: usize) -> ReadbackRing;
}

/// Elements in the host's memory.
pub(super) type OnHost = Arc<RwLock<Vec<f32>>>;

/// The elements to read, whatever became of who wrote them.
pub(super) fn seen(memory: &OnHost) -> RwLockReadGuard<'_, Vec<f32>> {
    RwLock::read(memory).unwrap_or_else(PoisonError::into_inner)
}

/// The elements to write.
pub(super) fn changed(memory: &OnHost) -> RwLockWriteGuard<'_, Vec<f32>> {
    RwLock::write(memory).unwrap_or_else(PoisonError::into_inner)
}

/// The processor as a device: by the kernels' references, or by what is fast.
pub(super) struct Host {
    pub reference: bool,
}

impl Memory for OnHost {
    type Home = Host;

    fn new(_: &Host, len: usize, _: &str) -> Result<Self, GpuError> {
        Ok(Arc::new(RwLock::new(vec![0.0; len])))
    }

    fn write(&self, at: usize, data: &[f32]) {
        changed(self)[at..at + data.len()].copy_from_slice(data);
    }

    fn start_read(&self, at: usize, len: usize) -> Pending {
        Pending(Arrival::Done(seen(self)[at..at + len].to_vec()))
    }

    fn ring(&self, _: usize) -> ReadbackRing {
        ReadbackRing(Held::Host(self.clone()))
    }
}

/// Elements in a GPU's memory.
#[derive(Clone)]
pub(super) struct OnGpu {
    gpu: Arc<Gpu>,
    pub span: Span,
}

impl Memory for OnGpu {
    type Home = Arc<Gpu>;

    fn new(gpu: &Arc<Gpu>, len: usize, what: &str) -> Result<Self, GpuError> {
        // Shaders load four words at a time: the last of them must exist.
        let span = gpu.buffer(len.next_multiple_of(4), what)?;
        Ok(OnGpu { gpu: gpu.clone(), span })
    }

    fn write(&self, at: usize, data: &[f32]) {
        self.gpu.write(&self.span.slice(at, data.len()), data);
    }

    fn start_read(&self, at: usize, len: usize) -> Pending {
        Pending(Arrival::Gpu(self.gpu.clone(), self.gpu.start_read(&self.span.slice(at, len))))
    }

    fn ring(&self, len: usize) -> ReadbackRing {
        ReadbackRing(Held::Gpu(self.gpu.clone(), self.gpu.ring(self.span.slice(0, len))))
    }
}

/// Elements on their way to the host.
pub struct Pending(Arrival);

enum Arrival {
    Done(Vec<f32>),
    Gpu(Arc<Gpu>, Readback),
}

impl Pending {
    /// The elements if they have arrived; never waits.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn try_take(&self) -> Result<Option<Vec<f32>>, DeviceError> {
        match &self.0 {
            Arrival::Done(data) => Ok(Some(data.clone())),
            Arrival::Gpu(gpu, readback) => Ok(gpu.try_read(readback)?),
        }
    }

    /// The elements if nobody has to wait for them.
    pub(super) fn at_once(self) -> Result<Vec<f32>, Pending> {
        match self.0 {
            Arrival::Done(data) => Ok(data),
            arrival @ Arrival::Gpu(..) => Err(Pending(arrival)),
        }
    }

    /// The elements, waiting for them.
    ///
    /// # Errors
    /// A device that is lost.
    pub fn take(&self) -> Result<Vec<f32>, DeviceError> {
        match &self.0 {
            Arrival::Done(data) => Ok(data.clone()),
            Arrival::Gpu(gpu, readback) => Ok(gpu.finish_read(readback)?),
        }
    }
}

/// A state that is read time and again while programs run, through buffers that are used again.
pub struct ReadbackRing(Held);

enum Held {
    Host(OnHost),
    Gpu(Arc<Gpu>, gpu::ReadbackRing),
}

impl ReadbackRing {
    /// Starts reading the whole state behind everything submitted so far.
    pub fn start_read(&mut self) -> Pending {
        Pending(match &mut self.0 {
            Held::Host(host) => Arrival::Done(seen(host).clone()),
            Held::Gpu(gpu, ring) => Arrival::Gpu(gpu.clone(), gpu.start_ring(ring)),
        })
    }

    /// Buffers that reading has made so far on the device.
    pub fn made(&self) -> usize {
        match &self.0 {
            Held::Host(_) => 0,
            Held::Gpu(_, ring) => ring.made(),
        }
    }
}

/// Named buffers on one device, with their lengths.
pub(super) struct States<M: Memory> {
    pub home: M::Home,
    pub named: BTreeMap<String, (M, usize)>,
}

impl<M: Memory> States<M> {
    pub(super) fn new(home: M::Home) -> Self {
        States { home, named: BTreeMap::new() }
    }

    /// The state of this name, made of zeros if it is new.
    pub(super) fn ensure(&mut self, name: &str, len: usize) -> Result<M, DeviceError> {
        if let Some((memory, has)) = self.named.get(name) {
            return if *has == len {
                Ok(memory.clone())
            } else {
                Err(DeviceError::Length { name: name.into(), needs: *has, has: len })
            };
        }
        let memory = M::new(&self.home, len, name)?;
        self.named.insert(name.into(), (memory.clone(), len));
        Ok(memory)
    }

    pub(super) fn get(&self, name: &str) -> Result<&(M, usize), DeviceError> {
        self.named.get(name).ok_or_else(|| DeviceError::Name { kind: "state", name: name.into() })
    }

    /// Bytes a buffer of a program has already.
    pub(super) fn present(&self, buffer: &Buffer) -> u64 {
        let Purpose::State(name) = &buffer.purpose else { return 0 };
        self.named.get(name).map_or(0, |(_, len)| 4 * *len as u64)
    }

    pub(super) fn exchange(&mut self, one: &str, other: &str) {
        if let (Some(first), Some(second)) = (self.named.get(one).cloned(), self.named.get(other).cloned()) {
            debug_assert_eq!(first.1, second.1);
            self.named.insert(one.into(), second);
            self.named.insert(other.into(), first);
        }
    }

    /// Memory for each buffer of a program, that of its states among these.
    pub(super) fn buffers(&mut self, program: &Program) -> Result<Vec<M>, DeviceError> {
        let mut memory = Vec::new();
        let mut made = 0;
        for Buffer { len, purpose } in &program.buffers {
            let new = match purpose {
                Purpose::State(name) => self.ensure(name, *len),
                Purpose::Input(name) => M::new(&self.home, *len, name).map_err(DeviceError::from),
                Purpose::Flat => M::new(&self.home, *len, "gradients").map_err(DeviceError::from),
                Purpose::Temp => M::new(&self.home, *len, "activations").map_err(DeviceError::from),
            };
            memory.push(match new {
                Err(DeviceError::Gpu(GpuError::OutOfMemory(_))) => {
                    return Err(Exceeded::Refused { needs: program.totals().memory, has: made }.into());
                }
                new => new?,
            });
            made += 4 * *len as u64;
        }
        Ok(memory)
    }
}
