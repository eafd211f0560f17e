//! Ranks that mpirun starts: this test's own program, several times, as the ignored test `part`.

mod command;

use limn::ranks::mpi::{self, Mpi};
use limn::ranks::{RankError, Ranks, threads};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a rank is to do, in the environment.
const PART: &str = "LIMN_TEST_PART";

/// What mpirun's ranks print and how long they take, or none where there is no mpirun, which is
/// said.
struct Played {
    said: String,
    seconds: f64,
    well: bool,
}

/// Has so many ranks play a part, one test at a time. They ignore that they are asked to end, so
/// that it is seen what they find out themselves.
fn play(part: &str, ranks: usize) -> Option<Played> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let this = std::env::current_exe().unwrap();
    let start = Instant::now();
    let mut command = mpirun(ranks);
    command.args(["sh", "-c", "trap '' TERM; exec \"$0\" \"$@\""]).arg(this);
    command.args(["part", "--exact", "--ignored", "--nocapture"]).env(PART, part);
    let out = under_mpirun(command.stdin(Stdio::null()))?;
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    Some(Played { said, seconds: start.elapsed().as_secs_f64(), well: out.status.success() })
}

/// An mpirun of so many ranks, whose program is to follow.
fn mpirun(ranks: usize) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string()]);
    // Open MPI 4 and 5 refuse root, and more ranks than cores, unless they are told not to.
    for allowed in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"] {
        command.env(allowed, "1");
    }
    command.env("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    // Seconds between the end of a rank and the word to the others to end, and from there to
    // theirs.
    command.env("OMPI_MCA_odls_base_sigkill_timeout", "2");
    command
}

/// What a command did; none where there is no mpirun, which is said.
fn under_mpirun(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(out) => Some(out),
        Err(error) => {
            eprintln!("mpirun does not start ({error}): ranks that are processes are not tested here");
            None
        }
    }
}

impl Played {
    /// Holds that a rank said so.
    fn has(&self, rank: usize, words: &str) {
        let line = format!("rank {rank}: {words}");
        assert!(self.said.contains(&line), "\"{line}\" is not in what was said in {} s:\n{}", self.seconds, self.said);
    }
}

#[test]
fn means_have_the_bits_of_those_of_threads() {
    for (part, ranks) in [("means", 2), ("means", 3), ("pieces", 3)] {
        let Some(played) = play(part, ranks) else { return };
        (0..ranks).for_each(|rank| played.has(rank, "all means agree"));
        assert!(played.well, "{}", played.said);
    }
}

