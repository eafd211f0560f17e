//! `limn report`: a page about runs.

use super::{Error, term};
use crate::files::{free_name, make_folder_of};
use crate::report::{self, plot};
use crate::train::RunDir;
use std::path::{Path, PathBuf};

/// Arguments of `limn report`.
#[derive(clap::Args, Debug)]
pub struct ReportArgs {
    /// Run folders; several are compared on one page
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// The page; by default report.html in the folder, or compare.html here where there are several, or
    /// such a name that is free
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw the curves into a picture, for papers, and write no page
    #[arg(long, value_name = "FILE.svg|FILE.png", conflicts_with = "out")]
    plot: Option<PathBuf>,
    /// Losses of that picture in equal factors, where they are above zero
    #[arg(long, requires = "plot")]
    log_scale: bool,
    /// How much of that picture's curves is what came before: 0 shows every point as it is
    #[arg(long, requires = "plot", value_name = "0..1", default_value_t = 0.6, value_parser = smoothing)]
    smoothing: f64,
}

/// A weight of earlier points.
fn smoothing(text: &str) -> Result<f64, String> {
    let weight = text.parse().ok().filter(|weight| (0.0..1.0).contains(weight));
    weight.ok_or_else(|| "it is a number from 0 to below 1".into())
}

/// Writes the page and says where it is.
pub fn report(args: &ReportArgs) -> Result<(), Error> {
    let runs = args.dirs.iter().map(|dir| RunDir::open(dir)).collect::<Result<Vec<_>, _>>()?;
    for named in [&args.plot, &args.out].into_iter().flatten() {
        make_folder_of(named).map_err(|e| Error::new(format!("{}: {e}", named.display())))?;
    }
    if let Some(path) = &args.plot {
        plot::writable(path)?;
        plot::write(&report::charts(&runs, args.log_scale, args.smoothing)?, path)?;
        return term::say(path.display());
    }
    let out = match (&args.out, &runs[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.path.join(report::FILE),
        (None, _) => free_name(Path::new("compare.html")),
    };
    report::write(&runs, &out)?;
    term::say(format!("{} (open it in a browser)", out.display()))
}

/// Makes a run's page anew, where there is one, after a command left something in its folder: under
/// a name of its own, or `out`, which may also be elsewhere. A page that fails takes nothing away
/// from what was made.
pub(super) fn renew(run: &RunDir, out: Option<&Path>) {
    let page = run.path.join(report::FILE);
    if page.is_file()
        && out.is_none_or(|out| is_in(out, &run.path))
        && let Err(error) = report::write(std::slice::from_ref(run), &page)
    {
        term::note(format!("{} could not be made anew: {error}", page.display()));
    }
}

/// Whether a file lies in this folder itself, whatever way leads there.
fn is_in(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    parent
        .and_then(|parent| parent.canonicalize().ok())
        .is_some_and(|parent| folder.canonicalize().ok() == Some(parent))
}
