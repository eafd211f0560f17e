//! From a network over whole images to code that computes one pixel's columns at a time.
//!
//! Every value that depends on the image gets a column at each position, and every node an
//! instruction, in the order of the nodes. Values that see only earlier pixels, or earlier colours of the
//! same, come before the draw, those that see the pixel itself after it. A value that sees only earlier rows
//! may be read at columns to the right: its instruction runs so far ahead of the pixel. A value may hang on
//! itself at earlier pixels; where those are to the right, it is made in a sweep back over the row above,
//! before a row's first pixel is drawn. What does not depend on the image (weights, biases, scales) is computed
//! once and packed.

mod order;

use super::{Body, Node, Place, Source, ValueId, fuse, plan};
use crate::kernels::conv::Conv;
use crate::kernels::head::Head;
use crate::kernels::pixel_code::{AtPixel, Home, Instruction, PixelCode, Placed, Turn, quads};
use crate::kernels::pointwise::Code;
use crate::kernels::strided::Strided;
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
    /// A convolution's live taps to some of its channels, of `operand`.
    Conv { operand: usize, conv: Conv, taps: Vec<usize>, channels: Range<usize>, at: u32 },
    /// Columns [rows, width, channels] of `operand`, which is laid over them.
    Columns { operand: usize, shape: [usize; 4], extents: [usize; 3], at: u32 },
}

/// What a node does at a position; operands that may be constant are reads of the node.
enum Action {
    Conv { conv: Conv, taps: Vec<usize> },
    Pointwise(Code, f32),
    Join { start: u32, shift: [i32; 2] },
}

/// A node that depends on the image.
struct Step<'a> {
    node: &'a Node,
    /// What the node is called in messages.
    name: String,
    action: Action,
    /// Rows and columns from a position to those of the first operand that are read there.
    shifts: Vec<[i32; 2]>,
}

/// What the channels of a value's column see of the pixel at the same position; channel k belongs to colour
/// k modulo the number of colours.
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

struct Plan<'a> {
    source: &'a Source,
    /// Values before they are made, which are aliases of those that are made later.
    earlier: HashSet<ValueId>,
    /// Values made in the sweep back over the row above.
    swept: HashSet<ValueId>,
    h: usize,
    w: usize,
    colours: usize,
    /// Values that depend on the image, by their roots.
    dependent: HashSet<ValueId>,
    /// What they see of the pixel that is drawn in the same step.
    sight: HashMap<ValueId, Sight>,
    /// How far ahead of the drawn pixel a value's column is made.
    ahead: HashMap<ValueId, i32>,
    /// How many rows back a value is read, for those whose column is read in later steps.
    reach: HashMap<ValueId, u32>,
    homes: HashMap<ValueId, Home>,
    columns: u32,
    weights: u32,
    operands: Vec<ValueId>,
    pieces: Vec<Piece>,
}

