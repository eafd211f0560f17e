//! The thread that owns MPI: it starts it, has messages carried, and ends it.

use super::peers::Peer;
use super::round::{Done, FIRST, Key, LEAVING, Round, THERE, Work};
use super::wire::{Broken, Shared, Wire};
use crate::ranks::clock::Clock;
use crate::ranks::{PATIENCE, Pauses, RankError};
use mpi::topology::Communicator;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread asks again at once, while nothing comes. Messages that are under way in
/// shared memory or through sockets get on only when it asks.
const AT_ONCE: Duration = Duration::from_micros(200);

/// How long it sleeps in between from then on, at least and at most: a fiftieth of the time in
/// which nothing came. So a wait is a fiftieth longer than it has to be, and takes little of a
/// processor.
const SLEEPS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];

/// How long what a rank sent before it left may be on its way.
const BEHIND: Duration = Duration::from_millis(300);

/// How often it is looked whether a process is there.
const LOOKS: Duration = Duration::from_millis(300);

/// How often a rank that pauses says that it is there, at most and at least: this share of the time
/// in which it has to.
const WORDS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
const OF_PATIENCE: u32 = 10;

/// How much longer a rank is waited for that itself may wait for another, which it will name.
const SECOND_HAND: Duration = Duration::from_secs(2);

/// How long a rank that fails waits for the others to hear so and to leave as well.
const FAREWELL: Duration = Duration::from_millis(1500);

/// What the thread is asked to do.
pub enum Job {
    Together(Work),
    Leave(String),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// All ranks are done, and MPI can be ended in good order.
    Well,
    /// All ranks have left, or are gone, and not all of them in good order.
    AllLeft,
    /// Not all of them have left.
    Alone,
}

/// What the thread says.
pub type Said = Result<Done, RankError>;

/// How long to wait, and whether anyone does.
pub struct Manners {
    pub patience: Duration,
    /// Whether this rank is to stop, and how long that may be so before nobody is waited for.
    pub stop: Option<(fn() -> bool, Duration)>,
    /// Whether the caller waits.
    pub waits: bool,
    /// Whether the caller came upon a mistake of its own.
    pub mistaken: bool,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners { patience: PATIENCE, stop: None, waits: false, mistaken: false }
    }
}

/// What caller and thread both know.
#[derive(Default)]
pub struct Known {
    manners: Mutex<Manners>,
    pub pauses: Pauses,
    /// Who has left, and what it said.
    pub said: Mutex<Vec<(usize, String)>>,
    pub peers: OnceLock<Vec<Peer>>,
}

impl Known {
    pub fn manners<T>(&self, of: impl FnOnce(&mut Manners) -> T) -> T {
        of(&mut self.manners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, rank: usize, why: &str) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).push((rank, why.into()));
    }
}

/// What the thread works with.
pub struct Carrier {
    rank: usize,
    count: usize,
    wire: Wire<Key>,
    known: Arc<Known>,
    said: Sender<Said>,
    left_now: Sender<()>,
    /// What is under way, the oldest first.
    rounds: VecDeque<Round>,
    begun: u64,
    /// The clock of all times below.
    clock: Clock,
    /// Since when the caller waits for the oldest of them.
    waits: Option<Duration>,
    /// When a message came last.
    heard: Duration,
    /// When each rank was last known to be there.
    there: Vec<Duration>,
    /// When this one last said so.
    told: Duration,
    looked: Duration,
    /// Since when this rank is to stop.
    stops: Option<Duration>,
    /// Who has left: when, whether all was well, and what it said.
    left: BTreeMap<usize, (Duration, bool, String)>,
    has_left: bool,
    failed: Option<RankError>,
}

impl Carrier {
    pub fn new(
        world: &mpi::topology::SimpleCommunicator,
        piece: usize,
        known: Arc<Known>,
        said: Sender<Said>,
        left_now: Sender<()>,
    ) -> Carrier {
        let now = Duration::ZERO;
        Carrier {
            rank: world.rank() as usize,
            count: world.size() as usize,
            wire: Wire::new(world).cut(piece.max(FIRST)),
            known,
            said,
            left_now,
            rounds: VecDeque::new(),
            begun: 0,
            clock: Clock::new(),
            waits: None,
            heard: now,
            there: vec![now; world.size() as usize],
            told: now,
            looked: now,
            stops: None,
            left: BTreeMap::new(),
            has_left: false,
            failed: None,
        }
    }

