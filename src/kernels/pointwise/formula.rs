//! Pointwise operations in the words of ONNX's operators: data, of which an export makes nodes.

/// A value of a formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// The first operand, or the second.
    Operand(usize),
    /// The operation's constant.
    Constant,
    /// A number.
    Number(f32),
    /// What an operator of ONNX makes of values.
    Call {
        /// The operator's name.
        word: &'static str,
        /// The attribute that is the operation's constant, if one is.
        attribute: Option<&'static str>,
        /// The values it is made of.
        of: &'static [Formula],
    },
}

/// A formula as it is written in the table: `Max(a, c)`, `LeakyRelu[alpha](a)`.
macro_rules! formula {
    (a) => { Formula::Operand(0) };
    (b) => { Formula::Operand(1) };
    (c) => { Formula::Constant };
    ($number:literal) => { Formula::Number($number) };
    ($word:ident $([$attribute:ident])? ($($head:tt $(($($of:tt)*))?),*)) => {
        Formula::Call {
            word: stringify!($word),
            attribute: formula!(@$($attribute)?),
            of: &[$(formula!($head $(($($of)*))?)),*],
        }
    };
    (@) => { None };
    (@$attribute:ident) => { Some(stringify!($attribute)) };
}
pub(super) use formula;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::pointwise::{Domain, Operation};

    /// What a formula makes of numbers, as ONNX defines its operators.
    fn value(formula: &Formula, operands: [f64; 2], c: f64) -> f64 {
        let Formula::Call { word, attribute, of } = formula else {
            return match formula {
                Formula::Operand(i) => operands[*i],
                Formula::Constant => c,
                Formula::Number(number) => f64::from(*number),
                Formula::Call { .. } => unreachable!(),
            };
        };
        let of: Vec<f64> = of.iter().map(|part| value(part, operands, c)).collect();
        let truth = |holds: bool| f64::from(u8::from(holds));
        match (*word, attribute, of.as_slice()) {
            ("Add", None, [x, y]) => x + y,
            ("Sub", None, [x, y]) => x - y,
            ("Mul", None, [x, y]) => x * y,
            ("Div", None, [x, y]) => x / y,
            ("Max", None, [x, y]) => x.max(*y),
            ("Min", None, [x, y]) => x.min(*y),
            ("Greater", None, [x, y]) => truth(x > y),
            ("Where", None, [x, y, z]) => {
                if *x == 1.0 {
                    *y
                } else {
                    *z
                }
            }
            ("Exp", None, [x]) => x.exp(),
            ("Log", None, [x]) => x.ln(),
            ("Sqrt", None, [x]) => x.sqrt(),
            ("Abs", None, [x]) => x.abs(),
            ("Sign", None, [x]) => {
                if *x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            ("Reciprocal", None, [x]) => 1.0 / x,
            ("Relu", None, [x]) => x.max(0.0),
            ("LeakyRelu", Some("alpha"), [x]) => {
                if *x < 0.0 {
                    c * x
                } else {
                    *x
                }
            }
            ("Elu", None, [x]) => {
                if *x < 0.0 {
                    x.exp() - 1.0
                } else {
                    *x
                }
            }
            ("Tanh", None, [x]) => x.tanh(),
            ("Sigmoid", None, [x]) => 1.0 / (1.0 + (-x).exp()),
            ("Softplus", None, [x]) => (x.exp() + 1.0).ln(),
            other => panic!("{other:?} is no operator that this test knows"),
        }
    }

    #[test]
    fn a_formula_computes_what_its_operation_does() {
        for operation in Operation::ALL {
            for a in [-2.5, -0.4, 0.0, 0.3, 1.7f32] {
                let a = match operation.domain() {
                    Domain::All => a,
                    _ => a.abs() + 0.1,
                };
                for b in [-1.3, 0.6f32] {
                    let c = operation.example();
                    let wanted = f64::from(operation.apply(a, b, c));
                    let made = value(&operation.formula(), [a, b].map(f64::from), f64::from(c));
                    assert!(
                        (made - wanted).abs() <= 1e-6 * (1.0 + wanted.abs()),
                        "{operation:?}({a}, {b}): {made} {wanted}"
                    );
                }
            }
        }
    }
}
