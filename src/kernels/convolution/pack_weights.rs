//! `pack_weights`: many layers' weights laid out for products at once, when they have changed.

use super::layers::{MAX_LAYERS, starts};
use super::pack::{PackLast, WHOLE};
use crate::kernels::*;

/// Elements of the longest weights worth it: a launch of their own takes longer than to start it.
const MOST: usize = 1 << 22;

params! {
    /// The weights of a layer, `[co, ci, taps]`, as four numbers.
    pub struct Layer {
        /// First element.
        pub src: u32,
        /// First element of the packed weights.
        pub dst: u32,
        /// co, and from bit 16 on ci.
        pub channels: u32,
        /// taps; bit 16: 0 if rows are ci, 1 if they are co; bits 17 and 18: mask (1 = A, 2 = B); from bit
        /// 20 on its colours.
        pub kind: u32,
    }
}

params! {
    /// The block of `shaders/pack_weights.wgsl`.
    pub struct PackWeightsParams {
        /// The first workgroup of each layer; of those that are not there none.
        pub first: [u32; MAX_LAYERS],
        /// The layers.
        pub layers: [Layer; MAX_LAYERS],
    }
}

/// src `[len]`, weights `[co, ci, taps]` of some layers -> dst `[words]`: of each layer four zeros and
/// `[taps, rows, columns]`, rows ci and columns co or the other way round, both padded with zeros to
/// multiples of four. Where a mask of colours is at its centre, dead weights are zeros as well.
#[derive(Clone, Debug, PartialEq)]
pub struct PackWeights {
    /// Elements of src.
    pub len: u32,
    /// At most [`MAX_LAYERS`], each from a multiple of 64 words on, in order and without gaps.
    pub layers: Vec<Layer>,
}

static SIGNATURE: Signature = Signature { name: "pack_weights", reads: &["src"], writes: &[("dst", Access::Write)] };
static SHADER: Shader = shader!(PackWeightsParams, "pack_weights");

impl Layer {
    /// Of `[co, ci, taps]` from element `src` on, by outputs or not, with a mask and its colours.
    fn new(src: u32, [co, ci, taps]: [u32; 3], by_outputs: bool, [mask, colours]: [u32; 2]) -> Layer {
        let kind = taps | u32::from(by_outputs) << 16 | mask << 17 | colours << 20;
        Layer { src, dst: 0, channels: co | ci << 16, kind }
    }

    fn extents(&self) -> [u32; 3] {
        [self.channels & 0xffff, self.channels >> 16, self.kind & 0xffff]
    }

    /// How it is packed.
    fn pack(&self) -> PackLast {
        let ([co, ci, taps], by_outputs) = (self.extents(), self.kind >> 16 & 1 == 1);
        let [rows, columns] = if by_outputs { [(co, ci * taps), (ci, taps)] } else { [(ci, taps), (co, ci * taps)] };
        let padded = [rows.0, columns.0].map(|n| n.next_multiple_of(4));
        let all = PackLast::new(1, [taps, rows.0, columns.0], padded, [0, 1, rows.1, columns.1]);
        match self.kind >> 17 & 3 {
            0 => all,
            mask => PackLast {
                masked: taps / 2,
                colours: self.kind >> 20,
                itself: mask - 1,
                rows_seen: u32::from(!by_outputs),
                ..all
            },
        }
    }

    /// The layer that a stage packs, if it is one: read from element `src` on.
    pub(crate) fn of(stage: &Stage, src: u32) -> Option<Layer> {
        let pack: PackLast = (stage.shader.name == "pack_last").then(|| bytemuck::pod_read_unaligned(&stage.params))?;
        let PackLast { n0: taps, n1, n2, s1, s2, masked, .. } = pack;
        let by_outputs = [s1, s2] != [taps, n1 * taps];
        let [co, ci] = if by_outputs { [n1, n2] } else { [n2, n1] };
        let mask = if masked == WHOLE { 0 } else { pack.itself + 1 };
        if [co, ci, taps].iter().any(|n| *n >= 1 << 16) || pack.colours >= 1 << 12 {
            return None;
        }
        let layer = Layer::new(src, [co, ci, taps], by_outputs, [mask, pack.colours]);
        // What stands in any other order, or in several tensors, is no weight of a layer.
        (layer.pack() == PackLast { s0: 1, s_batch: 0, ..pack } && layer.words() as usize <= MOST).then_some(layer)
    }

