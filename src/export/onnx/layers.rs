//! Convolutions and recurrent layers in operators of ONNX.

use super::proto::{DataType, GraphProto};
use super::trace::{Extent, Step};
use super::translate::{Refusal, Translator};
use super::value;
use super::writer::{Writer, graph, int, ints};
use crate::kernels::conv::Conv;

/// The weights of a convolution as they are used. A parameter that only this mask sees has zeros
/// where it hides something already; other weights are multiplied by the mask.
fn weights(to: &mut Translator, step: &Step, block: &Conv) -> Result<String, Refusal> {
    let w = to.input(step, 1)?;
    if block.mask == 0 || step.inputs[1].is_some_and(|id| to.is_masked(id)) {
        return Ok(w);
    }
    let dims = [block.co, block.ci, block.kh, block.kw].map(|d| d as usize);
    let mask = to.writer.numbers(&dims, &mask(block));
    Ok(to.writer.node("Mul", &[&w, &mask], Vec::new()))
}

/// 1 where a weight takes part, 0 elsewhere.
pub(super) fn mask(block: &Conv) -> Vec<f32> {
    let [co, ci, taps] = [block.co, block.ci, block.kh * block.kw].map(|d| d as usize);
    let each = |at: usize| f32::from(u8::from(block.live(at % taps, at / taps % ci, at / taps / ci)));
    (0..co * ci * taps).map(each).collect()
}

fn pair(a: u32, b: u32) -> [usize; 2] {
    [a as usize, b as usize]
}

/// What a convolution and its transpose have in common.
fn geometry(block: &Conv) -> Vec<super::proto::AttributeProto> {
    vec![
        ints("kernel_shape", &pair(block.kh, block.kw)),
        ints("strides", &pair(block.stride_h, block.stride_w)),
        ints("dilations", &pair(block.dilation_h, block.dilation_w)),
    ]
}

pub(super) fn conv(to: &mut Translator, step: &Step, block: &Conv) -> Result<String, Refusal> {
    let (x, w, b) = (to.input(step, 0)?, weights(to, step, block)?, to.input(step, 2).ok());
    let all: Vec<&str> = [&x, &w].into_iter().chain(&b).map(String::as_str).collect();
    let mut how = geometry(block);
    how.push(ints("pads", &block.padding().map(|pad| pad as usize)));
    Ok(to.writer.node("Conv", &all, how))
}

pub(super) fn depthwise(to: &mut Translator, step: &Step, stride: usize, padding: usize) -> Result<String, Refusal> {
    let [x, w, b] = [to.input(step, 0)?, to.input(step, 1)?, to.input(step, 2)?];
    let weights = step.inputs[1].unwrap_or_default();
    let (channels, [_, kh, kw]) = (to.fixed(weights, 0)?, to.planes(weights)?);
    let how = vec![
        ints("kernel_shape", &[kh, kw]),
        ints("strides", &[stride; 2]),
        ints("pads", &[padding; 4]),
        int("group", channels),
    ];
    Ok(to.writer.node("Conv", &[&x, &w, &b], how))
}

pub(super) fn weight_norm(to: &mut Translator, step: &Step, axis: usize) -> Result<String, Refusal> {
    let (v, g) = (to.input(step, 0)?, to.input(step, 1)?);
    let rank = to.shape(step.inputs[0].unwrap_or_default()).len();
    let others: Vec<usize> = (0..rank).filter(|other| *other != axis).collect();
    let length = to.writer.node("ReduceL2", &[&v], vec![ints("axes", &others)]);
    let factor = to.writer.node("Div", &[&g, &length], Vec::new());
    Ok(to.writer.node("Mul", &[&v, &factor], Vec::new()))
}

pub(super) fn spectral(to: &mut Translator, step: &Step) -> Result<String, Refusal> {
    let [w, u, v] = [to.input(step, 0)?, to.input(step, 1)?, to.input(step, 2)?];
    let [rows, columns] = [1, 2].map(|k| to.shape(step.inputs[k].unwrap_or_default())[0]);
    let one = Extent::Fixed(1);
    let matrix = to.reshaped(&w, &[rows, columns]);
    let (left, right) = (to.reshaped(&u, &[one, rows]), to.reshaped(&v, &[columns, one]));
    let product = to.writer.node("MatMul", &[&matrix, &right], Vec::new());
    let sigma = to.writer.node("MatMul", &[&left, &product], Vec::new());
    let sigma = to.reshaped(&sigma, &[one]);
    Ok(to.writer.node("Div", &[&w, &sigma], Vec::new()))
}

