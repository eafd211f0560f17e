//! From a function's steps to nodes: what each [`Standard`] is in operators of ONNX.

use super::layers;
use super::proto::DataType;
use super::trace::{Extent, Step, Trace, placed};
use super::weights::Weights;
use super::writer::{Writer, float, int, ints, word};
use crate::graph::Standard;
use crate::kernels::pointwise::{Formula, Operation};
use crate::program::ValueId;
use std::collections::HashMap;

/// A value that has been written.
#[derive(Clone, Debug)]
enum Held {
    /// A tensor of this name.
    Tensor(String),
    /// A tensor of one number, which is written where it is needed as a tensor.
    Number(f32),
}

/// What writes a trace.
pub(super) struct Translator<'a> {
    /// The nodes.
    pub writer: Writer,
    trace: &'a Trace,
    weights: &'a Weights,
    held: HashMap<ValueId, Held>,
    /// Which step makes a value.
    made_by: HashMap<ValueId, usize>,
}

/// A reason why a step cannot be said.
pub(super) type Refusal = &'static str;

impl<'a> Translator<'a> {
    /// A translator of `trace`, which is of inputs and of these weights.
    pub(super) fn new(trace: &'a Trace, weights: &'a Weights) -> Translator<'a> {
        let inputs = trace.inputs().map(|(name, id)| (id, name.to_string()));
        let names = inputs.chain(weights.names().map(|(id, name)| (id, name.to_string())));
        let held: HashMap<ValueId, Held> = names.map(|(id, name)| (id, Held::Tensor(name))).collect();
        let writer = Writer::new(trace.names().chain(weights.names().map(|(_, name)| name)).map(String::from));
        let made_by = trace.steps.iter().enumerate().map(|(at, step)| (step.output, at)).collect();
        Translator { writer, trace, weights, held, made_by }
    }

    /// Whether a parameter has zeros already where the mask of its convolutions hides it.
    pub(super) fn is_masked(&self, id: ValueId) -> bool {
        self.weights.is_masked(id)
    }

    /// The extents of a value.
    pub(super) fn shape(&self, id: ValueId) -> &'a [Extent] {
        &self.trace.shapes[id]
    }

    /// The extents of a value of four axes whose last three are fixed.
    pub(super) fn planes(&self, id: ValueId) -> Result<[usize; 3], Refusal> {
        match *self.shape(id) {
            [_, Extent::Fixed(c), Extent::Fixed(h), Extent::Fixed(w)] => Ok([c, h, w]),
            _ => Err("its planes are of no fixed size"),
        }
    }

    /// Extent `axis` of a value, which has to be fixed.
    pub(super) fn fixed(&self, id: ValueId, axis: usize) -> Result<usize, Refusal> {
        match self.shape(id)[axis] {
            Extent::Fixed(extent) => Ok(extent),
            Extent::Batch(_) => Err("it takes the images of a batch apart"),
        }
    }

    /// The tensor of a value.
    fn tensor(&mut self, id: ValueId) -> Result<String, Refusal> {
        match self.held.get(&id) {
            Some(Held::Tensor(name)) => Ok(name.clone()),
            Some(Held::Number(value)) => {
                let (value, shape) = (*value, self.shape(id));
                let name = self.filled(value, shape);
                self.held.insert(id, Held::Tensor(name.clone()));
                Ok(name)
            }
            None => Err("it reads what nothing makes"),
        }
    }

    /// The tensor of an input of a step.
    pub(super) fn input(&mut self, step: &Step, k: usize) -> Result<String, Refusal> {
        let id = step.inputs.get(k).copied().flatten().ok_or("an operand is missing")?;
        self.tensor(id)
    }

    /// A tensor of one number.
    pub(super) fn filled(&mut self, value: f32, shape: &[Extent]) -> String {
        let (number, shape) = (self.writer.number(value), self.extents(shape));
        self.writer.node("Expand", &[&number, &shape], Vec::new())
    }

    /// A shape as a tensor.
    pub(super) fn extents(&mut self, shape: &[Extent]) -> String {
        if shape.iter().all(|extent| matches!(extent, Extent::Fixed(_))) {
            let fixed: Vec<i64> = shape.iter().map(|extent| known(*extent)).collect();
            return self.writer.ints(&fixed);
        }
        let mut parts = Vec::new();
        for extent in shape {
            parts.push(match *extent {
                Extent::Fixed(extent) => self.writer.ints(&[extent as i64]),
                Extent::Batch(each) => self.images(each),
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [one] => one.to_string(),
            _ => self.writer.node("Concat", &parts, vec![int("axis", 0)]),
        }
    }

    /// So many times the number of images.
    fn images(&mut self, each: usize) -> String {
        let mut inputs = self.trace.inputs();
        let by_image = inputs.find(|(_, id)| self.trace.shapes[*id].first() == Some(&Extent::Batch(1)));
        let input = by_image.map(|(name, _)| name.to_string()).unwrap_or_default();
        let n = self.writer.node("Shape", &[&input], vec![int("start", 0), int("end", 1)]);
        if each == 1 {
            return n;
        }
        let each = self.writer.ints(&[each as i64]);
        self.writer.node("Mul", &[&n, &each], Vec::new())
    }

    /// Elements under another shape.
    pub(super) fn reshaped(&mut self, x: &str, shape: &[Extent]) -> String {
        let unknown = shape.iter().filter(|extent| matches!(extent, Extent::Batch(_))).count();
        let shape = match unknown {
            1 => {
                let known: Vec<i64> = shape.iter().map(|extent| known(*extent)).collect();
                self.writer.ints(&known)
            }
            _ => self.extents(shape),
        };
        self.writer.node("Reshape", &[x, &shape], Vec::new())
    }

    /// Elements of an axis, from one on, `step` apart.
    pub(super) fn sliced(&mut self, x: &str, axis: usize, [start, end, step]: [i64; 3]) -> String {
        let [start, end, axis, step] = [start, end, axis as i64, step].map(|value| self.writer.ints(&[value]));
        self.writer.node("Slice", &[x, &start, &end, &axis, &step], Vec::new())
    }

    /// Zeros before and after an axis of a value of so many.
    pub(super) fn padded(&mut self, x: &str, rank: usize, axis: usize, [before, after]: [usize; 2]) -> String {
        let mut pads = vec![0; 2 * rank];
        (pads[axis], pads[rank + axis]) = (before as i64, after as i64);
        let pads = self.writer.ints(&pads);
        self.writer.node("Pad", &[x, &pads], Vec::new())
    }

    /// Axes in another order.
    pub(super) fn permuted(&mut self, x: &str, order: &[usize]) -> String {
        self.writer.node("Transpose", &[x], vec![ints("perm", order)])
    }

    /// A value times a number.
    fn scaled(&mut self, x: String, scale: f32) -> String {
        if scale == 1.0 {
            return x;
        }
        let scale = self.writer.number(scale);
        self.writer.node("Mul", &[&x, &scale], Vec::new())
    }

    /// Writes all steps, and gives the outputs the names that they have.
    pub(super) fn run(&mut self) -> Result<(), (String, Refusal)> {
        for step in &self.trace.steps {
            self.writer.scope = step.scope.to_string();
            let refused = |why| (placed(step.name, &step.scope), why);
            if let Standard::BatchNorm(eps) = step.standard {
                let made = layers::batch_norm(self, step, eps).map_err(refused)?;
                let ids = std::iter::once(step.output).chain(step.others.iter().copied());
                self.held.extend(std::iter::zip(ids, made.map(Held::Tensor)));
                continue;
            }
            let held = self.step(step).map_err(refused)?;
            self.held.insert(step.output, held);
        }
        self.writer.scope = "output".into();
        for (name, id) in &self.trace.source.outputs {
            let made = self.tensor(*id).map_err(|why| (name.clone(), why))?;
            // Twice an output, or no node's result: the name is that of a copy.
            let others = self.trace.source.outputs.iter().filter(|(_, other)| other == id).count();
            if others == 1 && self.made_by.contains_key(id) && !self.is_kept(&made, *id) {
                self.writer.rename(&made, name);
                self.held.values_mut().for_each(|held| match held {
                    Held::Tensor(tensor) if *tensor == made => name.clone_into(tensor),
                    _ => (),
                });
            } else {
                self.writer.nodes_of("Identity", &[&made], &[name], Vec::new());
            }
        }
        Ok(())
    }

    /// Whether other values than `id` have this tensor.
    fn is_kept(&self, tensor: &str, id: ValueId) -> bool {
        let same = |(other, held): (&ValueId, &Held)| *other != id && matches!(held, Held::Tensor(t) if t == tensor);
        self.held.iter().any(same)
    }

    fn step(&mut self, step: &Step) -> Result<Held, Refusal> {
        let shape = self.shape(step.output);
        Ok(Held::Tensor(match &step.standard {
            Standard::Constant(value) => return Ok(Held::Number(*value)),
            Standard::Pointwise(operation, c) => return self.pointwise(step, *operation, *c),
            Standard::Reshape => {
                if let Some(Held::Number(value)) = step.inputs[0].and_then(|id| self.held.get(&id)) {
                    return Ok(Held::Number(*value));
                }
                let x = self.input(step, 0)?;
                self.reshaped(&x, shape)
            }
            Standard::Expand => {
                if let Some(Held::Number(value)) = step.inputs[0].and_then(|id| self.held.get(&id)) {
                    return Ok(Held::Number(*value));
                }
                let (x, shape) = (self.input(step, 0)?, self.extents(shape));
                self.writer.node("Expand", &[&x, &shape], Vec::new())
            }
            Standard::Sum(scale) => self.sum(step, *scale)?,
            Standard::LogSumExpOfRest => {
                let x = self.input(step, 0)?;
                let first = self.sliced(&x, 1, [0, 1, 1]);
                let apart = self.writer.node("Sub", &[&x, &first], Vec::new());
                self.writer.node("ReduceLogSumExp", &[&apart], vec![ints("axes", &[1])])
            }
            Standard::CrossEntropy => {
                let (logits, classes) = (self.input(step, 0)?, self.input(step, 1)?);
                let classes = self.writer.node("Cast", &[&classes], vec![int("to", DataType::Int64 as usize)]);
                let how = vec![word("reduction", "none")];
                self.writer.node("SoftmaxCrossEntropyLoss", &[&logits, &classes], how)
            }
            Standard::BatchNorm(_) => return Err("it makes more than one thing"),
            Standard::Largest(axis) => self.largest(step, *axis)?,
            Standard::Product(transposed) => self.product(step, *transposed)?,
            Standard::Conv(block) => layers::conv(self, step, block)?,
            Standard::Depthwise { stride, padding } => layers::depthwise(self, step, *stride, *padding)?,
            Standard::ConvTranspose(block) => layers::conv_transpose(self, step, block)?,
            Standard::Slice { axis, start, step: by } => {
                let x = self.input(step, 0)?;
                if step.inputs[0].is_some_and(|id| self.shape(id) == shape) && *by == 1 {
                    return Ok(Held::Tensor(x));
                }
                let (first, len) = (*start as i64, self.fixed(step.output, *axis)? as i64);
                let (by, _) = (*by as i64, self.fixed(step.inputs[0].unwrap_or_default(), *axis)?);
                self.sliced(&x, *axis, [first, first + (len - 1) * by + 1, by])
            }
            Standard::Dilate { axis, step: by } => self.dilated(step, *axis, *by)?,
            Standard::Pad { axis, before } => {
                let x = self.input(step, 0)?;
                let there = self.fixed(step.inputs[0].unwrap_or_default(), *axis)?;
                let after = (self.fixed(step.output, *axis)?).saturating_sub(there + before);
                self.padded(&x, shape.len(), *axis, [*before, after])
            }
            Standard::Shift { axis, by } => {
                let x = self.input(step, 0)?;
                let (len, far) = (self.fixed(step.output, *axis)?, by.unsigned_abs());
                if far >= len {
                    return Ok(Held::Number(0.0));
                }
                let (from, pads) = if *by > 0 { (0, [far, 0]) } else { (far, [0, far]) };
                let kept = self.sliced(&x, *axis, [from as i64, (from + len - far) as i64, 1]);
                self.padded(&kept, shape.len(), *axis, pads)
            }
            Standard::Flip(axis) => {
                let (x, _) = (self.input(step, 0)?, self.fixed(step.output, *axis)?);
                self.sliced(&x, *axis, [-1, i64::MIN, -1])
            }
            Standard::Permute(order) => {
                let x = self.input(step, 0)?;
                self.permuted(&x, order)
            }
            Standard::Concat(axis) => {
                let (a, b) = (self.input(step, 0)?, self.input(step, 1)?);
                self.writer.node("Concat", &[&a, &b], vec![int("axis", *axis)])
            }
            Standard::Upsample([down, right]) => {
                let x = self.input(step, 0)?;
                let scales = self.writer.numbers(&[4], &[1.0, 1.0, *down as f32, *right as f32]);
                let how = vec![
                    word("mode", "nearest"),
                    word("nearest_mode", "floor"),
                    word("coordinate_transformation_mode", "asymmetric"),
                ];
                self.writer.node("Resize", &[&x, "", &scales], how)
            }
            Standard::WindowSum(window, scale) => {
                let x = self.input(step, 0)?;
                let windows = vec![ints("kernel_shape", window), ints("strides", window)];
                let mean = self.writer.node("AveragePool", &[&x], windows);
                self.scaled(mean, scale * (window[0] * window[1]) as f32)
            }
            Standard::WeightNorm(axis) => layers::weight_norm(self, step, *axis)?,
            Standard::Spectral => layers::spectral(self, step)?,
            Standard::Gate { tanh } => layers::gate(self, step, *tanh)?,
            Standard::ConcatElu => layers::concat_elu(self, step)?,
            Standard::Skew => layers::skew(self, step)?,
            Standard::Unskew => layers::unskew(self, step)?,
            Standard::Memory { left } => layers::memory(self, step, *left)?,
        }))
    }

    fn pointwise(&mut self, step: &Step, operation: Operation, c: f32) -> Result<Held, Refusal> {
        let shape = self.shape(step.output);
        let operands: Vec<ValueId> = step.inputs.iter().flatten().copied().collect();
        let numbers: Vec<Option<f32>> = operands
            .iter()
            .map(|id| match self.held.get(id) {
                Some(Held::Number(value)) => Some(*value),
                _ => None,
            })
            .collect();
        if numbers.iter().all(Option::is_some) {
            let of = |k: usize| numbers.get(k).copied().flatten().unwrap_or_default();
            return Ok(Held::Number(operation.apply(of(0), of(1), c)));
        }
        let mut names = Vec::new();
        // A number has no axes, so that what is left may be smaller than the result.
        let mut made: Vec<Extent> = Vec::new();
        for (id, number) in std::iter::zip(&operands, &numbers) {
            names.push(match number {
                Some(value) => self.writer.number(*value),
                None => {
                    made = broadcast(&made, self.shape(*id));
                    self.tensor(*id)?
                }
            });
        }
        let result = self.formula(&operation.formula(), &names, c)?;
        if made == shape {
            return Ok(Held::Tensor(result));
        }
        let shape = self.extents(shape);
        Ok(Held::Tensor(self.writer.node("Expand", &[&result, &shape], Vec::new())))
    }

    fn formula(&mut self, formula: &Formula, operands: &[String], c: f32) -> Result<String, Refusal> {
        Ok(match formula {
            Formula::Operand(k) => operands.get(*k).cloned().ok_or("an operand is missing")?,
            Formula::Constant => self.writer.number(c),
            Formula::Number(value) => self.writer.number(*value),
            Formula::Call { word, attribute, of } => {
                let mut names = Vec::new();
                for part in *of {
                    names.push(self.formula(part, operands, c)?);
                }
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                self.writer.node(word, &names, attribute.iter().map(|name| float(name, c)).collect())
            }
        })
    }

    /// An axis of extent 1 more behind `axis`, filled up with zeros, makes two axes of which one is
    /// left.
    fn dilated(&mut self, step: &Step, axis: usize, by: usize) -> Result<String, Refusal> {
        let (x, from) = (self.input(step, 0)?, step.inputs[0].unwrap_or_default());
        let (there, wanted) = (self.fixed(from, axis)?, self.fixed(step.output, axis)?);
        let (shape, one) = (self.shape(from), Extent::Fixed(1));
        let apart: Vec<Extent> =
            shape[..=axis].iter().copied().chain([one]).chain(shape[axis + 1..].to_vec()).collect();
        let mut wide = shape.to_vec();
        wide[axis] = Extent::Fixed(there * by);
        let x = self.reshaped(&x, &apart);
        let x = self.padded(&x, apart.len(), axis + 1, [0, by - 1]);
        let x = self.reshaped(&x, &wide);
        Ok(match wanted.checked_sub(there * by) {
            Some(0) => x,
            Some(more) => self.padded(&x, wide.len(), axis, [0, more]),
            None => self.sliced(&x, axis, [0, wanted as i64, 1]),
        })
    }

    fn sum(&mut self, step: &Step, scale: f32) -> Result<String, Refusal> {
        let from = step.inputs[0].ok_or("an operand is missing")?;
        let extents = std::iter::zip(self.shape(from), self.shape(step.output));
        let axes: Vec<usize> = extents.enumerate().filter(|(_, (a, b))| a != b).map(|(axis, _)| axis).collect();
        if let (Some(x), true) = (self.masked_by_largest(from, &axes), scale == 1.0) {
            let x = self.tensor(x)?;
            return Ok(self.writer.node("ReduceMax", &[&x], vec![ints("axes", &axes)]));
        }
        let x = self.tensor(from)?;
        let terms = axes.iter().map(|axis| self.fixed(from, *axis).ok()).product::<Option<usize>>();
        if !axes.is_empty() && terms.is_some_and(|terms| scale == 1.0 / terms as f32) && !step.per_image {
            return Ok(self.writer.node("ReduceMean", &[&x], vec![ints("axes", &axes)]));
        }
        let mut sum = x;
        if !axes.is_empty() {
            let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
            let axes = self.writer.ints(&axes);
            sum = self.writer.node("ReduceSum", &[&sum, &axes], Vec::new());
        }
        sum = self.scaled(sum, scale);
        if step.per_image {
            let n = self.images(1);
            let n = self.writer.node("Cast", &[&n], vec![int("to", DataType::Float as usize)]);
            sum = self.writer.node("Div", &[&sum, &n], Vec::new());
        }
        Ok(sum)
    }

    /// The x of which `id` is the product with a mask that is 1 where x is the largest along the
    /// only one of `axes`: the sum of that is the largest.
    fn masked_by_largest(&self, id: ValueId, axes: &[usize]) -> Option<ValueId> {
        let made = |id: ValueId| self.made_by.get(&id).map(|at| &self.trace.steps[*at]);
        let product = made(id).filter(|step| step.standard == Standard::Pointwise(Operation::Mul, 0.0))?;
        let &[Some(x), Some(mask)] = product.inputs.as_slice() else { return None };
        let mask = made(mask)?;
        let found = matches!(mask.standard, Standard::Largest(axis) if axes == [axis]) && mask.inputs == [Some(x)];
        found.then_some(x)
    }

    fn largest(&mut self, step: &Step, axis: usize) -> Result<String, Refusal> {
        let (x, extent) = (self.input(step, 0)?, self.fixed(step.output, axis)?);
        let place = self.writer.node("ArgMax", &[&x], vec![int("axis", axis), int("keepdims", 0)]);
        let (depth, values) = (self.writer.int(extent as i64), self.writer.numbers(&[2], &[0.0, 1.0]));
        Ok(self.writer.node("OneHot", &[&place, &depth, &values], vec![int("axis", axis)]))
    }

    fn product(&mut self, step: &Step, transposed: [bool; 2]) -> Result<String, Refusal> {
        let (mut operands, bias) = ([self.input(step, 0)?, self.input(step, 1)?], self.input(step, 2).ok());
        if self.shape(step.output).len() == 2 {
            let [a, b] = transposed.map(usize::from);
            let all: Vec<&str> = operands.iter().chain(&bias).map(String::as_str).collect();
            return Ok(self.writer.node("Gemm", &all, vec![int("transA", a), int("transB", b)]));
        }
        for (name, is_transposed) in std::iter::zip(&mut operands, transposed) {
            if is_transposed {
                *name = self.permuted(name, &[0, 2, 1]);
            }
        }
        let product = self.writer.node("MatMul", &[&operands[0], &operands[1]], Vec::new());
        Ok(match bias {
            Some(bias) => self.writer.node("Add", &[&product, &bias], Vec::new()),
            None => product,
        })
    }
}

/// An extent as a shape has it, -1 for one that follows from the others.
fn known(extent: Extent) -> i64 {
    match extent {
        Extent::Fixed(extent) => extent as i64,
        Extent::Batch(_) => -1,
    }
}

/// The shape of two operands that fit.
fn broadcast(a: &[Extent], b: &[Extent]) -> Vec<Extent> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Extent], k: usize| (k + shape.len()).checked_sub(rank).map_or(Extent::Fixed(1), |k| shape[k]);
    let both = |k: usize| if at(a, k) == Extent::Fixed(1) { at(b, k) } else { at(a, k) };
    (0..rank).map(both).collect()
}
