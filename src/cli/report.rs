//! `limn report`: a page about runs.

use super::{Error, term};
use crate::report;
use crate::train::RunDir;
use std::path::PathBuf;

/// Arguments of `limn report`.
#[derive(clap::Args, Debug)]
pub struct ReportArgs {
    /// Run folders; several are compared on one page
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The page; by default report.html in the folder, or compare.html here where there are several
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the page and says where it is.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let runs = args.dirs.iter().map(|dir| RunDir::open(dir)).collect::<Result<Vec<_>, _>>()?;
    let out = match (&args.out, &runs[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.path.join(report::FILE),
        (None, _) => "compare.html".into(),
    };
    report::write(&runs, &out)?;
    term::say(format!("{} (open it in a browser)", out.display()))
}
