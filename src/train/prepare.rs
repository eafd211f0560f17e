//! All that is done before a run's first step: nothing is made or changed until it is known that
//! there will be one.

use super::batches::{Images, Passes};
use super::checkpoint;
use super::claim::{self, Claim};
use super::folder::{RunDir, RunError};
use super::follow::{self, Fitted, fitted};
use super::going_on::GoingOn;
use super::health::Health;
use super::images::images;
use super::initial::{self, Initial};
use super::log::Log;
use super::logs::Followers;
use super::losses::Losses;
use super::metrics::Metrics;
use super::pace::Pace;
use super::provenance::{Provenance, Sitting};
use super::recent::Recent;
use super::run::{Hooks, Phase, Start, TrainError, Tune};
use super::step_runner::StepRunner;
use super::stopwatch::Stopwatch;
use super::testing::Testing;
use super::together;
use super::tracing::Tracing;
use super::turns::Turns;
use super::under_way::Loop;
use super::{Config, Session};
use crate::choices::Choices;
use crate::data::{self, Dataset, Identity, Order, Split};
use crate::graph::Shard;
use crate::kernels::Precision;
use crate::models::Model;
use crate::program::Device;
use crate::tune;
use crate::words::count;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A run that is ready to take its next step.
pub(super) struct Prepared {
    origin: Origin,
    config: Config,
    session: Session,
    /// What it was started from.
    initial: Option<Initial>,
    stage: StepRunner,
    images: Images,
    /// What the images are, what they are called, whether those to test on were held out, and what is
    /// to be said of them.
    data: (Identity, String, bool, Vec<String>),
    /// Images to test on.
    test: Split,
    tuned: Option<tune::Report>,
    passes: Passes,
    /// The steps to take.
    steps: Range<u64>,
}

/// Where it comes from.
enum Origin {
    /// It is new, goes into the first of these if one is named, and starts from the weights in the
    /// second.
    New(Option<PathBuf>, Option<PathBuf>),
    /// It goes on.
    Resumed(Box<GoingOn>),
}

impl Prepared {
    /// Reads settings, images and checkpoint, chooses variants, and makes the first steps ready.
    pub(super) fn new(start: Start, device: Device, hooks: &mut Hooks) -> Result<Prepared, TrainError> {
        let (mut config, mut model, mut origin) = match start {
            Start::New { mut config, out, init } => {
                let model = config.validate()?;
                if config.train.ema > 0.0 {
                    config.train.ema_warm_up.get_or_insert(true);
                }
                let resolved = |out: PathBuf| claim::resolve(&out).map_err(RunError::io("create", &out));
                let out = out.map(resolved).transpose()?;
                out.as_deref().map_or(Ok(()), claim::look)?;
                (config, model, Origin::New(out, init))
            }
            Start::Resume(resume) => {
                let lock = RunDir::open(&resume.dir)?.lock()?;
                let going = GoingOn::new(resume, lock)?;
                let (mut config, model) = going.config()?;
                config.data.source = hooks.reading.moved.clone().unwrap_or(config.data.source);
                (config, model, Origin::Resumed(Box::new(going)))
            }
        };
        config.train.precision = device.precision();
        hooks.preparing("reading the images");
        let (dataset, fitted) = open_data(&mut config, model.as_ref(), matches!(origin, Origin::New(..)), hooks)?;
        let Dataset { name, train, test, held_out, identity, mut warnings, .. } = dataset;
        if let Some(fitted) = fitted {
            warnings.extend(config.shrink_batch(train.len())?);
            model = fitted;
        }
        if let Origin::Resumed(going) = &origin
            && let Some(was) = going.run.identity()?.filter(|_| !hooks.reading.changed)
        {
            was.require(&identity, &name)?;
        }
        hooks.preparing("making the model");
        let mut session = Session::of(model, &config.model, &config.optimizer(), config.train.seed, device)?;
        session.recompute = config.train.recompute;
        session.shard.parts = config.train.accumulate;
        if let Some(together) = &hooks.ranks {
            session.share(together, config.train.sync_batch_norm);
        }
        going(hooks)?;
        let per_step = session.model.batches_per_step() as u64;
        let order = Order::new(train.len(), config.train.batch, config.train.seed)?;
        let by_epochs = config.train.steps.is_none();
        let more = match &origin {
            Origin::Resumed(going) => going.passes_more(config.train.batch, train.len(), per_step),
            Origin::New(..) => 0,
        };
        let passes = Passes { batches: order.steps_per_epoch(), more };
        let total = config.settle(passes, per_step);
        config.check()?;
        session.optim = config.optimizer();
        if let Origin::New(..) = origin {
            warnings.extend(follow::few(&config, session.model.as_ref(), train.len(), total, by_epochs));
        }
        let (mut initial, mut loaded) = (None, false);
        let step = match &mut origin {
            Origin::Resumed(going) => {
                let step = going.load(&mut session, &config, (&order, train.len()), per_step)?;
                if step >= total {
                    return Err(TrainError::Complete { dir: going.run.path.clone(), step });
                }
                loaded = going.loaded;
                step
            }
            Origin::New(_, None) => 0,
            Origin::New(_, Some(file)) => {
                initial = Some(initial::start_from(file, &mut session).map_err(RunError::from)?);
                loaded = true;
                0
            }
        };
        session.go_to(step)?;
        let tuned = choose(&mut session, config.train.batch, total, &origin, hooks.tune.as_deref_mut())?;
        going(hooks)?;
        session.check_later(config.train.batch, total)?;
        let labelled = session.model.classes() > 0;
        hooks.preparing("compiling the training step");
        let images =
            Images { split: Arc::new(train), order: Arc::new(order), per_step, labelled, shard: session.shard };
        if step == 0 && !loaded {
            session.initialise(config.train.batch, &images.words(0))?;
        }
        let stage = StepRunner::new(&mut session, &images, step..total)?;
        let steps = step..total;
        together::invite(&session, &config, &identity, steps.clone())?;
        let data = (identity, name, held_out, warnings);
        Ok(Prepared { origin, config, session, initial, stage, images, data, test, tuned, passes, steps })
    }

