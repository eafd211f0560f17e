//! `limn bench KERNEL --shape …`: kernels with a shape of one's own, and those of their gradients.

use super::{Error, nearest};
use crate::kernels::activation::Activation;
use crate::kernels::batch_norm::BatchNorm;
use crate::kernels::batch_norm_grad::BatchNormGrad;
use crate::kernels::conv::Conv;
use crate::kernels::conv_transpose2d::ConvTranspose2d;
use crate::kernels::conv2d::Conv2d;
use crate::kernels::conv2d_weight_grad::Conv2dWeightGrad;
use crate::kernels::copy::Copy;
use crate::kernels::cross_entropy::{CrossEntropy, CrossEntropyGrad};
use crate::kernels::depthwise::Depthwise;
use crate::kernels::lstm::{LstmCell, LstmCellGrad};
use crate::kernels::matmul::MatMul;
use crate::kernels::reduce::Reduce;
use crate::kernels::resample::{AvgPool, Upsample};
use crate::kernels::{Entry, Kernel};

/// A kernel, and what it is to the one that was named.
pub struct Direction {
    /// `forward`, or the gradient by an operand.
    pub name: &'static str,
    /// The kernel.
    pub kernel: Box<dyn Kernel>,
}

type Build = fn(&Sizes) -> Result<Vec<Direction>, Error>;

/// Kernels whose shapes are told in the same way.
struct Family {
    /// The names in the list of kernels.
    names: &'static [&'static str],
    /// Operands, the sizes they have, and whether one may be absent.
    operands: &'static [(&'static str, &'static [&'static str])],
    /// Settings.
    settings: &'static [&'static str],
    /// A shape as it can be typed.
    example: &'static str,
    build: Build,
}

const IMAGES: &str = "images,channels,height,width";

static FAMILIES: &[Family] = &[
    Family {
        names: &["conv2d", "masked_conv2d"],
        operands: &[("x", &[IMAGES]), ("w", &["out,in,height,width"])],
        settings: &["stride", "padding", "dilation", "mask", "groups", "bias"],
        example: "x=32,16,14,14 w=32,16,4,4 stride=2 padding=1",
        build: conv2d,
    },
    Family {
        names: &["conv_transpose2d"],
        operands: &[("x", &[IMAGES]), ("w", &["in,out,height,width"])],
        settings: &["stride", "padding", "dilation", "output_padding", "bias"],
        example: "x=32,64,7,7 w=64,32,4,4 stride=2 padding=1",
        build: conv_transpose2d,
    },
    Family {
        names: &["conv2d_weight_grad", "masked_conv2d_weight_grad"],
        operands: &[("x", &[IMAGES]), ("w", &["out,in,height,width"])],
        settings: &["stride", "padding", "dilation", "mask", "groups", "bias"],
        example: "x=32,16,14,14 w=32,16,4,4 stride=2 padding=1",
        build: |sizes| Ok(conv2d(sizes)?.into_iter().filter(|d| d.name == "gradient by w").collect()),
    },
    Family {
        names: &["depthwise_conv2d"],
        operands: &[("x", &[IMAGES]), ("w", &["channels,height,width"])],
        settings: &["stride", "padding"],
        example: "x=16,96,56,56 w=96,3,3 stride=2 padding=1",
        build: depthwise,
    },
    Family {
        names: &["matmul"],
        operands: &[("a", &["m,k", "batch,m,k"]), ("b", &["k,n", "batch,k,n"])],
        settings: &["trans_a", "trans_b", "bias"],
        example: "a=128,784 b=784,400 bias=true",
        build: matmul,
    },
    Family {
        names: &["batch_norm"],
        operands: &[("x", &["images,channels", IMAGES])],
        settings: &[],
        example: "x=64,128,14,14",
        build: batch_norm,
    },
    Family {
        names: &["reduce_sum"],
        operands: &[("x", &["kept,added", "kept,added,kept", "added,kept,added,kept", "kept,added,kept,added,kept"])],
        settings: &[],
        example: "x=1,64,128,196,1",
        build: reduce_sum,
    },
    Family {
        names: &["upsample", "avg_pool"],
        operands: &[("x", &[IMAGES])],
        settings: &["factor"],
        example: "x=64,128,14,14 factor=2",
        build: resample,
    },
    Family {
        names: &["cross_entropy"],
        operands: &[("x", &["rows,classes", "rows,classes,positions"])],
        settings: &[],
        example: "x=16,256,784",
        build: cross_entropy,
    },
    Family {
        names: &["lstm_cell"],
        operands: &[("h", &["rows,hidden,positions"])],
        settings: &[],
        example: "h=16,32,28",
        build: lstm_cell,
    },
    Family { names: &["copy"], operands: &[("x", &["elements"])], settings: &[], example: "x=1048576", build: copy },
];

