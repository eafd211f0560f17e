//! When each value's column can be made: with the pixel, ahead of it, behind its draw, or in a
//! sweep back over the row above.

use super::{Compiler, LATER, NotPerPixel, Sight, Step, refuse};
use crate::kernels::at_pixel::{AtPixel, Linked, PixelTap};
use crate::program::{Place, ValueId};
use std::collections::HashSet;

/// A value that depends on the image, as a step reads it.
struct Read<'s> {
    operand: usize,
    root: ValueId,
    /// Whether what is read is the value as it is made in an earlier step of the walk.
    earlier: bool,
    /// How far from the step's own position. Only the first operand is read at a distance, with
    /// zeros around it.
    offsets: &'s [[i32; 2]],
}

impl Compiler<'_> {
    /// How far ahead of the drawn pixel the columns of a value are made.
    pub(super) fn ahead(&self, root: ValueId) -> i32 {
        self.ahead.get(&root).copied().unwrap_or(0)
    }

    /// What a value sees of the pixel that is drawn in the same step.
    pub(super) fn sight(&self, root: ValueId) -> Sight {
        self.sight.get(&root).copied().unwrap_or(Sight::Nothing)
    }

    /// What a step sees through an operand, of which this is seen, at its own position.
    fn through(&self, step: &Step, operand: usize, sight: Sight) -> Sight {
        let by_colour = sight == Sight::Before || sight == Sight::Own;
        let colours = self.code.colours;
        match &step.action {
            AtPixel::Conv { taps, .. } if by_colour && operand == 0 => {
                let seen = |tap: &PixelTap| match tap.channels {
                    Linked::Earlier(of) if of == colours => Sight::Before,
                    Linked::NotLater(of) if of == colours => sight,
                    _ => Sight::All,
                };
                let here = taps.iter().filter(|tap| tap.offset == [0, 0]);
                here.map(seen).max().unwrap_or(Sight::Nothing)
            }
            AtPixel::Join { start, .. } if by_colour => {
                let before = if operand == 0 { 0 } else { step.node.reads[0].map_or(0, |r| self.channels(r)) };
                let aligned = start.is_multiple_of(colours) && before.is_multiple_of(colours as usize);
                if aligned { sight } else { Sight::All }
            }
            _ => sight,
        }
    }

    /// The values a step reads that depend on the image.
    fn reads<'s>(&self, step: &'s Step) -> Vec<Read<'s>> {
        let reads = step.node.reads.iter().enumerate().filter_map(|(k, read)| Some((k, (*read)?)));
        let dependent = reads.filter(|(_, read)| self.depends(*read));
        let read = |(operand, id)| {
            let offsets = if operand == 0 { &step.offsets[..] } else { &[[0, 0]] };
            Read { operand, root: self.source.root(id), earlier: self.is_earlier(id), offsets }
        };
        dependent.map(read).collect()
    }

    /// Whether a value is read before it is made.
    fn is_earlier(&self, mut id: ValueId) -> bool {
        while let Place::Alias(of) = self.source.values[id].place {
            if self.earlier.contains(&id) {
                return true;
            }
            id = of;
        }
        false
    }

    /// What a step makes.
    fn made(&self, step: &Step) -> ValueId {
        self.source.root(step.node.writes[0])
    }

    /// Finds what hangs on itself to the right, and all between: from what it is at an earlier
    /// pixel to what it is.
    pub(super) fn sweep(&mut self, steps: &[Step]) {
        let right = |read: &Read| read.earlier && read.offsets.iter().any(|[dy, dx]| *dy == 0 && *dx > 0);
        let reads = steps.iter().flat_map(|step| self.reads(step));
        let loops: HashSet<ValueId> = reads.filter(right).map(|read| read.root).collect();
        for root in loops {
            let mut behind = HashSet::new();
            for step in steps {
                let hangs = |read: &Read| if read.earlier { read.root == root } else { behind.contains(&read.root) };
                if self.reads(step).iter().any(hangs) {
                    behind.insert(self.made(step));
                }
            }
            let mut needed = HashSet::from([root]);
            for step in steps.iter().rev() {
                if needed.contains(&self.made(step)) {
                    needed.extend(self.reads(step).iter().filter(|read| !read.earlier).map(|read| read.root));
                }
            }
            self.swept.extend(needed.intersection(&behind));
        }
    }

    /// Finds how far ahead each value has to be made for those that read it to the right, which are
    /// kept for later steps, and what each sees of the pixel.
    pub(super) fn settle(&mut self, steps: &[Step], image: ValueId, logits: ValueId) -> Result<(), NotPerPixel> {
        for step in steps.iter().rev() {
            let to = self.made(step);
            let own = self.ahead(to);
            // A sweep goes over a row that is there already.
            let reads = if self.swept.contains(&to) { Vec::new() } else { self.reads(step) };
            for Read { root, earlier, offsets, .. } in reads {
                let needs = offsets.iter().filter(|[dy, _]| *dy == 0).map(|[_, dx]| own + dx).max();
                let ahead = self.ahead(root);
                // From where on columns of the present row are not there, and will not be.
                let missing = match () {
                    () if self.swept.contains(&root) => i32::MIN,
                    () if earlier => ahead,
                    () if root == image => 1,
                    () => i32::MAX,
                };
                if needs.is_some_and(|needs| needs >= missing) {
                    return Err(refuse(&step.name, LATER));
                }
                self.ahead.insert(root, ahead.max(needs.unwrap_or(0)));
            }
        }
        if self.ahead(logits) > 0 {
            self.reach.insert(logits, 0);
        }
        for step in steps {
            let to = self.made(step);
            let (own, swept) = (self.ahead(to), self.swept.contains(&to));
            for read in self.reads(step) {
                let together = swept == self.swept.contains(&read.root);
                let (ahead, nearest) = (self.ahead(read.root), i32::from(read.earlier));
                let at_once = |[dy, dx]: &[i32; 2]| together && !read.earlier && *dy == 0 && own + dx == ahead;
                if swept && together && read.offsets.iter().any(|[dy, dx]| *dy == 0 && *dx < nearest) {
                    return Err(refuse(&step.name, LATER));
                }
                if !swept && read.offsets.iter().any(at_once) {
                    let seen = self.through(step, read.operand, self.sight(read.root)).max(self.sight(to));
                    self.sight.insert(to, seen);
                }
                if !read.offsets.iter().all(at_once) {
                    let back = read.offsets.iter().map(|[dy, _]| dy.unsigned_abs()).max().unwrap_or(0);
                    let reach = self.reach.entry(read.root).or_insert(0);
                    *reach = back.max(*reach);
                }
            }
        }
        Ok(())
    }
}
