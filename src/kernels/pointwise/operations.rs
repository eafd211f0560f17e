//! The table of pointwise operations. A row is all that an operation is: [`Operation`], the host's
//! arithmetic, the error that is permitted to it, the shaders' switch, its words in ONNX and the rule
//! of its gradient come from it.

use super::derivative::{A, B, DY, Term, Y};
use super::formula::{Formula, formula};
use crate::kernels::EPS;
use crate::kernels::activation::Activation;
use crate::kernels::host::{self, wide};

/// The larger of two numbers, which both have to be ones.
#[inline(always)]
pub(in crate::kernels) fn larger(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { a + b } else { a.max(b) }
}

/// The smaller of two numbers, which both have to be ones.
#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { a + b } else { a.min(b) }
}

/// 1 where `g` is above 0, elsewhere what a gate leaves there.
#[inline(always)]
pub(in crate::kernels) fn gate(g: f32, closed: f32) -> f32 {
    match g {
        g if g > 0.0 => 1.0,
        g if g.is_nan() => g,
        _ => closed,
    }
}

/// ln(1 + e^x)
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// What a step at 0 may err by: it may fall either way where its operand is within its error of 0.
fn step_error(a: f32, ea: f32, jump: f32) -> f32 {
    if a.abs() <= ea { jump.abs().max(2.0) } else { 0.0 }
}

/// So many units of the last place of `y`.
fn units(n: f32, y: f32) -> f32 {
    n * EPS * y.abs()
}

/// The operands that an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// All numbers.
    All,
    /// All but 0.
    NonZero,
    /// Those above 0.
    Positive,
}

macro_rules! domain {
    () => {
        Domain::All
    };
    (!=) => {
        Domain::NonZero
    };
    (>) => {
        Domain::Positive
    };
}

/// What the processor computes as a device: the reference's arithmetic, or what stands beside it.
macro_rules! fast {
    ($host:expr;) => {
        $host
    };
    ($host:expr; $fast:expr) => {
        $fast
    };
}

