//! The `limn` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Mesa's device-select layer would complain on stderr wherever there is no XDG_RUNTIME_DIR.
    if std::env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    limn::cli::main()
}
