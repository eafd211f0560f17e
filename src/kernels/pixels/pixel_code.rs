//! The code that draws an image pixel by pixel and computes only what a new pixel touches.
//!
//! Every value of a network has a *column* at each position (y, x): its channels there. An
//! [`Instruction`] makes one value's column at the current position from columns at this and
//! earlier positions. A value that hangs on earlier rows only may be read to the right of the
//! current position: its instruction then runs so many columns ahead of the pixel that is drawn.
//! Where a pixel takes several draws, all instructions run once for each. Columns are kept in fours
//! of channels, those past the last one zero; a value that is read at earlier positions keeps as
//! many rows of columns as reach back, in a ring.

pub use super::instruction::{Columns, Instruction, Sweep, quads};
use std::fmt;

/// An instruction and when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// Which positions of a row it is at.
    pub sweep: Sweep,
    /// What is done there, where that is inside of the image.
    pub instruction: Instruction,
}

/// Code for images of one size.
///
/// A row takes w steps for its pixels, before them as many as the instruction furthest ahead is,
/// and before those w steps back over the row above if any instruction takes them: step s draws
/// pixel (s / line, s % line - lead), if there is one.
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
    pub instructions: Vec<Scheduled>,
}

impl PixelCode {
    /// Code without instructions, columns and weights.
    pub fn new([h, w]: [u32; 2], colours: u32) -> PixelCode {
        PixelCode { h, w, colours, columns: 0, weights: 0, instructions: Vec::new() }
    }

    /// Room for the columns of a value that is read up to `back` rows above, or only at the
    /// position where it is made.
    pub fn room(&mut self, channels: u32, back: Option<u32>) -> Columns {
        let (fours, base) = (quads(channels), self.columns);
        let Some(back) = back else {
            self.columns += fours;
            return Columns { fixed: false, base, step: 0, mask: 0 };
        };
        let rows = (back.min(self.h) + 1).next_power_of_two();
        self.columns += fours * self.w * rows.min(self.h);
        Columns { fixed: false, base, step: fours, mask: if rows < self.h { rows - 1 } else { u32::MAX } }
    }

    /// Room for a column among the weights, or for one at every position.
    pub fn constant(&mut self, channels: u32, everywhere: bool) -> Columns {
        let fours = quads(channels);
        let (step, mask, positions) = if everywhere { (fours, u32::MAX, self.h * self.w) } else { (0, 0, 1) };
        Columns { fixed: true, base: self.take(fours * positions), step, mask }
    }

    /// So many fours of the weights.
    pub fn take(&mut self, fours: u32) -> u32 {
        self.weights += fours;
        self.weights - fours
    }

    /// The code as devices read it.
    pub fn words(&self) -> Vec<u32> {
        super::instruction::words(self.instructions.iter().map(|scheduled| (scheduled.sweep, &scheduled.instruction)))
    }

    /// Steps of a row before its first pixel is drawn.
    pub fn lead(&self) -> u32 {
        let ahead = |scheduled: &Scheduled| match scheduled.sweep {
            Sweep::Ahead(columns) => columns,
            Sweep::Back => 0,
        };
        let sweeps = self.instructions.iter().any(|scheduled| scheduled.sweep == Sweep::Back);
        self.instructions.iter().map(ahead).max().unwrap_or(0) + if sweeps { self.w } else { 0 }
    }

    /// Steps that a row takes.
    pub fn line(&self) -> u32 {
        self.w + self.lead()
    }

    /// Where an instruction is in step `s`, row and column, if that is inside of the image.
    pub fn position(&self, sweep: Sweep, s: u32) -> Option<[u32; 2]> {
        let (row, k) = (s / self.line(), s % self.line());
        let at = match sweep {
            Sweep::Ahead(columns) => [row, (k + columns).checked_sub(self.lead())?],
            Sweep::Back => [row.checked_sub(1)?, self.w.checked_sub(k + 1)?],
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
        let of = |scheduled: &Scheduled| match &scheduled.instruction {
            Instruction::Draw { distribution, .. } => Some(distribution.passes(self.colours as usize) as u32),
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

    /// Turns of loops of `count` instructions from number `offset` of a step on, as
    /// [`Instruction::turns`] counts.
    pub fn turns_of(&self, offset: u32, count: u32) -> u64 {
        self.sum_of(offset, count, Instruction::turns)
    }

    fn sum_of(&self, offset: u32, count: u32, of: impl Fn(&Instruction) -> u64) -> u64 {
        let own: Vec<u64> = self.instructions.iter().map(|scheduled| of(&scheduled.instruction)).collect();
        let len = own.len().max(1);
        let whole = u64::from(count / len as u32) * own.iter().sum::<u64>();
        let rest = (0..count as usize % len).map(|k| own.get((offset as usize + k) % len).copied().unwrap_or(0));
        whole + rest.sum::<u64>()
    }

    /// How many instructions each of a row of launches runs, so that together they make `steps`
    /// steps and no launch has more than `most` turns of loops, which [`Instruction::turns`]
    /// counts, or one instruction.
    pub fn launches(&self, steps: usize, most: u64) -> Vec<u32> {
        let turns: Vec<u64> = self.instructions.iter().map(|scheduled| scheduled.instruction.turns()).collect();
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

/// A listing: an instruction a line, with its number and, where it does not run with the pixel,
/// when it does.
impl fmt::Display for PixelCode {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let PixelCode { h, w, colours, columns, weights, .. } = self;
        writeln!(
            f,
            "image {h}x{w}, colours {colours}, steps of a row {}, columns {columns}, weights {weights}",
            self.line()
        )?;
        for (k, Scheduled { sweep, instruction }) in self.instructions.iter().enumerate() {
            let when = match sweep {
                Sweep::Ahead(0) => String::new(),
                Sweep::Ahead(columns) => format!(", {columns} ahead"),
                Sweep::Back => ", back over the row above".into(),
            };
            writeln!(f, "{k:>3}  {instruction:?}{when}")?;
        }
        Ok(())
    }
}
