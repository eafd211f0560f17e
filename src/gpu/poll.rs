//! Waiting for the device: the one place that polls it.

use super::{Gpu, GpuError};
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What the device is waited for at a time, so that a fault which others reported is seen meanwhile.
const SLICE: Duration = Duration::from_millis(250);

/// How long a GPU may take for what was handed over at once. Systems end what takes some seconds, where they do, and
/// what is handed over is meant to take half of one, but a single launch is not cut.
const PATIENCE: Duration = Duration::from_secs(300);

/// Submissions that are remembered by name, at most.
const KNOWN: usize = 64;

/// How wgpu's words begin where a wait's time ran out, and before it had looked what is left another thread saw that
/// all had ended meanwhile. It takes that for impossible and panics, while nothing is wrong.
const OVERTAKEN: &str = "If the queue is empty, the current submission index";

thread_local! {
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside of a call in which wgpu panics where it finds that a device is lost. That is told as an
/// error, and whoever hooks panics has nothing to say of it.
pub fn is_polling() -> bool {
    POLLING.get()
}

/// Commands handed to the device.
#[derive(Clone)]
pub struct Submission {
    index: wgpu::SubmissionIndex,
    number: u64,
}

/// What is known of a device's course.
#[derive(Default)]
pub(super) struct Course {
    /// Submissions that nobody has seen the end of, and what they are, the first first.
    under_way: Mutex<(u64, VecDeque<Named>)>,
    /// How long it may take, where it was said.
    patience: OnceLock<Duration>,
}

struct Named {
    number: u64,
    index: wgpu::SubmissionIndex,
    what: String,
}

impl Course {
    fn under_way(&self) -> MutexGuard<'_, (u64, VecDeque<Named>)> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a submission of what is called so.
    pub(super) fn hand_over(&self, index: wgpu::SubmissionIndex, what: String) -> Submission {
        let mut known = self.under_way();
        known.0 += 1;
        let number = known.0;
        if known.1.len() == KNOWN {
            known.1.pop_front();
        }
        known.1.push_back(Named { number, index: index.clone(), what });
        Submission { index, number }
    }

    /// All up to this submission have ended.
    fn ended(&self, number: u64) {
        self.under_way().1.retain(|named| named.number > number);
    }
}

impl Gpu {
    /// Waits no longer than this for what was handed over at once, before the device counts as hung. Without a word it
    /// is five minutes, and on a software driver as long as it takes. It can be said once.
    pub fn wait_no_longer_than(&self, patience: Duration) {
        let _ = self.course.patience.set(patience);
    }

    /// How long it waits, where that was said.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.course.patience.get().copied()
    }

    /// Blocks until a submission and everything before it has run.
    ///
    /// # Errors
    /// [`GpuError::Lost`] or [`GpuError::Hung`] with what the device was at, and what it reported before.
    pub fn wait_for(&self, submission: Submission) -> Result<(), GpuError> {
        self.wait_until(Some(submission.index))?;
        self.course.ended(submission.number);
        self.check()
    }

    /// Blocks until everything submitted has run.
    ///
    /// # Errors
    /// Those of [`Gpu::wait_for`].
    pub fn wait(&self) -> Result<(), GpuError> {
        let last = self.course.under_way().0;
        self.wait_until(None)?;
        self.course.ended(last);
        self.check()
    }

    fn wait_until(&self, index: Option<wgpu::SubmissionIndex>) -> Result<(), GpuError> {
        let software = self.desc.is_on_processor();
        let patience = self.patience().or((!software).then_some(PATIENCE));
        // Time in which the process itself stood still does not count.
        let mut waited = Duration::ZERO;
        loop {
            let slice = patience.map_or(SLICE, |patience| SLICE.min(patience));
            if self.poll(wgpu::PollType::Wait { submission_index: index.clone(), timeout: Some(slice) })? {
                return Ok(());
            }
            self.check()?;
            waited += slice;
            if patience.is_some_and(|patience| waited >= patience) {
                let what = self.suspect(true).unwrap_or_else(|| "its commands".into());
                // Whoever lets go of it last would wait for what it will never end.
                std::mem::forget(self.queue.clone());
                let _ = self.lost.set(format!("it did not end {what} in {} seconds", waited.as_secs()));
                return Err(GpuError::Hung { what, seconds: waited.as_secs() });
            }
        }
    }

    /// Has the device look after what has ended, without waiting.
    pub(super) fn look(&self) -> Result<(), GpuError> {
        self.poll(wgpu::PollType::Poll).map(|_| ())
    }

    /// Polls the device; false where the time ran out before what was waited for.
    fn poll(&self, how: wgpu::PollType) -> Result<bool, GpuError> {
        POLLING.set(true);
        // wgpu panics there where it finds that the device is lost, when it has let go of all its locks.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(how)));
        POLLING.set(false);
        let words = match polled {
            Ok(Ok(_)) => return Ok(true),
            Ok(Err(wgpu::PollError::Timeout)) => return Ok(false),
            // Something was not handed over, because the device is gone.
            Ok(Err(error)) => error.to_string(),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let words = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason is known");
                if words.starts_with(OVERTAKEN) {
                    return Ok(false);
                }
                words.to_string()
            }
        };
        Err(self.lose(&words))
    }

    /// The error of a device that is lost; what it reported itself says more than `words` of somebody else.
    pub(super) fn lose(&self, words: &str) -> GpuError {
        match self.check() {
            Err(error) => error,
            Ok(()) => {
                let _ = self.lost.set(words.to_string());
                self.check().err().unwrap_or_else(|| GpuError::Lost(words.to_string()))
            }
        }
    }

    /// What the device is, or was, at: the first submission that has not ended, as far as it is known. One that hangs
    /// can be asked.
    pub(super) fn suspect(&self, ask: bool) -> Option<String> {
        let known: Vec<(wgpu::SubmissionIndex, String)> =
            self.course.under_way().1.iter().map(|named| (named.index.clone(), named.what.clone())).collect();
        let open = |index: &wgpu::SubmissionIndex| {
            let now = wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(Duration::ZERO) };
            !ask || !self.poll(now).unwrap_or(false)
        };
        known.into_iter().find(|(index, _)| open(index)).map(|(_, what)| what)
    }

    /// Whether the device is lost, or hangs: nothing can be done with it any more.
    pub fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// Gives the device up, whoever still holds it: all that is asked of it from then on fails as if it were lost.
    pub fn destroy(&self) {
        let _ = self.lost.set("it was given up".into());
        self.device.destroy();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    #[test]
    fn threads_that_wait_for_one_device_do_not_take_it_for_lost() {
        let gpu = Gpu::open(std::env::var("LIMN_DEVICE").ok().as_deref()).expect("a device");
        let buffer = |usage| {
            let about = wgpu::BufferDescriptor { label: None, size: 1 << 16, usage, mapped_at_creation: false };
            gpu.device.create_buffer(&about)
        };
        let (from, to) = (buffer(wgpu::BufferUsages::COPY_SRC), buffer(wgpu::BufferUsages::COPY_DST));
        let over = AtomicBool::new(false);
        let start = Instant::now();
        let waits = || {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(3) {
                let mut encoder = gpu.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(&from, 0, &to, 0, 1 << 16);
                let index = gpu.queue.submit([encoder.finish()]);
                // Waits that mostly run out.
                let timeout = Some(Duration::from_micros(20));
                let how = || wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout };
                while !gpu.poll(how()).inspect_err(|_| over.store(true, Ordering::Relaxed))? {}
                count += 1;
            }
            Ok::<usize, GpuError>(count)
        };
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(waits)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        });
        for count in counts {
            assert!(count.expect("the device is there") > 0);
        }
    }
}