/// The part of `limn bench --help` that tells shapes.
pub fn manual() -> String {
    let mut text = String::from("Shapes, for --shape:\n");
    for family in FAMILIES {
        text += &format!("  {:<26} \"{}\"\n", family.names.join(", "), family.example);
    }
    let keys: Vec<&str> =
        FAMILIES[0].settings.iter().chain(["output_padding", "trans_a", "trans_b", "factor"].iter()).copied().collect();
    text + &format!("Settings that a kernel takes are told where one is wrong: {}.\n", keys.join(", "))
}

/// The most elements of an operand, 2 GiB.
const MOST: u64 = 1 << 29;

/// What `--shape` says.
struct Sizes {
    /// The kernel that was named.
    of: String,
    given: Vec<(String, String)>,
}

/// The kernel called `entry` and those of its gradients, in this shape.
pub fn kernels(entry: &Entry, shape: &str) -> Result<Vec<Direction>, Error> {
    let Some(family) = FAMILIES.iter().find(|family| family.names.contains(&entry.name)) else {
        let known: Vec<&str> = FAMILIES.iter().flat_map(|family| family.names).copied().collect();
        return Err(Error::new(format!(
            "limn bench does not take a shape for {}; it does for {}",
            entry.name,
            known.join(", ")
        )));
    };
    let sizes = Sizes::read(entry.name, family, shape)?;
    let directions = (family.build)(&sizes)?;
    for Direction { kernel, .. } in &directions {
        let lens = kernel.lens();
        if lens.reads.iter().chain(&lens.writes).any(|len| *len as u64 > MOST) {
            return Err(sizes.wrong(format!("an operand would have more than {MOST} elements")));
        }
    }
    Ok(directions)
}