pub(super) fn gate(to: &mut Translator, step: &Step, tanh: bool) -> Result<String, Refusal> {
    let (x, from) = (to.input(step, 0)?, step.inputs[0].unwrap_or_default());
    let channels = to.fixed(from, 1)? as i64;
    let [first, second] = [[0, channels / 2, 1], [channels / 2, channels, 1]].map(|part| to.sliced(&x, 1, part));
    let first = if tanh { to.writer.node("Tanh", &[&first], Vec::new()) } else { first };
    let second = to.writer.node("Sigmoid", &[&second], Vec::new());
    Ok(to.writer.node("Mul", &[&first, &second], Vec::new()))
}

pub(super) fn concat_elu(to: &mut Translator, step: &Step) -> Result<String, Refusal> {
    let x = to.input(step, 0)?;
    let other = to.writer.node("Neg", &[&x], Vec::new());
    let both = to.writer.node("Concat", &[&x, &other], vec![int("axis", 1)]);
    Ok(to.writer.node("Elu", &[&both], Vec::new()))
}

/// y, mean and variance. ONNX's own operator makes them as well, and runtimes that do not train have
/// it for known statistics only.
pub(super) fn batch_norm(to: &mut Translator, step: &Step, eps: f32) -> Result<[String; 3], Refusal> {
    let [x, gamma, beta] = [to.input(step, 0)?, to.input(step, 1)?, to.input(step, 2)?];
    let [from, of_channels] = [0, 1].map(|k| step.inputs[k].unwrap_or_default());
    let (rank, c) = (to.shape(from).len(), to.shape(of_channels)[0]);
    let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
    let mut plane = vec![Extent::Fixed(1); rank];
    plane[1] = c;
    let mean = to.writer.node("ReduceMean", &[&x], vec![ints("axes", &axes)]);
    let centred = to.writer.node("Sub", &[&x, &mean], Vec::new());
    let square = to.writer.node("Mul", &[&centred, &centred], Vec::new());
    let var = to.writer.node("ReduceMean", &[&square], vec![ints("axes", &axes)]);
    let eps = to.writer.number(eps);
    let above = to.writer.node("Add", &[&var, &eps], Vec::new());
    let deviation = to.writer.node("Sqrt", &[&above], Vec::new());
    let normal = to.writer.node("Div", &[&centred, &deviation], Vec::new());
    let [gamma, beta] = [gamma, beta].map(|channels| to.reshaped(&channels, &plane));
    let scaled = to.writer.node("Mul", &[&normal, &gamma], Vec::new());
    let y = to.writer.node("Add", &[&scaled, &beta], Vec::new());
    let [mean, var] = [mean, var].map(|each| to.reshaped(&each, &[c]));
    Ok([y, mean, var])
}

pub(super) fn conv_transpose(to: &mut Translator, step: &Step, block: &Conv) -> Result<String, Refusal> {
    let (y, w, b) = (to.input(step, 0)?, weights(to, step, block)?, to.input(step, 2).ok());
    let all: Vec<&str> = [&y, &w].into_iter().chain(&b).map(String::as_str).collect();
    // Of the whole result so much is left out at the end, or so much is missing there.
    let end = |y: u32, x: u32, k: u32, stride: u32, dilation: u32, before: u32| {
        let whole = i64::from(stride) * (i64::from(y) - 1) + i64::from(dilation) * (i64::from(k) - 1) + 1;
        let over = whole - i64::from(before) - i64::from(x);
        (over.max(0) as usize, (-over).max(0) as usize)
    };
    let c = block;
    let (bottom, missing_h) = end(c.oh, c.h, c.kh, c.stride_h, c.dilation_h, c.pad_top);
    let (right, missing_w) = end(c.ow, c.w, c.kw, c.stride_w, c.dilation_w, c.pad_left);
    let mut how = geometry(block);
    how.push(ints("pads", &[c.pad_top as usize, c.pad_left as usize, bottom, right]));
    how.push(ints("output_padding", &[missing_h, missing_w]));
    Ok(to.writer.node("ConvTranspose", &all, how))
}

/// Rows of h more elements, as rows of one element fewer: each begins one further to the right than
/// the one before.
pub(super) fn skew(to: &mut Translator, step: &Step) -> Result<String, Refusal> {
    let (x, from) = (to.input(step, 0)?, step.inputs[0].unwrap_or_default());
    let ([c, h, w], n) = (to.planes(from)?, to.shape(from)[0]);
    let wide = to.padded(&x, 4, 3, [0, h]);
    let flat = to.reshaped(&wide, &[n, Extent::Fixed(c), Extent::Fixed(h * (w + h))]);
    let cut = to.sliced(&flat, 2, [0, (h * (w + h - 1)) as i64, 1]);
    let rows = to.reshaped(&cut, &[n, Extent::Fixed(c), Extent::Fixed(h), Extent::Fixed(w + h - 1)]);
    Ok(to.permuted(&rows, &[0, 1, 3, 2]))
}

