//! Losses kept on the device until somebody reads them.

use super::advance::{COUNTERS, MAX_COUNTERS, counters, tick};
use crate::kernels::*;

/// The most values of one launch.
pub const MAX_VALUES: usize = 6;
/// The most where counters advance as well: there are no more than eight bindings everywhere.
const MAX_BESIDE: u32 = 3;

params! {
    /// clock, values `[1]` each -> history `[rows, count]` updated:
    /// history\[clock mod rows, index + k\] = value k. Where counters advance behind that, the clock is the first
    /// of them.
    pub struct Record {
        /// Steps the history holds.
        pub rows: u32,
        /// Values of a step.
        pub count: u32,
        /// Which of them the first of these is.
        pub index: u32,
        /// How many these are, at most [`MAX_VALUES`].
        pub values: u32,
        /// Counters that advance, at most [`MAX_COUNTERS`].
        pub counters: u32,
    }
}

static SHADER: Shader = shader!(Record, "record");

/// With the bindings and the tick of so many counters.
static TICKING: [Shader; MAX_COUNTERS] = [
    shader!(Record, "record_ticking" as "record_ticking"; counters!("5" "c0")),
    shader!(Record, "record_ticking" as "record_ticking_2"; counters!("5" "c0" "6" "c1")),
    shader!(Record, "record_ticking" as "record_ticking_3"; counters!("5" "c0" "6" "c1" "7" "c2")),
    shader!(Record, "record_ticking" as "record_ticking_4"; counters!("5" "c0" "6" "c1" "7" "c2" "8" "c3")),
];

const HISTORY: (&str, Access) = ("history", Access::Update);

static SIGNATURES: [Signature; MAX_COUNTERS + 1] = [
    Signature { name: "record", reads: &["clock", "v0", "v1", "v2", "v3", "v4", "v5"], writes: &[HISTORY] },
    Signature { name: "record", reads: &["v0", "v1", "v2"], writes: &[HISTORY, COUNTERS[0]] },
    Signature { name: "record", reads: &["v0", "v1", "v2"], writes: &[HISTORY, COUNTERS[0], COUNTERS[1]] },
    Signature { name: "record", reads: &["v0", "v1", "v2"], writes: &[HISTORY, COUNTERS[0], COUNTERS[1], COUNTERS[2]] },
    Signature {
        name: "record",
        reads: &["v0", "v1", "v2"],
        writes: &[HISTORY, COUNTERS[0], COUNTERS[1], COUNTERS[2], COUNTERS[3]],
    },
];

impl Record {
    /// `values` values from `index` on of the `count` of a step.
    pub fn new([rows, count]: [u32; 2], index: u32, values: u32) -> Record {
        Record { rows, count, index, values, counters: 0 }
    }
}

impl Kernel for Record {
    fn signature(&self) -> &'static Signature {
        &SIGNATURES[self.counters as usize]
    }

    fn lens(&self) -> Lens {
        let clock = usize::from(self.counters == 0);
        let mut reads = vec![1; clock + self.values as usize];
        reads.resize(self.signature().reads.len(), 0);
        let history = self.rows as usize * self.count as usize;
        let writes = std::iter::once(history).chain(std::iter::repeat_n(1, self.counters as usize)).collect();
        Lens { reads, writes }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (history, counters) = writes.split_at_mut(1);
        let clock = if self.counters == 0 { step(reads[0]) } else { step(counters[0]) };
        let first = (clock % self.rows * self.count + self.index) as usize;
        let values = &reads[usize::from(self.counters == 0)..][..self.values as usize];
        for (k, value) in values.iter().enumerate() {
            history[0][first + k] = value[0];
        }
        for counter in counters {
            tick(counter);
        }
    }

    fn variants(&self, _caps: &Caps) -> Vec<Recipe> {
        let shader = if self.counters == 0 { &SHADER } else { &TICKING[self.counters as usize - 1] };
        vec![Recipe::single("single", Stage::new(shader, self, [1, 1, 1]).operands(self.signature()))]
    }

    fn fuse(&self, epilogue: Epilogue) -> Option<Fused> {
        let Epilogue::Tick(counters) = epilogue else { return None };
        let fits = self.counters == 0 && self.values <= MAX_BESIDE && counters as usize <= MAX_COUNTERS;
        fits.then(|| Fused { kernel: Arc::new(Record { counters, ..*self }), read: None })
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let Record { rows, count, index, values, counters } = self;
        let ticks = if *counters == 0 { String::new() } else { format!(" counters {counters}") };
        format!("history[{rows},{count}] values {values} from {index}{ticks}")
    }
}

impl Checks for Record {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_with_clock(0, operand, len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let shapes = [(1, 1, 0, 1, 0), (100, 3, 2, 1, 0), (7, 5, 1, 3, 0), (9, 6, 0, 6, 0)];
    let ticking = [(7, 5, 1, 3, 1), (9, 2, 0, 2, 2), (1, 1, 0, 1, 3), (4, 3, 1, 2, 4)];
    let case = |(rows, count, index, values, counters)| {
        Box::new(Record { rows, count, index, values, counters }) as Box<dyn Kernel>
    };
    shapes.into_iter().chain(ticking).map(case).collect()
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![Box::new(Record::new([256, 4], 0, 4)), Box::new(Record { counters: 3, ..Record::new([256, 2], 0, 2) })]
}