impl PixelProgram {
    /// The code of the network that `source` holds for one image `[1,colours,h,w]`, `image`, with outputs
    /// `[1,channels,h,w]`, `logits`, that `head` draws pixels from.
    pub fn new(source: &Source, image: ValueId, logits: ValueId, head: Head) -> Result<PixelProgram, NotPerPixel> {
        let mut wanted = source.clone();
        wanted.outputs = vec![("logits".into(), logits)];
        wanted.outputs.extend(source.ties.iter().map(|[_, value]| ("tied".into(), *value)));
        let nodes = fuse::epilogues(&wanted, plan::alive(&wanted, &wanted.nodes));
        let mut tied = source.clone();
        source.ties.iter().for_each(|[earlier, value]| tied.values[*earlier].place = Place::Alias(*value));
        let source = &tied;
        let image_shape = source.values[image].shape.clone();
        let &[1, colours @ 1..=4, h, w] = image_shape.as_slice() else {
            return Err(refuse("the image", "has more than four channels"));
        };
        let (image, logits) = (source.root(image), logits);
        let mut plan = Plan {
            source,
            earlier: source.ties.iter().map(|[earlier, _]| *earlier).collect(),
            swept: HashSet::new(),
            h,
            w,
            colours,
            dependent: source.ties.iter().map(|[_, value]| source.root(*value)).chain([image]).collect(),
            sight: HashMap::from([(image, if colours == 1 { Sight::All } else { Sight::Own })]),
            ahead: HashMap::new(),
            reach: HashMap::new(),
            homes: HashMap::new(),
            columns: 0,
            weights: 0,
            operands: Vec::new(),
            pieces: Vec::new(),
        };
        let mut steps = Vec::new();
        for node in &nodes {
            if node.reads.iter().flatten().any(|r| plan.depends(*r)) {
                steps.push(plan.look(node)?);
            }
        }
        plan.extents(logits, "the logits")?;
        if source.values[logits].shape != [1, head.channels(colours), h, w] || !plan.depends(logits) {
            return Err(refuse("the logits", "are not what pixels are drawn from"));
        }
        plan.sweep(&steps);
        plan.settle(&steps, image, source.root(logits))?;
        let most = if head.passes(colours) > 1 { Sight::Before } else { Sight::Nothing };
        if plan.sight(source.root(logits)) > most {
            return Err(refuse("the logit of a pixel", "depends on the pixel itself"));
        }
        plan.room(image);
        steps.iter().for_each(|step| plan.room(source.root(step.node.writes[0])));
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for step in &steps {
            let root = source.root(step.node.writes[0]);
            let swept = plan.swept.contains(&root);
            let turn = if swept { Turn::Back } else { Turn::Ahead(plan.ahead(root) as u32) };
            let instructions = plan.instructions(step.node, &step.action).into_iter();
            let placed = instructions.map(|instruction| Placed { turn, instruction });
            if plan.sight(root) > Sight::Before { &mut late } else { &mut early }.extend(placed);
        }
        let home = |id: ValueId| plan.homes[&source.root(id)];
        let draw = Instruction::Draw { to: home(image), logits: home(logits), head };
        early.push(Placed { turn: Turn::Ahead(0), instruction: draw });
        early.extend(late);
        let mut operands = source.clone();
        let constant = |node: &Node| {
            let dependent = |id: &ValueId| plan.depends(*id);
            let effect = |id: &ValueId| matches!(source.values[source.root(*id)].place, Place::State { .. });
            !node.reads.iter().flatten().any(dependent) && !node.writes.iter().any(effect)
        };
        operands.nodes.retain(constant);
        operands.outputs = plan.operands.iter().enumerate().map(|(k, id)| (k.to_string(), *id)).collect();
        let (columns, weights) = (plan.columns, plan.weights);
        let [h, w, colours] = [h, w, colours].map(|v| v as u32);
        let code = PixelCode { h, w, colours, columns, weights, instructions: early };
        Ok(PixelProgram { code, operands, pieces: plan.pieces })
    }

    /// The weights packed from what [`PixelProgram::operands`] computed.
    pub fn pack(&self, operands: &[Vec<f32>]) -> Vec<f32> {
        let mut all = vec![0.0; 4 * self.code.weights as usize];
        for piece in &self.pieces {
            match piece {
                Piece::Conv { operand, conv, taps, channels, at } => {
                    let ci = conv.ci as usize;
                    let (rows, wide) = (4 * quads(conv.ci) as usize, 4 * quads(channels.len() as u32) as usize);
                    let w = &operands[*operand];
                    for (k, tap) in taps.iter().enumerate() {
                        for (i, o) in (0..ci).flat_map(|i| channels.clone().map(move |o| (i, o))) {
                            if conv.live(*tap, i, o) {
                                let to = 4 * *at as usize + (k * rows + i) * wide + o - channels.start;
                                all[to] = w[(o * ci + i) * conv.taps() + tap];
                            }
                        }
                    }
                }
                Piece::Columns { operand, shape, extents: [c, rows, width], at } => {
                    let [_, sc, sh, sw] = *shape;
                    let data = &operands[*operand];
                    for (y, x) in (0..*rows).flat_map(|y| (0..*width).map(move |x| (y, x))) {
                        for k in 0..*c {
                            let [k_in, y_in, x_in] = [k.min(sc - 1), y.min(sh - 1), x.min(sw - 1)];
                            let to = 4 * (*at as usize + (y * width + x) * quads(*c as u32) as usize) + k;
                            all[to] = data[(k_in * sh + y_in) * sw + x_in];
                        }
                    }
                }
            }
        }
        all
    }
}

