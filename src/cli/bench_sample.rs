//! `limn bench sample`: whole images drawn pixel by pixel, cached, beside the naive way.

use super::{Error, config, device, term};
use crate::bench::quantile;
use crate::kernels::Precision;
use crate::program::Device;
use crate::sample::{self, Drawing};
use crate::train::Session;
use serde_json::json;
use std::time::Instant;

/// Arguments of `limn bench sample`.
#[derive(clap::Args, Debug)]
pub struct SampleArgs {
    /// Preset of a model that draws pixel by pixel, TOML file or run folder
    #[arg(value_name = "PRESET|FILE.toml|DIR", value_parser = super::names::PRESETS, hide_possible_values = true)]
    preset: String,
    /// Images drawn together
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Pixels drawn the naive way, spread over the image
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    naive_pixels: u32,
}

/// Times whole images are drawn, after one that does not count.
const ROUNDS: usize = 5;

/// Times cached sampling of whole images, and naive sampling of some pixels.
pub fn bench(args: &SampleArgs, device: Option<&str>, json: bool) -> Result<(), Error> {
    let config = config(&args.preset, None, &[])?;
    let device = device::open_to_compute(device, Precision::Full)?;
    let described = match &device {
        Device::Gpu(gpu) => gpu.desc().driver.clone(),
        _ => format!("limn {}", env!("CARGO_PKG_VERSION")),
    };
    let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
    if let Some(why) = sample::refusal(&session) {
        return Err(Error::new(format!("{} cannot be sampled with a cache: {why}", args.preset)));
    }
    let (n, size) = (args.batch as usize, session.model.geometry().iter().product::<usize>());
    sample::roomy(&session, n)?;
    let blank = vec![0.0; n * size];
    let labels = sample::labels(session.model.as_ref(), n, None)?;
    let mut time = |keep: &[f32], drawing| -> Result<f64, Error> {
        let start = Instant::now();
        sample::complete(&mut session, &blank, keep, &labels, 1, drawing)?;
        Ok(start.elapsed().as_secs_f64())
    };
    // All pixels but a few are known, so that only those are drawn.
    let unknown = |count: usize| -> Vec<f32> {
        let mut keep = vec![1.0; size];
        (0..count).for_each(|k| keep[(2 * k + 1) * size / (2 * count)] = 0.0);
        keep
    };
    let pixels = (args.naive_pixels as usize).min(size - 1).max(1);
    let everything = vec![0.0; size];
    let mut progress = term::Progress::new();
    progress.show("one round that does not count");
    time(&everything, Drawing::Cached)?;
    let (one, more) = (unknown(1), unknown(pixels + 1));
    time(&one, Drawing::Naive)?;
    let mut cached: Vec<f64> = Vec::new();
    let mut naive: Vec<f64> = Vec::new();
    // The two in turn, so that another program's work meets both; preparing is left out of the
    // naive time.
    for round in 1..=ROUNDS {
        progress.show(format!("round {round} of {ROUNDS}"));
        cached.push(time(&everything, Drawing::Cached)?);
        naive.push((time(&more, Drawing::Naive)? - time(&one, Drawing::Naive)?) / pixels as f64);
    }
    progress.clear();
    let (cached, naive) = (quantile(&mut cached, 0.5), quantile(&mut naive, 0.5));
    let (whole, name) = (naive * size as f64, session.store.device().name());
    if json {
        return term::say(json!({
            "preset": args.preset, "batch": n, "device": name, "driver": described, "pixels": size,
            "cached_s": cached, "cached_images_per_s": term::number(n as f64 / cached),
            "naive_s_per_pixel": naive, "naive_pixels_timed": pixels * ROUNDS, "naive_s": whole,
            "ratio": term::number(whole / cached),
        }));
    }
    term::say(format!("{} batch {n} on {name}: median of {ROUNDS}", args.preset))?;
    term::say(format!("  {:>10.3} s cached, {:.2} images/s", cached, n as f64 / cached))?;
    term::say(format!("  {whole:>10.3} s naive: {size} times {naive:.5} s, of {pixels} pixels"))?;
    term::say(format!("  {:>10.1} times as fast", whole / cached))
}
