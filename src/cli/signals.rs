//! Ctrl-C, and what terminals and schedulers send to end a program.

use super::term;
use crate::train::Phase;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

/// The exit code of a command that was interrupted, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// A signal this soon after the first is the same one, sent to the process and to its group as
/// well.
const ECHO: Duration = Duration::from_millis(500);

/// How long what comes before the first step has to end of itself. Nothing is lost with it.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a training is at, for whoever interrupts it.
pub static PHASE: AtomicU8 = AtomicU8::new(Phase::Preparing as u8);

/// From now on the first signal to end sets `stop` and says what that does; the second ends the
/// process at once. A signal that was ignored when the program began, as `nohup` has it, stays
/// ignored.
///
/// # Errors
/// What the system said; then a signal ends the process.
pub fn watch(stop: &'static AtomicBool) -> std::io::Result<()> {
    let last = Arc::new(AtomicBool::new(false));
    let armed = last.clone();
    system::on_signal(&last, move || {
        stop.store(true, Ordering::Relaxed);
        let armed = armed.clone();
        // A thread of its own, for the words may wait for a terminal that takes none.
        let wait = move || {
            std::thread::sleep(ECHO);
            armed.store(true, Ordering::Relaxed);
            std::thread::sleep(PATIENCE);
            if PHASE.load(Ordering::Relaxed) == Phase::Preparing as u8 {
                system::leave();
            }
        };
        let waiting = std::thread::Builder::new().name("patience".into()).spawn(wait);
        term::note(words(PHASE.load(Ordering::Relaxed)));
        if waiting.is_err() {
            system::leave();
        }
    })
}

/// What the first signal does.
fn words(phase: u8) -> &'static str {
    match phase {
        phase if phase == Phase::Preparing as u8 => {
            "stopping before the first step; nothing has been trained or changed"
        }
        phase if phase == Phase::Drawing as u8 => {
            "leaving the picture that is being drawn, and saving; once more to stop at once"
        }
        _ => "stopping after this step; once more to stop at once, without saving",
    }
}

/// From now on a file that may grow no further, by a limit of the process, is an error of whoever writes it, and not the
/// process's end.
pub fn live_with_limits() {
    system::live_with_limits();
}

#[cfg(unix)]
mod system {
    use super::INTERRUPTED;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::{flag, low_level};
    use std::mem::MaybeUninit;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// Calls `first` at the first signal; one that comes once `last` is true ends the process, in
    /// the signal's own handler, whatever the threads are at.
    pub fn on_signal(last: &Arc<AtomicBool>, first: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let heard: Vec<i32> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored(*signal)).collect();
        for signal in &heard {
            flag::register_conditional_shutdown(*signal, INTERRUPTED.into(), last.clone())?;
        }
        let mut signals = Signals::new(&heard)?;
        let wait = move || {
            if signals.forever().next().is_some() {
                first();
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    }

    /// Ends the process without the exit handlers of libraries, which may wait for a device.
    pub fn leave() {
        low_level::exit(INTERRUPTED.into());
    }

    /// See the function of this name above. Where it cannot be had, such a limit ends the process.
    pub fn live_with_limits() {
        let _ = flag::register(libc::SIGXFSZ, Arc::default());
    }

    #[allow(unsafe_code, reason = "only the system's own function tells")]
    fn ignored(signal: i32) -> bool {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: without a new action nothing is changed, and the one in force is written to
        // memory of its size, which is valid for zeros as well.
        unsafe {
            libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init().sa_sigaction == libc::SIG_IGN
        }
    }
}

#[cfg(windows)]
mod system {
    use super::INTERRUPTED;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::sync::{Arc, OnceLock};
    use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, CTRL_C_EVENT, SetConsoleCtrlHandler};
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    use windows_sys::core::BOOL;

    /// Whoever waits for what the console tells.
    static HEARD: OnceLock<Sender<()>> = OnceLock::new();

    /// Calls `first` at the first Ctrl-C or Ctrl-Break, and when the window is closed, the user logs off or the machine
    /// goes down; one that comes once `last` is true ends the process.
    #[allow(unsafe_code, reason = "only the system's own function tells all of these")]
    pub fn on_signal(last: &Arc<AtomicBool>, first: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let (last, mut first) = (last.clone(), Some(first));
        let (heard, told) = channel();
        HEARD.set(heard).map_err(|_| io::Error::other("the console is listened to already"))?;
        let wait = move || {
            for () in told {
                match first.take() {
                    Some(first) => first(),
                    None if last.load(Ordering::Relaxed) => leave(),
                    None => {}
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait)?;
        // SAFETY: the handler is a function, which is there as long as the process.
        if unsafe { SetConsoleCtrlHandler(Some(tell), 1) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// What the system calls, in a thread that it makes for it. Where the window is closed it ends the process as soon
    /// as this returns, and some seconds later in any case: these are what the run has to save itself.
    extern "system" fn tell(event: u32) -> BOOL {
        if let Some(heard) = HEARD.get() {
            let _ = heard.send(());
        }
        while !matches!(event, CTRL_C_EVENT | CTRL_BREAK_EVENT) {
            std::thread::park();
        }
        1
    }

    /// There are no such limits.
    pub fn live_with_limits() {}

    /// Ends the process without the exit handlers of libraries, which may wait for a device.
    #[allow(unsafe_code, reason = "only the system's own function does")]
    pub fn leave() {
        // SAFETY: the handle is this process's own, and nothing comes after.
        unsafe { TerminateProcess(GetCurrentProcess(), INTERRUPTED.into()) };
    }
}
