//! Capacity: whether a program fits a device, found out before anything is made.

use super::{Device, Launch, Program};
use crate::machine::memory_available;
use crate::words::size;

/// The part of the machine's free memory that a program may take.
const SHARE: f64 = 0.9;

/// Copies of a program's inputs that the host holds besides: batches that wait, are being made, or
/// are on their way.
const COPIES: u64 = 8;

/// What a device can hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// The largest buffer.
    pub buffer: u64,
    /// The most of a buffer that one launch takes.
    pub binding: u64,
    /// All buffers of a program together. GPUs with memory of their own do not tell.
    pub total: Option<u64>,
}

/// A program that is too large for a device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// One of its buffers.
    #[error("it needs a buffer of {}, and the device takes at most {}", size(*.needs), size(*.has))]
    Buffer {
        /// The buffer's size.
        needs: u64,
        /// The largest there may be.
        has: u64,
    },
    /// What one of its launches takes of a buffer.
    #[error("it needs a tensor of {}, and the device takes at most {}", size(*.needs), size(*.has))]
    Binding {
        /// The tensor's size.
        needs: u64,
        /// The largest there may be.
        has: u64,
    },
    /// All of them together, with the host's copies of the inputs.
    #[error("it needs {} of memory, and {} are free", size(*.needs), size(*.has))]
    Total {
        /// Their size.
        needs: u64,
        /// What is free.
        has: u64,
    },
    /// The device refused a buffer.
    #[error("it needs {} of memory, and the device had no more after {}", size(*.needs), size(*.has))]
    Refused {
        /// The size of all buffers.
        needs: u64,
        /// The size of those it had made.
        has: u64,
    },
}

impl Capacity {
    /// What is known of a device before anything is made on it.
    pub fn of(device: &Device) -> Capacity {
        match device.gpu() {
            None => Capacity { buffer: isize::MAX as u64, binding: u64::MAX, total: Some(free()) },
            Some(gpu) => {
                let shares = matches!(gpu.desc().kind, "cpu" | "integrated");
                let binding = gpu.caps().max_binding_bytes;
                Capacity { buffer: gpu.largest_buffer(), binding, total: shares.then(free) }
            }
        }
    }

    /// Whether `program` fits.
    pub fn check(&self, program: &Program) -> Result<(), Exceeded> {
        let bytes = |len: usize| 4 * len.next_multiple_of(4) as u64;
        let largest = program.buffers.iter().map(|b| bytes(b.len)).max().unwrap_or(0);
        if largest > self.buffer {
            return Err(Exceeded::Buffer { needs: largest, has: self.buffer });
        }
        let bound = program.launches.iter().flat_map(Launch::views).map(|view| bytes(view.len)).max().unwrap_or(0);
        if bound > self.binding {
            return Err(Exceeded::Binding { needs: bound, has: self.binding });
        }
        let inputs: u64 = program.inputs.iter().map(|(_, view)| bytes(view.len)).sum();
        let needs = program.totals().memory + COPIES * inputs;
        match self.total {
            Some(has) if needs > has => Err(Exceeded::Total { needs, has }),
            _ => Ok(()),
        }
    }
}

/// Bytes of memory a program may take on this machine: of what is free, or of what is left of the
/// limit this process lives under.
fn free() -> u64 {
    // Where the system does not tell, nothing is refused.
    match memory_available() {
        u64::MAX => u64::MAX,
        bytes => (SHARE * bytes as f64) as u64,
    }
}

/// Something for which there is no memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} would take {} of memory, and {} are free; {then}", size(*.needs), size(*.has))]
pub struct NoRoom {
    /// What it is.
    pub what: String,
    /// What to do.
    pub then: &'static str,
    /// Bytes it would take.
    pub needs: u64,
    /// Bytes that are free.
    pub has: u64,
}

/// Refuses to allocate what is more than is free; `what` begins the sentence, and `then` says what
/// to do.
///
/// # Errors
/// [`NoRoom`].
pub fn room(needs: u64, what: &str, then: &'static str) -> Result<(), NoRoom> {
    match free() {
        has if needs > has => Err(NoRoom { what: what.into(), then, needs, has }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Buffer, Purpose};
    use super::*;

    fn program(lens: &[usize]) -> Program {
        let buffers = lens.iter().map(|len| Buffer { len: *len, purpose: Purpose::Temp }).collect();
        Program { buffers, ..Program::default() }
    }

    #[test]
    fn a_program_fits_up_to_the_last_byte() {
        let capacity = Capacity { buffer: 400, binding: 400, total: Some(640) };
        assert_eq!(capacity.check(&program(&[100, 60])), Ok(()));
        assert_eq!(capacity.check(&program(&[104])), Err(Exceeded::Buffer { needs: 416, has: 400 }));
        assert_eq!(capacity.check(&program(&[100, 61])), Err(Exceeded::Total { needs: 644, has: 640 }));
        assert_eq!(Capacity { total: None, ..capacity }.check(&program(&[100; 9])), Ok(()));
    }

    #[test]
    fn this_machine_has_memory_to_give() {
        assert!((1 << 20..u64::MAX).contains(&free()));
        assert_eq!(room(1000, "a list", "shorten it"), Ok(()));
        let why = room(u64::MAX, "a list", "shorten it").unwrap_err().to_string();
        assert!(why.starts_with("a list would take 18446744.1 TB of memory, and ") && why.ends_with("; shorten it"));
    }
}
