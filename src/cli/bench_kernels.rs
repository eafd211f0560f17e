//! `limn bench KERNEL…`: the time of every variant of some kernels, in the presets' shapes or one of
//! the user's own.

use super::bench::BenchArgs;
use super::bench_shape::{self, Direction};
use super::{Error, device, kernels_named, nearest, roofline, term};
use crate::bench::{self, Comparison, Roof};
use crate::check::{self, Example, Outcome};
use crate::files;
use crate::kernels::{Arithmetic, Class, Cost, Kernel, Recipe};
use crate::program::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// How long each variant is timed.
const SECONDS: f64 = 0.25;
/// The rounds in which that is done, each of which has a median of its own.
const ROUNDS: usize = 8;
/// The seed of inputs that are checked.
const SEED: u64 = 1;

/// The time of one variant at one shape.
#[derive(Clone, Debug)]
pub struct Row {
    /// Kernel name in the list of kernels.
    pub kernel: String,
    /// Its shapes.
    pub shape: String,
    /// What it is to the kernel that was named with a shape.
    direction: Option<&'static str>,
    /// A variant's name.
    pub variant: &'static str,
    /// What computes in it.
    pub arithmetic: Arithmetic,
    /// Median milliseconds of each round.
    rounds: Vec<f64>,
    /// Median milliseconds.
    pub ms: f64,
    /// Arithmetic and traffic.
    pub cost: Cost,
}

impl Row {
    /// 10⁹ operations a second.
    pub fn gflops(&self) -> f64 {
        self.cost.flops as f64 / self.ms / 1e6
    }

    /// 10⁹ bytes a second.
    pub fn gb_per_s(&self) -> f64 {
        self.cost.bytes as f64 / self.ms / 1e6
    }

    /// In JSON; a clock that saw no time pass gives rates that are no number.
    fn object(&self, device: &str, ceiling_share: f64) -> Value {
        let mut object = json!({
            "kernel": self.kernel, "shape": self.shape, "variant": self.variant, "device": device,
            "ms": term::number(self.ms), "gflops": term::number(self.gflops()),
            "gb_per_s": term::number(self.gb_per_s()), "ceiling_share": term::number(ceiling_share),
            "rounds_ms": self.rounds,
        });
        if let Some(direction) = self.direction {
            object["direction"] = direction.into();
        }
        object
    }

    fn kept(&self) -> Kept {
        Kept {
            kernel: self.kernel.clone(),
            shape: self.shape.clone(),
            variant: self.variant.into(),
            rounds_ms: self.rounds.clone(),
        }
    }
}

/// Times that were kept with `--save`.
#[derive(Serialize, Deserialize)]
pub(super) struct Baseline {
    device: String,
    precision: String,
    times: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    kernel: String,
    shape: String,
    variant: String,
    rounds_ms: Vec<f64>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Baseline, Error> {
        let read = files::read_small(path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        read.map_err(|e| Error::new(format!("{} holds no times that limn bench --save has kept: {e}", path.display())))
    }

    fn save(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)?;
        let saved = files::replace(path, |file| writeln!(file, "{text}"));
        saved.map_err(|e| Error::new(format!("cannot write {}: {e}", path.display())))
    }

    fn of(&self, row: &Row) -> Option<&Kept> {
        self.times.iter().find(|t| (&t.kernel, &t.shape, t.variant.as_str()) == (&row.kernel, &row.shape, row.variant))
    }
}

/// Kernels to time, and what each is called.
struct Job {
    name: String,
    direction: Option<&'static str>,
    kernel: Box<dyn Kernel>,
}

fn jobs(args: &BenchArgs) -> Result<Vec<Job>, Error> {
    let entries = kernels_named(&args.names)?;
    let Some(shape) = &args.shape else {
        let of = |entry: &crate::kernels::Entry| {
            let name = entry.name.to_string();
            let job = move |kernel| Job { name: name.clone(), direction: None, kernel };
            (entry.shapes)().into_iter().map(job).collect::<Vec<_>>()
        };
        return Ok(entries.iter().flat_map(of).collect());
    };
    let [entry] = &entries[..] else {
        return Err(Error::new("--shape is for one kernel, by its whole name: limn bench conv2d --shape \"...\""));
    };
    let job = |Direction { name, kernel }| {
        let own = name == "forward" || entry.name.ends_with("weight_grad");
        let name_of = if own { entry.name } else { kernel.signature().name };
        Job { name: name_of.into(), direction: Some(name), kernel }
    };
    Ok(bench_shape::kernels(entry, shape)?.into_iter().map(job).collect())
}

