//! `limn run`: one operation on a user's own tensors.

mod ops;
mod settings;
mod tensors;

use super::{DeviceArg, Error, Setting, device, nearest, setting, term};
use crate::graph::{Graph, Noise, Var, gradients};
use crate::kernels::philox::Domain;
use crate::program::{Device, Options, Runner, Store, plan};
use ops::{OpSpec, Operands};
use settings::OpSettings;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tensors::{Output, Tensor};

/// Arguments of `limn run`.
#[derive(clap::Args, Debug)]
#[command(after_long_help = ops::manual())]
pub struct RunArgs {
    /// OpSpec, see below
    #[arg(value_name = "OP")]
    operation: String,
    /// Tensors to read (F32)
    #[arg(long = "in", value_name = "IN.safetensors")]
    input: PathBuf,
    /// Where the results go
    #[arg(long = "out", value_name = "OUT.safetensors")]
    output: PathBuf,
    /// A setting of the operation, e.g. stride=2,2; may be given many times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<Setting>,
    /// Also compute gradients, from the gradients of the results that IN brings
    #[arg(long)]
    grad: bool,
    #[command(flatten)]
    device: DeviceArg,
}

/// The largest tensor, in elements: 2 GiB.
const MOST: usize = 1 << 29;

/// Reads, computes, writes; OUT appears whole or not at all.
pub fn run(args: &RunArgs) -> Result<(), Error> {
    let operation = ops::find(&args.operation)?;
    let settings = OpSettings::new(operation, &args.set)?;
    let output = Output::new(&args.output)?;
    let tensors = tensors::read(&args.input)?;
    let job = Job::new(operation, &settings, &tensors, args.grad)?;
    let device = device::open(args.device.device.as_deref())?;
    let results = job.compute(device, &tensors)?;
    output.write(&results)?;
    for (name, tensor) in &results {
        term::say(format!("{name} {:?}", tensor.shape))?;
    }
    Ok(())
}

/// What every operation makes of a file of tensors before it computes.
pub(super) fn prepare_all(path: &Path) -> Result<(), Error> {
    let tensors = tensors::read(path)?;
    for operation in ops::OPERATIONS {
        let settings = OpSettings::new(operation, &[])?;
        // Most are of another operation's.
        let _ = Job::new(operation, &settings, &tensors, false);
        let _ = Job::new(operation, &settings, &tensors, true);
    }
    Ok(())
}

/// A graph of one operation, with its gradients if they are wanted.
struct Job {
    graph: Graph,
    /// Name in OUT, and the shape it has there.
    results: Vec<(String, Vec<usize>)>,
}

impl Job {
    fn new(op: &OpSpec, settings: &OpSettings, tensors: &BTreeMap<String, Tensor>, grad: bool) -> Result<Job, Error> {
        let noise = Noise { seed: settings.seed()?, domain: Domain::Sample as u32, clock: "step".into() };
        let graph = Graph::new(noise);
        let operands = operands(op, &graph, tensors)?;
        unused(op, tensors);
        let names = op.outputs.iter().chain(op.drawn).copied();
        let outputs: Vec<_> = std::iter::zip(names, (op.build)(&operands, settings)?).collect();
        for (name, var) in &outputs {
            let elements = var.shape().iter().try_fold(1usize, |n, e| n.checked_mul(*e)).unwrap_or(usize::MAX);
            if elements > MOST {
                let shape = var.shape();
                return Err(Error::new(format!("{name} would have the shape {shape:?}, more than limn run takes")));
            }
        }
        graph.finish()?;
        let mut results = Vec::new();
        for (name, var) in &outputs {
            graph.output(name, var);
            results.push((name.to_string(), var.shape().to_vec()));
        }
        if grad {
            let loss = loss(op, &graph, &outputs, tensors)?;
            let inputs: Vec<Var> = operands.iter().map(|(_, var)| var.clone()).collect();
            let grads = gradients(&loss, &inputs);
            for ((name, var), grad) in std::iter::zip(operands.iter(), grads) {
                let grad = grad.unwrap_or_else(|| graph.constant(var.shape(), 0.0));
                let name = format!("d{name}");
                graph.output(&name, &grad);
                results.push((name, var.shape().to_vec()));
            }
            graph.finish()?;
        }
        Ok(Job { graph, results })
    }

