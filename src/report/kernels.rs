//! Pages about kernels: errors beside their bounds, and times under a device's ceilings.

#[cfg(feature = "plot")]
use super::plot::{self, Axis, Chart, Mark, PlotError, Series};
use super::{ReportError, frame};
use crate::bench::Roof;
use crate::check::Outcome;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// The time of a kernel, as its page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// Kernel name.
    pub kernel: String,
    /// Its shapes.
    pub shape: String,
    /// Variant.
    pub variant: String,
    /// Milliseconds of a launch.
    pub ms: f64,
    /// Arithmetic of a launch.
    pub flops: u64,
    /// Bytes it cannot do without.
    pub bytes: u64,
    /// 10⁹ operations a second.
    pub gflops: f64,
    /// 10⁹ bytes a second.
    pub gbs: f64,
    /// The share of the nearer ceiling.
    pub share: f64,
}

/// The page with a roofline of these times on this device.
pub fn roofline(device: &str, roof: &Roof, times: &[Timed]) -> String {
    let data = json!({ "device": device, "ceilings": roof, "rows": times });
    sheet("Kernels under their ceilings", include_str!("page/roofline.js"), &data)
}

/// The page with the errors of these checks on this device.
pub fn checks(device: &str, mixed: bool, outcomes: &[Outcome]) -> String {
    let finite = |value: f32| value.is_finite().then_some(value);
    let row = |o: &Outcome| {
        json!({
            "kernel": o.kernel, "case": o.case, "variant": o.variant, "worst": finite(o.worst),
            "bound": finite(o.bound), "ratio": finite(o.ratio), "failure": o.failure,
        })
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    let data = json!({ "device": device, "mixed": mixed, "rows": rows });
    sheet("Kernels held against their reference", include_str!("page/checks.js"), &data)
}

/// Writes a page to `out`, in one piece.
///
/// # Errors
/// [`ReportError::Write`].
pub fn write_page(page: &str, out: &Path) -> Result<(), ReportError> {
    frame::put(page, out)
}

fn sheet(title: &str, script: &str, data: &serde_json::Value) -> String {
    let script = include_str!("page/sheet.js").to_string() + script;
    frame::page(title, include_str!("page/sheet.html"), &script, data)
}

#[cfg(feature = "plot")]
/// Where a kernel without arithmetic stands: at one operation for eight bytes.
const STILL: f64 = 0.125;

#[cfg(feature = "plot")]
/// Draws the roofline as an SVG or a PNG, as the name ends.
///
/// # Errors
/// Those of [`plot::write`].
pub fn plot_roofline(device: &str, roof: &Roof, times: &[Timed], out: &Path) -> Result<(), PlotError> {
    plot::write(&[chart(device, roof, times)], out)
}

#[cfg(feature = "plot")]
fn chart(device: &str, roof: &Roof, times: &[Timed]) -> Chart {
    let place = |t: &Timed| match t.flops {
        0 => (STILL, STILL * t.gbs),
        flops => (flops as f64 / t.bytes.max(1) as f64, t.gflops),
    };
    let mut names: Vec<&str> = Vec::new();
    times.iter().map(|t| t.kernel.as_str()).for_each(|name| {
        if !names.contains(&name) {
            names.push(name);
        }
    });
    let places: Vec<(f64, f64)> = times.iter().map(place).filter(|(_, y)| y.is_finite() && *y > 0.0).collect();
    let rates = [("f32", Some(roof.gflops)), ("f16", roof.f16_gflops), ("matrix units", roof.matrix_gflops)];
    let flat: Vec<(&str, f64)> = rates.into_iter().filter_map(|(name, rate)| Some((name, rate?))).collect();
    let top = flat.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let cached = roof.cached.iter().map(|copied| copied.gbps).fold(0.0, f64::max);
    let mut slopes = vec![("memory", roof.gbps)];
    slopes.extend((cached > 1.05 * roof.gbps).then_some(("caches", cached)));
    let steepest = slopes.iter().map(|(_, rate)| *rate).fold(1e-9, f64::max);
    let right = places.iter().map(|(x, _)| 2.0 * x).fold(4.0 * top / roof.gbps.max(1e-9), f64::max);
    let line = |name: String, points| Series { mark: Mark::Broken, ..Series::line(name, 6, points) };
    let mut series: Vec<Series> = slopes
        .iter()
        .map(|(name, rate)| line(format!("{name}, {rate:.0} GB/s"), vec![(STILL, STILL * rate), (top / rate, top)]))
        .collect();
    series.extend(flat.iter().map(|(name, rate)| {
        Series::line(format!("{name}, {rate:.0} GFLOP/s"), 6, vec![(rate / steepest, *rate), (right, *rate)])
    }));
    series.extend(names.iter().enumerate().map(|(i, name)| {
        let own = times.iter().filter(|t| t.kernel == *name).map(place).filter(|(_, y)| y.is_finite() && *y > 0.0);
        Series::dots(*name, i % 6, own.collect())
    }));
    Chart {
        title: format!("Kernels on {device}"),
        x: Axis::log("operations for a byte"),
        y: Axis::log("GFLOP/s"),
        series,
    }
}
