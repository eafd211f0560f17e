//! The operations that `limn run` offers.

use super::super::{Error, nearest};
use super::settings::OpSettings;
use crate::graph::Var;
use crate::ops::{ConvSpec, Mask};

/// An operand.
pub struct Input {
    /// Its name in the file; its gradient has a "d" before it.
    pub name: &'static str,
    /// The shapes it may have, axes named.
    pub shapes: &'static [&'static str],
    /// Whether it may be absent.
    pub optional: bool,
}

const fn needed(name: &'static str, shapes: &'static [&'static str]) -> Input {
    Input { name, shapes, optional: false }
}

const fn optional(name: &'static str, shapes: &'static [&'static str]) -> Input {
    Input { name, shapes, optional: true }
}

type Build = fn(&Operands, &OpSettings) -> Result<Vec<Var>, Error>;

/// An operation.
pub struct OpSpec {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it computes, in a line.
    pub about: &'static str,
    /// Operands, in order.
    pub inputs: &'static [Input],
    /// Names of the results.
    pub outputs: &'static [&'static str],
    /// Names of what it draws to make them, which has no gradient.
    pub drawn: &'static [&'static str],
    /// Settings that mean something to it.
    pub settings: &'static [&'static str],
    /// Settings of its relatives, taken where they change nothing.
    pub idle: &'static [&'static str],
    /// Adds it to the graph of its operands.
    pub build: Build,
}

/// The operands that are there.
#[derive(Default)]
pub struct Operands(Vec<(&'static str, Var)>);

impl Operands {
    /// Adds one.
    pub fn push(&mut self, name: &'static str, var: Var) {
        self.0.push((name, var));
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Var)> {
        self.0.iter()
    }

    fn get(&self, name: &str) -> Option<&Var> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, var)| var)
    }

    fn need(&self, name: &str) -> Result<&Var, Error> {
        self.get(name).ok_or_else(|| Error::new(format!("a tensor called \"{name}\" is needed")))
    }
}

const X: Input = needed("x", &["n,channels,height,width"]);
const FILTER: Input = needed("w", &["out,in,height,width"]);
const BIAS: Input = optional("b", &["out"]);
const ANY: &[&str] = &["a", "a,b", "a,b,c", "a,b,c,d"];

const ANY_X: &[Input] = &[needed("x", ANY)];

pub static OPERATIONS: &[OpSpec] = &[
    OpSpec {
        name: "conv2d",
        about: "convolution, as torch.nn.functional.conv2d",
        inputs: &[X, FILTER, BIAS],
        outputs: &["y"],
        drawn: &[],
        settings: &["stride", "padding", "dilation"],
        idle: &["output_padding", "groups", "mask"],
        build: conv2d,
    },
    OpSpec {
        name: "conv_transpose2d",
        about: "transposed convolution, as torch.nn.functional.conv_transpose2d",
        inputs: &[X, needed("w", &["in,out,height,width"]), BIAS],
        outputs: &["y"],
        drawn: &[],
        settings: &["stride", "padding", "dilation", "output_padding"],
        idle: &["groups", "mask"],
        build: conv_transpose2d,
    },
    OpSpec {
        name: "masked_conv2d",
        about: "PixelCNN's convolution: mask=A or mask=B; groups colours, channel c has colour c mod groups",
        inputs: &[X, FILTER, BIAS],
        outputs: &["y"],
        drawn: &[],
        settings: &["mask", "groups", "stride", "padding", "dilation"],
        idle: &["output_padding"],
        build: masked_conv2d,
    },
    OpSpec {
        name: "reparameterize",
        about: "z = mu + exp(logvar/2) eps with eps drawn from seed, given too; kl of each row to N(0, 1) in nats",
        inputs: &[needed("mu", &["d", "n,d"]), needed("logvar", &["d", "n,d"])],
        outputs: &["z", "kl"],
        drawn: &["eps"],
        settings: &["seed"],
        idle: &[],
        build: reparameterize,
    },
    OpSpec {
        name: "matmul",
        about: "c = a b + bias, either operand transposed by trans_a=true or trans_b=true",
        inputs: &[needed("a", &["m,k", "batch,m,k"]), needed("b", &["k,n", "batch,k,n"]), optional("bias", &["n"])],
        outputs: &["c"],
        drawn: &[],
        settings: &["trans_a", "trans_b"],
        idle: &[],
        build: matmul,
    },
    unary("relu", "max(x, 0)", |o, _| Ok(vec![o.need("x")?.relu()])),
    OpSpec {
        name: "leaky_relu",
        about: "x where positive, else slope x, of any sign; slope=0.01 unless set",
        inputs: ANY_X,
        outputs: &["y"],
        drawn: &[],
        settings: &["slope"],
        idle: &[],
        build: |o, s| Ok(vec![o.need("x")?.leaky_relu(s.real("slope", 0.01)?)]),
    },
    unary("elu", "x where positive, else exp(x) - 1", |o, _| Ok(vec![o.need("x")?.elu()])),
    unary("tanh", "tanh(x)", |o, _| Ok(vec![o.need("x")?.tanh()])),
    unary("sigmoid", "1 / (1 + exp(-x))", |o, _| Ok(vec![o.need("x")?.sigmoid()])),
    unary("softplus", "ln(1 + exp(x))", |o, _| Ok(vec![o.need("x")?.softplus()])),
    unary("exp", "exp(x)", |o, _| Ok(vec![o.need("x")?.exp()])),
];

const fn unary(name: &'static str, about: &'static str, build: Build) -> OpSpec {
    OpSpec { name, about, inputs: ANY_X, outputs: &["y"], drawn: &[], settings: &[], idle: &[], build }
}

