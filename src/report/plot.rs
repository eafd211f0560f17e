//! Charts as pictures, SVG or PNG, for papers and for where no browser is.
//!
//! A [`Chart`] has lines and dots on two axes, each linear or logarithmic. [`write()`] draws some of
//! them side by side. Text is set in a font that limn has with it, so that no system font is needed.

use crate::files;
use image::ImageEncoder;
use image::codecs::png::PngEncoder;
use plotters::chart::SeriesLabelPosition;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One axis: what it counts, and whether in equal steps or equal factors.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The quantity and its unit.
    pub label: String,
    /// Whether it is logarithmic; what is not above zero is then left out.
    pub log: bool,
}

impl Axis {
    /// An axis in equal steps.
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), log: false }
    }

    /// An axis in equal factors.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), log: true }
    }
}

/// How the points of a series are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line through them.
    Line,
    /// A broken line through them.
    Broken,
    /// A dot at each.
    Dots,
    /// A ring at each, in which a dot of another series shows.
    Rings,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend calls it; a series without a name is not in it.
    pub name: String,
    /// Which colour it has: series of one number have the same.
    pub colour: usize,
    /// How it is drawn.
    pub mark: Mark,
    /// The points; those that are no finite numbers are left out, and a line has a gap there.
    pub points: Vec<(f64, f64)>,
    /// Words beside the points, one each or none at all.
    pub words: Vec<String>,
}

impl Series {
    /// A line.
    pub fn line(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), colour, mark: Mark::Line, points, words: Vec::new() }
    }

    /// Dots.
    pub fn dots(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
        Series { mark: Mark::Dots, ..Series::line(name, colour, points) }
    }
}

/// Series on two axes.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from below to above.
    pub y: Axis,
    /// What is drawn, the first undermost.
    pub series: Vec<Series>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// A name that says of no format that charts are written in.
    #[error("{}: charts are written as .svg or .png", .0.display())]
    Extension(PathBuf),
    /// Nothing to draw.
    #[error("there is nothing to draw yet")]
    Nothing,
    /// More than anybody looks at: a file with thousands of columns is damaged.
    #[error("{0} charts are more than the {MOST} that limn draws; a file that is drawn may be damaged")]
    TooMany(usize),
    /// What the drawing library said.
    #[error("the chart could not be drawn: {0}")]
    Drawing(String),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The size of one chart, in points of an SVG.
const WIDTH: u32 = 560;
const HEIGHT: u32 = 380;
/// Pixels of a PNG for each of them.
const PIXELS: u32 = 2;
/// Charts of one picture, at most.
const MOST: usize = 100;
/// Charts beside each other.
const ACROSS: usize = 2;

/// The share of a side that a corner with a legend takes.
const CORNER: f64 = 0.35;

/// What an SVG calls the font, and what it is registered as: any sans-serif will do for a reader.
const FONT: &str = "sans-serif";

/// Colours that can be told apart, also by people who see few (Okabe and Ito 2008, yellow left out).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(70, 70, 70),
];

/// Whether charts can be written under this name.
///
/// # Errors
/// [`PlotError::Extension`].
pub fn writable(path: &Path) -> Result<(), PlotError> {
    is_svg(path).map(drop)
}

/// Whether a name is that of an SVG; otherwise it is a PNG's.
fn is_svg(path: &Path) -> Result<bool, PlotError> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("svg") => Ok(true),
        Some("png") => Ok(false),
        _ => Err(PlotError::Extension(path.into())),
    }
}

/// Draws charts, two beside each other, to a file that its extension says to be an SVG or a PNG.
///
/// # Errors
/// Another extension, no chart with a point, too many of them, or a file that cannot be written.
pub fn write(charts: &[Chart], path: &Path) -> Result<(), PlotError> {
    let bytes = drawn(charts, is_svg(path)?)?;
    let written = files::replace(path, |file| file.write_all(&bytes));
    written.map_err(|source| PlotError::Write { path: path.into(), source })
}

