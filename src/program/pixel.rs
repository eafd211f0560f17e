//! From a network over whole images to code that computes one pixel's columns at a time.
//!
//! Every value that depends on the image gets a column at each position, and every node an
//! instruction, in the order of the nodes. Values that see only earlier pixels, or earlier colours
//! of the same, come before the draw, those that see the pixel itself after it. A value that sees
//! only earlier rows may be read at columns to the right: its instruction runs so far ahead of the
//! pixel. A value may hang on itself at earlier pixels; where those are to the right, it is made in
//! a sweep back over the row above, before a row's first pixel is drawn. What does not depend on
//! the image (weights, biases, scales) is computed once and packed.

mod schedule;

use super::{Body, Node, Place, Source, ValueId, fuse, plan};
use crate::kernels::at_pixel::{AtPixel, PixelTap};
use crate::kernels::pixel_code::{Columns, Instruction, PixelCode, Scheduled, Sweep, quads};
use crate::kernels::pixel_distribution::PixelDistribution;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Why a network cannot be computed one pixel at a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{node} {why}")]
pub struct NotPerPixel {
    /// The node, by its kernel and shapes.
    pub node: String,
    /// What it does.
    pub why: &'static str,
}

/// A network as code for [`crate::kernels::draw_pixels::DrawPixels`].
#[derive(Clone, Debug)]
pub struct PixelProgram {
    /// The code.
    pub code: PixelCode,
    /// Computes what the weights are packed from: its outputs are called `0`, `1`, ...
    pub operands: Source,
    pieces: Vec<Piece>,
}

/// A part of the weights, from four `at` on.
#[derive(Clone, Debug)]
enum Piece {
    /// Taps of a convolution from `inputs` channels to some of its own, of `operand`, which has
    /// `kernel` weights for each pair of channels.
    Conv { operand: usize, kernel: usize, taps: Vec<PixelTap>, inputs: usize, channels: Range<usize>, at: u32 },
    /// Columns [rows, width, channels] of `operand`, which is laid over them.
    Columns { operand: usize, shape: [usize; 4], extents: [usize; 3], at: u32 },
}

/// A node that depends on the image.
struct Step<'a> {
    node: &'a Node,
    /// What the node is called in messages.
    name: String,
    /// What it does at a position.
    action: AtPixel,
    /// Rows and columns from a position to those of the first operand that are read there.
    offsets: Vec<[i32; 2]>,
}

/// What the channels of a value's column see of the pixel at the same position; channel k belongs
/// to colour k modulo the number of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    /// Nothing.
    Nothing,
    /// The colours before their own.
    Before,
    /// Those and their own: the column can only be made behind the draw.
    Own,
    /// Any of them.
    All,
}

/// A network on its way to code.
struct Compiler<'a> {
    source: &'a Source,
    /// Values before they are made, which are aliases of those that are made later.
    earlier: HashSet<ValueId>,
    /// Values made in the sweep back over the row above.
    swept: HashSet<ValueId>,
    /// Values that depend on the image, by their roots.
    dependent: HashSet<ValueId>,
    /// What they see of the pixel that is drawn in the same step.
    sight: HashMap<ValueId, Sight>,
    /// How far ahead of the drawn pixel a value's column is made.
    ahead: HashMap<ValueId, i32>,
    /// How many rows back a value is read, for those whose column is read in later steps.
    reach: HashMap<ValueId, u32>,
    /// Where their columns lie.
    columns: HashMap<ValueId, Columns>,
    operands: Vec<ValueId>,
    pieces: Vec<Piece>,
    code: PixelCode,
}

