//! `limn profile`: where the time of a training step goes.

use super::{DeviceArg, Error, PrecisionArg, Setting, SettingsArg, TuneArg, device, report, setting, term, tune};
use crate::bench::Roof;
use crate::kernels::Precision;
use crate::train::{self, Config, KernelTime, Profile, RunDir, Session, StepProfile};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `limn profile`. A run folder keeps its profile as `profile.json`; a profile that was
/// saved stands where a preset does.
#[derive(clap::Args, Debug)]
pub struct ProfileArgs {
    #[command(flatten)]
    of: SettingsArg,
    /// Steps to average over
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Compare with another preset, file, run folder or saved profile, or with the same step after
    /// a change: device=D, precision=mixed, or a setting such as train.batch=64
    #[arg(long, value_name = "B|KEY=VALUE")]
    against: Option<String>,
    /// Keep the profile, to look at or compare with later
    #[arg(long, value_name = "FILE.json")]
    save: Option<PathBuf>,
    /// Write a trace of one step for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    trace: Option<PathBuf>,
    /// One JSON object per launch, or with --against per kernel and part of the model
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    tune: TuneArg,
    #[command(flatten)]
    precision: PrecisionArg,
}

/// What is profiled, and on what.
struct Step {
    what: String,
    set: Vec<Setting>,
    device: Option<String>,
    precision: Option<Precision>,
}

/// Times every launch of a training step.
pub fn profile(args: &ProfileArgs) -> Result<(), Error> {
    super::usage::refuse_idle(&args.of.set)?;
    let step = Step {
        what: args.of.preset.clone(),
        set: args.of.set.clone(),
        device: args.device.device.clone(),
        precision: args.precision.precision,
    };
    if let Some(other) = &args.against {
        let other = step.changed(other)?;
        let ours = step.table(args)?;
        if let Some(path) = &args.save {
            saved(&ours, path)?;
        }
        return compare(&ours, &other.table(args)?, args.json);
    }
    if let Some(path) = step.saved() {
        for (given, flag) in [(args.trace.is_some(), "--trace"), (args.save.is_some(), "--save")] {
            if given {
                let words = format!("{} is a profile that was saved, {flag} is for one that is taken", path.display());
                return Err(Error::new(words));
            }
        }
        let table = read(path)?;
        return if args.json { objects(&table) } else { tell(&table) };
    }
    let (profile, table) = step.measure(args)?;
    if let Some(path) = &args.trace {
        let written = profile.trace.write(path);
        written.map_err(|e| Error::new(format!("the trace {} could not be written: {e}", path.display())))?;
    }
    if let Some(path) = &args.save {
        saved(&table, path)?;
    }
    if !args.json {
        return tell(&table);
    }
    profile.rows.iter().try_for_each(|row| {
        let mut object = serde_json::to_value(row)?;
        object["share"] = term::number(table.ceilings.share(row.cost, row.arithmetic, row.ms));
        object["step_ms"] = term::number(table.step_ms);
        term::say(object)
    })
}

impl Step {
    /// The file of a profile that it is.
    fn saved(&self) -> Option<&Path> {
        let path = Path::new(&self.what);
        path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")).then_some(path)
    }

    /// What `--against` names: something else to profile, or a change.
    fn changed(&self, other: &str) -> Result<Step, Error> {
        let Step { what, mut set, mut device, mut precision } =
            Step { what: self.what.clone(), set: self.set.clone(), device: self.device.clone(), ..*self };
        let Some((key, value)) = other.split_once('=').filter(|_| !Path::new(other).exists()) else {
            return Ok(Step { what: other.into(), set, device, precision });
        };
        if self.saved().is_some() {
            let why = format!("{what} is a profile that was saved, in which {key} cannot be changed any more");
            return Err(Error::new(format!("{why}; compare it with a preset or another file")));
        }
        match key {
            "device" => device = Some(value.into()),
            "precision" => {
                precision = Some(super::variant(value).map_err(|why| Error::new(format!("{other}: {why}")))?)
            }
            _ => set.push(setting(other).map_err(|why| Error::new(format!("--against {other}: {why}")))?),
        }
        Ok(Step { what, set, device, precision })
    }

    fn config(&self, args: &ProfileArgs) -> Result<Config, Error> {
        // What --against changes is said later than --batch.
        let own = self.set.iter().skip(args.of.set.len()).any(|s| s.key == "train.batch");
        super::config(&self.what, args.of.batch.filter(|_| !own), &self.set)
    }

