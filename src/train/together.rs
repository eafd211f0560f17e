//! A run of several ranks. The first one does all that a run does; the others are told what it trains
//! and from where, and then take its steps, each with its own part of every batch.

use super::batches::Images;
use super::images::images;
use super::run::{Hooks, TrainError};
use super::step_runner::StepRunner;
use super::{Config, Session, SessionError};
use crate::choices::Choices;
use crate::data::{self, Identity, Order, Split};
use crate::graph::Shard;
use crate::program::{Device, DeviceError, Together, speak};
use crate::ranks::{Pause, RankError};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the first rank tells the others before the first step.
#[derive(Serialize, Deserialize)]
struct Invitation {
    /// Its version of limn.
    limn: String,
    config: Config,
    identity: Identity,
    /// The steps to take.
    steps: Range<u64>,
    /// Its device, and the variants that kernels take there.
    device: String,
    choices: Option<Choices>,
    /// Names and lengths of the states that follow.
    states: Vec<(String, usize)>,
}

impl Session {
    /// Makes its training steps those of one of several ranks.
    pub(super) fn share(&mut self, together: &Together, synchronised: bool) {
        let ranks = speak(together);
        self.shard = Shard { rank: ranks.rank(), ranks: ranks.count(), synchronised, ..self.shard };
        drop(ranks);
        self.store.join(together.clone());
    }
}

/// Tells the other ranks what is trained, and has them begin with the states of this one.
pub(super) fn invite(
    session: &Session,
    config: &Config,
    identity: &Identity,
    steps: Range<u64>,
) -> Result<(), TrainError> {
    let Some(together) = session.store.together() else { return Ok(()) };
    let (mut states, mut words) = (Vec::new(), Vec::new());
    for name in session.store.names() {
        let state = session.store.read(name)?;
        states.push((name.to_string(), state.len()));
        words.extend(state);
    }
    let invitation = Invitation {
        limn: env!("CARGO_PKG_VERSION").into(),
        config: config.clone(),
        identity: identity.clone(),
        steps,
        device: session.store.device().name(),
        choices: session.choices.clone(),
        states,
    };
    let invitation = serde_json::to_vec(&invitation).map_err(|e| SessionError::Config(e.to_string()))?;
    let mut ranks = speak(together);
    ranks.of_first(&invitation)?;
    ranks.of_first(bytemuck::cast_slice(&words))?;
    Ok(())
}

/// What is done next. The others say that they take a step, and do what the first one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A step, if none is to stop.
    Step,
    /// Pictures of samples, and of what else the model can do; figures of test images. Only where all
    /// ranks know how.
    Draw,
    View,
    Measure,
    /// Nothing more.
    End,
}

impl Next {
    const ALL: [Next; 5] = [Next::Step, Next::Draw, Next::View, Next::Measure, Next::End];
}

/// What the ranks agree on between two steps.
pub(super) struct Agreed {
    /// Whether any of them is to stop.
    pub stop: bool,
    /// What the first one does next, of how many images, and whether all of them can.
    pub next: Next,
    pub images: usize,
    pub all: bool,
}

/// Tells the others whether this rank is to stop, and what it does next; hears what they say.
pub(super) fn agree(together: &Together, hooks: &Hooks, next: Next, images: usize) -> Result<Agreed, RankError> {
    let able = [true, hooks.sampler.is_some(), hooks.views.is_some(), hooks.evaluate.is_some(), true];
    let able = able.iter().enumerate().fold(0, |bits, (k, able)| bits | u8::from(*able) << k);
    let said = [&[u8::from(hooks.stop.load(Ordering::Relaxed)), next as u8, able][..], &images.to_ne_bytes()].concat();
    let all = speak(together).gather(&said)?;
    let next = all[0].get(1).and_then(|next| Next::ALL.get(usize::from(*next))).copied().unwrap_or(Next::End);
    let images = all[0].get(3..).and_then(|images| images.try_into().ok()).map_or(0, usize::from_ne_bytes);
    Ok(Agreed {
        stop: all.iter().any(|said| said.first() == Some(&1)),
        next,
        images,
        all: all.iter().all(|said| said.get(2).is_some_and(|able| able >> next as u8 & 1 == 1)),
    })
}

/// Has other ranks wait for this one while it is at something that may take long.
pub(super) fn pause(together: Option<&Together>) -> Option<Pause> {
    together.map(|together| speak(together).pause())
}