#[test]
fn a_rank_that_is_killed_ends_the_others_with_a_sentence() {
    let Some(played) = play("killed", 3) else { return };
    for rank in [0, 2] {
        played.has(rank, "rank 1 has ended: its process is gone");
    }
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_leaves_says_why() {
    let Some(played) = play("leaves", 3) else { return };
    for rank in [0, 2] {
        played.has(rank, "rank 1 has ended: its device is lost");
    }
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_comes_upon_a_mistake_of_its_own_leaves() {
    let Some(played) = play("panics", 2) else { return };
    played.has(0, "rank 1 has ended: it came upon a mistake of its own");
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_hangs_is_named_once_patience_ends() {
    let Some(played) = play("hangs", 3) else { return };
    for rank in [0, 2] {
        played.has(rank, "rank 1 of 3 has not answered for 1 s, so it is lost or hangs");
    }
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_pauses_is_waited_for_longer_than_others_are_patient() {
    let Some(played) = play("pauses", 3) else { return };
    (0..3).for_each(|rank| played.has(rank, if rank == 1 { "it was waited for" } else { "it has waited" }));
    assert!(played.seconds > 8.0 && played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_itself_stood_still_is_as_patient_as_before() {
    let Some(played) = play("stands", 2) else { return };
    (0..2).for_each(|rank| played.has(rank, if rank == 1 { "it was waited for" } else { "it has waited" }));
    assert!(played.seconds > 3.0 && played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn a_rank_that_is_stopped_while_it_pauses_is_named() {
    let Some(played) = play("frozen", 3) else { return };
    for rank in [0, 2] {
        played.has(rank, "rank 1 of 3 has not answered for 1 s, so it is lost or hangs");
    }
    assert!(played.seconds < 12.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn whoever_is_to_stop_does_not_wait_for_a_rank_that_hangs() {
    let Some(played) = play("stops", 2) else { return };
    played.has(0, "it was stopped while it waited for rank 1");
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn ranks_that_do_not_do_the_same_are_told() {
    let Some(played) = play("differ", 2) else { return };
    played.has(0, "rank 1 sends 3000 numbers where 5000 are expected, so it does not train the same model");
    assert!(played.seconds < 10.0 && !played.well, "{} s: {}", played.seconds, played.said);
}

#[test]
fn processes_that_mpi_does_not_bring_together_are_refused() {
    // As if another launcher had started it, of which MPI knows nothing.
    let this = std::env::current_exe().unwrap();
    let args = ["part", "--exact", "--ignored", "--nocapture"];
    let out = Command::new(this).args(args).env(PART, "alone").env("PMI_SIZE", "4").output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("4 processes were started together, but MPI tells each that it is alone"), "{said}");
}

#[test]
#[ignore = "it takes the time of means, and of what waiting for them costs"]
fn speed() {
    for ranks in [2, 4] {
        let Some(played) = play("speed", ranks) else { return };
        println!("{}", played.said);
    }
}

/// What a rank does, where mpirun started it.
#[test]
#[ignore = "mpirun starts it"]
fn part() {
    let Ok(part) = std::env::var(PART) else { return };
    let piece = if part == "pieces" { 10_001 } else { usize::MAX };
    let joined = mpi::join_in_pieces(piece).unwrap_or_else(|error| panic!("{error}"));
    let mut ranks = joined.expect("mpirun started several");
    let rank = ranks.rank();
    // Ranks write to one place, in which a line stays whole that is written at once.
    let say = |words: &str| std::io::stderr().write_all(format!("rank {rank}: {words}\n").as_bytes()).unwrap();
    // A machine that has much else to do may keep a rank from saying anything for more than a second.
    ranks = match &*part {
        "pauses" => ranks.patient(Duration::from_secs(3)),
        "frozen" | "stands" => ranks.patient(Duration::from_secs(1)),
        _ => ranks,
    };
    if rank != 1 {
        ranks = match &*part {
            "hangs" => ranks.patient(Duration::from_secs(1)),
            "stops" => ranks.stopped_by(|| true, Duration::from_secs(1)),
            _ => ranks,
        };
    }
    let done = play_part(&part, &mut ranks);
    match &done {
        Ok(words) => say(words),
        Err(error) => say(&error.to_string()),
    }
    drop(ranks);
    if done.is_err() {
        mpi::end(2);
        std::process::exit(2);
    }
}

/// Numbers of a rank. Those of ranks 0 and 1 are so large, here and there, and cancel so well, that
/// a sum of three or more has other bits in another order.
fn numbers(rank: usize, length: usize) -> Vec<f32> {
    let of = |i: usize, rank: usize| {
        let bits = (i * 7919 + rank * 104_729 + length).wrapping_mul(2_654_435_761) % 1_000_003;
        (bits as f32 / 1_000_003.0 - 0.5) * 10f32.powi((bits % 9) as i32 - 4)
    };
    let number = |i: usize| match (i % 3, rank) {
        (0, 0) => 1e12 * of(i, 0),
        (0, 1) => -1e12 * of(i, 0),
        _ => of(i, rank),
    };
    (0..length).map(number).collect()
}

/// What a rank does in a part, and what it has to say then.
fn play_part(part: &str, ranks: &mut Mpi) -> Result<String, RankError> {
    let rank = ranks.rank();
    match part {
        "means" | "pieces" => all_means(ranks),
        "killed" => {
            ranks.begin_mean(numbers(rank, 100_000))?;
            ranks.end_mean()?;
            if rank == 1 {
                let this = std::process::id().to_string();
                Command::new("kill").args(["-9", &this]).status().unwrap();
            }
            ranks.begin_mean(numbers(rank, 100_000))?;
            ranks.end_mean().map(|_| "the mean of a dead rank".into())
        }
        "leaves" if rank == 1 => {
            ranks.leave("its device is lost");
            Ok("it has left".into())
        }
        "panics" if rank == 1 => panic!("on purpose"),
        "hangs" | "stops" if rank == 1 => {
            std::thread::sleep(Duration::from_secs(30));
            Ok("it hung".into())
        }
        "pauses" if rank == 1 => {
            let pause = ranks.pause();
            std::thread::sleep(Duration::from_secs(8));
            drop(pause);
            ranks.any(true).map(|_| "it was waited for".into())
        }
        "pauses" => ranks.any(false).map(|_| "it has waited".into()),
        "stands" => {
            let waiting = String::from_utf8(ranks.gather(std::process::id().to_string().as_bytes())?.swap_remove(0));
            if rank == 1 {
                let signal =
                    |name: &str| Command::new("kill").args([name, waiting.as_ref().unwrap()]).status().unwrap();
                // The other is to wait by then.
                std::thread::sleep(Duration::from_millis(300));
                signal("-STOP");
                std::thread::sleep(Duration::from_secs(3));
                signal("-CONT");
                // When it looks again nothing has come.
                std::thread::sleep(Duration::from_millis(300));
            }
            ranks.any(false).map(|_| if rank == 1 { "it was waited for" } else { "it has waited" }.into())
        }
        "frozen" if rank == 1 => {
            let _pause = ranks.pause();
            // Others are to have heard of the pause.
            std::thread::sleep(Duration::from_secs(2));
            let this = std::process::id().to_string();
            // Whoever continues it, as mpirun does before it ends it, has it stop again.
            for _ in 0..100 {
                Command::new("kill").args(["-STOP", &this]).status().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok("it went on".into())
        }
        "differ" => {
            ranks.begin_mean(vec![1.0; if rank == 0 { 5000 } else { 3000 }])?;
            ranks.end_mean().map(|_| "a mean of different lengths".into())
        }
        "speed" => speed_of(ranks),
        _ => {
            ranks.begin_mean(vec![1.0; 5000])?;
            ranks.end_mean().map(|_| "a mean without everyone".into())
        }
    }
}

/// Means and gatherings of many lengths, held against those of as many threads.
fn all_means(ranks: &mut Mpi) -> Result<String, RankError> {
    let (rank, count) = (ranks.rank(), ranks.count());
    assert!(ranks.local_rank() < ranks.local_count() && ranks.hosts().len() == count);
    let lengths = [0, 1, 2, 7, 2047, 2048, 2049, 4096, 100_003, 1_000_000];
    let expected = |length: usize| {
        let one = |mut thread: limn::ranks::Threads| {
            thread.begin_mean(numbers(thread.rank(), length)).unwrap();
            thread.end_mean().unwrap()
        };
        std::thread::scope(|scope| {
            let all: Vec<_> = threads(count).into_iter().map(|thread| scope.spawn(move || one(thread))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).next_back().unwrap()
        })
    };
    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for turn in 0..3 {
        // All are under way at once, and the ranks come to them at different times.
        std::thread::sleep(Duration::from_millis(20 * ((rank + turn) % count) as u64));
        for length in lengths {
            ranks.begin_mean(numbers(rank, length))?;
        }
        for length in lengths {
            assert_eq!(bits(&ranks.end_mean()?), bits(&expected(length)), "{length} of {count}");
        }
        for length in [0, 3, 8192, 8193, 100_000] {
            let mine = |rank: usize| vec![rank as u8 + 1; length + 10 * rank];
            let all = ranks.gather(&mine(rank))?;
            assert_eq!(all, (0..count).map(mine).collect::<Vec<_>>());
            assert_eq!(ranks.of_first(&mine(rank))?, mine(0));
        }
        assert!(ranks.any(rank == 1)? && !ranks.any(false)?);
    }
    Ok("all means agree".into())
}

/// Seconds that this process has computed, on any processor.
fn computed() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn speed_of(ranks: &mut Mpi) -> Result<String, RankError> {
    let mut words = String::new();
    for length in [64, 2048, 16_384, 262_144, 1_000_000, 4_000_000] {
        let mut times = Vec::new();
        for _ in 0..(20_000_000 / length).clamp(10, 300) {
            let values = numbers(ranks.rank(), length);
            ranks.any(false)?;
            let start = Instant::now();
            ranks.begin_mean(values)?;
            ranks.end_mean()?;
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        let (median, low) = (1e3 * times[times.len() / 2], 1e3 * times[times.len() / 10]);
        words += &format!("{length} numbers {low:.3} to {median:.3} ms, ");
    }
    // What it costs to wait for one that is late.
    ranks.any(false)?;
    let before = computed();
    if ranks.rank() == 0 {
        std::thread::sleep(Duration::from_secs(5));
    }
    ranks.any(false)?;
    Ok(format!("{words}waiting for 5 s takes {:.2} s of a processor", computed() - before))
}