/// Turns of loops that an instruction may take, where it can be split: some launches' worth is less.
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

impl Plan<'_> {
    fn depends(&self, id: ValueId) -> bool {
        self.dependent.contains(&self.source.root(id))
    }

    /// Channels and extents of a value that has a column at every position: [1,c,h,w] or larger at the
    /// bottom and on the right.
    fn extents(&self, id: ValueId, node: &str) -> Result<[usize; 3], NotPerPixel> {
        let shape = &self.source.values[id].shape;
        match shape.as_slice() {
            _ if *shape != self.source.values[self.source.root(id)].shape => Err(refuse(node, "reads reshaped images")),
            &[1, c, h, w] if h >= self.h && w >= self.w => Ok([c, h, w]),
            _ => Err(refuse(node, "makes or reads something else than channels at every pixel")),
        }
    }

    /// What a node does, and what that asks of its operands.
    fn look<'n>(&mut self, node: &'n Node) -> Result<Step<'n>, NotPerPixel> {
        let name = match &node.body {
            Body::Kernel(kernel) | Body::Constant(_, kernel) => {
                format!("{} {}", kernel.signature().name, kernel.label())
            }
            Body::Pointwise(code, _) => code.name().to_string(),
            Body::Flatten(..) => "flatten".to_string(),
            Body::Average(..) => "ema".to_string(),
            Body::Advance => "advance".to_string(),
        };
        let no = |why| Err(refuse(&name, why));
        let alone = match &node.body {
            Body::Kernel(kernel) | Body::Constant(_, kernel) => kernel.at_pixel().is_some(),
            Body::Pointwise(..) => true,
            Body::Flatten(..) | Body::Average(..) | Body::Advance => false,
        };
        let &[to] = node.writes.as_slice() else { return no("does not work on each pixel alone") };
        if !alone {
            return no("does not work on each pixel alone");
        }
        let [c, h, w] = self.extents(to, &name)?;
        let waits = |id: &ValueId| matches!(self.source.values[self.source.root(*id)].place, Place::Input(_));
        if node.reads.iter().flatten().any(|r| waits(r) && !self.depends(*r)) {
            return no("reads an input other than the image");
        }
        let action = match &node.body {
            Body::Pointwise(code, c) => Action::Pointwise(*code, *c),
            Body::Flatten(..) | Body::Average(..) | Body::Advance => return no("does not work on each pixel alone"),
            Body::Kernel(kernel) | Body::Constant(_, kernel) => match kernel.at_pixel() {
                None => return no("does not work on each pixel alone"),
                Some(AtPixel::Conv(conv)) => {
                    if [conv.stride_h, conv.stride_w] != [1, 1] {
                        return no("has a stride");
                    }
                    if !self.depends_only_on_first(node, 3) {
                        return no("has weights that depend on the image");
                    }
                    Action::Conv { conv: *conv, taps: live_taps(conv) }
                }
                Some(AtPixel::Concat(_)) => {
                    let first = node.reads[0].map_or(0, |r| self.channels(r));
                    let second = node.reads[1].map_or(0, |r| self.channels(r));
                    if first + second != c {
                        return no("joins something else than channels");
                    }
                    Action::Join { start: 0, shift: [0, 0] }
                }
                Some(AtPixel::Strided(gather)) => match shift(gather) {
                    Some((start, shift)) => Action::Join { start, shift },
                    None => return no("rearranges pixels"),
                },
            },
        };
        let shifts: Vec<[i32; 2]> = match &action {
            Action::Conv { conv, taps } => taps.iter().map(|tap| offset(conv, *tap)).collect(),
            Action::Pointwise(..) => vec![[0, 0]],
            Action::Join { shift, .. } => vec![*shift],
        };
        if shifts.iter().any(|[dy, _]| *dy > 0) {
            return no(LATER);
        }
        self.dependent.insert(self.source.root(to));
        for (k, read) in node.reads.iter().enumerate() {
            let Some(read) = read.filter(|r| self.depends(*r)) else { continue };
            let [channels, rh, rw] = self.extents(read, &name)?;
            let far = k == 0 && shifts.iter().any(|s| *s != [0, 0]);
            if far && [rh, rw] != [self.h, self.w] {
                return no("looks past the edge of an image");
            }
            let whole = !matches!(action, Action::Pointwise(..)) || [channels, rh, rw] == [c, h, w];
            if !whole {
                return no("lays channels over others");
            }
        }
        Ok(Step { node, name, action, shifts })
    }

    /// Whether no read but the first, and those from `after` on, depends on the image, and the first does.
    fn depends_only_on_first(&self, node: &Node, after: usize) -> bool {
        let depends = |k: usize| node.reads.get(k).copied().flatten().is_some_and(|r| self.depends(r));
        depends(0) && !(1..after).any(depends)
    }

    fn channels(&self, id: ValueId) -> usize {
        self.source.values[id].shape.get(1).copied().unwrap_or(0)
    }

    /// Gives a value that depends on the image room for its columns.
    fn room(&mut self, root: ValueId) {
        let fours = quads(self.channels(root) as u32);
        let (base, w, h) = (self.columns, self.w as u32, self.h as u32);
        let home = match self.reach.get(&root) {
            None => Home { fixed: false, base, step: 0, mask: 0 },
            Some(back) => {
                let rows = (back.min(&h) + 1).next_power_of_two();
                let mask = if rows < h { rows - 1 } else { u32::MAX };
                Home { fixed: false, base, step: fours, mask }
            }
        };
        let kept = if home.step == 0 { 1 } else { w * h.min(home.mask.saturating_add(1)) };
        self.columns += fours * kept;
        self.homes.insert(root, home);
    }

    /// The number of a value that does not depend on the image.
    fn operand(&mut self, id: ValueId) -> usize {
        self.operands.iter().position(|known| *known == id).unwrap_or_else(|| {
            self.operands.push(id);
            self.operands.len() - 1
        })
    }

    fn take(&mut self, fours: usize) -> u32 {
        self.weights += fours as u32;
        self.weights - fours as u32
    }

    /// Packs a constant laid over `c` channels, at every pixel if it varies among them.
    fn constant(&mut self, id: ValueId, c: usize) -> Home {
        let shape = four_axes(&self.source.values[id].shape).unwrap_or([1; 4]);
        let varies = shape[2] * shape[3] > 1;
        let extents = if varies { [c, self.h, self.w] } else { [c, 1, 1] };
        let at = self.take(extents[1] * extents[2] * quads(c as u32) as usize);
        let operand = self.operand(id);
        self.pieces.push(Piece::Columns { operand, shape, extents, at });
        let (step, mask) = if varies { (quads(c as u32), u32::MAX) } else { (0, 0) };
        Home { fixed: true, base: at, step, mask }
    }

    /// Where an operand of `c` channels lies.
    fn home(&mut self, id: ValueId, c: usize) -> Home {
        match self.homes.get(&self.source.root(id)) {
            Some(home) => *home,
            None => self.constant(id, c),
        }
    }

    /// What a node does as one instruction, or several that make some of its channels each.
    fn instructions(&mut self, node: &Node, action: &Action) -> Vec<Instruction> {
        let to = self.homes[&self.source.root(node.writes[0])];
        let c = self.channels(node.writes[0]);
        let read = |k: usize| node.reads.get(k).copied().flatten();
        let first = read(0).unwrap_or(node.writes[0]);
        match action {
            Action::Conv { conv, taps } => {
                let bias = self.take(quads(conv.co) as usize);
                if let Some(b) = read(2) {
                    let (operand, shape) = (self.operand(b), [1, c, 1, 1]);
                    self.pieces.push(Piece::Columns { operand, shape, extents: [c, 1, 1], at: bias });
                }
                let (from, residual) = (self.home(first, conv.ci as usize), read(3).map(|r| self.home(r, c)));
                let part = |channels: &Range<usize>, weights| {
                    let behind = |home: Home| Home { base: home.base + channels.start as u32 / 4, ..home };
                    Instruction::Conv {
                        to: behind(to),
                        from,
                        ci: conv.ci,
                        co: channels.len() as u32,
                        taps: taps.iter().map(|tap| offset(conv, *tap)).collect(),
                        weights,
                        bias: bias + channels.start as u32 / 4,
                        residual: residual.map(behind),
                        then: Code::of(conv.epilogue.act.activation()),
                    }
                };
                let mut most = c;
                while most > LEAST_CHANNELS && part(&(0..most), 0).turns() > MOST_TURNS {
                    most = most.div_ceil(2).next_multiple_of(LEAST_CHANNELS);
                }
                let mut parts = Vec::new();
                for start in (0..c).step_by(most) {
                    let channels = start..c.min(start + most);
                    let fours = quads(conv.ci) * quads(channels.len() as u32);
                    let weights = self.take(taps.len() * 4 * fours as usize);
                    parts.push(part(&channels, weights));
                    if let Some(w) = read(1) {
                        let (operand, conv, taps) = (self.operand(w), *conv, taps.clone());
                        self.pieces.push(Piece::Conv { operand, conv, taps, channels, at: weights });
                    }
                }
                parts
            }
            Action::Pointwise(code, constant) => vec![Instruction::Pointwise {
                to,
                a: self.home(first, c),
                b: read(1).filter(|_| code.is_binary()).map(|b| self.home(b, c)),
                channels: c as u32,
                code: *code,
                c: *constant,
            }],
            Action::Join { start, shift } => {
                let a_channels = self.channels(first);
                vec![Instruction::Join {
                    to,
                    a: self.home(first, a_channels),
                    a_channels: a_channels as u32,
                    b: read(1).map(|b| self.home(b, self.channels(b))),
                    start: *start,
                    channels: c as u32,
                    shift: *shift,
                }]
            }
        }
    }
}