/// Takes the steps of a run that another rank does all else of, as one of its ranks, and tells whether
/// it was stopped before its end. Images are read from where the first rank reads them. Where all
/// ranks have the same `sampler`, `views` or `evaluate` among their hooks, they share that work, too;
/// no other hooks are called but `stop`.
///
/// # Errors
/// One sentence. The other ranks are told why this one ends.
pub fn take_part(together: Together, device: Device, hooks: Hooks) -> Result<bool, TrainError> {
    let taken = steps(&together, device, hooks);
    if let Err(error) = &taken {
        speak(&together).leave(&error.to_string());
    }
    taken
}

fn steps(together: &Together, device: Device, mut hooks: Hooks) -> Result<bool, TrainError> {
    let invitation = speak(together).of_first(&[])?;
    let words = speak(together).of_first(&[])?;
    let Invitation { limn, config, identity, steps, device: name, choices, states } =
        serde_json::from_slice(&invitation)
            .map_err(|e| SessionError::Config(format!("no invitation to train: {e}")))?;
    if limn != env!("CARGO_PKG_VERSION") {
        let own = env!("CARGO_PKG_VERSION");
        return Err(SessionError::Config(format!("rank 0 runs limn {limn}, and this rank {own}")).into());
    }
    let pausing = pause(Some(together));
    let t = &config.train;
    let mut session = Session::new(&config.model, &config.optimizer(), t.seed, device)?;
    session.recompute = t.recompute;
    session.shard.parts = t.accumulate;
    session.choices = choices.filter(|_| session.store.device().name() == name);
    let mut words: &[f32] = &bytemuck::pod_collect_to_vec::<u8, f32>(&words);
    for (name, len) in states {
        let (state, rest) = words.split_at_checked(len).unwrap_or_default();
        session.store.write(&name, state)?;
        words = rest;
    }
    session.share(together, t.sync_batch_norm);
    session.go_to(steps.start)?;
    let options = data::Options { range: config.data.range, ..hooks.reading.options.clone() };
    let dataset = images(&config.data.source, session.model.as_ref(), &options)?;
    identity.require(&dataset.identity, &config.data.source)?;
    let images = Images {
        order: Arc::new(Order::new(dataset.train.len(), t.batch, t.seed)?),
        split: Arc::new(dataset.train),
        per_step: session.model.batches_per_step() as u64,
        labelled: session.model.classes() > 0,
        shard: session.shard,
    };
    let mut stage = Some(StepRunner::new(&mut session, &images, steps.clone())?);
    drop(pausing);
    let mut step = steps.start;
    let mut stopped = false;
    loop {
        let agreed = agree(together, &hooks, Next::Step, 0)?;
        match agreed.next {
            Next::End => return Ok(stopped),
            Next::Step if agreed.stop || step >= steps.end => stopped = agreed.stop,
            Next::Step => {
                let mut now = match stage.take() {
                    Some(stage) if step < stage.end => stage,
                    earlier => {
                        let _pausing = pause(Some(together));
                        drop(earlier);
                        session.go_to(step)?;
                        StepRunner::new(&mut session, &images, step..steps.end)?
                    }
                };
                now.step(false).map_err(SessionError::Config)?;
                stage = Some(now);
                step += 1;
            }
            next if agreed.all => {
                let _pausing = pause(Some(together));
                stage.as_mut().map_or(Ok(()), StepRunner::wait)?;
                session.go_to(step)?;
                session.share_work(Some(together.clone()));
                session.with_averages(|session| {
                    lend_a_hand(session, (&dataset.test, &dataset.name), &mut hooks, next, agreed.images)
                });
                session.share_work(None);
            }
            _ => {}
        }
    }
}

/// Does this rank's part of what the first one makes. What fails in it the first rank is told, and says.
fn lend_a_hand(session: &mut Session, (test, data): (&Split, &str), hooks: &mut Hooks, next: Next, images: usize) {
    // The first rank writes.
    let nowhere = Path::new("");
    match (next, hooks) {
        (Next::Draw, Hooks { sampler: Some(sampler), .. }) => drop(sampler(session, images, nowhere)),
        (Next::View, Hooks { views: Some(views), .. }) => drop(views(session, test, nowhere)),
        (Next::Measure, Hooks { evaluate: Some(evaluate), .. }) => drop(evaluate(session, test, data, images)),
        _ => {}
    }
}

impl From<RankError> for TrainError {
    fn from(e: RankError) -> Self {
        DeviceError::from(e).into()
    }
}