/// The same the other way round.
pub(super) fn unskew(to: &mut Translator, step: &Step) -> Result<String, Refusal> {
    let (x, from) = (to.input(step, 0)?, step.inputs[0].unwrap_or_default());
    let ([c, d, h], n) = (to.planes(from)?, to.shape(from)[0]);
    let rows = to.permuted(&x, &[0, 1, 3, 2]);
    let flat = to.reshaped(&rows, &[n, Extent::Fixed(c), Extent::Fixed(h * d)]);
    let longer = to.padded(&flat, 3, 2, [0, h]);
    let wide = to.reshaped(&longer, &[n, Extent::Fixed(c), Extent::Fixed(h), Extent::Fixed(d + 1)]);
    Ok(to.sliced(&wide, 3, [0, (d + 1 - h) as i64, 1]))
}

/// A scan over the rows, which hands on the states [n,hidden,w] of the row before.
pub(super) fn memory(to: &mut Translator, step: &Step, left: usize) -> Result<String, Refusal> {
    let (x, w) = (to.input(step, 0)?, to.input(step, 1)?);
    let [from, weights] = [0, 1].map(|k| step.inputs[k].unwrap_or_default());
    let ([gates, _, wide], [_, _, taps], n) = (to.planes(from)?, to.planes(weights)?, to.shape(from)[0]);
    let hidden = gates / 4;
    let fixed = Extent::Fixed;
    // Without the axis of extent 1: a row is convolved along its only axis.
    let w = to.reshaped(&w, &[fixed(gates), fixed(hidden), fixed(taps)]);
    let zeros = to.filled(0.0, &[n, fixed(hidden), fixed(wide)]);

    let scope = to.writer.scope.clone();
    let called = |name: &str| format!("{scope}/row/{name}");
    let [h, c, row] = ["h", "c", "x"].map(|name| to.writer.name(&called(name)));
    let [o, f, i, g] = ["out", "forget", "in", "candidate"].map(|name| to.writer.name(&called(name)));
    let [h_next, c_next, h_row] = ["h_next", "c_next", "h_row"].map(|name| to.writer.name(&called(name)));
    let mut body = Writer::new([]);
    body.scope = called("step");
    let pads = ints("pads", &[left, taps - 1 - left]);
    let before = body.node("Conv", &[&h, &w], vec![ints("kernel_shape", &[taps]), pads]);
    let given = body.node("Add", &[&before, &row], Vec::new());
    body.nodes_of("Split", &[&given], &[&o, &f, &i, &g], vec![int("axis", 1)]);
    let [o, f, i] = [o, f, i].map(|gate| body.node("Sigmoid", &[&gate], Vec::new()));
    let g = body.node("Tanh", &[&g], Vec::new());
    let (kept, new) = (body.node("Mul", &[&f, &c], Vec::new()), body.node("Mul", &[&i, &g], Vec::new()));
    body.nodes_of("Add", &[&kept, &new], &[&c_next], Vec::new());
    let shown = body.node("Tanh", &[&c_next], Vec::new());
    body.nodes_of("Mul", &[&o, &shown], &[&h_next], Vec::new());
    body.nodes_of("Identity", &[&h_next], &[&h_row], Vec::new());

    let state = [n, fixed(hidden), fixed(wide)];
    let info = |name: &str, channels: usize| value(name, DataType::Float, &[state[0], fixed(channels), state[2]]);
    let output = vec![info(&h_next, hidden), info(&c_next, hidden), info(&h_row, hidden)];
    let body = GraphProto {
        name: called("step"),
        input: vec![info(&h, hidden), info(&c, hidden), info(&row, gates)],
        node: body.finish(&output),
        output,
        ..GraphProto::default()
    };
    let outputs = ["h_last", "c_last", "states"].map(|name| to.writer.name(&called(name)));
    let how = vec![
        graph("body", body),
        int("num_scan_inputs", 1),
        ints("scan_input_axes", &[2]),
        ints("scan_output_axes", &[2]),
    ];
    to.writer.nodes_of("Scan", &[&zeros, &zeros, &x], &outputs.each_ref().map(String::as_str), how);
    let [_, _, states] = outputs;
    Ok(states)
}