/// The operation of this name.
pub fn find(name: &str) -> Result<&'static OpSpec, Error> {
    let names: Vec<&str> = OPERATIONS.iter().map(|op| op.name).collect();
    let found = OPERATIONS.iter().find(|op| op.name == name);
    found.ok_or_else(|| Error::new(format!("limn run has no operation called \"{name}\"; {}", nearest(name, names))))
}

/// The part of `limn run --help` that tells operations, tensors and settings.
pub fn manual() -> String {
    let mut text = String::from("Operations:\n");
    for op in OPERATIONS {
        let input = |i: &Input| {
            let shapes = i.shapes.iter().map(|s| format!("[{s}]")).collect::<Vec<_>>().join(" or ");
            let shapes = if i.shapes == ANY { "of one to four axes".into() } else { shapes };
            format!("{} {shapes}{}", i.name, if i.optional { " (optional)" } else { "" })
        };
        let inputs = op.inputs.iter().map(input).collect::<Vec<_>>().join(", ");
        text += &format!("  {:<17} {}\n", op.name, op.about);
        text += &format!("  {:<17} {inputs} -> {}\n", "", [op.outputs, op.drawn].concat().join(", "));
        if !op.settings.is_empty() {
            text += &format!("  {:<17} settings: {}\n", "", op.settings.join(", "));
        }
    }
    text + "\nSettings:
  stride, dilation, output_padding  vertical,horizontal, or one number for both
  padding                           top,left,bottom,right, or vertical,horizontal, or one number for all
  groups                            colours of masked_conv2d
  seed                              a whole number of up to 64 bits

With --grad IN also brings the gradient of each result (dy, or dz and dkl, of which one may be
absent), and OUT gains the gradient of each operand (dx, dw, db, or dmu, dlogvar).

Examples:
  limn run conv2d --in in.safetensors --out out.safetensors --set stride=2 --set padding=1 --grad
  limn run matmul --in in.safetensors --out out.safetensors --device reference"
}

fn spec(op: &'static str, s: &OpSettings) -> Result<(ConvSpec, [usize; 2]), Error> {
    let mask = match s.text("mask") {
        None => Mask::None,
        Some("A" | "a") => Mask::A,
        Some("B" | "b") => Mask::B,
        Some(_) => return Err(s.wrong("mask", "must be A or B")),
    };
    let spec = ConvSpec {
        stride: s.pair("stride", 1, 1)?,
        padding: s.sides("padding")?,
        dilation: s.pair("dilation", 1, 1)?,
        mask,
        groups: s.count("groups", 1, 1)?,
    };
    let extra = s.pair("output_padding", 0, 0)?;
    if op != "conv_transpose2d" && extra != [0, 0] {
        return Err(s.wrong("output_padding", "means something for conv_transpose2d only"));
    }
    if op != "masked_conv2d" && mask != Mask::None {
        return Err(s.wrong("mask", "means something for masked_conv2d only"));
    }
    if op != "masked_conv2d" && spec.groups != 1 {
        return Err(s.wrong("groups", "means something for masked_conv2d only, where it counts the colours"));
    }
    Ok((spec, extra))
}

fn conv2d(o: &Operands, s: &OpSettings) -> Result<Vec<Var>, Error> {
    let (spec, _) = spec("conv2d", s)?;
    Ok(vec![o.need("x")?.conv2d(o.need("w")?, o.get("b"), &spec)])
}

fn conv_transpose2d(o: &Operands, s: &OpSettings) -> Result<Vec<Var>, Error> {
    let (spec, extra) = spec("conv_transpose2d", s)?;
    let (x, w) = (o.need("x")?, o.need("w")?);
    let extent = |axis| spec.transposed_output(axis, x.shape()[2 + axis], w.shape()[2 + axis], extra[axis]);
    // The op would count in 32 bits.
    if [extent(0), extent(1)].iter().flatten().any(|n| *n > super::MOST) {
        return Err(Error::new("conv_transpose2d: the result would be larger than limn run takes"));
    }
    Ok(vec![x.conv_transpose2d(w, o.get("b"), &spec, extra)])
}

fn masked_conv2d(o: &Operands, s: &OpSettings) -> Result<Vec<Var>, Error> {
    let (spec, _) = spec("masked_conv2d", s)?;
    if spec.mask == Mask::None {
        return Err(Error::new("masked_conv2d needs its mask: --set mask=A or --set mask=B"));
    }
    Ok(vec![o.need("x")?.conv2d(o.need("w")?, o.get("b"), &spec)])
}

fn reparameterize(o: &Operands, _: &OpSettings) -> Result<Vec<Var>, Error> {
    let (mu, logvar) = (o.need("mu")?, o.need("logvar")?);
    let shape = mu.shape();
    if logvar.shape() != shape {
        let has = logvar.shape();
        return Err(Error::new(format!("reparameterize: mu is {shape:?} and logvar is {has:?}; they must be alike")));
    }
    let (outer, d) = shape.split_at(shape.len() - 1);
    let rows = [outer.iter().product(), d[0]];
    let latent = mu.reshape(&rows).reparameterize(&logvar.reshape(&rows));
    Ok(vec![latent.z.reshape(shape), latent.kl.reshape(outer), latent.eps().reshape(shape)])
}

fn matmul(o: &Operands, s: &OpSettings) -> Result<Vec<Var>, Error> {
    let (a, b) = (o.need("a")?, o.need("b")?);
    let c = a.matmul_t(b, s.flag("trans_a")?, s.flag("trans_b")?);
    Ok(vec![match o.get("bias") {
        Some(bias) if bias.shape().last() != c.shape().last() => {
            let (has, needs) = (bias.shape(), c.shape());
            return Err(Error::new(format!(
                "matmul: bias is {has:?} and c is {needs:?}; their last extents must agree"
            )));
        }
        Some(bias) => &c + bias,
        None => c,
    }])
}