/// The bytes of an SVG or of a PNG.
pub(super) fn drawn(charts: &[Chart], svg: bool) -> Result<Vec<u8>, PlotError> {
    let charts: Vec<&Chart> = charts.iter().filter(|chart| chart.has_points()).collect();
    match charts.len() {
        0 => return Err(PlotError::Nothing),
        1..=MOST => {}
        more => return Err(PlotError::TooMany(more)),
    }
    let fault = |e: &dyn std::fmt::Display| PlotError::Drawing(e.to_string());
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| PlotError::Drawing("the font is damaged".into()))?;
    let across = charts.len().min(ACROSS);
    let grid = (charts.len().div_ceil(across), across);
    let times = if svg { 1 } else { PIXELS };
    let (width, height) = (WIDTH * grid.1 as u32 * times, HEIGHT * grid.0 as u32 * times);
    Ok(if svg {
        let mut text = String::new();
        draw(&charts, &SVGBackend::with_string(&mut text, (width, height)).into_drawing_area(), grid, times)?;
        text.into_bytes()
    } else {
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
        draw(&charts, &backend.into_drawing_area(), grid, times)?;
        let mut bytes = Vec::new();
        let png = PngEncoder::new(&mut bytes);
        png.write_image(&pixels, width, height, image::ExtendedColorType::Rgb8).map_err(|e| fault(&e))?;
        bytes
    })
}

fn draw<B: DrawingBackend>(
    charts: &[&Chart],
    area: &DrawingArea<B, Shift>,
    (down, across): (usize, usize),
    times: u32,
) -> Result<(), PlotError> {
    let all = || {
        area.fill(&WHITE)?;
        for (chart, part) in std::iter::zip(charts, area.split_evenly((down, across))) {
            chart.draw(&part, times)?;
        }
        area.present()
    };
    all().map_err(|e: DrawingAreaErrorKind<B::ErrorType>| PlotError::Drawing(e.to_string()))
}

impl Chart {
    /// The points that can be drawn.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|series| series.points.iter().copied()).filter(|point| self.fits(point))
    }

    fn fits(&self, (x, y): &(f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (!self.x.log || *x > 0.0) && (!self.y.log || *y > 0.0)
    }

    /// The corner with the fewest points, where a legend hides least.
    fn emptiest(&self, [x, y]: &[Scale; 2]) -> SeriesLabelPosition {
        let mut points = [0usize; 4];
        for (at_x, at_y) in self.points().map(|point| (x.part(point.0), y.part(point.1))) {
            let aside = |part: f64| !(CORNER..=1.0 - CORNER).contains(&part);
            if aside(at_x) && aside(at_y) {
                points[2 * usize::from(at_y < 0.5) + usize::from(at_x < 0.5)] += 1;
            }
        }
        let corners = [
            SeriesLabelPosition::UpperRight,
            SeriesLabelPosition::UpperLeft,
            SeriesLabelPosition::LowerRight,
            SeriesLabelPosition::LowerLeft,
        ];
        let least = std::iter::zip(points, corners).min_by_key(|(points, _)| *points);
        least.map_or(SeriesLabelPosition::UpperRight, |(_, corner)| corner)
    }

    fn has_points(&self) -> bool {
        self.points().next().is_some()
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        times: u32,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let size = |points: u32| (points * times) as i32;
        let text = |points: u32| (FONT, size(points)).into_font();
        let x = Scale::around(self.points().map(|p| p.0), self.x.log);
        let y = Scale::around(self.points().map(|p| p.1), self.y.log);
        let scales = [x.clone(), y.clone()];
        let mut context = ChartBuilder::on(area)
            .margin(size(12))
            .caption(&self.title, text(17))
            .x_label_area_size(size(38))
            .y_label_area_size(size(58))
            .build_cartesian_2d(x, y)?;
        context
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .axis_desc_style(text(13))
            .label_style(text(12))
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .axis_style(BLACK.mix(0.5))
            .x_labels(6)
            .y_labels(6)
            .draw()?;
        for series in &self.series {
            let colour = COLOURS[series.colour % COLOURS.len()];
            let line = colour.stroke_width(size(1).max(1) as u32);
            let annotation = match series.mark {
                Mark::Dots => {
                    let dots = series.points.iter().filter(|point| self.fits(point));
                    let dots = dots.map(|point| Circle::new(*point, size(3), colour.filled()));
                    context.draw_series(dots)?
                }
                Mark::Rings => {
                    let rings = series.points.iter().filter(|point| self.fits(point));
                    let rings = rings.map(|point| Circle::new(*point, size(5), line));
                    context.draw_series(rings)?
                }
                Mark::Line | Mark::Broken => {
                    let mut drawn = None;
                    for run in series.points.split(|point| !self.fits(point)).filter(|run| !run.is_empty()) {
                        let run = run.iter().copied();
                        drawn = Some(if series.mark == Mark::Line {
                            context.draw_series(LineSeries::new(run, line))?
                        } else {
                            context.draw_series(DashedLineSeries::new(run, size(5), size(4), line))?
                        });
                    }
                    let Some(drawn) = drawn else { continue };
                    drawn
                }
            };
            if !series.name.is_empty() {
                let mark = series.mark;
                annotation.label(&series.name).legend(move |(x, y)| match mark {
                    Mark::Dots => Circle::new((x + size(7), y), size(3), colour.filled()).into_dyn(),
                    Mark::Rings => Circle::new((x + size(7), y), size(5), line).into_dyn(),
                    Mark::Line | Mark::Broken => PathElement::new([(x, y), (x + size(14), y)], line).into_dyn(),
                });
            }
            let worded = std::iter::zip(&series.points, &series.words).filter(|(point, _)| self.fits(point));
            let place = |(point, words): (&(f64, f64), &String)| {
                EmptyElement::at(*point) + Text::new(words.clone(), (size(5), -size(5)), text(10))
            };
            context.draw_series(worded.map(place))?;
        }
        if self.series.iter().any(|series| !series.name.is_empty()) {
            context
                .configure_series_labels()
                .position(self.emptiest(&scales))
                .legend_area_size(size(18))
                .margin(size(6))
                .background_style(WHITE.mix(0.8))
                .label_font(text(12))
                .draw()?;
        }
        Ok(())
    }
}