impl Sizes {
    fn read(of: &str, family: &Family, shape: &str) -> Result<Sizes, Error> {
        let operands = family.operands.iter().map(|(name, _)| *name);
        let known: Vec<&str> = operands.chain(family.settings.iter().copied()).collect();
        let mut sizes = Sizes { of: of.into(), given: Vec::new() };
        let example = format!("write it as \"{}\"", family.example);
        for word in shape.split_whitespace() {
            let Some((key, value)) = word.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                return Err(sizes.wrong(format!("\"{word}\" is no key=value; {example}")));
            };
            if !known.contains(&key) {
                let near = nearest(key, known.iter().copied());
                return Err(sizes.wrong(format!("there is no \"{key}\" in it; {near}; {example}")));
            }
            if sizes.text(key).is_some() {
                return Err(sizes.wrong(format!("{key} is there twice")));
            }
            sizes.given.push((key.into(), value.into()));
        }
        for (name, forms) in family.operands {
            let Some(text) = sizes.text(name) else {
                return Err(sizes.wrong(format!("{name} is missing, which is {}; {example}", forms.join(" or "))));
            };
            let count = text.split(',').count();
            if !forms.iter().any(|form| form.split(',').count() == count) {
                return Err(sizes.wrong(format!("{name}={text} must be {}; {example}", forms.join(" or "))));
            }
            // Its product must not wrap around anywhere.
            let elements = sizes.numbers(name, 1)?.iter().try_fold(1u64, |all, n| all.checked_mul(u64::from(*n)));
            if elements.is_none_or(|elements| elements > MOST) {
                return Err(sizes.wrong(format!("{name}={text} has more than {MOST} elements")));
            }
        }
        Ok(sizes)
    }

    fn wrong(&self, why: impl std::fmt::Display) -> Error {
        Error::new(format!("the shape of {}: {why}", self.of))
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.given.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn numbers(&self, key: &str, least: u32) -> Result<Vec<u32>, Error> {
        let text = self.text(key).unwrap_or_default();
        let number = |part: &str| match part.parse::<u32>() {
            Ok(n) if n >= least && u64::from(n) <= MOST => Ok(n),
            _ => Err(self.wrong(format!("{key}={text}: \"{part}\" is no whole number from {least} to {MOST}"))),
        };
        text.split(',').map(number).collect()
    }

    /// An operand's sizes, as many as are asked for: where it has fewer, 1 stands for those before.
    fn last<const N: usize>(&self, key: &str) -> Result<[u32; N], Error> {
        let numbers = self.numbers(key, 1)?;
        let mut sizes = [1; N];
        let start = N.saturating_sub(numbers.len());
        std::iter::zip(&mut sizes[start..], numbers).for_each(|(to, n)| *to = n);
        Ok(sizes)
    }

    /// The same where 1 stands for those behind.
    fn first<const N: usize>(&self, key: &str) -> Result<[u32; N], Error> {
        let mut sizes = [1; N];
        std::iter::zip(&mut sizes, self.numbers(key, 1)?).for_each(|(to, n)| *to = n);
        Ok(sizes)
    }

    /// Vertical and horizontal, or one number for both; a few at most, so that sums do not wrap.
    fn pair(&self, key: &str, usual: u32, least: u32) -> Result<[u32; 2], Error> {
        if self.text(key).is_none() {
            return Ok([usual; 2]);
        }
        match self.small(key, least)?[..] {
            [both] => Ok([both; 2]),
            [vertical, horizontal] => Ok([vertical, horizontal]),
            _ => Err(self.wrong(format!("{key} is one number, or two: vertical,horizontal"))),
        }
    }

    fn small(&self, key: &str, least: u32) -> Result<Vec<u32>, Error> {
        let numbers = self.numbers(key, least)?;
        match numbers.iter().find(|n| **n > 1 << 16) {
            Some(n) => Err(self.wrong(format!("{key} of {n} is too much; up to {} will do", 1 << 16))),
            None => Ok(numbers),
        }
    }

    /// Top, left, bottom, right.
    fn padding(&self) -> Result<[u32; 4], Error> {
        if self.text("padding").is_none() {
            return Ok([0; 4]);
        }
        match self.small("padding", 0)?[..] {
            [all] => Ok([all; 4]),
            [v, h] => Ok([v, h, v, h]),
            [top, left, bottom, right] => Ok([top, left, bottom, right]),
            _ => Err(self.wrong("padding is one number, two (vertical,horizontal) or four (top,left,bottom,right)")),
        }
    }

    /// Refuses a result of too many elements before anything is counted in fewer bits.
    fn result<const N: usize>(&self, sizes: [u32; N]) -> Result<(), Error> {
        let elements = sizes.iter().try_fold(1u64, |all, n| all.checked_mul(u64::from(*n)));
        match elements.filter(|elements| *elements <= MOST) {
            Some(_) => Ok(()),
            None => Err(self.wrong(format!("the result would have more than {MOST} elements"))),
        }
    }

    fn flag(&self, key: &str) -> Result<bool, Error> {
        match self.text(key) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(self.wrong(format!("{key}={other} must be true or false"))),
        }
    }
}

fn forward(kernel: impl Kernel + 'static) -> Direction {
    Direction { name: "forward", kernel: Box::new(kernel) }
}

fn gradient(name: &'static str, kernel: impl Kernel + 'static) -> Direction {
    Direction { name, kernel: Box::new(kernel) }
}

/// Whether a kernel of this extent fits in what is there and its padding.
fn fits(s: &Sizes, sizes: [u32; 2], pad: [u32; 4], kernel: [u32; 2], dilation: [u32; 2]) -> Result<(), Error> {
    let extents = [0, 1].map(|axis| {
        let has = u64::from(sizes[axis]) + u64::from(pad[axis]) + u64::from(pad[axis + 2]);
        (has, u64::from(dilation[axis]) * u64::from(kernel[axis] - 1) + 1)
    });
    match extents.into_iter().find(|(has, needs)| needs > has) {
        Some((has, needs)) => {
            Err(s.wrong(format!("w needs {needs} pixels in a direction in which x with padding has {has}")))
        }
        None => Ok(()),
    }
}