/// Times the kernels that were named.
pub fn kernels(args: &BenchArgs) -> Result<(), Error> {
    let jobs = jobs(args)?;
    let report = args.report.as_deref().map(roofline::Target::of).transpose()?;
    let baseline = args.baseline.as_deref().map(Baseline::read).transpose()?;
    let precision = args.precision.precision.unwrap_or_default();
    let device = device::open_to_compute(args.device.as_deref(), precision)?;
    let mut roof = Roof::measure(device.gpu())?;
    let mut progress = term::Progress::new();
    // The reference and software devices would take minutes for the largest.
    let software = device.caps().is_none_or(|caps| caps.class == Class::Lanes);
    let (mut left, mut again, mut rows, mut known) = (0, true, Vec::new(), Vec::new());
    let least = if args.shape.is_some() || args.save.is_some() || baseline.is_some() { ROUNDS } else { 1 };
    for job in &jobs {
        let kernel = job.kernel.as_ref();
        if software && args.shape.is_none() && !bench::for_software(kernel) {
            left += 1;
            continue;
        }
        let mut variants = Variants::of(&device, kernel)?;
        for name in variants.names() {
            if !known.contains(&name) {
                known.push(name);
            }
        }
        if let Some(wanted) = &args.variant {
            variants.keep(wanted);
        }
        if variants.names().is_empty() {
            continue;
        }
        progress.show(format!("{} {}", job.name, kernel.label()));
        if args.shape.is_some() {
            variants.check(&device, kernel)?;
        }
        for (variant, arithmetic, rounds) in variants.time(&device, kernel, least)? {
            let (cost, ms) = (kernel.cost(), bench::quantile(&mut rounds.clone(), 0.5));
            let (shape, direction) = (kernel.label(), job.direction);
            let row = Row { kernel: job.name.clone(), shape, direction, variant, arithmetic, rounds, ms, cost };
            let share = |roof: &Roof| roof.share(cost, arithmetic, ms);
            // Once is enough: what goes on standing above them has a clock to blame.
            if again && share(&roof) > 1.0 {
                (roof, again) = (roof.above(device.gpu(), share)?, false);
            }
            if args.json {
                progress.clear();
                let mut object = row.object(&device.name(), share(&roof));
                if let Some(baseline) = &baseline {
                    object["baseline"] = compared(baseline, &row).map_or(Value::Null, |c| {
                        json!({ "ratio": term::number(c.ratio), "low": term::number(c.interval[0]),
                            "high": term::number(c.interval[1]), "p": c.p, "beyond_noise": c.beyond_noise() })
                    });
                }
                term::say(object)?;
            }
            rows.push(row);
        }
        if let Device::Gpu(gpu) = &device {
            gpu.release_pipelines();
        }
    }
    progress.clear();
    if rows.is_empty()
        && let Some(wanted) = &args.variant
    {
        let hint = nearest(wanted, known.iter().copied());
        return Err(Error::new(format!("no variant that {} has is called \"{wanted}\"; {hint}", device.name())));
    }
    if left > 0 {
        term::note(format!("{left} shapes are so large that only GPUs are timed with them"));
    }
    if let Some(path) = &args.save {
        let times = rows.iter().map(Row::kept).collect();
        Baseline { device: device.name(), precision: precision.to_string(), times }.save(path)?;
    }
    if let Some(target) = report {
        target.write(&rows, &roof, &device.name())?;
    }
    if args.json { Ok(()) } else { tell(&rows, &roof, &device.name(), baseline.as_ref()) }
}

fn compared(baseline: &Baseline, row: &Row) -> Option<Comparison> {
    Comparison::of(&row.rounds, &baseline.of(row)?.rounds_ms)
}

fn tell(rows: &[Row], roof: &Roof, device: &str, baseline: Option<&Baseline>) -> Result<(), Error> {
    let mut head = vec!["kernel", "shape", "variant", "ms", "GFLOP/s", "GB/s", "ceiling"];
    if baseline.is_some() {
        head.extend(["ratio", "95 %", ""]);
    }
    if rows.iter().any(|row| row.direction.is_some()) {
        head.insert(1, "direction");
    }
    let mut table = vec![head.into_iter().map(String::from).collect::<Vec<_>>()];
    for row in rows {
        let share = format!("{:.1}%", 100.0 * roof.share(row.cost, row.arithmetic, row.ms));
        let rates = [row.gflops(), row.gb_per_s()].map(|rate| format!("{rate:.1}"));
        let mut cells = vec![row.kernel.clone()];
        cells.extend(row.direction.map(String::from));
        cells.extend([row.shape.clone(), row.variant.into(), format!("{:.4}", row.ms)]);
        cells.extend(rates.into_iter().chain([share]));
        if let Some(baseline) = baseline {
            cells.extend(match compared(baseline, row) {
                Some(c) => {
                    let [low, high] = c.interval;
                    let verdict = match (c.beyond_noise(), c.ratio < 1.0) {
                        (false, _) => "within noise",
                        (true, true) => "faster",
                        (true, false) => "slower",
                    };
                    [format!("{:.3}", c.ratio), format!("{low:.3}..{high:.3}"), verdict.into()]
                }
                None => ["-".into(), String::new(), "not in the baseline".into()],
            });
        }
        table.push(cells);
    }
    let Roof { gflops, gbps, .. } = roof;
    let held = if roof.cached.is_empty() { "" } else { ", more of what caches hold" };
    term::say(format!("on {device}; ceilings: {gflops:.1} GFLOP/s, {gbps:.1} GB/s{held} (limn bench roof)"))?;
    if let Some(baseline) = baseline.filter(|baseline| baseline.device != device) {
        term::note(format!("the baseline was taken on {}", baseline.device));
    }
    term::table(&table).iter().try_for_each(term::say)?;
    // In the digits that are shown.
    match rows.iter().filter(|row| roof.share(row.cost, row.arithmetic, row.ms) >= 1.0005).count() {
        0 => Ok(()),
        above => term::say(format!(
            "({above} above 100%: another program lowered the ceilings whenever they were measured; try again when none runs)"
        )),
    }
}