/// The numbers of an axis and where they stand on it.
#[derive(Clone)]
struct Scale {
    range: Range<f64>,
    log: bool,
}

impl Scale {
    /// From a little below the smallest of some numbers to a little above the largest.
    fn around(values: impl Iterator<Item = f64>, log: bool) -> Scale {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        let range = match (log, low < high) {
            (true, true) => {
                let factor = (high / low).powf(0.03).min(1e9);
                (low / factor).max(f64::MIN_POSITIVE)..(high * factor).min(f64::MAX)
            }
            (true, false) => (low / 2.0).max(f64::MIN_POSITIVE)..(high * 2.0).min(f64::MAX),
            (false, true) => {
                let pad = 0.08 * (high / 2.0 - low / 2.0);
                (low - pad).max(f64::MIN)..(high + pad).min(f64::MAX)
            }
            (false, false) => {
                let pad = low.abs().max(1.0) / 2.0;
                (low - pad).max(f64::MIN)..(high + pad).min(f64::MAX)
            }
        };
        Scale { range, log }
    }

    /// How far along the axis a number stands, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        let Range { start, end } = self.range;
        let part = match self.log {
            true => (value.ln() - start.ln()) / (end.ln() - start.ln()),
            // Halves, as the whole may be more than a number holds.
            false => (value / 2.0 - start / 2.0) / (end / 2.0 - start / 2.0),
        };
        part.clamp(-1.0, 2.0)
    }

    /// Some round numbers of it, at most `most`.
    fn ticks(&self, most: usize) -> Vec<f64> {
        let Range { start, end } = self.range;
        let most = most.clamp(2, 12);
        let decades = if self.log { (end / start).log10() } else { 0.0 };
        if decades > 1.0 {
            let each = (decades / most as f64).ceil().max(1.0) as i32;
            let mantissas: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let exponents = (start.log10().floor() as i32)..=(end.log10().ceil() as i32);
            let all = exponents
                .filter(|e| e.rem_euclid(each) == 0)
                .flat_map(|e| mantissas.iter().map(move |m| m * 10f64.powi(e)));
            return all.filter(|v| (start..=end).contains(v)).collect();
        }
        let rough = (end / most as f64) - (start / most as f64);
        let unit = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|step| *step >= rough * 0.999);
        let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else { return vec![start, end] };
        let first = (start / step).ceil();
        (0..=most).map(|k| (first + k as f64) * step).take_while(|v| *v <= end + 1e-9 * step).collect()
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (self.part(*value) * f64::from(to - from)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        self.ticks(hint.max_num_points())
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        told(*value)
    }
}