impl PixelProgram {
    /// The code of the network that `source` holds for one image `[1,colours,h,w]`, `image`, with
    /// outputs `[1,channels,h,w]`, `logits`, that pixels are drawn from by `distribution`.
    pub fn new(
        source: &Source,
        image: ValueId,
        logits: ValueId,
        distribution: PixelDistribution,
    ) -> Result<PixelProgram, NotPerPixel> {
        let mut wanted = source.clone();
        wanted.outputs = vec![("logits".into(), logits)];
        wanted.outputs.extend(source.ties.iter().map(|[_, value]| ("tied".into(), *value)));
        let nodes = fuse::epilogues(&wanted, plan::alive(&wanted, &wanted.nodes));
        let mut tied = source.clone();
        source.ties.iter().for_each(|[earlier, value]| tied.values[*earlier].place = Place::Alias(*value));
        let source = &tied;
        let &[1, colours @ 1..=4, h, w] = source.values[image].shape.as_slice() else {
            return Err(refuse("the image", "has more than four channels"));
        };
        let image = source.root(image);
        let mut compiler = Compiler {
            source,
            earlier: source.ties.iter().map(|[earlier, _]| *earlier).collect(),
            swept: HashSet::new(),
            dependent: source.ties.iter().map(|[_, value]| source.root(*value)).chain([image]).collect(),
            sight: HashMap::from([(image, if colours == 1 { Sight::All } else { Sight::Own })]),
            ahead: HashMap::new(),
            reach: HashMap::new(),
            columns: HashMap::new(),
            operands: Vec::new(),
            pieces: Vec::new(),
            code: PixelCode::new([h, w].map(|d| d as u32), colours as u32),
        };
        let mut steps = Vec::new();
        for node in &nodes {
            if node.reads.iter().flatten().any(|r| compiler.depends(*r)) {
                steps.push(compiler.look(node)?);
            }
        }
        compiler.extents(logits, "the logits")?;
        if source.values[logits].shape != [1, distribution.channels(colours), h, w] || !compiler.depends(logits) {
            return Err(refuse("the logits", "are not what pixels are drawn from"));
        }
        compiler.sweep(&steps);
        compiler.settle(&steps, image, source.root(logits))?;
        let most = if distribution.passes(colours) > 1 { Sight::Before } else { Sight::Nothing };
        if compiler.sight(source.root(logits)) > most {
            return Err(refuse("the logit of a pixel", "depends on the pixel itself"));
        }
        let made = steps.iter().map(|step| source.root(step.node.writes[0]));
        [image].into_iter().chain(made).for_each(|root| compiler.make_room(root));
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for step in &steps {
            let root = source.root(step.node.writes[0]);
            let ahead = compiler.ahead(root) as u32;
            let sweep = if compiler.swept.contains(&root) { Sweep::Back } else { Sweep::Ahead(ahead) };
            let instructions = compiler.instructions(step.node, &step.action).into_iter();
            let scheduled = instructions.map(|instruction| Scheduled { sweep, instruction });
            if compiler.sight(root) > Sight::Before { &mut late } else { &mut early }.extend(scheduled);
        }
        let [to, logits] = [image, source.root(logits)].map(|root| compiler.columns[&root]);
        let draw = Instruction::Draw { to, logits, distribution };
        early.push(Scheduled { sweep: Sweep::Ahead(0), instruction: draw });
        early.extend(late);
        let mut operands = source.clone();
        let constant = |node: &Node| {
            let dependent = |id: &ValueId| compiler.depends(*id);
            let effect = |id: &ValueId| matches!(source.values[source.root(*id)].place, Place::State { .. });
            !node.reads.iter().flatten().any(dependent) && !node.writes.iter().any(effect)
        };
        operands.nodes.retain(constant);
        operands.outputs = compiler.operands.iter().enumerate().map(|(k, id)| (k.to_string(), *id)).collect();
        let Compiler { code, pieces, .. } = compiler;
        Ok(PixelProgram { code: PixelCode { instructions: early, ..code }, operands, pieces })
    }

    /// The weights packed from what [`PixelProgram::operands`] computed.
    pub fn pack(&self, operands: &[Vec<f32>]) -> Vec<f32> {
        let mut all = vec![0.0; 4 * self.code.weights as usize];
        for piece in &self.pieces {
            match piece {
                Piece::Conv { operand, kernel, taps, inputs, channels, at } => {
                    let (rows, wide) = (inputs.next_multiple_of(4), channels.len().next_multiple_of(4));
                    for (k, tap) in taps.iter().enumerate() {
                        for (i, o) in (0..*inputs).flat_map(|i| channels.clone().map(move |o| (i, o))) {
                            if tap.channels.links(i, o) {
                                let to = 4 * *at as usize + (k * rows + i) * wide + o - channels.start;
                                all[to] = operands[*operand][(o * inputs + i) * kernel + tap.weight];
                            }
                        }
                    }
                }
                Piece::Columns { operand, shape, extents: [c, rows, width], at } => {
                    let [_, sc, sh, sw] = *shape;
                    for (y, x) in (0..*rows).flat_map(|y| (0..*width).map(move |x| (y, x))) {
                        for k in 0..*c {
                            let [k_in, y_in, x_in] = [k.min(sc - 1), y.min(sh - 1), x.min(sw - 1)];
                            let to = 4 * *at as usize + (y * width + x) * c.next_multiple_of(4) + k;
                            all[to] = operands[*operand][(k_in * sh + y_in) * sw + x_in];
                        }
                    }
                }
            }
        }
        all
    }
}

