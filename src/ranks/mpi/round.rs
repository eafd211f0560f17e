//! A mean over ranks, or a gathering: who sends what to whom, and what is made of it.
//!
//! Every rank sends every other a first message that says what it does and with how many numbers.
//! What is short goes along, and each rank makes the whole of the mean itself: half of the waiting.
//! Of what is long each rank gets its own part from all of them, takes its mean, and sends that to
//! all: 2 (N - 1) / N of the numbers in place of N - 1. Both sum in the order of ranks.

use super::wire::{Arrived, Broken, Shared, Wire};
use crate::ranks::{RankError, SHORT, mean_in_order};
use bytemuck::{cast_slice, pod_collect_to_vec, try_cast_slice};
use std::borrow::Cow;
use std::ffi::c_int;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a first message's head: what is done, and with how many numbers.
const HEAD: usize = 16;

/// Bytes of the longest first message, which is never cut into pieces.
pub const FIRST: usize = HEAD + SHORT;

/// Rounds whose messages are told apart.
const ROUNDS: u64 = 4096;

/// The tag of the message with which a rank leaves; a round's are below it.
pub const LEAVING: c_int = 3 * ROUNDS as c_int;

/// The tag of the message that a rank is there, while it pauses.
pub const THERE: c_int = LEAVING + 1;

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    First,
    /// What a long message holds for whom it is sent to.
    Part,
    /// The mean of the sender's part.
    Mean,
}

/// What an incoming message is.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The round that it is part of.
    pub round: u64,
    what: What,
}

/// What is done together.
pub enum Work {
    Mean(Vec<f32>),
    Gather(Vec<u8>),
}

/// What came of it.
pub enum Done {
    Mean(Vec<f32>),
    Gather(Vec<Vec<u8>>),
}

/// Numbers as the bytes that are sent.
struct Floats(Vec<f32>);

impl AsRef<[u8]> for Floats {
    fn as_ref(&self) -> &[u8] {
        cast_slice(&self.0)
    }
}

/// What this rank gives.
enum Mine {
    Floats(Arc<Floats>),
    Bytes(Shared),
}

/// What is done together for one time.
pub struct Round {
    number: u64,
    rank: usize,
    count: usize,
    mine: Mine,
    /// What each other rank gives: all of it, or of a long mean this rank's part. None of this one.
    given: Vec<Option<Vec<u8>>>,
    /// Who has said what it does.
    heard: Vec<bool>,
    /// The mean of each part, once it is there.
    means: Vec<Option<Vec<u8>>>,
    /// The mean of this rank's part.
    own: Option<Arc<Floats>>,
}

impl Round {
    /// Begins what `rank` of `count` does in this round.
    pub fn begin(number: u64, [rank, count]: [usize; 2], work: Work, wire: &mut Wire<Key>) -> Result<Round, Broken> {
        let mine = match work {
            Work::Mean(values) => Mine::Floats(Arc::new(Floats(values))),
            Work::Gather(bytes) => Mine::Bytes(Arc::new(bytes)),
        };
        let none = || (0..count).map(|_| None).collect();
        let heard = (0..count).map(|other| other == rank).collect();
        let round = Round { number, rank, count, mine, given: none(), heard, means: none(), own: None };
        for from in round.others() {
            wire.receive(from, round.tag(What::First), FIRST, round.key(What::First))?;
        }
        let all = round.all();
        let short = if round.is_short() { (*all).as_ref() } else { &[] };
        let head = round.head();
        let first: Shared = Arc::new([&head[0].to_ne_bytes()[..], &head[1].to_ne_bytes(), short].concat());
        let length = (*first).as_ref().len();
        for to in round.others() {
            wire.send(to, round.tag(What::First), &first, 0..length)?;
        }
        if !round.is_short() {
            for to in round.others() {
                let bytes = match round.mine {
                    Mine::Floats(_) => round.part(to),
                    Mine::Bytes(_) => 0..(*all).as_ref().len(),
                };
                wire.send(to, round.tag(What::Part), &all, bytes)?;
            }
        }
        Ok(round)
    }

