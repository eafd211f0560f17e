//! `limn bench --report`: where the roofline goes.

use super::Error;
use super::bench_kernels::Row;
use crate::bench::Roof;
use crate::report::{kernels, plot};
use std::path::Path;

/// A page or a picture, by the end of its name.
pub struct Target<'a> {
    path: &'a Path,
    page: bool,
}

impl Target<'_> {
    /// Refuses other ends before anything is timed.
    pub fn of(path: &Path) -> Result<Target<'_>, Error> {
        let page = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("html"));
        if !page {
            plot::writable(path).map_err(|_| {
                Error::new(format!("{}: a report is a page (.html) or a picture (.svg, .png)", path.display()))
            })?;
        }
        Ok(Target { path, page })
    }

    /// Writes the times under these ceilings.
    pub fn write(&self, rows: &[Row], roof: &Roof, device: &str) -> Result<(), Error> {
        let finite = rows.iter().filter(|row| row.ms > 0.0);
        let times: Vec<kernels::Timed> = finite
            .map(|row| kernels::Timed {
                kernel: row.kernel.clone(),
                shape: row.shape.clone(),
                variant: row.variant.into(),
                ms: row.ms,
                flops: row.cost.flops,
                bytes: row.cost.bytes,
                gflops: row.gflops(),
                gbs: row.gb_per_s(),
                share: roof.share(row.cost, row.arithmetic, row.ms),
            })
            .collect();
        match self.page {
            true => kernels::write_page(&kernels::roofline(device, roof, &times), self.path)?,
            false => kernels::plot_roofline(device, roof, &times, self.path)?,
        }
        Ok(())
    }
}