fn conv2d(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let ([n, ci, h, w], [co, wci, kh, kw]) = (s.last("x")?, s.last("w")?);
    if wci != ci {
        return Err(s.wrong(format!("x has {ci} channels and w takes {wci}: the second size of each must agree")));
    }
    let (stride, dilation, pad) = (s.pair("stride", 1, 1)?, s.pair("dilation", 1, 1)?, s.padding()?);
    fits(s, [h, w], pad, [kh, kw], dilation)?;
    let masked = s.of.starts_with("masked");
    let mask = match s.text("mask") {
        None if masked => return Err(s.wrong("its mask is missing: mask=A or mask=B")),
        None => 0,
        Some("A" | "a") => 1,
        Some("B" | "b") => 2,
        Some(other) => return Err(s.wrong(format!("mask={other} must be A or B"))),
    };
    let groups = match s.text("groups").map(|_| s.numbers("groups", 1)).transpose()?.as_deref() {
        None => 1,
        Some([groups]) if mask > 0 && *groups <= ci.max(co) => *groups,
        Some(_) if mask == 0 => return Err(s.wrong("groups are the colours of a mask: mask=A or mask=B is missing")),
        Some(_) => return Err(s.wrong("groups is one number, the colours, of which there are no more than channels")),
    };
    let conv = Conv::new([n, ci, h, w], co, [kh, kw]).with(stride, dilation, pad).masked(mask, groups);
    s.result([n, co, conv.oh, conv.ow])?;
    let bias = s.flag("bias")?;
    Ok(vec![
        forward(Conv2d(conv.bare(bias))),
        gradient("gradient by x", ConvTranspose2d(conv)),
        gradient("gradient by w", Conv2dWeightGrad(conv.bare(bias))),
    ])
}

fn conv_transpose2d(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let ([n, ci, h, w], [wci, co, kh, kw]) = (s.last("x")?, s.last("w")?);
    if wci != ci {
        return Err(s.wrong(format!("x has {ci} channels and w takes {wci}: the second size of x is the first of w")));
    }
    let (stride, dilation, pad) = (s.pair("stride", 1, 1)?, s.pair("dilation", 1, 1)?, s.padding()?);
    let extra = s.pair("output_padding", 0, 0)?;
    let size = |axis: usize, x: u32, k: u32| {
        let padding = i64::from(pad[axis]) + i64::from(pad[axis + 2]);
        let whole = i64::from(x - 1) * i64::from(stride[axis]) + i64::from(dilation[axis]) * i64::from(k - 1) + 1;
        let size = whole - padding + i64::from(extra[axis]);
        match u32::try_from(size) {
            _ if extra[axis] >= stride[axis].max(dilation[axis]) => {
                Err(s.wrong("output_padding must be smaller than the stride or the dilation"))
            }
            Ok(size) if size > 0 && u64::from(size) <= MOST => Ok(size),
            _ => Err(s.wrong(format!("the result would have {size} pixels in a direction"))),
        }
    };
    let to = [size(0, h, kh)?, size(1, w, kw)?];
    s.result([n, co, to[0], to[1]])?;
    // The block is told in the direction of the convolution whose transpose this is.
    let conv = Conv { oh: h, ow: w, ..Conv::new([n, co, to[0], to[1]], ci, [kh, kw]).with(stride, dilation, pad) };
    Ok(vec![
        forward(ConvTranspose2d(conv.bare(s.flag("bias")?))),
        gradient("gradient by x", Conv2d(conv)),
        gradient("gradient by w", Conv2dWeightGrad(conv)),
    ])
}

fn depthwise(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let ([n, c, h, w], [wc, kh, kw]) = (s.last("x")?, s.last("w")?);
    if wc != c {
        return Err(s.wrong(format!("x has {c} channels and w is for {wc}")));
    }
    let ([stride, across], [pad, left, bottom, right]) = (s.pair("stride", 1, 1)?, s.padding()?);
    if stride != across || [left, bottom, right] != [pad; 3] {
        return Err(s.wrong("it has one stride and one padding in all directions"));
    }
    fits(s, [h, w], [pad; 4], [kh, kw], [1, 1])?;
    let out = |size: u32, k: u32| (size + 2 * pad - k) / stride + 1;
    let [oh, ow] = [out(h, kh), out(w, kw)];
    s.result([n, c, oh, ow])?;
    Ok(vec![forward(Depthwise { n, c, h, w, oh, ow, kh, kw, stride, pad })])
}