    /// Does what it is asked to until nobody asks any more.
    pub fn work(&mut self, jobs: &Receiver<Job>) -> End {
        let mut moved = Instant::now();
        loop {
            let quiet = moved.elapsed();
            let sleep = if self.rounds.is_empty() && self.wire.is_idle() {
                self.between_words()
            } else if quiet < AT_ONCE {
                Duration::ZERO
            } else {
                (quiet / 50).clamp(SLEEPS[0], SLEEPS[1])
            };
            let job = if sleep.is_zero() {
                std::thread::yield_now();
                jobs.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                jobs.recv_timeout(sleep)
            };
            self.clock.look(sleep);
            match job {
                Ok(job) => {
                    moved = Instant::now();
                    self.take(job);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
            self.say_there();
            match self.carry() {
                Ok(true) => moved = Instant::now(),
                Ok(false) => {}
                Err(error) => self.fail(error),
            }
        }
    }

    /// Ends all processes.
    pub fn abort(&self, code: i32) {
        self.wire.abort(code);
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Leave(why) => {
                self.leave(false, &why);
                let until = Instant::now() + FAREWELL;
                // What is wrong here the first rank will say, or hear of, and then say the same.
                let is_told = |carrier: &Carrier| carrier.rank == 0 || carrier.left.contains_key(&0);
                while (self.wire.is_sending() || !is_told(self))
                    && Instant::now() < until
                    && self.wire.poll(&mut Vec::new()).is_ok()
                {
                    std::thread::sleep(SLEEPS[0]);
                    self.hear();
                }
                // Nobody may be there to hear it.
                let _ = self.left_now.send(());
            }
            Job::Together(work) => match &self.failed {
                Some(error) => self.say(Err(error.clone())),
                None => match Round::begin(self.begun, [self.rank, self.count], work, &mut self.wire) {
                    Ok(round) => {
                        self.begun += 1;
                        self.rounds.push_back(round);
                    }
                    Err(error) => {
                        self.fail(error.into());
                        let error = self.failed.clone().unwrap_or(RankError::Stopped { rank: self.rank });
                        self.say(Err(error));
                    }
                },
            },
        }
    }

    fn say(&mut self, said: Said) {
        self.waits = None;
        // Whoever does not listen any more has no use for it.
        let _ = self.said.send(said);
    }

    /// From now on nothing is done together any more, for this reason.
    fn fail(&mut self, error: RankError) {
        let error = self.failed.get_or_insert(error).clone();
        for _ in std::mem::take(&mut self.rounds) {
            self.say(Err(error.clone()));
        }
    }

    /// Gets on with what is under way. Whether anything came of it.
    fn carry(&mut self) -> Result<bool, RankError> {
        let mut arrived = Vec::new();
        let mut moved = self.wire.poll(&mut arrived)?;
        for message in arrived {
            self.heard = self.clock.now();
            let first = self.begun - self.rounds.len() as u64;
            let place = message.key.round.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            if let Some(round) = place.and_then(|place| self.rounds.get_mut(place)) {
                round.take(message, &mut self.wire)?;
            }
        }
        while self.rounds.front().is_some_and(|round| round.missing().is_empty()) {
            moved = true;
            if let Some(round) = self.rounds.pop_front() {
                let done = round.finish(&mut self.wire);
                self.say(Ok(done));
            }
        }
        if !moved {
            self.hear();
            self.judge()?;
        }
        Ok(moved)
    }

    /// The time between two words that this rank is there.
    fn between_words(&self) -> Duration {
        (self.known.manners(|manners| manners.patience) / OF_PATIENCE).clamp(WORDS[0], WORDS[1])
    }

    /// Says that this rank is there, where it pauses. Whom the last word has not reached yet gets no
    /// further one.
    fn say_there(&mut self) {
        if !self.known.pauses.any() || self.has_left || self.clock.now() - self.told < self.between_words() {
            return;
        }
        self.told = self.clock.now();
        let nothing: Shared = Arc::new([]);
        for rank in (0..self.count).filter(|rank| *rank != self.rank) {
            if !self.left.contains_key(&rank) && !self.wire.is_sending_to(rank) {
                // Whoever cannot be reached is found out when something is to be done with it.
                let _ = self.wire.send(rank, THERE, &nothing, 0..0);
            }
        }
    }

    /// Hears who is there, and who has left.
    fn hear(&mut self) {
        while let Some((rank, _)) = self.wire.short_one(THERE) {
            self.there[rank] = self.clock.now();
        }
        while let Some((rank, bytes)) = self.wire.short_one(LEAVING) {
            let well = bytes.first() == Some(&b'+');
            let why = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()).into_owned();
            self.known.keep(rank, &why);
            self.left.entry(rank).or_insert((self.clock.now(), well, why));
        }
    }

