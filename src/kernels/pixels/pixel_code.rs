//! The code that draws an image pixel by pixel and computes only what a new pixel touches.
//!
//! Every value of a network has a *column* at each position (y, x): its channels there. An
//! [`Instruction`] makes one value's column at the current position from columns at this and earlier
//! positions. A value that hangs on earlier rows only may be read to the right of the current position:
//! its instruction then runs so many columns ahead of the pixel that is drawn. Where a pixel takes several
//! draws, all instructions run once for each. Columns are kept in fours of channels, those past the last one
//! zero; a value that is read at earlier positions keeps as many rows of columns as reach back, in a ring.

use super::head::Head;
use crate::kernels::concat::Concat;
use crate::kernels::conv::Conv;
use crate::kernels::pointwise::Code;
use crate::kernels::strided::Strided;
use std::fmt::Debug;

/// What a kernel does to the column at a position, for kernels that work on each position alone or
/// read others at fixed distances; see [`crate::kernels::Kernel::at_pixel`].
#[derive(Clone, Copy, Debug)]
pub enum AtPixel<'a> {
    /// A convolution.
    Conv(&'a Conv),
    /// One tensor behind another along an axis.
    Concat(&'a Concat),
    /// A gather: slices of channels, shifts of rows and columns.
    Strided(&'a Strided),
}

/// Fours of channels that hold `channels`.
pub fn quads(channels: u32) -> u32 {
    channels.div_ceil(4)
}

/// Where the columns of a value lie: that of (y, x) is at four number
/// base + ((y & mask)·w + x)·step of an image's columns, or of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Among the weights, the same for every image.
    pub fixed: bool,
    /// First four.
    pub base: u32,
    /// Fours from a column to its right neighbour; 0 where only the current one is kept.
    pub step: u32,
    /// Rows kept less one, where they are a power of two; all ones where every row is.
    pub mask: u32,
}

impl Home {
    /// The four where the column of (y, x) begins in images `w` wide.
    pub fn at(&self, y: u32, x: u32, w: u32) -> usize {
        self.base as usize + (((y & self.mask) * w + x) * self.step) as usize
    }

    fn words(&self) -> [u32; 3] {
        [self.base | u32::from(self.fixed) << 31, self.step, self.mask]
    }
}

/// One instruction: makes the column at the current position of the value that lives at `to`.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// to = then(Σ over taps and ci of from\[y + dy, x + dx, ci\] · w\[tap, ci, co\] + bias\[co\] + residual);
    /// outside of the image there are zeros.
    Conv {
        /// The result.
        to: Home,
        /// What is read through the taps.
        from: Home,
        /// Channels read.
        ci: u32,
        /// Channels made.
        co: u32,
        /// Rows and columns from the current position to each tap.
        taps: Vec<[i32; 2]>,
        /// The four where w \[taps, 4·quads(ci), 4·quads(co)\] begins.
        weights: u32,
        /// The four where bias \[4·quads(co)\] begins.
        bias: u32,
        /// What is added before `then`.
        residual: Option<Home>,
        /// A pointwise operation at the end, with its constant.
        then: Option<(Code, f32)>,
    },
    /// to = code(a, b, c), channel by channel.
    Pointwise {
        /// The result.
        to: Home,
        /// First operand.
        a: Home,
        /// Second operand of a binary operation.
        b: Option<Home>,
        /// Channels.
        channels: u32,
        /// What is computed.
        code: Code,
        /// Its constant.
        c: f32,
    },
    /// Channels start .. start + channels of a\[y + dy, x + dx\] followed by b\[y, x\].
    Join {
        /// The result.
        to: Home,
        /// What comes first.
        a: Home,
        /// Its channels.
        a_channels: u32,
        /// What follows.
        b: Option<Home>,
        /// The first channel taken.
        start: u32,
        /// Channels taken.
        channels: u32,
        /// Rows and columns from the current position to that read in a; zeros outside of the image.
        shift: [i32; 2],
    },
    /// Draws the pixel from its logits where it is not known. What follows sees it.
    Draw {
        /// Where the image's own columns live.
        to: Home,
        /// The logits.
        logits: Home,
        /// The distribution.
        head: Head,
    },
}

/// When an instruction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With the pixel that is drawn, so many columns to the right of it.
    Ahead(u32),
    /// In a sweep from the last column to the first of the row above, before anything else of a row.
    Back,
}

/// The word of [`Turn::Back`], where other instructions have how far ahead they are.
const BACK: u32 = u32::MAX;

/// An instruction and when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Which positions of a row it is at.
    pub turn: Turn,
    /// What is done there, where that is inside of the image.
    pub instruction: Instruction,
}

