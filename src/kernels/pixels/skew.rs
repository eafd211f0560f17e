//! Images by their diagonals (van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural
//! Networks", ICML 2016, §3.3).

use crate::kernels::*;

params! {
    /// x `[planes,h,w]` -> y `[planes,h+w-1,h]`: y\[d,i\] = x\[i,d-i\] where that is inside the
    /// image, else 0. With back x `[planes,h+w-1,h]` -> y `[planes,h,w]`: y\[i,j\] = x\[i+j,i\].
    pub struct Skew {
        /// Images times channels.
        pub planes: u32,
        /// Rows of an image.
        pub h: u32,
        /// Columns of an image.
        pub w: u32,
        /// 1 from diagonals to an image.
        pub back: u32,
    }
}

static SHADER: Shader = shader!(Skew, "skew");
static SIGNATURE: Signature = Signature { name: "skew", reads: &["x"], writes: &[("y", Access::Write)] };

impl Skew {
    /// Elements of an image and of its diagonals.
    fn sizes(&self) -> [usize; 2] {
        let [h, w] = [self.h, self.w].map(|d| d as usize);
        [h * w, (h + w - 1) * h]
    }
}

impl Kernel for Skew {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn lens(&self) -> Lens {
        let [image, skewed] = self.sizes().map(|size| self.planes as usize * size);
        match self.back {
            1 => Lens { reads: vec![skewed], writes: vec![image] },
            _ => Lens { reads: vec![image], writes: vec![skewed] },
        }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let [h, w] = [self.h, self.w].map(|d| d as usize);
        let [image, skewed] = self.sizes();
        for plane in 0..self.planes as usize {
            for (d, i) in (0..h + w - 1).flat_map(|d| (0..h).map(move |i| (d, i))) {
                let inside = (i..i + w).contains(&d);
                let at = plane * skewed + d * h + i;
                let pixel = plane * image + i * w + d.wrapping_sub(i).min(w - 1);
                match (self.back, inside) {
                    (1, true) => writes[0][pixel] = reads[0][at],
                    (1, false) => {}
                    _ => writes[0][at] = if inside { reads[0][pixel] } else { 0.0 },
                }
            }
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = flat(&SHADER, self, self.lens().writes[0], caps);
        vec![Recipe::single("flat", stage.operands(self.signature()))]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn label(&self) -> String {
        format!("[{},{},{}]{}", self.planes, self.h, self.w, if self.back == 1 { " back" } else { "" })
    }
}

impl Checks for Skew {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        exact(reference)
    }
}

fn both(all: &[[u32; 3]]) -> Vec<Box<dyn Kernel>> {
    let case = |[planes, h, w]: [u32; 3], back| Box::new(Skew { planes, h, w, back }) as Box<dyn Kernel>;
    all.iter().flat_map(|shape| [case(*shape, 0), case(*shape, 1)]).collect()
}

/// Odd shapes.
pub fn cases() -> Vec<Box<dyn Kernel>> {
    both(&[[1, 1, 1], [3, 1, 5], [5, 7, 1], [2, 3, 11], [11, 13, 4], [70, 28, 28]])
}

/// Shapes of the presets.
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    both(&[[16 * 64, 28, 28]])
}
