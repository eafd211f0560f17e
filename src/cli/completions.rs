//! `limn completions`: what a shell needs to complete commands, flags and names.

use super::{Cli, Error};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, ErrorKind, Write};

/// Arguments of `limn completions`.
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "limn", &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::new(format!("cannot write to the output: {e}"))),
        _ => Ok(()),
    }
}
