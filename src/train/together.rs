//! A run of several ranks. The first one does all that a run does; the others are told what it trains
//! and from where, and then take its steps, each with its own part of every batch.

use super::batches::Images;
use super::images::images;
use super::run::{Hooks, TrainError};
use super::step_runner::StepRunner;
use super::{Config, Session, SessionError};
use crate::choices::Choices;
use crate::data::{self, Identity, Order};
use crate::graph::Shard;
use crate::program::{Device, DeviceError, Together, speak};
use crate::ranks::RankError;
use serde::{Deserialize, Serialize};
use std::ops::Range;
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

/// Whether any rank is to stop.
pub(super) fn is_to_stop(together: Option<&Together>, mine: bool) -> Result<bool, RankError> {
    together.map_or(Ok(mine), |together| speak(together).any(mine))
}

/// Takes the steps of a run that another rank does all else of, as one of its ranks, and tells whether
/// it was stopped before its end. Images are read from where the first rank reads them.
///
/// # Errors
/// One sentence. The other ranks are told why this one ends.
pub fn take_part(together: Together, device: Device, hooks: &Hooks) -> Result<bool, TrainError> {
    let taken = steps(&together, device, hooks);
    if let Err(error) = &taken {
        speak(&together).leave(&error.to_string());
    }
    taken
}

fn steps(together: &Together, device: Device, hooks: &Hooks) -> Result<bool, TrainError> {
    let invitation = speak(together).of_first(&[])?;
    let words = speak(together).of_first(&[])?;
    let Invitation { limn, config, identity, steps, device: name, choices, states } =
        serde_json::from_slice(&invitation)
            .map_err(|e| SessionError::Config(format!("no invitation to train: {e}")))?;
    if limn != env!("CARGO_PKG_VERSION") {
        let own = env!("CARGO_PKG_VERSION");
        return Err(SessionError::Config(format!("rank 0 runs limn {limn}, and this rank {own}")).into());
    }
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
    let mut stage: Option<StepRunner> = None;
    for step in steps.clone() {
        if is_to_stop(Some(together), hooks.stop.load(Ordering::Relaxed))? {
            return Ok(true);
        }
        let mut now = match stage.take() {
            Some(stage) if step < stage.end => stage,
            earlier => {
                drop(earlier);
                session.go_to(step)?;
                StepRunner::new(&mut session, &images, step..steps.end)?
            }
        };
        now.step(false).map_err(SessionError::Config)?;
        stage = Some(now);
    }
    if let Some(mut stage) = stage {
        stage.wait()?;
    }
    Ok(false)
}

impl From<RankError> for TrainError {
    fn from(e: RankError) -> Self {
        DeviceError::from(e).into()
    }
}