/// A variant, what computes in it, and the median milliseconds of each round.
type Times = (&'static str, Arithmetic, Vec<f64>);

/// The ways in which a device computes a kernel.
enum Variants {
    /// As it does.
    Own(&'static str),
    /// Recipes.
    Recipes(Vec<Recipe>),
}

impl Variants {
    fn of(device: &Device, kernel: &dyn Kernel) -> Result<Variants, Error> {
        Ok(match device {
            Device::Gpu(gpu) => Variants::Recipes(kernel.variants(gpu.caps())),
            Device::Cpu => Variants::Own("cpu"),
            Device::Reference => Variants::Own("reference"),
        })
    }

    fn names(&self) -> Vec<&'static str> {
        match self {
            Variants::Own("") => Vec::new(),
            Variants::Own(name) => vec![name],
            Variants::Recipes(recipes) => recipes.iter().map(|recipe| recipe.name).collect(),
        }
    }

    fn keep(&mut self, wanted: &str) {
        match self {
            Variants::Own(name) if *name != wanted => *name = "",
            Variants::Own(_) => {}
            Variants::Recipes(recipes) => recipes.retain(|recipe| recipe.name == wanted),
        }
    }

    /// Refuses to time what computes something else.
    fn check(&self, device: &Device, kernel: &dyn Kernel) -> Result<(), Error> {
        let name = kernel.signature().name;
        let outcomes: Vec<Outcome> = match (self, device) {
            (Variants::Recipes(recipes), Device::Gpu(gpu)) => {
                let example = Example::sampled(kernel, SEED);
                recipes.iter().map(|recipe| check::check_variant(gpu, name, kernel, recipe, &example)).collect()
            }
            (Variants::Own(_), Device::Cpu) => {
                vec![check::check_host_on(name, kernel, &Example::sampled(kernel, SEED))]
            }
            _ => Vec::new(),
        };
        match outcomes.into_iter().find_map(|outcome| Some((outcome.variant, outcome.failure?))) {
            Some((variant, why)) => {
                Err(Error::new(format!("{name} {} [{variant}] is not timed, as it is wrong: {why}", kernel.label())))
            }
            None => Ok(()),
        }
    }

    /// Median milliseconds of each round.
    fn time(&self, device: &Device, kernel: &dyn Kernel, least: usize) -> Result<Vec<Times>, Error> {
        let pace = bench::Rounds { seconds: SECONDS, least, most: ROUNDS };
        match (self, device) {
            (Variants::Recipes(recipes), Device::Gpu(gpu)) => {
                let time = |recipe: &Recipe| {
                    Ok((recipe.name, recipe.arithmetic(), bench::time_rounds(gpu, kernel, recipe, pace)?))
                };
                recipes.iter().map(time).collect()
            }
            (Variants::Own(name), device) => {
                let reference = matches!(device, Device::Reference);
                let rounds = bench::call_rounds(kernel, pace, |reads, writes| match reference {
                    true => kernel.cpu(reads, writes),
                    false => kernel.host(reads, writes),
                });
                Ok(vec![(name, Arithmetic::F32, rounds)])
            }
            (Variants::Recipes(_), _) => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_gaps_where_no_time_was_seen() {
        let (cost, rounds) = (Cost { flops: 8, bytes: 0 }, vec![0.0]);
        let (kernel, shape, variant, arithmetic) = ("copy".into(), "x[1]".into(), "cpu", Arithmetic::F32);
        let mut row = Row { kernel, shape, direction: None, variant, arithmetic, rounds, ms: 0.0, cost };
        let object = row.object("cpu", f64::NAN);
        assert!(object.as_object().unwrap().values().all(|value| !value.is_null()), "{object}");
        assert_eq!((&object["gflops"], &object["gb_per_s"]), (&json!("inf"), &json!("NaN")));
        row.ms = 2.0;
        assert_eq!(row.object("cpu", 0.5)["gflops"], json!(4e-6));
    }
}