    /// Words of the packed weights.
    pub(crate) fn words(&self) -> u32 {
        let PackLast { n0, pack1, pack2, .. } = self.pack();
        (4 + n0 * pack1 * pack2).next_multiple_of(APART)
    }

    /// Elements of src that it reads.
    pub(crate) fn weights(&self) -> u32 {
        self.extents().iter().product()
    }

    fn workgroups(&self) -> u32 {
        let PackLast { n0, pack1, pack2, .. } = self.pack();
        n0 * pack1.div_ceil(32) * pack2.div_ceil(32)
    }
}

impl PackWeights {
    /// Packs these, of src from the first's first element to the last's last, one behind the other; their
    /// places are set. Without layers it is none.
    pub(crate) fn new(mut layers: Vec<Layer>) -> Option<PackWeights> {
        let first = layers.iter().map(|layer| layer.src).min()? / APART * APART;
        let mut dst = 0;
        for layer in &mut layers {
            layer.src -= first;
            layer.dst = dst;
            dst += layer.words();
        }
        let len = layers.iter().map(|layer| layer.src + layer.weights()).max()?;
        Some(PackWeights { len, layers })
    }

    fn words(&self) -> u32 {
        self.layers.iter().map(Layer::words).sum()
    }
}

impl Kernel for PackWeights {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.words() as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        writes[0].fill(0.0);
        for layer in &self.layers {
            let (pack, w) = (layer.pack(), &reads[0][layer.src as usize..]);
            let packed = &mut writes[0][layer.dst as usize + 4..];
            for tap in 0..pack.n0 {
                for i in 0..pack.n1 {
                    for j in (0..pack.n2).filter(|j| pack.lives(tap, i, *j)) {
                        let to = (tap * pack.pack1 + i) * pack.pack2 + j;
                        packed[to as usize] = w[(tap + i * pack.s1 + j * pack.s2) as usize];
                    }
                }
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let (first, workgroups) = starts(self.layers.iter().map(Layer::workgroups));
        let none = Layer { src: 0, dst: 0, channels: 0, kind: 0 };
        let params =
            PackWeightsParams { first, layers: std::array::from_fn(|k| self.layers.get(k).copied().unwrap_or(none)) };
        let grid = grid_1d(workgroups, caps);
        let stage = Stage::new(&SHADER, &params, grid);
        vec![Recipe::single("squares", stage.operands(&SIGNATURE))]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("w[{}] of {}", self.len, self.layers.len())
    }
}

impl Checks for PackWeights {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    let many = |k: u32| {
        Layer::new(64 * k, [k + 1, 5, 3], k.is_multiple_of(3), [k % 3, if k.is_multiple_of(3) { 1 } else { k % 4 + 1 }])
    };
    let sets = [
        vec![Layer::new(0, [1, 1, 1], false, [0, 1])],
        vec![Layer::new(1, [33, 70, 9], false, [0, 1]), Layer::new(0, [33, 70, 9], true, [0, 1])],
        vec![Layer::new(77, [12, 9, 25], true, [2, 3]), Layer::new(0, [12, 6, 1], false, [1, 3])],
        (0..16).map(many).collect(),
    ];
    sets.into_iter().filter_map(PackWeights::new).map(|all| Box::new(all) as Box<dyn Kernel>).collect()
}

/// The weights of PixelCNN's blocks.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    let block = |k: u32| Layer::new(2304 * k, [16, 16, 9], k % 2 == 1, [0, 1]);
    PackWeights::new((0..16).map(block).collect()).map(|all| Box::new(all) as Box<dyn Kernel>).into_iter().collect()
}
