//! Ranks that are processes, started by `mpirun`, `srun` or the like, between which MPI carries
//! messages: on one machine or on many.
//!
//! MPI carries, and does nothing else. Its own reductions may add in another order when there are
//! other messages or another number of ranks to a machine, and wait for a lost rank for ever; here
//! sums are taken in the order of ranks, and every wait ends. All its calls are made by one thread,
//! which has messages carried while the others compute. It asks again and again, at once for a
//! fifth of a millisecond, then with longer and longer pauses, in which a driver that computes on
//! the processor has it: a rank that waits for seconds takes two or three percent of a core.
//!
//! A rank waits for another as long as [`PATIENCE`](super::PATIENCE) says, or [`Mpi::patient`]; of
//! one that has ended, on this machine or with a word, it hears within a second. While a rank
//! [pauses](Ranks::pause), the thread says every second that it is there, and is waited for.

mod carrier;
mod peers;
mod round;
mod wire;

use super::{Pause, RankError, Ranks, started};
use carrier::{Carrier, End, Job, Known, Said};
use mpi::environment::processor_name;
use mpi::topology::Communicator;
use mpi::{Threading, initialize_with_threading};
use peers::Peer;
use round::{Done, Work};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A rank that is a process.
pub struct Mpi {
    rank: usize,
    count: usize,
    local_rank: usize,
    local_count: usize,
    known: Arc<Known>,
    /// None once it ends.
    jobs: Option<Sender<Job>>,
    said: Receiver<Said>,
    left: Receiver<()>,
    ended: Receiver<()>,
    /// Means that were begun, and ended.
    under_way: usize,
}

/// What a rank knows of itself once MPI runs.
struct Itself {
    ranks: [usize; 2],
    local: [usize; 2],
    host: String,
}

/// For a process that is to end all others, too, where MPI could not be ended in good order: what
/// its code is to be.
static LAST_MEANS: Mutex<Option<Sender<i32>>> = Mutex::new(None);

/// This process among those that were started with it; `None` where it is the only one. Where
/// nothing in the environment says that there are several (`OMPI_COMM_WORLD_SIZE`, `PMI_SIZE`,
/// `MV2_COMM_WORLD_SIZE`, `SLURM_STEP_NUM_TASKS`, `PMIX_RANK`), MPI is not even started.
///
/// All of them have to call it, each once.
///
/// # Errors
/// MPI that does not start; a rank that ends or says nothing.
pub fn join() -> Result<Option<Mpi>, RankError> {
    join_in_pieces(usize::MAX)
}

/// The same with messages cut into pieces of so many bytes, where they are longer.
///
/// # Errors
/// Those of [`join`].
#[doc(hidden)]
pub fn join_in_pieces(bytes: usize) -> Result<Option<Mpi>, RankError> {
    if !started::started() {
        return Ok(None);
    }
    let known = Arc::new(Known::default());
    let (jobs, to_do) = channel();
    let (saying, said) = channel();
    let (leaving, left) = channel();
    let (ending, ended) = channel();
    let (beginning, begun) = channel();
    let shared = known.clone();
    let run = move || carry(bytes, shared, &to_do, (saying, leaving), &beginning, &ending);
    let started = std::thread::Builder::new().name("ranks".into()).spawn(run);
    started.map_err(|error| RankError::Library(format!("there is no thread to be had: {error}")))?;
    let Itself { ranks: [rank, count], local: [local_rank, local_count], host } =
        begun.recv().unwrap_or_else(|_| Err(RankError::Library("MPI does not start".into())))?;
    if count == 1 {
        return match started::started_by_many() {
            // Each would do all of the work.
            Some(many) => Err(RankError::Library(format!(
                "{many} processes were started together, but MPI tells each that it is alone: what started them \
                 belongs to another MPI than this program"
            ))),
            None => Ok(None),
        };
    }
    let jobs = Some(jobs);
    let mut mpi = Mpi { rank, count, local_rank, local_count, known, jobs, said, left, ended, under_way: 0 };
    let peers = mpi.gather(&Peer::this(host).bytes())?;
    // It is set here alone.
    let _ = mpi.known.peers.set(peers.iter().map(|bytes| Peer::read(bytes)).collect());
    Ok(Some(mpi))
}