    /// Whether it makes sense to wait on.
    fn judge(&mut self) -> Result<(), RankError> {
        let now = self.clock.now();
        let known = self.known.clone();
        let (patience, stop, waits) = known.manners(|manners| (manners.patience, manners.stop, manners.waits));
        let (true, Some(round)) = (waits, self.rounds.front()) else {
            (self.waits, self.stops) = (None, None);
            return Ok(());
        };
        let waits = self.heard.max(*self.waits.get_or_insert(now));
        let since = now - waits;
        let silent = |rank: &usize| now - waits.max(self.there[*rank]);
        let (missing, second_hand) = (round.missing(), round.is_second_hand());
        let behind = |when: &Duration| now - *when > BEHIND && since > BEHIND;
        if missing.iter().any(|rank| self.left.get(rank).is_some_and(|(when, ..)| behind(when))) {
            // Whoever failed first is why the others did.
            let first = self.left.iter().min_by_key(|(_, (when, well, _))| (*well, *when));
            if let Some((rank, (_, _, why))) = first {
                return Err(RankError::Left { rank: *rank, why: why.clone() });
            }
        }
        if since > LOOKS && now - self.looked > LOOKS {
            self.looked = now;
            if let Some(rank) = missing.iter().copied().find(|rank| self.is_gone(*rank)) {
                return Err(RankError::Left { rank, why: "its process is gone".into() });
            }
        }
        if let Some((stop, after)) = stop {
            match (stop(), self.stops) {
                (false, _) => self.stops = None,
                (true, None) => self.stops = Some(now),
                (true, Some(when)) if now - when >= after => {
                    if let Some(rank) = missing.iter().copied().find(|rank| silent(rank) >= after) {
                        return Err(RankError::Stopped { rank });
                    }
                }
                (true, Some(_)) => {}
            }
        }
        let limit = if second_hand { patience + SECOND_HAND } else { patience };
        match missing.into_iter().find(|rank| silent(rank) >= limit) {
            Some(rank) => Err(RankError::Lost { rank, count: self.count, seconds: patience.as_secs() }),
            None => Ok(()),
        }
    }

    /// Whether a rank on this machine is known to have ended.
    fn is_gone(&self, rank: usize) -> bool {
        let Some(peers) = self.known.peers.get() else { return false };
        peers[rank].is_gone(&peers[self.rank])
    }

    /// Tells the others that this rank leaves, and why.
    fn leave(&mut self, well: bool, why: &str) {
        if std::mem::replace(&mut self.has_left, true) {
            return;
        }
        let why: String = why.chars().take(1000).collect();
        self.known.keep(self.rank, &why);
        let bytes: Shared = Arc::new(format!("{}{why}", if well { '+' } else { '-' }).into_bytes());
        let length = (*bytes).as_ref().len();
        for rank in (0..self.count).filter(|rank| *rank != self.rank) {
            // Whom it does not reach finds out otherwise.
            let _ = self.wire.send(rank, LEAVING, &bytes, 0..length);
        }
        if !well {
            self.failed.get_or_insert(RankError::Left { rank: self.rank, why });
        }
    }

    /// Leaves, and waits until all others have, so that nobody misses what this rank sent, and that
    /// ending MPI, which waits for all of them with a busy processor, does not take long.
    fn end(&mut self) -> End {
        let (patience, mistaken) = self.known.manners(|manners| (manners.patience, manners.mistaken));
        match self.failed.clone() {
            Some(error) => self.leave(false, &error.to_string()),
            None if mistaken => self.leave(false, "it came upon a mistake of its own"),
            None => self.leave(true, "it is done"),
        }
        let well = self.failed.is_none();
        let (start, mut sleep) = (self.clock.now(), SLEEPS[0]);
        let limit = if well { patience } else { FAREWELL };
        let mut looked = start;
        loop {
            let now = self.clock.look(sleep);
            let broken = self.wire.poll(&mut Vec::new()).is_err();
            self.hear();
            let all = (0..self.count).filter(|rank| *rank != self.rank && !self.left.contains_key(rank));
            let waited_for: Vec<usize> = all.collect();
            let lost = |rank: &usize| now - self.there[*rank].max(start) >= limit;
            let done = !self.wire.is_sending() && waited_for.is_empty();
            if broken || done || waited_for.iter().any(lost) || waited_for.is_empty() && now - start >= limit {
                break;
            }
            if now - looked > LOOKS {
                looked = now;
                let gone: Vec<usize> = (0..self.count).filter(|rank| self.is_gone(*rank)).collect();
                for rank in gone {
                    self.left.entry(rank).or_insert((looked, false, "its process is gone".into()));
                }
            }
            std::thread::sleep(sleep);
            sleep = (sleep * 2).min(Duration::from_millis(10));
        }
        let all_left = self.left.len() + 1 == self.count;
        match well && self.left.values().all(|(_, well, _)| *well) {
            true if all_left => End::Well,
            _ if all_left => End::AllLeft,
            _ => End::Alone,
        }
    }
}

impl From<Broken> for RankError {
    fn from(Broken { rank, why }: Broken) -> RankError {
        RankError::Left { rank, why: format!("the connection to it broke ({why})") }
    }
}