/// Makes of the rows what [`Operation`] is. `epilogue` is the number under which convolutions and
/// products know an operation as an activation, and the activation.
macro_rules! operations {
    (
        values $x:ident $y:ident $z:ident, result $r:ident, errors $ex:ident $ey:ident; none $none:literal;
        $(
            #[doc = $doc:literal]
            $number:literal $code:ident $name:literal
            (a $(, $b:ident)? $(; c = $example:literal)?) $(where a $domain:tt 0)? {
                $(epilogue: $kind:literal $act:ident $(($slope:ident))?;)?
                wgsl: $wgsl:literal;
                onnx: $word:ident $([$attribute:ident])? ($($formula:tt)*);
                host: $host:expr;
                $(fast: $fast:expr;)?
                error: $error:expr;
                gradient: [$($gradient:expr),*];
            }
        )*
    ) => {
        /// A pointwise operation on `a`, `b` (binary ones) and the constant `c`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Operation {
            $(#[doc = $doc] $code = $number,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Operation] = &[$(Operation::$code),*];

            /// What shaders are given in place of a number where there is no operation.
            pub const NONE: u32 = $none;

            /// Lower-case name for listings.
            pub fn name(self) -> &'static str {
                match self { $(Operation::$code => $name,)* }
            }

            /// Whether the operation has a second operand.
            pub fn is_binary(self) -> bool {
                match self { $(Operation::$code => !stringify!($($b)?).is_empty(),)* }
            }

            /// The operands it is for.
            pub fn domain(self) -> Domain {
                match self { $(Operation::$code => domain!($($domain)?),)* }
            }

            /// A constant to try it with: 0 where it has none.
            pub fn example(self) -> f32 {
                match self { $(Operation::$code => 0.0 $(+ $example)?,)* }
            }

            /// The number under which epilogues know it, if they do.
            pub(super) fn kind(self) -> Option<u32> {
                match self { $(Operation::$code => [$($kind)?].first().copied(),)* }
            }

            /// The activation of an epilogue that computes the same, if there is one.
            pub fn activation(self, $z: f32) -> Option<Activation> {
                match self {
                    $($(Operation::$code => Some(Activation::$act $(($slope))?),)?)*
                    _ => None,
                }
            }

            /// The operation that computes the same as an activation and its constant; none for the
            /// identity.
            pub fn of(activation: Activation) -> Option<(Operation, f32)> {
                let $z = 0.0;
                match activation {
                    Activation::Identity => None,
                    $($(Activation::$act $(($slope))? => Some((Operation::$code, $z)),)?)*
                }
            }

            /// The operation in f32, its transcendental functions by way of f64. What is made of
            /// NaN is NaN.
            #[inline]
            pub fn apply(self, $x: f32, $y: f32, $z: f32) -> f32 {
                match self { $(Operation::$code => $host,)* }
            }

            /// Error of the result given the value and error of the operands: a few units of the
            /// last place for the operation itself, and |∂f/∂a|·ea + |∂f/∂b|·eb.
            pub(in crate::kernels) fn error(
                self, ($x, $ex): (f32, f32), ($y, $ey): (f32, f32), $z: f32, $r: f32,
            ) -> f32 {
                match self { $(Operation::$code => $error,)* }
            }

            /// The operation in the words of ONNX's operators.
            pub const fn formula(self) -> Formula {
                match self { $(Operation::$code => formula!($word $([$attribute])? ($($formula)*)),)* }
            }

            /// The gradient by each operand; none where the operation is flat almost everywhere.
            pub fn gradient(self, $z: f32) -> Vec<Term> {
                match self { $(Operation::$code => vec![$($gradient),*],)* }
            }
        }

        wide! {
            /// y = the operation on a, b and c, number by number, all in f32. What is unary is given
            /// anything as b that is as long.
            #[allow(unused_variables)]
            pub(in crate::kernels) fn over(operation: Operation, a: &[f32], b: &[f32], $z: f32, to: &mut [f32]) {
                match operation {
                    $(Operation::$code => {
                        for (to, (a, b)) in std::iter::zip(to, std::iter::zip(a, b)) {
                            let ($x, $y) = (*a, *b);
                            *to = fast!($host; $($fast)?);
                        }
                    })*
                }
            }
        }

        wide! {
            /// y = a unary operation on y and c in f32.
            #[allow(unused_variables)]
            pub(in crate::kernels) fn over_itself(operation: Operation, $z: f32, to: &mut [f32]) {
                match operation {
                    $(Operation::$code => {
                        for to in to {
                            let ($x, $y) = (*to, *to);
                            *to = fast!($host; $($fast)?);
                        }
                    })*
                }
            }
        }

        impl Activation {
            /// The function itself, its transcendental functions by way of f64: a match of its own,
            /// for processors go through it for every element.
            #[inline]
            pub fn apply(self, $x: f32) -> f32 {
                match self {
                    Activation::Identity => $x,
                    $($(Activation::$act $(($slope))? => $host,)?)*
                }
            }
        }

        /// The piece of WGSL that knows the operations by their numbers.
        pub(in crate::kernels) const APPLY: &str = concat!(
            "// The pointwise operations by their numbers, from src/kernels/pointwise/operations.rs. Any other number makes NaN.\n\n",
            "#import nan\n#import activation\n\nfn apply(op: u32, a: f32, b: f32, c: f32) -> f32 {\n  switch op {\n",
            $("    case ", $number, "u: { return ", $wgsl, "; }\n",)*
            "    case ", $none, "u: { return a; }\n",
            "    default: { return bitcast<f32>(0x7fc00000u + op); }\n  }\n}\n",
        );

        /// The piece of WGSL that knows the activations of epilogues by their numbers.
        pub(in crate::kernels) const ACTIVATE: &str = concat!(
            "// The activations by their numbers, from src/kernels/pointwise/operations.rs. Any other number makes NaN.\n\n",
            "#import activation\n\nfn activate(kind: u32, c: f32, a: f32) -> f32 {\n  switch kind {\n",
            "    case 0u: { return a; }\n",
            $($("    case ", $kind, "u: { return ", $wgsl, "; }\n",)?)*
            "    default: { return bitcast<f32>(0x7fc00000u + kind); }\n  }\n}\n",
        );
    };
}

