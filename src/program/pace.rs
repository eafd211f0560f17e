//! Submissions: a run is given to the device in pieces that are expected to take about half a
//! second at most, because systems end what keeps a GPU busy for seconds, and a desktop on the same
//! GPU stands still meanwhile.
//!
//! What a launch takes is a cautious guess by its arithmetic and traffic until it is measured. The
//! first runs, and all that take several submissions, are waited for piece by piece and timed; a
//! run that one submission suffices for goes to the device behind others as before.

use super::Program;
use crate::kernels::{Class, Kernel};
use std::ops::Range;
use std::time::Duration;

/// What a submission may take. Watchdogs end what takes 2 (Windows) to 10 seconds (amdgpu).
const MOST: Duration = Duration::from_millis(500);

/// Runs that are timed at first: what only the first one does is not to count.
const TIMED: u32 = 3;

/// Operations and bytes in a nanosecond of a slow GPU beside a processor.
const FLOPS: f64 = 100.0;
const BYTES: f64 = 8.0;
/// Nanoseconds of a turn of a loop where few invocations work, and of a launch that does nothing.
const TURN: f64 = 500.0;
const LAUNCH: f64 = 20_000.0;

/// How a program's runs are cut into submissions.
pub(super) struct Pace {
    /// Nanoseconds that each launch is expected to take.
    expected: Vec<f64>,
    /// What a submission may take, where there is a limit.
    most: Option<Duration>,
    /// Runs that are to be timed even if they take no more submissions than they must.
    open: u32,
    /// The launches that a run is cut before whatever they take.
    breaks: Vec<usize>,
}

impl Pace {
    /// For a device of this class. A software driver is no GPU that a system would watch, and what
    /// it runs is cut nowhere.
    pub fn new(program: &Program, class: Class, breaks: Vec<usize>) -> Pace {
        let expected = program.launches.iter().map(|launch| guess(launch.kernel.as_ref())).collect();
        Pace { expected, most: (class == Class::Gpu).then_some(MOST), open: TIMED, breaks }
    }

    /// Sets what a submission may take.
    pub fn limit(&mut self, most: Duration) {
        self.most = Some(most);
    }

    /// The launches of each submission of a run.
    pub fn pieces(&self) -> Vec<Range<usize>> {
        self.cut(self.most.map_or(f64::INFINITY, |most| most.as_nanos() as f64))
    }

    fn cut(&self, most: f64) -> Vec<Range<usize>> {
        cut(&self.expected, most, &self.breaks)
    }

    /// Whether a run in so many submissions is to be waited for and timed.
    pub fn times(&self, pieces: usize) -> bool {
        self.most.is_some() && (pieces > self.cut(f64::INFINITY).len() || self.open > 0)
    }

    /// Takes note of what each submission of a run took that had the device for itself.
    pub fn timed(&mut self, pieces: &[(Range<usize>, Duration)]) {
        for (piece, time) in pieces {
            let launches = &mut self.expected[piece.clone()];
            let factor = time.as_nanos() as f64 / launches.iter().sum::<f64>();
            // None becomes zero, which no factor would bring back.
            launches.iter_mut().for_each(|ns| *ns = (*ns * factor).max(1.0));
        }
        self.open = self.open.saturating_sub(1);
    }

    /// Takes note of the time from a run's submission to its end was seen, when it was one of at
    /// most `together` on their way: one that may have been too long is followed by one that is
    /// timed.
    pub fn seen(&mut self, time: Duration, together: usize) {
        if self.most.is_some_and(|most| time > most * together as u32) {
            self.open = self.open.max(1);
        }
    }
}

/// Nanoseconds that a launch takes on a slow GPU.
fn guess(kernel: &dyn Kernel) -> f64 {
    let cost = kernel.cost();
    LAUNCH + cost.flops as f64 / FLOPS + cost.bytes as f64 / BYTES + kernel.turns() as f64 * TURN
}