/// Code for images of one size.
///
/// A row takes w steps for its pixels, before them as many as the instruction furthest ahead is, and before
/// those w steps back over the row above if any instruction takes them: step s draws pixel
/// (s / line, s % line - lead), if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelCode {
    /// Height of the images.
    pub h: u32,
    /// Width of the images.
    pub w: u32,
    /// Colours of a pixel.
    pub colours: u32,
    /// Fours in an image's columns.
    pub columns: u32,
    /// Fours of weights.
    pub weights: u32,
    /// What is done in each step, in order.
    pub instructions: Vec<Placed>,
}

/// Fours of words an instruction takes.
pub(super) const WORDS: usize = 5;
/// The number that stands for no operation at the end of a convolution.
const NOTHING: u32 = Code::NONE;

impl PixelCode {
    /// The code as devices read it: five fours of words for each instruction, then one for each tap.
    pub fn words(&self) -> Vec<u32> {
        let mut all = Vec::new();
        let mut taps: Vec<u32> = Vec::new();
        let none = [0; 3];
        let home = |h: &Option<Home>| h.map_or(none, |h| h.words());
        let mut row = |op: u32, turn: &Turn, to: &Home, a: [u32; 3], b: [u32; 3], rest: [u32; 9]| {
            let ahead = match turn {
                Turn::Ahead(columns) => columns,
                Turn::Back => &BACK,
            };
            let [to0, to1, to2] = to.words();
            let [ax, bx, tail @ ..] = rest;
            all.extend([op, to0, to1, to2, a[0], a[1], a[2], ax, b[0], b[1], b[2], bx]);
            all.extend(tail.iter().chain([ahead]));
        };
        let first = self.instructions.len() * WORDS;
        for Placed { turn, instruction } in &self.instructions {
            match instruction {
                Instruction::Conv { to, from, ci, co, taps: own, weights, bias, residual, then } => {
                    let (code, c) = then.map_or((NOTHING, 0.0), |(code, c)| (code as u32, c));
                    let (at, count) = ((first + taps.len() / 4) as u32, own.len() as u32);
                    let adds = u32::from(residual.is_some());
                    let rest = [quads(*ci), adds, *co, *weights, at, count, *bias, code, c.to_bits()];
                    row(0, turn, to, from.words(), home(residual), rest);
                    taps.extend(own.iter().flat_map(|[dy, dx]| [*dy as u32, *dx as u32, 0, 0]));
                }
                Instruction::Pointwise { to, a, b, channels, code, c } => {
                    let rest = [0, u32::from(b.is_some()), *channels, 0, 0, 0, 0, *code as u32, c.to_bits()];
                    row(1, turn, to, a.words(), home(b), rest);
                }
                Instruction::Join { to, a, a_channels, b, start, channels, shift: [dy, dx] } => {
                    let joins = u32::from(b.is_some());
                    let rest = [*a_channels, joins, *channels, *start, *dy as u32, *dx as u32, 0, 0, 0];
                    row(2, turn, to, a.words(), home(b), rest);
                }
                Instruction::Draw { to, logits, head } => {
                    let [kind, size] = head.words();
                    row(3, turn, to, logits.words(), none, [0, 0, self.colours, kind, size, 0, 0, 0, 0]);
                }
            }
        }
        all.extend(taps);
        all
    }

    /// Steps of a row before its first pixel is drawn.
    pub fn lead(&self) -> u32 {
        let ahead = |placed: &Placed| match placed.turn {
            Turn::Ahead(columns) => columns,
            Turn::Back => 0,
        };
        let sweeps = self.instructions.iter().any(|placed| placed.turn == Turn::Back);
        self.instructions.iter().map(ahead).max().unwrap_or(0) + if sweeps { self.w } else { 0 }
    }

    /// Steps that a row takes.
    pub fn line(&self) -> u32 {
        self.w + self.lead()
    }

    /// Where an instruction is in step `s`, row and column, if that is inside of the image.
    pub fn position(&self, turn: Turn, s: u32) -> Option<[u32; 2]> {
        let (row, k) = (s / self.line(), s % self.line());
        let at = match turn {
            Turn::Ahead(columns) => [row, (k + columns).checked_sub(self.lead())?],
            Turn::Back => [row.checked_sub(1)?, self.w.checked_sub(k + 1)?],
        };
        (at[0] < self.h && at[1] < self.w).then_some(at)
    }

    /// Steps that an image takes.
    pub fn steps(&self) -> u32 {
        self.h * self.line()
    }