    /// The same, once more on the device opened anew where that is lost meanwhile; and whether it was. Nothing has been
    /// made or changed by then.
    pub(super) fn outlasting_a_loss(
        start: Start,
        device: Device,
        hooks: &mut Hooks,
    ) -> Result<(Prepared, bool), TrainError> {
        let error = match Prepared::new(start.clone(), device.clone(), hooks) {
            Ok(prepared) => return Ok((prepared, false)),
            Err(error) => error,
        };
        // Other ranks would begin without this one.
        let Some(fresh) = device.anew().filter(|_| hooks.ranks.is_none()) else { return Err(error) };
        let mut prepared = Prepared::new(start, fresh, hooks)?;
        prepared.data.3.push(format!("{error}; the device was opened anew"));
        Ok((prepared, true))
    }

    /// Makes the run's folder, or takes it up again, and says what the run is.
    pub(super) fn begin(self, mut hooks: Hooks) -> Result<Loop, TrainError> {
        let Prepared { origin, config, session, initial, stage, images, data, test, tuned, passes, steps } = self;
        (hooks.phase)(Phase::Training);
        going(&hooks)?;
        let unfinished = match &origin {
            Origin::Resumed(going) => going.unfinished(steps.start),
            Origin::New(..) => None,
        };
        let (run, lock, remarks) = match origin {
            Origin::Resumed(going) => going.go_on(config, &session, steps.start)?,
            Origin::New(out, _) => {
                let claim = match &out {
                    Some(out) => Claim::of(out)?,
                    None => Claim::fresh(Path::new("runs"), &config.name_or_kind())?,
                };
                let begun = Sitting::now(session.store.device(), session.choices.as_ref(), 0, Vec::new());
                let begun = Sitting { initial: initial.clone(), ranks: session.shard.ranks, ..begun };
                let provenance = Provenance { sittings: vec![begun] };
                let batch = config.train.batch;
                // A run that is stopped before its next checkpoint would begin with others.
                let begin = |file: &Path| match initial {
                    Some(_) => checkpoint::save(file, &session, 0, batch),
                    None => Ok(()),
                };
                let (run, lock) = RunDir::create(config, claim, session.choices.as_ref(), &provenance, begin)?;
                (run, lock, Vec::new())
            }
        };
        let (identity, name, held_out, warnings) = data;
        run.keep_identity(&identity)?;
        let mut log = Log::open(&run.log(), hooks.watch.take())?;
        warnings.iter().for_each(|w| log.say(w));
        let geometry = session.model.images().medium.describe(images.split.geometry);
        let apart = if held_out { "held out for testing, never trained on" } else { "to test on" };
        let data = format!("{name}, {} images of {geometry} ({} more {apart})", images.split.len(), test.len());
        introduce(&mut log, &run, &session, &data, steps.clone());
        initial.iter().flat_map(Initial::lines).for_each(|line| log.say(&line));
        tuned.iter().flat_map(tune::Report::lines).for_each(|line| log.say(&line));
        let Range { start: step, end: total } = steps;
        let names = session.model.losses();
        let (metrics, missing) = Metrics::open(&run.metrics(), names, step)?;
        remarks.iter().chain(&missing).for_each(|remark| log.say(remark));
        let followers = Followers::open(&run, hooks.logs, step)?;
        let every = run.config.train.eval_every;
        let size = [step, total, images.batch() as u64 * images.per_step];
        let testing = Some(Testing::new(&run, (test.clone(), name), every, size)?);
        let watch = Stopwatch::new(metrics.seconds);
        let losses = Losses::new(session.store.ring("history")?, names.len(), step, watch.now());
        let t = &run.config.train;
        let (health, pictures) =
            (Health::new(names, t.clip_norm > 0.0), Turns::new(t.sample_every, total, t.sample_every.is_none()));
        if let Some(watch) = log.watch() {
            watch.begin(&run, step, total);
        }
        let (saved, sampled) = ((step > 0 || initial.is_some()).then_some(step), None);
        let (stage, last) = (Some(stage), Vec::new());
        let device = session.store.device().name();
        let tracing = hooks.trace.as_ref().filter(|_| step < total).map(|t| Tracing::new(t, &device, step..total));
        Ok(Loop {
            run,
            _lock: lock,
            session,
            stage,
            images,
            test,
            drew: Duration::ZERO,
            followers,
            log,
            metrics,
            losses,
            recent: Recent::default(),
            health,
            spread: None,
            pictures,
            pace: Pace::new(),
            shown: Instant::now(),
            testing,
            watch,
            hooks,
            passes,
            unfinished,
            total,
            step,
            saved,
            by_time: false,
            saved_at: Instant::now(),
            sampled,
            last,
            tracing,
        })
    }
}