    /// Its times, taken now or before.
    fn table(&self, args: &ProfileArgs) -> Result<StepProfile, Error> {
        match self.saved() {
            Some(path) => read(path),
            None => Ok(self.measure(args)?.1),
        }
    }

    fn measure(&self, args: &ProfileArgs) -> Result<(Profile, StepProfile), Error> {
        let config = self.config(args)?;
        let precision = self.precision.unwrap_or(config.train.precision);
        let device = device::open_to_compute(self.device.as_deref(), precision)?;
        let mut session = Session::new(&config.model, &config.optimizer(), config.train.seed, device)?;
        session.recompute = config.train.recompute;
        session.shard.parts = config.train.accumulate;
        let mut tuner = tune::tuner(args.tune, session.store.device());
        tune::tune(&mut session, config.train.batch, 1, tune::ONCE, tuner.as_mut())?;
        let profile = train::profile(&mut session, config.train.batch, args.steps as usize)?;
        let gpu = session.store.device().gpu();
        let roof = Roof::measure(gpu)?.above(gpu, |roof| StepProfile::highest(&profile, roof))?;
        let names = [self.what.clone(), session.store.device().name(), precision.to_string()];
        let table = StepProfile::new(&profile, roof, names, config.train.batch);
        let dir = Path::new(&self.what);
        if dir.is_dir() {
            saved(&table, &dir.join(StepProfile::FILE))?;
            report::renew(&RunDir::open(dir)?, None);
        }
        Ok((profile, table))
    }
}

fn read(path: &Path) -> Result<StepProfile, Error> {
    StepProfile::read(path)
        .map_err(|e| Error::new(format!("{} is no profile that limn profile --save has written: {e}", path.display())))
}

fn saved(table: &StepProfile, path: &Path) -> Result<(), Error> {
    let written = table.save(path);
    written.map_err(|e| Error::new(format!("the profile {} could not be written: {e}", path.display())))
}

/// Every kernel of a profile that was saved.
fn objects(table: &StepProfile) -> Result<(), Error> {
    table.kernels.iter().try_for_each(|kernel| term::say(serde_json::to_string(kernel)?))
}

/// Parts of the model in a cell of a table.
fn parts(parts: &[&str]) -> String {
    match parts {
        few if few.len() < 3 => few.join(" "),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => String::new(),
    }
}

/// A line for every kernel, shape and variant, the longest first.
fn tell(table: &StepProfile) -> Result<(), Error> {
    let mut groups: BTreeMap<[&str; 3], Vec<&KernelTime>> = BTreeMap::new();
    for kernel in &table.kernels {
        groups.entry([&kernel.name, &kernel.shape, &kernel.variant]).or_default().push(kernel);
    }
    let sum = |all: &[&KernelTime]| all.iter().map(|kernel| kernel.ms).sum::<f64>();
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| sum(&b.1).total_cmp(&sum(&a.1)));
    let head = ["ms", "of step", "times", "GFLOP/s", "GB/s", "ceiling", "kernel", "part"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for ([kernel, shape, variant], all) in groups {
        let ms = sum(&all);
        // Rates and shares of more of the same, by the time they take.
        let mean = |of: fn(&KernelTime) -> f64| all.iter().map(|k| of(k) * k.ms).sum::<f64>() / ms.max(1e-12);
        let count: usize = all.iter().map(|kernel| kernel.count).sum();
        let names: Vec<&str> = all.iter().map(|kernel| kernel.part.as_str()).collect();
        rows.push(vec![
            format!("{ms:.3}"),
            format!("{:.1}%", 100.0 * ms / table.launches_ms.max(1e-9)),
            count.to_string(),
            format!("{:.2}", mean(|k| k.gflops)),
            format!("{:.2}", mean(|k| k.gbs)),
            format!("{:.1}%", 100.0 * mean(|k| k.share)),
            format!("{kernel} {shape} [{variant}]"),
            parts(&names),
        ]);
    }
    term::say(format!("{}, batch {}, on {}, {} precision", table.of, table.batch, table.device, table.precision))?;
    term::table(&rows).iter().try_for_each(term::say)?;
    let how = match table.clock.as_str() {
        "timestamps" => "the device's timestamps",
        "differences" => "running each again and again, as it has no timestamps that hold",
        _ => "the clock around each",
    };
    let launches: usize = table.kernels.iter().map(|kernel| kernel.count).sum();
    term::say(format!("{:.3} ms in {launches} launches, by {how}", table.launches_ms))?;
    term::say(format!("{:.3} ms a step to its end, when nothing in it is timed (median)", table.step_ms))?;
    let Roof { gflops, gbps, .. } = table.ceilings;
    let above = table.kernels.iter().filter(|k| k.share > 1.0 && k.ms > 0.01 * table.launches_ms).count();
    if above > 0 {
        term::note(format!("{above} kernels stand above the ceilings: another program disturbed them, try again"));
    }
    term::say(format!("ceilings: {gflops:.1} GFLOP/s, {gbps:.1} GB/s, more of what caches hold (limn bench roof)"))
}