    fn compute(&self, device: Device, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<(String, Tensor)>, Error> {
        let program = plan(&self.graph.finish()?, &Options::new(device.caps()))?;
        let names: Vec<String> = program.inputs.iter().map(|(name, _)| name.clone()).collect();
        let mut store = Store::new(device);
        let mut runner = Runner::new(program, &mut store)?;
        for name in &names {
            runner.write(name, tensors.get(name).map_or(&[][..], |t| &t.data))?;
        }
        runner.run()?;
        runner.wait()?;
        let read =
            |(name, shape): &(String, Vec<usize>)| Ok((name.clone(), Tensor::new(shape.clone(), runner.read(name)?)));
        self.results.iter().map(read).collect()
    }
}

/// The operands that IN has, as inputs of the graph.
fn operands(op: &OpSpec, graph: &Graph, tensors: &BTreeMap<String, Tensor>) -> Result<Operands, Error> {
    let mut operands = Operands::default();
    for input in op.inputs {
        let Some(tensor) = tensors.get(input.name) else {
            if input.optional {
                continue;
            }
            let has: Vec<&str> = tensors.keys().map(String::as_str).collect();
            let (op, name, has) = (op.name, input.name, has.join(", "));
            return Err(Error::new(format!("{op} needs a tensor called \"{name}\", and the file has: {has}")));
        };
        tensor.usable(input.name)?;
        if !input.shapes.iter().any(|axes| axes.split(',').count() == tensor.shape.len()) {
            let (op, name, shape) = (op.name, input.name, &tensor.shape);
            let shapes = input.shapes.iter().map(|s| format!("[{s}]")).collect::<Vec<_>>().join(" or ");
            return Err(Error::new(format!("{op} takes {name} as {shapes}, and the file has it as {shape:?}")));
        }
        operands.push(input.name, graph.input(input.name, &tensor.shape));
    }
    Ok(operands)
}

/// Tells what in IN goes unread: a bias called "bias" would otherwise be left out in silence.
fn unused(op: &OpSpec, tensors: &BTreeMap<String, Tensor>) {
    let names: Vec<&str> = op.inputs.iter().map(|i| i.name).collect();
    let grads = || op.outputs.iter().map(|name| format!("d{name}"));
    for name in tensors.keys() {
        if !names.contains(&name.as_str()) && !grads().any(|g| g == *name) {
            let near = nearest(name, names.iter().copied());
            term::note(format!("the tensor \"{name}\" is not used by {}; {near}", op.name));
        }
    }
}

/// Σ output · its gradient, whose derivatives are the gradients asked for.
fn loss(
    op: &OpSpec,
    graph: &Graph,
    outputs: &[(&'static str, Var)],
    tensors: &BTreeMap<String, Tensor>,
) -> Result<Var, Error> {
    let mut sum: Option<Var> = None;
    for (name, var) in outputs.iter().filter(|(name, _)| op.outputs.contains(name)) {
        let grad = format!("d{name}");
        let Some(tensor) = tensors.get(&grad) else { continue };
        tensor.usable(&grad)?;
        if tensor.shape != var.shape() {
            let (has, shape) = (&tensor.shape, var.shape());
            return Err(Error::new(format!("{grad} must have the shape of {name}, {shape:?}, and has {has:?}")));
        }
        let flat = [var.len()];
        let term = (&var.reshape(&flat) * &graph.input(&grad, &flat)).sum();
        sum = Some(sum.map_or_else(|| term.clone(), |sum| &sum + &term));
    }
    sum.ok_or_else(|| {
        let names: Vec<String> = op.outputs.iter().map(|name| format!("\"d{name}\"")).collect();
        Error::new(format!("--grad needs a tensor called {} in the file", names.join(" or ")))
    })
}