/// Turns of loops that an instruction may take, where it can be split: some launches' worth is
/// less.
const MOST_TURNS: u64 = 20_000;
/// Channels that are not split further.
const LEAST_CHANNELS: usize = 32;

/// What a network must not do.
const LATER: &str = "reads pixels that are drawn later";

fn refuse(node: impl Into<String>, why: &'static str) -> NotPerPixel {
    NotPerPixel { node: node.into(), why }
}

/// A shape with ones in front up to four axes.
fn four_axes(shape: &[usize]) -> Option<[usize; 4]> {
    let mut all = [1; 4];
    all[4usize.checked_sub(shape.len())?..].copy_from_slice(shape);
    Some(all)
}

impl Compiler<'_> {
    fn depends(&self, id: ValueId) -> bool {
        self.dependent.contains(&self.source.root(id))
    }

    /// Channels and extents of a value that has a column at every position: [1,c,h,w] or larger at
    /// the bottom and on the right.
    fn extents(&self, id: ValueId, node: &str) -> Result<[usize; 3], NotPerPixel> {
        let shape = &self.source.values[id].shape;
        let [height, width] = self.size();
        match shape.as_slice() {
            _ if *shape != self.source.values[self.source.root(id)].shape => Err(refuse(node, "reads reshaped images")),
            &[1, c, h, w] if h >= height && w >= width => Ok([c, h, w]),
            _ => Err(refuse(node, "makes or reads something else than channels at every pixel")),
        }
    }

    /// Height and width of the image.
    fn size(&self) -> [usize; 2] {
        [self.code.h, self.code.w].map(|d| d as usize)
    }

    /// What a node does, and what that asks of its operands.
    fn look<'n>(&mut self, node: &'n Node) -> Result<Step<'n>, NotPerPixel> {
        let (name, action) = match &node.body {
            Body::Kernel(kernel) | Body::Constant(_, kernel) => {
                (format!("{} {}", kernel.signature().name, kernel.label()), kernel.at_pixel())
            }
            Body::Pointwise(code, c) => (code.name().to_string(), Some(AtPixel::Pointwise(*code, *c))),
            Body::Flatten(..) => ("flatten".to_string(), None),
            Body::Average(..) => ("ema".to_string(), None),
            Body::Advance => ("advance".to_string(), None),
            Body::MeanOfParts => ("mean_of_parts".to_string(), None),
        };
        let no = |why| Err(refuse(&name, why));
        let (&[to], Some(action)) = (node.writes.as_slice(), action) else {
            return no("does not work on each pixel alone");
        };
        let [c, h, w] = self.extents(to, &name)?;
        let waits = |id: &ValueId| matches!(self.source.values[self.source.root(*id)].place, Place::Input(_));
        if node.reads.iter().flatten().any(|r| waits(r) && !self.depends(*r)) {
            return no("reads an input other than the image");
        }
        let read = |k: usize| node.reads.get(k).copied().flatten();
        let depends = |k: usize| read(k).is_some_and(|r| self.depends(r));
        let channels = |k: usize| read(k).map_or(0, |r| self.channels(r));
        match &action {
            AtPixel::Conv { stride, .. } if *stride != [1, 1] => return no("has a stride"),
            AtPixel::Conv { .. } if !depends(0) || depends(1) || depends(2) => {
                return no("has weights that depend on the image");
            }
            AtPixel::Conv { taps, .. } => {
                let kernel = read(1).map_or(0, |w| self.source.values[w].len());
                let fits = |tap: &PixelTap| (tap.weight + 1) * c * channels(0) <= kernel;
                if !kernel.is_multiple_of(c * channels(0)) || !taps.iter().all(fits) {
                    return no("has other weights than some for each pair of channels");
                }
            }
            AtPixel::Join { .. } if read(1).is_some() && channels(0) + channels(1) != c => {
                return no("joins something else than channels");
            }
            AtPixel::Join { .. } | AtPixel::Pointwise(..) => {}
        }
        let offsets: Vec<[i32; 2]> = match &action {
            AtPixel::Conv { taps, .. } => taps.iter().map(|tap| tap.offset).collect(),
            AtPixel::Pointwise(..) => vec![[0, 0]],
            AtPixel::Join { offset, .. } => vec![*offset],
        };
        if offsets.iter().any(|[dy, _]| *dy > 0) {
            return no(LATER);
        }
        self.dependent.insert(self.source.root(to));
        for (k, read) in node.reads.iter().enumerate() {
            let Some(read) = read.filter(|r| self.depends(*r)) else { continue };
            let [channels, rh, rw] = self.extents(read, &name)?;
            let far = k == 0 && offsets.iter().any(|offset| *offset != [0, 0]);
            if far && [rh, rw] != self.size() {
                return no("looks past the edge of an image");
            }
            if matches!(action, AtPixel::Pointwise(..)) && [channels, rh, rw] != [c, h, w] {
                return no("lays channels over others");
            }
        }
        Ok(Step { node, name, action, offsets })
    }

    fn channels(&self, id: ValueId) -> usize {
        self.source.values[id].shape.get(1).copied().unwrap_or(0)
    }

    /// Gives a value that depends on the image room for its columns.
    fn make_room(&mut self, root: ValueId) {
        let columns = self.code.room(self.channels(root) as u32, self.reach.get(&root).copied());
        self.columns.insert(root, columns);
    }

    /// The number of a value that does not depend on the image.
    fn operand(&mut self, id: ValueId) -> usize {
        self.operands.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.operands.push(id);
            self.operands.len() - 1
        })
    }

    /// Where an operand of `c` channels lies. A constant is packed, at every pixel if it varies
    /// among them.
    fn lies(&mut self, id: ValueId, c: usize) -> Columns {
        if let Some(columns) = self.columns.get(&self.source.root(id)) {
            return *columns;
        }
        let shape = four_axes(&self.source.values[id].shape).unwrap_or([1; 4]);
        let varies = shape[2] * shape[3] > 1;
        let [h, w] = if varies { self.size() } else { [1, 1] };
        let columns = self.code.constant(c as u32, varies);
        let operand = self.operand(id);
        self.pieces.push(Piece::Columns { operand, shape, extents: [c, h, w], at: columns.base });
        columns
    }

    /// What a node does as one instruction, or several that make some of its channels each.
    fn instructions(&mut self, node: &Node, action: &AtPixel) -> Vec<Instruction> {
        let to = self.columns[&self.source.root(node.writes[0])];
        let c = self.channels(node.writes[0]);
        let read = |k: usize| node.reads.get(k).copied().flatten();
        let first = read(0).unwrap_or(node.writes[0]);
        match action {
            AtPixel::Conv { taps, then, .. } => {
                let bias = self.code.take(quads(c as u32));
                if let Some(b) = read(2) {
                    let (operand, shape) = (self.operand(b), [1, c, 1, 1]);
                    self.pieces.push(Piece::Columns { operand, shape, extents: [c, 1, 1], at: bias });
                }
                let inputs = self.channels(first);
                let (source, residual) = (self.lies(first, inputs), read(3).map(|r| self.lies(r, c)));
                let part = |channels: &Range<usize>, weights| {
                    let behind =
                        |columns: Columns| Columns { base: columns.base + channels.start as u32 / 4, ..columns };
                    Instruction::Conv {
                        to: behind(to),
                        source,
                        residual: residual.map(behind),
                        inputs: inputs as u32,
                        channels: channels.len() as u32,
                        taps: taps.iter().map(|tap| tap.offset).collect(),
                        weights,
                        bias: bias + channels.start as u32 / 4,
                        then: *then,
                    }
                };
                let mut most = c;
                while most > LEAST_CHANNELS && part(&(0..most), 0).turns() > MOST_TURNS {
                    most = most.div_ceil(2).next_multiple_of(LEAST_CHANNELS);
                }
                let mut parts = Vec::new();
                for start in (0..c).step_by(most) {
                    let channels = start..c.min(start + most);
                    let fours = quads(inputs as u32) * quads(channels.len() as u32);
                    let at = self.code.take(taps.len() as u32 * 4 * fours);
                    parts.push(part(&channels, at));
                    if let Some(w) = read(1) {
                        let (operand, kernel) = (self.operand(w), self.source.values[w].len() / (inputs * c));
                        self.pieces.push(Piece::Conv { operand, kernel, taps: taps.clone(), inputs, channels, at });
                    }
                }
                parts
            }
            AtPixel::Pointwise(code, constant) => vec![Instruction::Pointwise {
                to,
                a: self.lies(first, c),
                b: read(1).filter(|_| code.is_binary()).map(|b| self.lies(b, c)),
                channels: c as u32,
                operation: (*code, *constant),
            }],
            AtPixel::Join { start, offset } => {
                let a_channels = self.channels(first);
                vec![Instruction::Join {
                    to,
                    a: self.lies(first, a_channels),
                    b: read(1).map(|b| self.lies(b, self.channels(b))),
                    a_channels: a_channels as u32,
                    start: *start,
                    channels: c as u32,
                    offset: *offset,
                }]
            }
        }
    }
}