fn matmul(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let ([batch, am, ak], [batch_b, bk, bn]) = (s.last("a")?, s.last("b")?);
    let (ta, tb) = (s.flag("trans_a")?, s.flag("trans_b")?);
    let ([m, k], [other, n]) = (if ta { [ak, am] } else { [am, ak] }, if tb { [bn, bk] } else { [bk, bn] });
    if k != other || batch != batch_b {
        let why = format!("a gives rows of {k} and b takes {other}, in batches of {batch} and {batch_b}");
        return Err(s.wrong(format!("{why}; both must agree")));
    }
    let product = |m, k, n, ta, tb| MatMul { batch, ..MatMul::new(m, k, n) }.transposed(ta, tb);
    let by_a = if ta { product(k, n, m, tb, true) } else { product(m, n, k, false, !tb) };
    let by_b = if tb { product(n, m, k, true, ta) } else { product(k, m, n, !ta, false) };
    Ok(vec![
        forward(product(m, k, n, ta, tb).epilogue(Activation::Identity, s.flag("bias")?, false)),
        gradient("gradient by a", by_a),
        gradient("gradient by b", by_b),
    ])
}

fn batch_norm(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let [n, c, h, w] = s.first("x")?;
    let (hw, eps) = (h * w, 1e-5);
    Ok(vec![
        forward(BatchNorm { groups: 1, n, c, hw, eps, act: Activation::Identity.into() }),
        gradient("gradient", BatchNormGrad { groups: 1, n, c, hw, eps }),
    ])
}

fn reduce_sum(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let numbers = s.numbers("x", 1)?;
    let [a, r1, b, r2, c] = match numbers[..] {
        [r1, b, r2, c] => [1, r1, b, r2, c],
        _ => s.first("x")?,
    };
    Ok(vec![forward(Reduce { a, r1, b, r2, c, scale: 1.0 })])
}

fn resample(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let ([n, c, h, w], [fh, fw]) = (s.last("x")?, s.pair("factor", 2, 1)?);
    let (planes, up) = (n * c, s.of == "upsample");
    if !up && (h % fh > 0 || w % fw > 0) {
        return Err(s.wrong(format!("{h}x{w} pixels do not divide into fields of {fh}x{fw}")));
    }
    if up {
        s.result([n, c, h, w, fh, fw])?;
    }
    // Each is the gradient of the other, but for a scale. Sizes are those of the smaller image.
    let (h, w) = if up { (h, w) } else { (h / fh, w / fw) };
    let (larger, smaller) = (Upsample { planes, h, w, fh, fw }, AvgPool { planes, h, w, fh, fw, scale: 1.0 });
    Ok(match up {
        true => vec![forward(larger), gradient("gradient", smaller)],
        false => vec![forward(smaller), gradient("gradient", larger)],
    })
}

fn cross_entropy(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let [n, classes, positions] = s.first("x")?;
    let kernel = CrossEntropy { n, classes, positions };
    Ok(vec![forward(kernel), gradient("gradient", CrossEntropyGrad(kernel))])
}

fn lstm_cell(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let [n, hidden, positions] = s.last("h")?;
    let kernel = LstmCell { n, hidden, positions };
    Ok(vec![forward(kernel), gradient("gradient", LstmCellGrad(kernel))])
}

