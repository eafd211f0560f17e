//! `sum_weight_grads`: the partial sums that many layers' weight gradients have left, added up at once.

use super::conv::Conv;
use super::conv_cases;
use super::layers::{MAX_LAYERS, starts};
use super::weight_grad::WeightGrad;
use crate::kernels::*;

/// Elements of the longest partial sums worth it: a launch of their own takes longer than to start it.
const MOST: usize = 1 << 22;
/// Where there is no bias.
const NONE: u32 = u32::MAX;

params! {
    /// The partial sums of a layer; `Sums` of `shaders/lib/sum_parts.wgsl`.
    pub struct Sums {
        /// First element of `[splits, lines, columns]`, which with a bias `[splits, columns]` follows.
        pub part: u32,
        /// First element of the gradient of the weights.
        pub dw: u32,
        /// That of the bias; the largest number where there is none.
        pub db: u32,
        /// Output channels.
        pub co: u32,
        /// Input channels.
        pub ci: u32,
        /// Elements of the kernel.
        pub taps: u32,
        /// Partial sums of an entry.
        pub splits: u32,
        /// Lines of each.
        pub lines: u32,
        /// Columns of each.
        pub columns: u32,
        /// Colours by which channels are sorted.
        pub groups: u32,
        /// Input channels of one.
        pub pack_ci: u32,
        /// Output channels of one.
        pub pack: u32,
        /// Lines from a tap to the next.
        pub line_tap: u32,
        /// Lines from a channel to the next.
        pub line_chan: u32,
        /// The mask: 0, 1 = A, 2 = B.
        pub dead: u32,
        /// Taps in front of its centre, or all.
        pub dense: u32,
        /// Its colours.
        pub colours: u32,
        /// Invocations that share an entry.
        pub share: u32,
    }
}

params! {
    /// The block of `shaders/sum_weight_grads.wgsl`.
    pub struct SumWeightGradsParams {
        /// The first workgroup of each layer; of those that are not there none.
        pub first: [u32; MAX_LAYERS],
        /// The layers.
        pub layers: [Sums; MAX_LAYERS],
    }
}

/// part `[words]`, of some layers the partial sums that the products of their weight gradients leave ->
/// grads `[len]`: of each layer dw `[co, ci, kh, kw]` and db `[co]`, where a mask is dead zeros. What is
/// of no layer stays as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct SumWeightGrads {
    /// Elements of grads.
    pub len: u32,
    /// At most [`MAX_LAYERS`], each from a multiple of 64 words on, in order and without gaps.
    pub layers: Vec<Sums>,
}

static SIGNATURE: Signature =
    Signature { name: "sum_weight_grads", reads: &["part"], writes: &[("grads", Access::Update)] };
static SHADER: Shader = shader!(SumWeightGradsParams, "sum_weight_grads");

impl Sums {
    /// What the product of `form` leaves, for gradients from elements `dw` and `db` on.
    fn new(form: &WeightGrad, dw: u32, db: Option<u32>, share: u32) -> Sums {
        Sums {
            part: 0,
            dw,
            db: db.unwrap_or(NONE),
            co: form.co,
            ci: form.ci,
            taps: form.kh * form.kw,
            splits: form.splits,
            lines: form.lines,
            columns: form.columns,
            groups: form.groups,
            pack_ci: form.pack_ci,
            pack: form.pack,
            line_tap: form.line_tap,
            line_chan: form.line_chan,
            dead: form.dead,
            dense: form.dense,
            colours: form.colours,
            share,
        }
    }

    /// What a stage adds up, if that is a layer's partial sums, for gradients from elements `dw` and `db`
    /// on.
    pub(crate) fn of(stage: &Stage, dw: u32, db: u32) -> Option<Sums> {
        let form: WeightGrad =
            (stage.shader.name == "weight_grad_reduce").then(|| bytemuck::pod_read_unaligned(&stage.params))?;
        let sums = Sums::new(&form, dw, (stage.value("BIAS")? == 1).then_some(db), stage.value("SHARE")?);
        (sums.words() as usize <= MOST).then_some(sums)
    }

    /// The same for gradients of which the first is element `start`.
    pub(crate) fn from(self, start: u32) -> Sums {
        Sums { dw: self.dw - start, db: if self.db == NONE { NONE } else { self.db - start }, ..self }
    }

    /// Elements of the partial sums, up to where the next can be bound.
    pub(crate) fn words(&self) -> u32 {
        let bias = if self.db == NONE { 0 } else { self.splits * self.columns };
        (self.splits * self.lines * self.columns + bias).next_multiple_of(APART)
    }

    fn weights(&self) -> u32 {
        self.co * self.ci * self.taps
    }

    /// Entries of dw and db.
    fn entries(&self) -> u32 {
        self.weights() + if self.db == NONE { 0 } else { self.co }
    }

    /// The first element behind the gradients.
    fn end(&self) -> u32 {
        (self.dw + self.weights()).max(if self.db == NONE { 0 } else { self.db + self.co })
    }

