//! Moving each image by whole pixels, as far as is drawn for it.

use crate::kernels::*;

params! {
    /// x `[n,c,h,w]`, clock -> y `[n,c,h,w]`: image i of x moved down and to the right by (v, u),
    /// which words 0 and 1 of its block draw from -most_v..=most_v and -most_u..=most_u; 0 where
    /// nothing moves in.
    pub struct Translate {
        /// Images.
        pub n: u32,
        /// Channels.
        pub c: u32,
        /// Rows.
        pub h: u32,
        /// Columns.
        pub w: u32,
        /// The farthest an image moves up or down; at most `h`.
        pub most_v: u32,
        /// The farthest it moves left or right; at most `w`.
        pub most_u: u32,
        /// 1 to move by as much in the opposite direction.
        pub back: u32,
        /// Which numbers it draws.
        pub noise: philox::NoiseBlock,
    }
}

static SHADER: Shader = shader!(Translate, "translate");

static SIGNATURE: Signature = Signature { name: "translate", reads: &["x", "clock"], writes: &[("y", Access::Write)] };

impl Translate {
    fn len(&self) -> usize {
        [self.n, self.c, self.h, self.w].map(|d| d as usize).iter().product()
    }

    /// How far image `i` moves down and to the right.
    fn distance(&self, source: &philox::Stream, i: usize) -> [i64; 2] {
        let [v, u, ..] = source.words(i as u32);
        let draw = |word: u32, most: u32| i64::from(word % (2 * most + 1)) - i64::from(most);
        let sign = if self.back == 1 { -1 } else { 1 };
        [sign * draw(v, self.most_v), sign * draw(u, self.most_u)]
    }
}

impl Kernel for Translate {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len(), 1], writes: vec![self.len()] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let (h, w) = (self.h as usize, self.w as usize);
        let source = self.noise.at(step(reads[1]));
        let planes = std::iter::zip(reads[0].chunks_exact(h * w), writes[0].chunks_exact_mut(h * w));
        for (plane, (x, y)) in planes.enumerate() {
            let [v, u] = self.distance(&source, plane / self.c as usize);
            for (at, y) in y.iter_mut().enumerate() {
                let (row, column) = ((at / w) as i64 - v, (at % w) as i64 - u);
                let inside = (0..h as i64).contains(&row) && (0..w as i64).contains(&column);
                *y = if inside { x[row as usize * w + column as usize] } else { 0.0 };
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, self.len(), caps);
        let stage = stage.operands(self.signature());
        vec![Recipe::single("flat", stage)]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        let back = if self.back == 1 { " back" } else { "" };
        format!("x[{},{},{},{}] by {},{}{back}", self.n, self.c, self.h, self.w, self.most_v, self.most_u)
    }
}

impl Checks for Translate {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        example_with_clock(1, operand, len, draw)
    }

    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

fn case([n, c, h, w]: [u32; 4], [most_v, most_u]: [u32; 2], back: u32) -> Box<dyn Kernel> {
    Box::new(Translate { n, c, h, w, most_v, most_u, back, noise: philox::NoiseBlock::example(6) })
}

/// Odd shapes: nothing to move, a single row, out of sight, both directions.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    vec![
        case([1, 1, 1, 1], [0, 0], 0),
        case([5, 1, 1, 7], [1, 7], 0),
        case([7, 3, 5, 11], [2, 3], 0),
        case([7, 3, 5, 11], [2, 3], 1),
        case([64, 1, 28, 28], [14, 14], 1),
    ]
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    vec![case([64, 1, 28, 28], [4, 4], 0), case([64, 3, 32, 32], [16, 16], 0)]
}
