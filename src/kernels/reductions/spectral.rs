//! Weights divided by their largest singular value (Miyato, Kataoka, Koyama & Yoshida, "Spectral
//! Normalization for Generative Adversarial Networks", ICLR 2018): the vectors of the power
//! iteration, the quotient, and its gradient.

use crate::kernels::*;

params! {
    /// x `[len]` -> y `[len]` = x / (‖x‖ + eps).
    pub struct Unit {
        /// Elements.
        pub len: u32,
        /// Added to the length.
        pub eps: f32,
    }
}

params! {
    /// w `[rows, columns]`, u, product `[rows]` -> y `[rows, columns]` = w / sigma, sigma `[1]`
    /// = u · product, where the product is that of w and the right singular vector.
    pub struct Spectral {
        /// Outputs.
        pub rows: u32,
        /// Inputs of an output.
        pub columns: u32,
    }
}

/// dy, y `[rows, columns]`, u `[rows]`, v `[columns]`, sigma `[1]` -> dw `[rows, columns]` of
/// [`Spectral`] = (dy - (Σ dy y) u vᵀ) / sigma (equation 9 of the paper).
#[derive(Clone, Copy, Debug)]
pub struct SpectralGrad(pub Spectral);

params! {
    /// The block of both stages of the gradient.
    pub struct SpectralGradStage {
        /// Elements of dw.
        pub len: u32,
        /// Inputs of an output.
        pub columns: u32,
        /// Elements of a chunk.
        pub chunk: u32,
        /// Chunks that are summed apart.
        pub chunks: u32,
    }
}

static UNIT_SHADER: Shader = shader!(Unit, "unit");
static SPECTRAL_SHADER: Shader = shader!(Spectral, "spectral");
static SUMS_SHADER: Shader = shader!(SpectralGradStage, "spectral_grad_sums");
static GRAD_SHADER: Shader = shader!(SpectralGradStage, "spectral_grad");

static UNIT: Signature = Signature { name: "unit", reads: &["x"], writes: &[("y", Access::Write)] };
static FORWARD: Signature = Signature {
    name: "spectral",
    reads: &["w", "u", "product"],
    writes: &[("y", Access::Write), ("sigma", Access::Write)],
};
static BACKWARD: Signature =
    Signature { name: "spectral_grad", reads: &["dy", "y", "u", "v", "sigma"], writes: &[("dw", Access::Write)] };

fn dot(x: &[f32], y: &[f32]) -> f64 {
    std::iter::zip(x, y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

/// Lanes that share a sum.
fn lanes(caps: &Caps) -> u32 {
    if caps.class == Class::Lanes { 8 } else { 256 }
}

impl Kernel for Unit {
    fn signature(&self) -> &'static Signature {
        &UNIT
    }

    fn lens(&self) -> Lens {
        Lens { reads: vec![self.len as usize], writes: vec![self.len as usize] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let length = dot(reads[0], reads[0]).sqrt() + f64::from(self.eps);
        std::iter::zip(&mut *writes[0], reads[0]).for_each(|(y, x)| *y = (f64::from(*x) / length) as f32);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let stage = Stage::new(&UNIT_SHADER, self, [1, 1, 1]).constant("WG", lanes(caps));
        vec![Recipe::single("single", stage.operands(&UNIT))]
    }

    fn flops(&self) -> u64 {
        3 * u64::from(self.len)
    }

    fn turns(&self) -> u64 {
        2 * u64::from(self.len) / 256
    }

    fn label(&self) -> String {
        format!("x[{}]", self.len)
    }
}

impl Checks for Unit {
    fn bounds(&self, _reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let relative = sum_bound(self.len as usize, 1.0) + 12.0 * EPS;
        vec![reference[0].iter().map(|y| relative * y.abs() + f32::MIN_POSITIVE).collect()]
    }
}

impl Spectral {
    fn len(&self) -> usize {
        self.rows as usize * self.columns as usize
    }
}

impl Kernel for Spectral {
    fn signature(&self) -> &'static Signature {
        &FORWARD
    }

    fn lens(&self) -> Lens {
        let rows = self.rows as usize;
        Lens { reads: vec![self.len(), rows, rows], writes: vec![self.len(), 1] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let sigma = dot(reads[1], reads[2]);
        writes[1][0] = sigma as f32;
        std::iter::zip(&mut *writes[0], reads[0]).for_each(|(y, w)| *y = (f64::from(*w) / sigma) as f32);
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        // Every workgroup has the sum to make first.
        let most = if caps.class == Class::Lanes { 64 } else { 1024 };
        let groups = self.len().div_ceil(lanes(caps) as usize * 4).clamp(1, most);
        let stage = Stage::new(&SPECTRAL_SHADER, self, grid_1d(groups, caps)).constant("WG", lanes(caps));
        vec![Recipe::single("flat", stage.operands(&FORWARD))]
    }

    fn flops(&self) -> u64 {
        self.len() as u64 + 2 * u64::from(self.rows)
    }

    fn label(&self) -> String {
        format!("w[{},{}]", self.rows, self.columns)
    }
}

impl Checks for Spectral {
    /// A sum of positive numbers is far from 0.
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let lowest = if operand == Operand::Read(0) { -1.0 } else { 0.1 };
        (0..len).map(|_| lowest + 2.0 * draw()).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let most: f32 = std::iter::zip(reads[1], reads[2]).map(|(u, p)| (u * p).abs()).sum();
        let sigma = sum_bound(self.rows as usize, most) + 2.0 * EPS * most;
        let relative = 2.0 * sigma / reference[1][0].abs() + 8.0 * EPS;
        vec![reference[0].iter().map(|y| relative * y.abs() + f32::MIN_POSITIVE).collect(), vec![sigma]]
    }
}

impl Kernel for SpectralGrad {
    fn signature(&self) -> &'static Signature {
        &BACKWARD
    }

    fn lens(&self) -> Lens {
        let (len, rows, columns) = (self.0.len(), self.0.rows as usize, self.0.columns as usize);
        Lens { reads: vec![len, len, rows, columns, 1], writes: vec![len] }
    }

    fn cpu(&self, reads: &[&[f32]], writes: &mut [&mut [f32]]) {
        let &[dy, y, u, v, sigma] = reads else { return };
        let (along, sigma) = (dot(dy, y), f64::from(sigma[0]));
        let columns = self.0.columns as usize;
        for (i, dw) in writes[0].iter_mut().enumerate() {
            let outer = f64::from(u[i / columns]) * f64::from(v[i % columns]);
            *dw = ((f64::from(dy[i]) - along * outer) / sigma) as f32;
        }
    }

    fn variants(&self, caps: &Caps) -> Vec<Recipe> {
        let wg = lanes(caps);
        let len = self.0.len() as u32;
        // Every workgroup of the second stage sums what the first has left.
        let chunk = len.div_ceil(64).max(8 * wg);
        let chunks = len.div_ceil(chunk);
        let block = SpectralGradStage { len, columns: self.0.columns, chunk, chunks };
        let sums = Stage::new(&SUMS_SHADER, &block, grid_1d(chunks as usize, caps)).constant("WG", wg);
        let sums = sums.bind("dy", Slot::Read(0)).bind("y", Slot::Read(1)).bind("part", Slot::ScratchOut(0));
        let grad = flat(&GRAD_SHADER, &block, len as usize, caps);
        let names = ["dy", "u", "v", "sigma"].into_iter().zip([0, 2, 3, 4]);
        let grad = names.fold(grad, |stage, (name, read)| stage.bind(name, Slot::Read(read)));
        let grad = grad.bind("part", Slot::ScratchIn(0)).bind("dw", Slot::Write(0));
        vec![Recipe { name: "split", scratch: vec![chunks as usize], stages: vec![sums, grad] }]
    }

    fn flops(&self) -> u64 {
        6 * self.0.len() as u64
    }

    fn label(&self) -> String {
        format!("d{}", self.0.label())
    }
}