    /// Calls `each` with the place of every entry in grads and the terms of its sum, if it lives.
    fn each(&self, part: &[f32], mut each: impl FnMut(usize, Option<&mut dyn Iterator<Item = f32>>)) {
        let mut sum = |place: u32, first: u32, step: u32, lives: bool| {
            let mut terms = (0..self.splits).map(|split| part[(self.part + first + split * step) as usize]);
            each(place as usize, if lives { Some(&mut terms) } else { None });
        };
        for co in 0..self.co {
            let column = co % self.groups * self.pack + co / self.groups;
            for (ci, tap) in (0..self.ci).flat_map(|ci| (0..self.taps).map(move |tap| (ci, tap))) {
                let sees = || ci % self.colours + 1 < co % self.colours + self.dead;
                let lives = tap < self.dense || self.dead != 0 && tap == self.dense && sees();
                let position = ci % self.groups * self.pack_ci + ci / self.groups;
                let line = tap * self.line_tap + position * self.line_chan;
                let place = self.dw + (co * self.ci + ci) * self.taps + tap;
                sum(place, line * self.columns + column, self.lines * self.columns, lives);
            }
            if self.db != NONE {
                sum(self.db + co, self.splits * self.lines * self.columns + column, self.columns, true);
            }
        }
    }
}

impl SumWeightGrads {
    /// Adds up these, one behind the other; their places in part are set. Without layers it is none.
    pub(crate) fn new(mut layers: Vec<Sums>) -> Option<SumWeightGrads> {
        let mut part = 0;
        for layer in &mut layers {
            layer.part = part;
            part += layer.words();
        }
        let len = layers.iter().map(Sums::end).max()?;
        Some(SumWeightGrads { len, layers })
    }

    fn words(&self) -> u32 {
        self.layers.iter().map(Sums::words).sum()
    }
}

impl Kernel for SumWeightGrads {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.words() as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        for layer in &self.layers {
            layer.each(reads[0], |place, terms| {
                writes[0][place] = terms.map_or(0.0, |terms| terms.map(f64::from).sum::<f64>() as f32);
            });
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wide = if caps.class == Class::Lanes { 8 } else { 256 };
        let share = |layer: &Sums| layer.share.min(wide);
        let (first, workgroups) = starts(self.layers.iter().map(|layer| layer.entries().div_ceil(wide / share(layer))));
        let layer = |layer: &Sums| Sums { share: share(layer), ..*layer };
        let params = SumWeightGradsParams {
            first,
            layers: std::array::from_fn(|k| self.layers.get(k).map_or(bytemuck::Zeroable::zeroed(), layer)),
        };
        let grid = grid_1d(workgroups, caps);
        let stage = Stage::new(&SHADER, &params, grid).operands(&SIGNATURE);
        vec![Recipe::single("entries", stage.constant("WG", wide))]
    }

    fn flops(&self) -> u64 {
        self.layers.iter().map(|layer| u64::from(layer.entries()) * u64::from(layer.splits)).sum()
    }

    fn label(&self) -> String {
        format!("dw[{}] of {}", self.len, self.layers.len())
    }
}

impl Checks for SumWeightGrads {
    fn bounds(&self, reads: &[&[f32]], old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let mut bounds = vec![0.0; old[0].len()];
        for layer in &self.layers {
            layer.each(reads[0], |place, terms| {
                let magnitude = terms.map_or(0.0, |terms| terms.map(|x| f64::from(x.abs())).sum::<f64>());
                bounds[place] = sum_bound(layer.splits as usize, magnitude as f32);
            });
        }
        vec![bounds]
    }
}

/// Layers whose gradients lie one behind the other, every other with a bias; so many invocations share an entry.
fn layers(forms: impl Iterator<Item = WeightGrad>, share: impl Fn(usize) -> u32) -> Option<Box<dyn Kernel>> {
    let mut at = 0u32;
    let layers = forms.enumerate().map(|(k, form)| {
        let weights = form.co * form.ci * form.kh * form.kw;
        // The bias stands in front of its weights as well as behind them.
        let [dw, db] = match k % 4 {
            0 => [at, NONE],
            1 => [at, (at + weights).next_multiple_of(APART)],
            2 => [at + 3, NONE],
            _ => [(at + form.co).next_multiple_of(APART), at],
        };
        let sums = Sums::new(&form, dw, (db != NONE).then_some(db), share(k));
        at = sums.end().next_multiple_of(APART);
        sums
    });
    SumWeightGrads::new(layers.collect()).map(|all| Box::new(all) as Box<dyn Kernel>)
}

/// Odd shapes, with masks and colours, sorted by them and not.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let few: Vec<Conv> = [conv_cases::plain(), conv_cases::masked()].concat();
    let few: Vec<Conv> = few.into_iter().filter(|c| c.ci * c.co < 400).collect();
    let form = |k: usize, c: &Conv| {
        let form = if k.is_multiple_of(2) { WeightGrad::of_one_colour(c, 4) } else { WeightGrad::new(c, 1, 1) };
        form.split(1, [1, 3, 5, 16, 37][k % 5], 1, 1)
    };
    let set = |(k, convs): (usize, &[Conv])| {
        layers(convs.iter().enumerate().map(|(k, c)| form(k, c)), |at| [1, 4, 16][(k + at) % 3])
    };
    [3, 16].into_iter().flat_map(|size| few.chunks(size).enumerate().filter_map(set).collect::<Vec<_>>()).collect()
}

/// The weights of PixelCNN's blocks.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let block = Conv::new([256, 16, 28, 28], 16, [3, 3]).with([1, 1], [1, 1], [1; 4]).masked(2, 1);
    let form = WeightGrad::of_one_colour(&block, 4).split(1, 96, 256, 8);
    layers(std::iter::repeat_n(form, MAX_LAYERS), |_| 16).into_iter().collect()
}