/// The n-th kernel of a name in a part of the model, in both; the shapes may differ.
type Pair<'a> = [Option<&'a KernelTime>; 2];

fn pairs<'a>(a: &'a StepProfile, b: &'a StepProfile) -> Vec<Pair<'a>> {
    let mut places: Vec<((&str, &str, usize), Pair)> = Vec::new();
    for (side, table) in [a, b].into_iter().enumerate() {
        let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for kernel in &table.kernels {
            let (part, name) = (kernel.part.as_str(), kernel.name.as_str());
            let nth = seen.entry((part, name)).or_default();
            let place = (part, name, *nth);
            *nth += 1;
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, pair)) => pair[side] = Some(kernel),
                None => {
                    let mut pair = [None; 2];
                    pair[side] = Some(kernel);
                    places.push((place, pair));
                }
            }
        }
    }
    let mut pairs: Vec<Pair> = places.into_iter().map(|(_, pair)| pair).collect();
    let ms = |kernel: Option<&KernelTime>| kernel.map_or(0.0, |kernel| kernel.ms);
    pairs.sort_by(|[a, b], [c, d]| (ms(*d) - ms(*c)).abs().total_cmp(&(ms(*b) - ms(*a)).abs()));
    pairs
}

/// A line for every kernel, the largest difference first.
fn compare(a: &StepProfile, b: &StepProfile, json: bool) -> Result<(), Error> {
    let pairs = pairs(a, b);
    if json {
        let object = |[a, b]: &Pair| {
            let either = a.or(*b)?;
            let ratio = a.zip(*b).map(|(a, b)| term::number(b.ms / a.ms));
            Some(json!({ "part": either.part, "kernel": either.name, "a": a, "b": b, "ratio": ratio }))
        };
        pairs.iter().filter_map(object).try_for_each(term::say)?;
        let steps = json!({ "part": "step", "a_ms": a.step_ms, "b_ms": b.step_ms, "ratio": term::number(b.step_ms / a.step_ms) });
        return term::say(steps);
    }
    for (name, table) in [("A", a), ("B", b)] {
        let StepProfile { of, batch, device, precision, .. } = table;
        term::say(format!("{name}: {of}, batch {batch}, on {device}, {precision} precision"))?;
    }
    let ratio = |a: f64, b: f64| format!("{:.2}", b / a);
    let head = ["A ms", "B ms", "B/A", "A ceiling", "B ceiling", "kernel", "part"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for pair in pairs {
        let of = |what: fn(&KernelTime) -> String| pair.map(|side| side.map_or_else(|| "-".into(), what));
        let [[a_ms, b_ms], [a_share, b_share]] =
            [of(|k| format!("{:.3}", k.ms)), of(|k| format!("{:.1}%", 100.0 * k.share))];
        let both = match pair {
            [Some(a), Some(b)] => ratio(a.ms, b.ms),
            _ => "-".into(),
        };
        let told = |k: &KernelTime| format!("{} [{}]", k.shape, k.variant);
        let kernel = match pair {
            [Some(a), Some(b)] if told(a) == told(b) => format!("{} {}", a.name, told(a)),
            [Some(a), Some(b)] if a.shape == b.shape => {
                format!("{} {} [{}, {}]", a.name, a.shape, a.variant, b.variant)
            }
            [Some(a), Some(b)] => format!("{} {}, B {}", a.name, told(a), told(b)),
            [one, other] => one.or(other).map_or_else(String::new, |k| format!("{} {}", k.name, told(k))),
        };
        let part = pair[0].or(pair[1]).map_or_else(String::new, |k| k.part.clone());
        rows.push(vec![a_ms, b_ms, both, a_share, b_share, kernel, part]);
    }
    term::table(&rows).iter().try_for_each(term::say)?;
    for (what, a, b) in [("launches", a.launches_ms, b.launches_ms), ("a step", a.step_ms, b.step_ms)] {
        term::say(format!("{what}: A {a:.3} ms, B {b:.3} ms, B/A {}", ratio(a, b)))?;
    }
    Ok(())
}