/// The taps that are live for some pair of channels.
fn live_taps(conv: &Conv) -> Vec<usize> {
    let pairs = |tap: usize| {
        let (ci, co) = (conv.ci as usize, conv.co as usize);
        (0..ci).any(|i| (0..co).any(|o| conv.live(tap, i, o)))
    };
    (0..conv.taps()).filter(|tap| pairs(*tap)).collect()
}

/// Rows and columns from an output to what `tap` reads.
fn offset(conv: &Conv, tap: usize) -> [i32; 2] {
    let (kh, kw) = (tap as u32 / conv.kw, tap as u32 % conv.kw);
    let away = |k: u32, dilation: u32, pad: u32| (k * dilation) as i32 - pad as i32;
    [away(kh, conv.dilation_h, conv.pad_top), away(kw, conv.dilation_w, conv.pad_left)]
}

/// The first channel, and rows and columns to what is read, of a gather that takes a slice of channels
/// and moves rows and columns; `None` for any other.
fn shift(gather: &Strided) -> Option<(u32, [i32; 2])> {
    let axes = gather.axes();
    let [image, channel, row, column] = axes;
    let plain = axes.iter().all(|a| (a.mul == 1 && a.div == 1) || (a.out == 1 && a.size == 1));
    let stride = |a: crate::kernels::strided::Axis, want: u32| a.size == 1 || a.stride == want;
    let in_order = stride(column, 1) && stride(row, column.size) && stride(channel, row.size * column.size);
    let start = u32::try_from(channel.add).ok()?;
    let slice = start + channel.out <= channel.size && image.out == 1 && image.size == 1 && image.add == 0;
    (plain && in_order && slice && gather.offset == 0).then_some((start, [row.add, column.add]))
}