    /// The other ranks, each from its next on, so that not all of them begin with the same.
    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let (rank, count) = (self.rank, self.count);
        (1..count).map(move |k| (rank + k) % count)
    }

    fn tag(&self, what: What) -> c_int {
        3 * (self.number % ROUNDS) as c_int + what as c_int
    }

    fn key(&self, what: What) -> Key {
        Key { round: self.number, what }
    }

    fn all(&self) -> Shared {
        match &self.mine {
            Mine::Floats(values) => values.clone(),
            Mine::Bytes(bytes) => bytes.clone(),
        }
    }

    /// What this rank does, and with how many numbers.
    fn head(&self) -> [u64; 2] {
        match &self.mine {
            Mine::Floats(values) => [1, values.0.len() as u64],
            Mine::Bytes(bytes) => [2, (**bytes).as_ref().len() as u64],
        }
    }

    fn is_short(&self) -> bool {
        (*self.all()).as_ref().len() <= SHORT
    }

    /// The bytes of a rank's part of a mean.
    fn part(&self, rank: usize) -> Range<usize> {
        let length = self.head()[1] as usize;
        let at = |rank: usize| 4 * (length as u128 * rank as u128 / self.count as u128) as usize;
        at(rank)..at(rank + 1)
    }

    /// Takes a message of this round.
    ///
    /// # Errors
    /// A rank that does something else, or a message that does not get away.
    pub fn take(&mut self, message: Arrived<Key>, wire: &mut Wire<Key>) -> Result<(), RankError> {
        let Arrived { key, from, bytes } = message;
        match key.what {
            What::First => self.hear(from, bytes, wire)?,
            What::Part => self.given[from] = Some(bytes),
            What::Mean => self.means[from] = Some(bytes),
        }
        self.settle(wire)?;
        Ok(())
    }

    /// A round that waits for nobody, as that of a single rank, has what it needs.
    fn settle(&mut self, wire: &mut Wire<Key>) -> Result<(), Broken> {
        let all_given = self.others().all(|other| self.given[other].is_some());
        let Mine::Floats(values) = &self.mine else { return Ok(()) };
        if self.is_short() || self.own.is_some() || !all_given {
            return Ok(());
        }
        let mine: &[f32] = cast_slice(&(**values).as_ref()[self.part(self.rank)]);
        let mut mean = vec![0.0; mine.len()];
        let parts = self.in_order(mine);
        mean_in_order(parts.iter().map(|part| &**part), &mut mean);
        let own = Arc::new(Floats(mean));
        let (bytes, length): (Shared, usize) = (own.clone(), (*own).as_ref().len());
        for to in self.others() {
            wire.send(to, self.tag(What::Mean), &bytes, 0..length)?;
        }
        self.own = Some(own);
        // What was given is not needed any more.
        self.given.iter_mut().flatten().for_each(|given| wire.spare(std::mem::take(given)));
        Ok(())
    }

    /// What the ranks give, this one this.
    fn in_order<'a>(&'a self, mine: &'a [f32]) -> Vec<Cow<'a, [f32]>> {
        let given = self.given.iter().enumerate();
        given
            .map(|(rank, given)| match given {
                _ if rank == self.rank => Cow::Borrowed(mine),
                Some(bytes) => floats(bytes),
                None => Cow::Borrowed(&[][..]),
            })
            .collect()
    }

    /// Takes the first message of a rank.
    fn hear(&mut self, from: usize, mut bytes: Vec<u8>, wire: &mut Wire<Key>) -> Result<(), RankError> {
        let number = |k: usize| {
            bytes.get(8 * k..8 * k + 8).map_or(0, |eight| u64::from_ne_bytes(eight.try_into().unwrap_or_default()))
        };
        let (theirs, mine) = ([number(0), number(1)], self.head());
        let is_mean = matches!(self.mine, Mine::Floats(_));
        if theirs[0] != mine[0] || is_mean && theirs[1] != mine[1] {
            return Err(RankError::Length { rank: from, has: theirs[1] as usize, needs: mine[1] as usize });
        }
        self.heard[from] = true;
        let length = theirs[1] as usize;
        if length * if is_mean { 4 } else { 1 } <= SHORT {
            bytes.drain(..HEAD);
            self.given[from] = Some(bytes);
            return Ok(());
        }
        let part = if is_mean { self.part(self.rank).len() } else { length };
        wire.receive(from, self.tag(What::Part), part, self.key(What::Part))?;
        if is_mean {
            wire.receive(from, self.tag(What::Mean), self.part(from).len(), self.key(What::Mean))?;
        }
        Ok(())
    }

    /// The ranks that the round waits for: those that have said nothing, or else those that have
    /// not sent what they said, or else those whose part's mean is missing, who may wait for
    /// another.
    pub fn missing(&self) -> Vec<usize> {
        let lacks = |there: &dyn Fn(usize) -> bool| self.others().filter(|other| !there(*other)).collect::<Vec<_>>();
        let waits = [lacks(&|other| self.heard[other]), lacks(&|other| self.given[other].is_some())];
        let means = match self.mine {
            Mine::Floats(_) if !self.is_short() => lacks(&|other| self.means[other].is_some()),
            _ => Vec::new(),
        };
        let mut missing = waits.into_iter().chain([means]).find(|missing| !missing.is_empty()).unwrap_or_default();
        missing.sort_unstable();
        missing
    }

    /// Whether those that are missing may themselves wait for another.
    pub fn is_second_hand(&self) -> bool {
        self.own.is_some()
    }

    /// What came of it, once nothing is missing.
    pub fn finish(self, wire: &mut Wire<Key>) -> Done {
        let values = match &self.mine {
            Mine::Floats(values) => values.clone(),
            Mine::Bytes(bytes) => {
                let theirs = self.given.into_iter().enumerate();
                let mine = || (**bytes).as_ref().to_vec();
                let all =
                    theirs.map(|(rank, given)| if rank == self.rank { mine() } else { given.unwrap_or_default() });
                return Done::Gather(all.collect());
            }
        };
        let mut mean = vec![0.0; values.0.len()];
        match &self.own {
            None => mean_in_order(self.in_order(&values.0).iter().map(|part| &**part), &mut mean),
            Some(own) => {
                for rank in 0..self.count {
                    let part = if rank == self.rank { Some((**own).as_ref()) } else { self.means[rank].as_deref() };
                    let whole: &mut [u8] = bytemuck::cast_slice_mut(&mut mean);
                    whole[self.part(rank)].copy_from_slice(part.unwrap_or_default());
                }
            }
        }
        self.means.into_iter().flatten().for_each(|mean| wire.spare(mean));
        Done::Mean(mean)
    }
}

/// Bytes as numbers, which are copied where they lie askew.
fn floats(bytes: &[u8]) -> Cow<'_, [f32]> {
    try_cast_slice(bytes).map_or_else(|_| Cow::Owned(pod_collect_to_vec(bytes)), Cow::Borrowed)
}