/// Cuts launches of these costs into rows of at most `most`, one after the other, and before `breaks`; a
/// launch that costs more is alone. There is at least one, and none is empty unless there are no
/// launches.
fn cut(costs: &[f64], most: f64, breaks: &[usize]) -> Vec<Range<usize>> {
    let (mut pieces, mut start, mut sum) = (Vec::new(), 0, 0.0);
    for (i, cost) in costs.iter().enumerate() {
        if i > start && (sum + cost > most || breaks.binary_search(&i).is_ok()) {
            pieces.push(start..i);
            (start, sum) = (i, 0.0);
        }
        sum += cost;
    }
    pieces.push(start..costs.len());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::draw_pixels;
    use crate::kernels::matmul::MatMul;
    use crate::kernels::philox::Stream;
    use crate::program::Launch;
    use std::sync::Arc;

    #[test]
    fn pieces_are_in_order_complete_never_empty_and_within_the_limit_unless_alone() {
        let draws = Stream { seed: 1, domain: 9, stream: 3, step: 0, first: 0 };
        for len in 1..60 {
            let costs: Vec<f64> = (0..len).map(|i| f64::from(draws.uniform(i)).powi(4)).collect();
            for most in [0.0, 0.1, 0.5, 1.0, 3.0, f64::INFINITY] {
                let pieces = cut(&costs, most, &[]);
                let all: Vec<usize> = pieces.iter().cloned().flatten().collect();
                assert_eq!(all, (0..len).collect::<Vec<_>>());
                for piece in &pieces {
                    assert!(!piece.is_empty());
                    assert!(piece.len() == 1 || costs[piece.clone()].iter().sum::<f64>() <= most);
                }
                // None would have had room for the next launch.
                for pair in pieces.windows(2) {
                    assert!(costs[pair[0].start..=pair[1].start].iter().sum::<f64>() > most);
                }
            }
        }
        assert_eq!(ends(cut(&[], 1.0, &[])), [0]);
        assert_eq!(ends(cut(&[9.0, 1.0, 9.0, 0.5, 0.5], 2.0, &[])), [1, 2, 3, 5]);
        assert_eq!(ends(cut(&[1.0, 1.0, 1.0], 3.0, &[])), [3]);
        assert_eq!(ends(cut(&[1.0, 1.0, 1.0], 3.0, &[0, 2])), [2, 3]);
    }

    fn ends(pieces: Vec<Range<usize>>) -> Vec<usize> {
        pieces.into_iter().map(|piece| piece.end).collect()
    }

    fn pace(expected: &[f64]) -> Pace {
        Pace { expected: expected.to_vec(), most: Some(Duration::from_nanos(100)), open: TIMED, breaks: Vec::new() }
    }

    #[test]
    fn guesses_give_way_to_what_was_measured() {
        let mut pace = pace(&[60.0, 60.0, 60.0, 30.0]);
        assert_eq!(ends(pace.pieces()), [1, 2, 4]);
        let took = |ns: [u64; 3]| {
            let pieces = [0..1, 1..2, 2..4];
            std::iter::zip(pieces, ns.map(Duration::from_nanos)).collect::<Vec<_>>()
        };
        // The device is ten times as fast, but for the third launch and the fourth.
        pace.timed(&took([6, 6, 90]));
        assert_eq!(ends(pace.pieces()), [3, 4]);
        // All of it is: one submission suffices.
        pace.timed(&[(0..3, Duration::from_nanos(18)), (3..4, Duration::ZERO)]);
        assert_eq!(ends(pace.pieces()), [4]);
        assert!(pace.times(1));
        pace.timed(&[(0..4, Duration::from_nanos(20))]);
        assert!(!pace.times(1) && pace.times(2));
        // It has become slower.
        pace.seen(Duration::from_nanos(300), 3);
        assert!(!pace.times(1));
        pace.seen(Duration::from_nanos(301), 3);
        assert!(pace.times(1));
        pace.timed(&[(0..4, Duration::from_nanos(1000))]);
        assert!(pace.pieces().len() > 1);
    }

    #[test]
    fn a_gpu_is_given_long_launches_one_by_one_and_a_software_driver_whole_runs() {
        let launch = Launch {
            kernel: Arc::new(MatMul::new(1 << 12, 1 << 12, 1 << 12)),
            recipe: None,
            reads: Vec::new(),
            writes: Vec::new(),
            scratch: Vec::new(),
            scope: "".into(),
        };
        let program = Program { launches: vec![launch; 3], ..Program::default() };
        assert_eq!(ends(Pace::new(&program, Class::Gpu, Vec::new()).pieces()), [1, 2, 3]);
        let mut pace = Pace::new(&program, Class::Lanes, Vec::new());
        assert_eq!(ends(pace.pieces()), [3]);
        pace.seen(Duration::MAX, 1);
        assert!(!pace.times(1));
    }

    #[test]
    fn what_few_invocations_do_is_expected_to_take_longer_than_its_arithmetic() {
        let few = &draw_pixels::shapes()[0];
        assert!(guess(few.as_ref()) > 10.0 * few.flops() as f64 / FLOPS);
        // A tenth of a second, give or take, at a hundred operations a nanosecond.
        let product = MatMul::new(1 << 12, 1 << 12, 300);
        assert!((0.9e8..1.5e8).contains(&guess(&product)), "{}", guess(&product));
    }
}
