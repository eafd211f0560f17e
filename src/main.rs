//! The `limn` command.

use std::process::ExitCode;

#[allow(unsafe_code, reason = "the environment is changed")]
fn main() -> ExitCode {
    // Where there is no desktop, Mesa's layer that sorts devices complains on stderr that it finds
    // none. It is switched off there, unless something is asked of it.
    let unset = |name: &str| std::env::var_os(name).is_none();
    let idle = ["XDG_RUNTIME_DIR", "MESA_VK_DEVICE_SELECT", "DRI_PRIME", "NODEVICE_SELECT"];
    if idle.into_iter().all(unset) {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    limn::command()
}