operations! {
    values a b c, result y, errors ea eb; none 255;

    /// a + b
    0 Add "add" (a, b) {
        wgsl: "a + b";
        onnx: Add(a, b);
        host: a + b;
        error: units(2.0, y) + (ea + eb);
        gradient: [DY, DY];
    }
    /// a - b
    1 Sub "sub" (a, b) {
        wgsl: "a - b";
        onnx: Sub(a, b);
        host: a - b;
        error: units(2.0, y) + (ea + eb);
        gradient: [DY, -DY];
    }
    /// a · b
    2 Mul "mul" (a, b) {
        wgsl: "a * b";
        onnx: Mul(a, b);
        host: a * b;
        error: units(2.0, y) + (ea * (b.abs() + eb) + eb * a.abs());
        gradient: [DY * B, DY * A];
    }
    /// a / b
    3 Div "div" (a, b) {
        wgsl: "a / b";
        onnx: Div(a, b);
        host: a / b;
        error: units(6.0, y) + (ea + y.abs() * eb) / (b.abs() - eb).max(f32::MIN_POSITIVE);
        gradient: [DY / B, -(DY * Y / B)];
    }
    /// max(a, b)
    4 Max "max" (a, b) {
        wgsl: "larger(a, b)";
        onnx: Max(a, b);
        host: larger(a, b);
        fast: if a.is_nan() || b.is_nan() { a + b } else if a > b { a } else { b };
        error: units(2.0, y) + (ea + eb);
        gradient: [DY * Operation::ReluMask.on(A - B, 0.0), DY * (1.0 - Operation::ReluMask.on(A - B, 0.0))];
    }
    /// min(a, b)
    5 Min "min" (a, b) {
        wgsl: "smaller(a, b)";
        onnx: Min(a, b);
        host: smaller(a, b);
        fast: if a.is_nan() || b.is_nan() { a + b } else if a < b { a } else { b };
        error: units(2.0, y) + (ea + eb);
        gradient: [DY * Operation::ReluMask.on(B - A, 0.0), DY * (1.0 - Operation::ReluMask.on(B - A, 0.0))];
    }
    /// a + c
    6 AddC "add_const" (a; c = 0.7) {
        wgsl: "a + c";
        onnx: Add(a, c);
        host: a + c;
        error: units(2.0, y) + ea;
        gradient: [DY];
    }
    /// a · c
    7 MulC "mul_const" (a; c = -1.3) {
        wgsl: "a * c";
        onnx: Mul(a, c);
        host: a * c;
        error: units(2.0, y) + ea * c.abs();
        gradient: [c * DY];
    }
    /// c - a
    8 RsubC "rsub_const" (a; c = 1.0) {
        wgsl: "c - a";
        onnx: Sub(c, a);
        host: c - a;
        error: units(2.0, y) + ea;
        gradient: [-DY];
    }
    /// e^a
    9 Exp "exp" (a) {
        wgsl: "unless_nan(exp(a), a)";
        onnx: Exp(a);
        host: f64::from(a).exp() as f32;
        fast: host::exp(a);
        // WGSL lets exp err by 3 + 2|x| units and ln, tanh and their kin be built from it.
        error: units((3.0 + 2.0 * a.abs()) * 2.0, y) + ea * y.abs() * (1.0 + ea);
        gradient: [DY * Y];
    }
    /// ln a
    10 Ln "ln" (a) where a > 0 {
        wgsl: "unless_nan(log(a), a)";
        onnx: Log(a);
        host: f64::from(a).ln() as f32;
        fast: host::ln(a);
        error: units(8.0, y) + 4.0 * EPS + ea / (a - ea).max(f32::MIN_POSITIVE);
        gradient: [DY / A];
    }
    /// √a
    11 Sqrt "sqrt" (a) where a > 0 {
        wgsl: "unless_nan(sqrt(a), a)";
        onnx: Sqrt(a);
        host: a.sqrt();
        error: units(6.0, y) + ea / y.max(ea.sqrt()).max(f32::MIN_POSITIVE);
        gradient: [0.5 * DY / Y];
    }
    /// |a|
    12 Abs "abs" (a) {
        wgsl: "abs(a)";
        onnx: Abs(a);
        host: a.abs();
        error: units(2.0, y) + ea;
        gradient: [DY * Operation::Sign.on(A, 0.0)];
    }
    /// 1 / a
    13 Recip "recip" (a) where a != 0 {
        wgsl: "1.0 / a";
        onnx: Reciprocal(a);
        host: 1.0 / a;
        error: units(6.0, y) + ea * y * y * 2.0;
        gradient: [-(DY * Y * Y)];
    }
    /// max(a, 0)
    14 Relu "relu" (a) {
        epilogue: 1 Relu;
        wgsl: "relu(a)";
        onnx: Relu(a);
        host: if a <= 0.0 { 0.0 } else { a };
        error: units(2.0, y) + ea;
        gradient: [DY * Operation::ReluMask.on(Y, 0.0)];
    }
    /// a where a > 0, c·a elsewhere
    15 LeakyRelu "leaky_relu" (a; c = 0.2) {
        epilogue: 2 LeakyRelu(c);
        wgsl: "select(c * a, a, a > 0.0)";
        onnx: LeakyRelu[alpha](a);
        host: if a > 0.0 { a } else { c * a };
        error: units(2.0, y) + ea * c.abs().max(1.0);
        // Where the slope is negative, y is positive on both sides.
        gradient: [DY * Operation::ReluMask.on(if c < 0.0 { A } else { Y }, c)];
    }
    /// a where a > 0, e^a - 1 elsewhere
    16 Elu "elu" (a) {
        epilogue: 3 Elu;
        wgsl: "elu(a)";
        onnx: Elu(a);
        host: if a > 0.0 { a } else { f64::from(a).exp_m1() as f32 };
        fast: if a > 0.0 { a } else { host::exp_m1(a) };
        error: units(32.0, y) + 4.0 * EPS + ea;
        gradient: [DY * Operation::EluSlope.on(Y, 0.0)];
    }
    /// tanh a
    17 Tanh "tanh" (a) {
        epilogue: 4 Tanh;
        wgsl: "tanh_safe(a)";
        onnx: Tanh(a);
        host: f64::from(a).tanh() as f32;
        fast: host::tanh(a);
        error: units(32.0, y) + 4.0 * EPS + ea;
        gradient: [DY * (1.0 - Y * Y)];
    }
    /// 1 / (1 + e^-a)
    18 Sigmoid "sigmoid" (a) {
        epilogue: 5 Sigmoid;
        wgsl: "sigmoid(a)";
        onnx: Sigmoid(a);
        host: (1.0 / (1.0 + (-f64::from(a)).exp())) as f32;
        fast: host::sigmoid(a);
        error: units(32.0, y) + 4.0 * EPS + ea;
        gradient: [DY * (Y * (1.0 - Y))];
    }
    /// ln(1 + e^a)
    19 Softplus "softplus" (a) {
        wgsl: "softplus(a)";
        onnx: Softplus(a);
        host: softplus(f64::from(a)) as f32;
        fast: host::softplus(a);
        error: units(16.0, y) + (3.0 + 2.0 * a.abs()) * 2.0 * EPS + ea;
        gradient: [DY * Operation::Sigmoid.on(A, 0.0)];
    }
    /// 1 where a > 0, c elsewhere: the slope of (leaky) ReLU, from its input or its output
    20 ReluMask "relu_mask" (a; c = 0.2) {
        wgsl: "gate_of(a, c)";
        onnx: Where(Greater(a, 0.0), 1.0, c);
        host: gate(a, c);
        error: units(2.0, y) + step_error(a, ea, 1.0 - c);
        gradient: [];
    }
    /// 1 where a > 0, a + 1 elsewhere: the slope of ELU from its output
    21 EluSlope "elu_slope" (a) {
        wgsl: "select(a + 1.0, 1.0, a > 0.0)";
        onnx: Where(Greater(a, 0.0), 1.0, Add(a, 1.0));
        host: if a > 0.0 { 1.0 } else { a + 1.0 };
        error: units(2.0, y) + ea;
        // It changes with the output of ELU where that is negative.
        gradient: [DY * Operation::ReluMask.on(-A, 0.0)];
    }
    /// -1, 0 or 1
    22 Sign "sign" (a) {
        wgsl: "unless_nan(sign(a), a)";
        onnx: Sign(a);
        host: if a == 0.0 || a.is_nan() { a.abs() } else { a.signum() };
        fast: if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { a.abs() };
        error: units(2.0, y) + step_error(a, ea, 1.0);
        gradient: [];
    }
    /// max(a, c)
    23 MaxC "max_const" (a; c = 0.3) {
        wgsl: "larger(a, c)";
        onnx: Max(a, c);
        host: larger(a, c);
        fast: if a > c || a.is_nan() { a } else { c };
        error: units(2.0, y) + ea;
        gradient: [DY * Operation::ReluMask.on(A - c, 0.0)];
    }
    /// min(a, c)
    24 MinC "min_const" (a; c = 0.3) {
        wgsl: "smaller(a, c)";
        onnx: Min(a, c);
        host: smaller(a, c);
        fast: if a < c || a.is_nan() { a } else { c };
        error: units(2.0, y) + ea;
        gradient: [DY * Operation::ReluMask.on(c - A, 0.0)];
    }
    /// ln(1 + e^a) - a·b: binary cross-entropy of a logit a and a target b
    25 Bce "bce_with_logits" (a, b) {
        wgsl: "softplus(a) - a * b";
        onnx: Sub(Softplus(a), Mul(a, b));
        host: (f64::from(a).max(0.0) - f64::from(a) * f64::from(b) + (-f64::from(a).abs()).exp().ln_1p()) as f32;
        fast: host::softplus(a) - a * b;
        // Both terms grow with |a| while their difference need not.
        error: 16.0 * EPS * (1.0 + a.abs() * (2.0 + b.abs())) + (ea * (1.0 + b.abs() + eb) + eb * a.abs());
        gradient: [DY * (Operation::Sigmoid.on(A, 0.0) - B), -(DY * A)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::activation::ActivationBlock;

    #[test]
    fn activations_and_their_operations_are_one() {
        for code in Operation::ALL {
            let act = code.activation(0.2);
            assert_eq!(act.is_some(), code.kind().is_some(), "{code:?}");
            if let Some(act) = act {
                assert_eq!(Operation::of(act).map(|(code, _)| code), Some(*code));
                assert_eq!(ActivationBlock::from(act).activation(), act);
            }
        }
    }

    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = Operation::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Operation::ALL.len());
        assert!(Operation::ALL.iter().all(|code| *code as u32 != Operation::NONE));
    }
}