    /// The step that draws pixel (y, x).
    pub fn step_of(&self, y: u32, x: u32) -> u32 {
        y * self.line() + self.lead() + x
    }

    /// How often the instructions run at a pixel: once for each draw.
    pub fn passes(&self) -> u32 {
        let of = |placed: &Placed| match &placed.instruction {
            Instruction::Draw { head, .. } => Some(head.passes(self.colours as usize) as u32),
            _ => None,
        };
        self.instructions.iter().find_map(of).unwrap_or(1)
    }

    /// Products in one step of one image.
    pub fn products(&self) -> u64 {
        self.products_of(0, self.passes() * self.instructions.len() as u32)
    }

    /// Products of `count` instructions of one image from number `offset` of a step on.
    pub fn products_of(&self, offset: u32, count: u32) -> u64 {
        self.sum_of(offset, count, Instruction::products)
    }

    /// Turns of loops of `count` instructions from number `offset` of a step on, as [`Instruction::turns`] counts.
    pub fn turns_of(&self, offset: u32, count: u32) -> u64 {
        self.sum_of(offset, count, Instruction::turns)
    }

    fn sum_of(&self, offset: u32, count: u32, of: impl Fn(&Instruction) -> u64) -> u64 {
        let own: Vec<u64> = self.instructions.iter().map(|placed| of(&placed.instruction)).collect();
        let len = own.len().max(1);
        let whole = u64::from(count / len as u32) * own.iter().sum::<u64>();
        let rest = (0..count as usize % len).map(|k| own.get((offset as usize + k) % len).copied().unwrap_or(0));
        whole + rest.sum::<u64>()
    }

    /// How many instructions each of a row of launches runs, so that together they make `steps` steps and no
    /// launch has more than `most` turns of loops, which [`Instruction::turns`] counts, or one instruction.
    pub fn launches(&self, steps: usize, most: u64) -> Vec<u32> {
        let turns: Vec<u64> = self.instructions.iter().map(|placed| placed.instruction.turns()).collect();
        let (mut counts, mut so_far) = (vec![0u32], 0);
        for own in turns.iter().cycle().take(steps * self.passes() as usize * turns.len()) {
            if so_far + own > most && counts.last() != Some(&0) {
                counts.push(0);
                so_far = 0;
            }
            so_far += own;
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
        counts
    }
}

impl Instruction {
    /// Products for one image.
    fn products(&self) -> u64 {
        match self {
            Instruction::Conv { ci, co, taps, .. } => u64::from(*ci) * u64::from(*co) * taps.len() as u64,
            _ => 0,
        }
    }

    /// How often, at most, a lane of the smallest workgroup goes through a loop for it.
    pub fn turns(&self) -> u64 {
        const LANES: u32 = 8;
        const IMAGES: u64 = 8;
        let shared = |fours: u32| u64::from(fours.div_ceil(LANES));
        let log2_up = |n: u32| n.next_power_of_two().ilog2();
        let own = match self {
            Instruction::Conv { ci, co, taps, .. } => {
                let (fours, terms) = (quads(*co), quads(*ci));
                let q = log2_up(fours).min(3);
                let c = log2_up(terms).min(3 - q);
                let taps = u64::from((taps.len() as u32).div_ceil(1 << (3 - q - c)));
                let products = taps * (1 + u64::from(terms.div_ceil(1 << c)) * (1 + IMAGES));
                let combine = u64::from((IMAGES as u32 * (1 << q)).div_ceil(LANES)) * (1 + (1 << (3 - q)));
                shared(fours) * (1 + 2 * IMAGES + products) + combine
            }
            Instruction::Pointwise { channels, .. } => IMAGES * (1 + shared(quads(*channels))),
            Instruction::Join { channels, .. } => IMAGES * (1 + 5 * shared(quads(*channels))),
            Instruction::Draw { head: Head::Bernoulli, .. } => 4,
            Instruction::Draw {
                head: Head::Categorical { levels: n } | Head::LogisticMixture { components: n },
                ..
            } => 4 + 3 * u64::from(*n),
        };
        1 + own
    }

    /// Sets the weights to zero by which a convolution multiplies what stands past its last channel.
    pub(super) fn clear_padding(&self, all: &mut [f32]) {
        let Instruction::Conv { ci, co, taps, weights, .. } = self else { return };
        let wide = 4 * quads(*co) as usize;
        let rows = all[4 * *weights as usize..].chunks_exact_mut(wide).take(4 * quads(*ci) as usize * taps.len());
        let past = rows.enumerate().filter(|(row, _)| row % (4 * quads(*ci) as usize) >= *ci as usize);
        past.for_each(|(_, row)| row.fill(0.0));
    }
}