/// Refuses to go on with what comes before the first step once the run is to stop.
fn going(hooks: &Hooks) -> Result<(), TrainError> {
    if hooks.stop.load(Ordering::Relaxed) { Err(TrainError::Interrupted) } else { Ok(()) }
}

/// Chooses the variants of a session's kernels: those of the run that goes on, where it is on the
/// same device, else by measuring, if that is wanted.
fn choose(
    session: &mut Session,
    batch: usize,
    end: u64,
    origin: &Origin,
    tune: Option<&mut Tune>,
) -> Result<Option<tune::Report>, TrainError> {
    let Some(gpu) = session.store.device().gpu() else { return Ok(None) };
    let none = Choices::new(gpu.desc());
    session.choices = match origin {
        Origin::Resumed(going) => going.run.load_choices(session.store.device())?,
        Origin::New(..) => None,
    };
    match tune {
        Some(tune) if session.choices.is_none() => Ok(Some(tune(session, batch, end)?)),
        _ => {
            session.choices.get_or_insert(none);
            Ok(None)
        }
    }
}

/// Opens the images, and makes a path absolute so that `config.toml` works from any folder. The
/// model of a new run may become another one that follows them.
fn open_data(
    config: &mut Config,
    model: &dyn Model,
    is_new: bool,
    hooks: &Hooks,
) -> Result<(Dataset, Option<Box<dyn Model>>), TrainError> {
    let options = &hooks.reading.options;
    let (dataset, followed) = match is_new {
        true => {
            let Fitted { model, dataset } = fitted(config, options)?;
            (dataset, Some(model))
        }
        false => {
            let options = data::Options { range: config.data.range, ..options.clone() };
            let mut dataset = images(&config.data.source, model, &options)
                .map_err(|error| error.moved(hooks.reading.moved.is_some()))?;
            let said = follow::became(&dataset, None, &config.name_or_kind(), model, model.geometry());
            dataset.warnings.splice(0..0, said);
            (dataset, None)
        }
    };
    config.data.classes.clone_from(&dataset.classes);
    let source = &mut config.data.source;
    if !data::is_known(source)
        && let Ok(path) = std::path::absolute(&source)
        && let Some(path) = path.to_str()
    {
        *source = path.into();
    }
    Ok((dataset, followed))
}

/// What the run is, in a few lines.
fn introduce(log: &mut Log, run: &RunDir, session: &Session, data: &str, steps: Range<u64>) {
    let t = &run.config.train;
    let mixed = if t.precision == Precision::Mixed { " in mixed precision" } else { "" };
    let head = format!(
        "limn {}: {} ({} parameters) on {data}, batch {}, on {}{mixed}",
        env!("CARGO_PKG_VERSION"),
        run.config.name_or_kind(),
        count(session.model.parameters()),
        t.batch,
        session.store.device().name(),
    );
    log.say(&head);
    let verb = if steps.start == 0 { "steps" } else { "goes on with steps" };
    log.say(&format!("{verb} {} to {}, seed {}, in {}", steps.start + 1, steps.end, t.seed, run.path.display()));
    session.optim.average_in_words().iter().for_each(|words| log.say(words));
    let Shard { ranks, parts, synchronised, .. } = session.shard;
    if parts > 1 {
        let each = t.batch / session.shard.count();
        log.say(&format!("gradients add up over {parts} small batches of {each} images, with statistics of their own"));
    }
    if ranks > 1 {
        let statistics = if synchronised { "the whole batch" } else { "each rank's part of the batch" };
        log.say(&format!("{ranks} ranks, {} images each; statistics are those of {statistics}", t.batch / ranks));
    }
    if let Some(stage) = session.model.stage() {
        log.say(&format!("from step {}: {}", steps.start + 1, stage.name));
    }
}