/// A round number, in as few letters as it takes.
fn told(value: f64) -> String {
    // Sums of steps end in digits that nobody asked for.
    let short: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    match short.abs() {
        0.0 => "0".into(),
        a if (1e6..1e15).contains(&a) => match a {
            a if a < 1e9 => format!("{}M", short / 1e6),
            a if a < 1e12 => format!("{}G", short / 1e9),
            _ => format!("{}T", short / 1e12),
        },
        a if (1e4..1e6).contains(&a) => format!("{}k", short / 1e3),
        a if (1e-3..1e4).contains(&a) => short.to_string(),
        _ => format!("{short:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(log: bool) -> Chart {
        let axis = |label: &str| if log { Axis::log(label) } else { Axis::linear(label) };
        let falling = (1..=100).map(|k| (f64::from(k), 100.0 / f64::from(k))).collect();
        Chart {
            title: "loss <of> a & b".into(),
            x: axis("step"),
            y: axis("nats"),
            series: vec![Series::line("a", 0, falling), Series::dots("b", 1, vec![(1.0, 40.0), (f64::NAN, 1.0)])],
        }
    }

    #[test]
    fn charts_are_drawn_to_svg_and_png_with_their_words_and_points() {
        let folder = tempfile::tempdir().unwrap();
        let svg = folder.path().join("a.SVG");
        write(&[chart(false), chart(true), chart(true)], &svg).unwrap();
        let text = std::fs::read_to_string(&svg).unwrap();
        assert!(text.starts_with("<svg") && text.contains("nats") && text.contains("step"), "{text:.300}");
        assert!(text.contains("&lt;of&gt;") && text.matches("<polyline").count() >= 3);
        // One dot in each chart and one in each legend; that without a place is left out.
        assert_eq!(text.matches("<circle").count(), 6);
        let png = folder.path().join("a.png");
        write(&[chart(true)], &png).unwrap();
        let picture = image::open(&png).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (WIDTH * PIXELS, HEIGHT * PIXELS));
        let blue = picture.pixels().filter(|p| p.0 == [0, 114, 178]).count();
        // Words are dark on white.
        let dark = picture.pixels().filter(|p| p.0.iter().all(|c| *c < 60)).count();
        assert!(blue > 500 && dark > 300, "{blue} {dark}");
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let path = Path::new("/nowhere/a.pdf");
        assert!(matches!(write(&[chart(true)], path), Err(PlotError::Extension(_))));
        let none = Chart { series: Vec::new(), ..chart(false) };
        assert!(matches!(write(&[none], Path::new("a.svg")), Err(PlotError::Nothing)));
        assert!(matches!(write(&[chart(false)], Path::new("/nowhere/a.svg")), Err(PlotError::Write { .. })));
    }

    #[test]
    fn axes_hold_whatever_numbers_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.svg");
        let ends: [&[f64]; 6] =
            [&[3.0], &[0.0], &[f64::MIN, f64::MAX], &[1e-310, 1e300], &[1.0, 1.0 + 1e-15], &[-5.0, 5.0]];
        for values in ends {
            for log in [false, true] {
                let points = values.iter().map(|v| (*v, *v)).collect();
                let one = Chart { series: vec![Series::line("a", 0, points)], ..chart(log) };
                match write(&[one], &path) {
                    Ok(()) => {}
                    Err(error) => assert!(log && matches!(error, PlotError::Nothing), "{values:?}: {error}"),
                }
            }
        }
    }

    #[test]
    fn ticks_are_round_numbers() {
        let ticks =
            |range: Range<f64>, log| Scale { range, log }.ticks(6).into_iter().map(told).collect::<Vec<_>>().join(" ");
        assert_eq!(ticks(0.0..1.0, false), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(ticks(-3.0..20_000.0, false), "0 5000 10k 15k 20k");
        assert_eq!(ticks(0.7..30.0, true), "1 2 5 10 20");
        assert_eq!(ticks(1e-9..1e9, true), "1e-9 1e-6 0.001 1 1000 1M 1G");
        assert_eq!(ticks(2.0..2.4, true), "2 2.1 2.2 2.3 2.4");
    }
}