impl Checks for SpectralGrad {
    fn example(&self, operand: Operand, len: usize, draw: &mut dyn FnMut() -> f32) -> Vec<f32> {
        let positive = operand == Operand::Read(4);
        (0..len).map(|_| if positive { 0.5 + draw() } else { 2.0 * draw() - 1.0 }).collect()
    }

    fn bounds(&self, reads: &[&[f32]], _old: &[&[f32]], _reference: &[&[f32]]) -> Vec<Vec<f32>> {
        let &[dy, y, u, v, sigma] = reads else { return Vec::new() };
        let most: f32 = std::iter::zip(dy, y).map(|(dy, y)| (dy * y).abs()).sum();
        let (along, error) = (dot(dy, y).abs() as f32, sum_bound(self.0.len(), most));
        let columns = self.0.columns as usize;
        let bound = |(i, dy): (usize, &f32)| {
            let outer = (u[i / columns] * v[i % columns]).abs();
            (outer * (error + 6.0 * EPS * along) + 6.0 * EPS * dy.abs()) / sigma[0] + f32::MIN_POSITIVE
        };
        vec![dy.iter().enumerate().map(bound).collect()]
    }
}

const LENS: [u32; 4] = [1, 7, 256, 4099];
const CASES: [[u32; 2]; 6] = [[1, 1], [5, 3], [1, 515], [67, 1], [300, 13], [129, 2304]];
const SHAPES: [[u32; 2]; 3] = [[256, 160], [256, 2304], [4096, 32]];

fn boxed(kernels: impl Iterator<Item = impl Kernel + 'static>) -> Vec<Box<dyn Kernel>> {
    kernels.map(|kernel| Box::new(kernel) as Box<dyn Kernel>).collect()
}

fn of(sizes: &[[u32; 2]]) -> impl Iterator<Item = Spectral> {
    sizes.iter().map(|&[rows, columns]| Spectral { rows, columns })
}

/// Odd lengths of [`Unit`].
pub fn unit_cases() -> Vec<Box<dyn Kernel>> {
    boxed(LENS.into_iter().map(|len| Unit { len, eps: 1e-12 }))
}

/// Lengths of the presets for [`Unit`].
pub fn unit_shapes() -> Vec<Box<dyn Kernel>> {
    boxed([256, 2304].into_iter().map(|len| Unit { len, eps: 1e-12 }))
}

/// Odd shapes of [`Spectral`].
pub fn cases() -> Vec<Box<dyn Kernel>> {
    boxed(of(&CASES))
}

/// Shapes of the presets for [`Spectral`].
pub fn shapes() -> Vec<Box<dyn Kernel>> {
    boxed(of(&SHAPES))
}

/// Odd shapes of [`SpectralGrad`].
pub fn grad_cases() -> Vec<Box<dyn Kernel>> {
    boxed(of(&CASES).map(SpectralGrad))
}

/// Shapes of the presets for [`SpectralGrad`].
pub fn grad_shapes() -> Vec<Box<dyn Kernel>> {
    boxed(of(&SHAPES).map(SpectralGrad))
}