/// Runs MPI on this thread, from its start to its end.
fn carry(
    piece: usize,
    known: Arc<Known>,
    to_do: &Receiver<Job>,
    (saying, leaving): (Sender<Said>, Sender<()>),
    beginning: &Sender<Result<Itself, RankError>>,
    ending: &Sender<()>,
) {
    // Whoever has begun this waits for it; whoever ends it may be gone.
    let begin = |itself| beginning.send(itself).unwrap_or_default();
    let end = || ending.send(()).unwrap_or_default();
    let Some((universe, threads)) = initialize_with_threading(Threading::Funneled) else {
        return begin(Err(RankError::Library("MPI was started before in this program".into())));
    };
    if threads < Threading::Funneled {
        return begin(Err(RankError::Library("this MPI serves no program with several threads".into())));
    }
    let world = universe.world();
    let ranks = [world.rank(), world.size()].map(|number| number as usize);
    // Before MPI ends this communicator has to.
    let local = |local: mpi::topology::SimpleCommunicator| [local.rank(), local.size()].map(|number| number as usize);
    let local = local(world.split_shared(world.rank()));
    let host = processor_name().unwrap_or_else(|_| "?".into());
    let mut carrier = (ranks[1] > 1).then(|| Carrier::new(&world, piece, known, saying, leaving));
    begin(Ok(Itself { ranks, local, host }));
    let Some(carrier) = &mut carrier else { return };
    let how = carrier.work(to_do);
    if how == End::Well {
        drop(universe);
        return end();
    }
    // To end MPI would be to wait for those that do not answer.
    std::mem::forget(universe);
    if how == End::AllLeft {
        return end();
    }
    let (sender, codes) = channel();
    *LAST_MEANS.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
    end();
    if let Ok(code) = codes.recv() {
        carrier.abort(code);
    }
}

/// For the end of a process, when all is said and nothing is left to save: where ranks did not end
/// together, it ends those that are still there, and this one, with this exit code. Where they did,
/// or there are none, it does nothing.
pub fn end(code: i32) {
    let last_means = LAST_MEANS.lock().unwrap_or_else(PoisonError::into_inner).take();
    if last_means.is_some_and(|codes| codes.send(code).is_ok()) {
        std::thread::sleep(Duration::from_secs(5));
    }
}

impl Mpi {
    /// The same, which waits no longer than this for the others.
    pub fn patient(self, patience: Duration) -> Mpi {
        self.known.manners(|manners| manners.patience = patience);
        self
    }

    /// The same, which waits no longer once `stop` has said for so long that this rank is to stop,
    /// and nobody has sent anything meanwhile.
    pub fn stopped_by(self, stop: fn() -> bool, after: Duration) -> Mpi {
        self.known.manners(|manners| manners.stop = Some((stop, after)));
        self
    }

    /// Its number among the ranks on its machine, from 0.
    pub fn local_rank(&self) -> usize {
        self.local_rank
    }

    /// How many ranks are on its machine.
    pub fn local_count(&self) -> usize {
        self.local_count
    }

    /// The name of each rank's machine.
    pub fn hosts(&self) -> Vec<&str> {
        self.known.peers.get().map_or_else(Vec::new, |peers| peers.iter().map(|peer| &*peer.host).collect())
    }

    fn ask(&self, job: Job) -> Result<(), RankError> {
        let asked = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        asked.then_some(()).ok_or_else(gone)
    }

    /// What came of the oldest of what was asked for.
    fn wait(&self) -> Said {
        self.known.manners(|manners| manners.waits = true);
        let said = self.said.recv().map_err(|_| gone());
        self.known.manners(|manners| manners.waits = false);
        said?
    }
}

/// The thread that carries messages does not end before its jobs do.
fn gone() -> RankError {
    RankError::Library("the thread that carries messages between ranks has ended".into())
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn begin_mean(&mut self, values: Vec<f32>) -> Result<(), RankError> {
        self.under_way += 1;
        self.ask(Job::Together(Work::Mean(values)))
    }

    fn end_mean(&mut self) -> Result<Vec<f32>, RankError> {
        assert!(self.under_way > 0, "no mean is under way");
        self.under_way -= 1;
        match self.wait()? {
            Done::Mean(mean) => Ok(mean),
            Done::Gather(_) => Err(gone()),
        }
    }

    fn gather(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RankError> {
        assert!(self.under_way == 0, "a mean is under way");
        self.ask(Job::Together(Work::Gather(bytes.to_vec())))?;
        match self.wait()? {
            Done::Gather(all) => Ok(all),
            Done::Mean(_) => Err(gone()),
        }
    }

    fn pause(&self) -> Pause {
        self.known.pauses.begin()
    }

    fn left(&self) -> Vec<(usize, String)> {
        self.known.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn leave(&mut self, why: &str) {
        // The thread answers in any case; where it is not there any more, nobody is to be told.
        if self.ask(Job::Leave(why.into())).is_ok() {
            let _ = self.left.recv();
        }
    }
}

impl Drop for Mpi {
    /// Says that this rank is done, unless it said why it leaves, and waits for the others to be.
    fn drop(&mut self) {
        self.known.manners(|manners| manners.mistaken = std::thread::panicking());
        self.jobs = None;
        // It says so before it waits for the last means, or it ends.
        let _ = self.ended.recv();
    }
}