fn copy(s: &Sizes) -> Result<Vec<Direction>, Error> {
    let [len] = s.last("x")?;
    Ok(vec![forward(Copy { len })])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::all;

    fn made(name: &str, shape: &str) -> Result<Vec<String>, String> {
        let entry = all().into_iter().find(|entry| entry.name == name).expect("a kernel");
        let directions = kernels(&entry, shape).map_err(|e| e.to_string())?;
        Ok(directions
            .iter()
            .map(|d| format!("{}: {} {}", d.name, d.kernel.signature().name, d.kernel.label()))
            .collect())
    }

    #[test]
    fn every_example_makes_kernels_that_a_device_can_run() {
        for family in FAMILIES {
            for name in family.names {
                let example = match *name {
                    "masked_conv2d" => "x=4,6,14,14 w=6,6,3,3 padding=1 mask=B groups=3",
                    "masked_conv2d_weight_grad" => "x=4,6,14,14 w=6,6,3,3 padding=1 mask=A",
                    _ => family.example,
                };
                let entry = all().into_iter().find(|entry| entry.name == *name).expect("a kernel of the list");
                let directions = kernels(&entry, example).unwrap_or_else(|e| panic!("{name} {example}: {e}"));
                assert!(!directions.is_empty());
                for Direction { kernel, .. } in directions {
                    assert!(!kernel.variants(&crate::kernels::Caps::WEBGPU).is_empty(), "{name}");
                }
            }
        }
    }

    #[test]
    fn shapes_make_the_kernel_and_its_gradients() {
        let conv = made("conv2d", "x=32,16,14,14 w=32,16,4,4 stride=2 padding=1").unwrap();
        let label = "x[32,16,14,14] w[32,16,4,4] y[7,7] stride 2 pad 1";
        let wanted = ["forward: conv2d", "gradient by x: conv_transpose2d", "gradient by w: conv2d_weight_grad"];
        assert_eq!(conv, wanted.map(|kernel| format!("{kernel} {label}")));
        let up = made("conv_transpose2d", "x=2,64,7,7 w=64,32,4,4 stride=2 padding=1").unwrap();
        assert_eq!(up[0], "forward: conv_transpose2d x[2,32,14,14] w[64,32,4,4] y[7,7] stride 2 pad 1");
        assert!(up[1].starts_with("gradient by x: conv2d "));
        // a is given transposed, and so is its gradient.
        let product = made("matmul", "a=3,5 b=3,7 trans_a=true").unwrap();
        let wanted = [
            "forward: matmul a[3,5]ᵀ b[3,7]",
            "gradient by a: matmul a[3,7] b[5,7]ᵀ",
            "gradient by b: matmul a[3,5] b[5,7]",
        ];
        assert_eq!(product, wanted);
    }

    #[test]
    fn what_is_wrong_with_a_shape_is_told() {
        for (name, shape, words) in [
            ("conv2d", "x=32,16,14 w=32,16,4,4", "x=32,16,14 must be images,channels,height,width"),
            ("conv2d", "x=32,16,14,14", "w is missing"),
            ("conv2d", "", "x is missing"),
            ("conv2d", "x=32,16,14,14 w=32,8,4,4", "16 channels and w takes 8"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 strid=2", "did you mean stride"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 stride", "\"stride\" is no key=value"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 stride=0", "no whole number from 1"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 stride=1,2,3", "one number, or two"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 padding=-1", "no whole number from 0"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 padding=99999999", "too much"),
            ("conv2d", "x=32,16,2,2 w=32,16,4,4", "w needs 4 pixels"),
            ("conv2d", "x=32,16,14,14 x=1,16,14,14 w=32,16,4,4", "twice"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 groups=2", "mask=A or mask=B"),
            ("conv2d", "x=32,16,14,14 w=32,16,4,4 mask=C", "must be A or B"),
            ("conv2d", "x=99999,16,9999,9999 w=32,16,4,4", "more than"),
            ("conv2d", "x=536870912,1,1,1 w=536870912,1,1,1 padding=60000", "more than"),
            ("conv2d", "x=4294967296,16,14,14 w=32,16,4,4", "no whole number"),
            ("masked_conv2d", "x=2,3,8,8 w=3,3,3,3", "mask is missing"),
            ("conv_transpose2d", "x=2,64,7,7 w=64,32,4,4 output_padding=1", "smaller than the stride"),
            ("conv_transpose2d", "x=2,64,1,1 w=64,32,1,1 padding=1", "-1 pixels"),
            ("depthwise_conv2d", "x=2,8,9,9 w=8,3,3 stride=1,2", "one stride"),
            ("matmul", "a=3,5 b=6,7", "rows of 5 and b takes 6"),
            ("matmul", "a=3,5 b=5,7 bias=maybe", "true or false"),
            ("matmul", "a=536870912,1 b=1,536870912", "more than"),
            ("avg_pool", "x=1,1,5,4 factor=2", "do not divide"),
            ("adam", "p=100", "does not take a shape for adam"),
        ] {
            let told = made(name, shape).expect_err(shape);
            assert!(told.contains(words), "{name} {shape}: {told}");
        }
    }
}
