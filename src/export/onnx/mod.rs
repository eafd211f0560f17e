//! A trained model as ONNX: a file for each of its functions.
//!
//! `trace` has a function's graph for any number of images, `weights` the parameters that it
//! reads, and `translate` makes nodes of it, by what each op says that it is
//! ([`crate::graph::Op::standard`]). Operators are those of set 15, the first in which all of them
//! are as they are used here, so that old runtimes take the files too. Arithmetic on parameters
//! alone, such as that of a spectral norm, is left in the graph; runtimes do it once, at loading.

mod layers;
pub mod proto;
mod readme;
mod trace;
mod translate;
mod weights;
mod writer;

use super::{ExportError, Package, Trained};
use crate::sample::Function;
use crate::train::Session;
use prost::Message;
use proto::{
    DataType, DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use trace::{Extent, Trace};
use translate::Translator;
use weights::Weights;

/// The version of the set of operators.
pub const OPSET: i64 = 15;
/// The version of the format that is as old as it.
pub const IR_VERSION: i64 = 8;
/// What the number of images is called in shapes.
pub const BATCH: &str = "n";
/// Bytes of a file: protobuf counts them with a sign.
const MOST_BYTES: u64 = (1 << 31) - 1;

/// Bytes left for what is known of a model.
const ROOM: u64 = 1 << 20;

/// Makes it.
pub(super) fn package(trained: &mut Trained) -> Result<Package, ExportError> {
    let (mut files, mut rows, known) = (Vec::new(), Vec::new(), readme::metadata(trained));
    for function in Function::all(&trained.session) {
        let mut model = model(function, &trained.session)?;
        let entry =
            |(key, value): &(&str, String)| StringStringEntryProto { key: key.to_string(), value: value.clone() };
        model.metadata_props = known.iter().map(entry).collect();
        let bytes = model.encode_to_vec();
        let inputs = model.graph.map(|graph| graph.input).unwrap_or_default();
        rows.push(readme::Row {
            file: format!("{function}.onnx"),
            bytes: bytes.len() as u64,
            what: model.doc_string,
            inputs: inputs.into_iter().map(|input| input.name).collect(),
        });
        files.push((format!("{function}.onnx"), bytes));
    }
    files.push(("README.md".into(), readme::text(trained, &rows, &known).into_bytes()));
    Ok(Package { files, remarks: Vec::new() })
}

/// A function of a model with the weights of a session, for any number of images.
///
/// # Errors
/// [`ExportError::Unsupported`] names what has no words in ONNX.
pub fn model(function: Function, session: &Session) -> Result<ModelProto, ExportError> {
    made(function, session, MOST_BYTES)
}

/// The same in a file of at most so many bytes.
fn made(function: Function, session: &Session, most: u64) -> Result<ModelProto, ExportError> {
    let trace = Trace::new(function, session)?;
    let weights = Weights::new(&trace, function, session)?;
    // Before any of them is read: a copy takes as much memory.
    fits(function, weights.len(), most)?;
    let mut translator = Translator::new(&trace, &weights);
    translator.run().map_err(|(step, why)| refuse(function, format!("{step}: {why}")))?;
    let tensor = |(name, id): (&str, usize)| value(name, DataType::Float, &trace.shapes[id]);
    let output: Vec<ValueInfoProto> = trace.outputs().map(tensor).collect();
    let graph = GraphProto {
        node: translator.writer.finish(&output),
        name: function.to_string(),
        initializer: weights.initialisers(&trace, session)?,
        doc_string: String::new(),
        input: trace.inputs().map(tensor).collect(),
        output,
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: readme::what(function, session, trace.inputs().any(|(name, _)| name == "labels")),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props: Vec::new(),
    };
    // What is said of it and its graph are small beside weights of that size.
    fits(function, model.encoded_len() as u64 + ROOM, most)?;
    Ok(model)
}

/// Refuses what is larger than a file.
fn fits(function: Function, bytes: u64, most: u64) -> Result<(), ExportError> {
    if bytes <= most {
        return Ok(());
    }
    let [bytes, most] = [bytes, most].map(crate::words::size);
    let instead = "the PyTorch format and the folder for the Hub hold weights of any size";
    Err(refuse(function, format!("it takes {bytes}, and a file there holds {most} at most; {instead}")))
}

/// A value of a graph: its name, its elements and its shape.
fn value(name: &str, elements: DataType, shape: &[Extent]) -> ValueInfoProto {
    let dim = |extent: &Extent| DimensionProto {
        value: Some(match extent {
            Extent::Fixed(extent) => proto::Extent::DimValue(*extent as i64),
            Extent::Batch(1) => proto::Extent::DimParam(BATCH.into()),
            Extent::Batch(each) => proto::Extent::DimParam(format!("{each}*{BATCH}")),
        }),
    };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: elements as i32, shape: Some(shape) };
    let r#type = Some(TypeProto { tensor_type: Some(tensor) });
    ValueInfoProto { name: name.into(), r#type, doc_string: String::new() }
}

/// What a function does that has no words in ONNX.
fn refuse(function: Function, why: impl std::fmt::Display) -> ExportError {
    ExportError::Unsupported { format: "ONNX", why: format!("{function}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Device;
    use crate::train::Config;

    #[test]
    fn a_file_holds_two_gibibytes_and_what_is_larger_is_told_where_to_go() {
        assert!(fits(Function::Decode, MOST_BYTES, MOST_BYTES).is_ok());
        let told = fits(Function::Decode, 3 << 30, MOST_BYTES).unwrap_err().to_string();
        for words in ["ONNX cannot say", "decode: it takes 3.2 GB", "2.1 GB at most", "PyTorch", "Hub"] {
            assert!(told.contains(words), "no \"{words}\" in {told}");
        }
        // A model is refused for its weights, and for them with the graph.
        let config = Config::preset("vae-conv-small").unwrap();
        let session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).unwrap();
        let model = made(Function::Decode, &session, MOST_BYTES).unwrap();
        let all = model.graph.as_ref().map_or(0, |graph| graph.initializer.iter().map(|w| w.raw_data.len()).sum());
        let whole = model.encoded_len() as u64 + ROOM;
        assert!(all > 0 && (all as u64) < whole);
        assert_eq!(made(Function::Decode, &session, whole).unwrap(), model);
        for most in [all as u64 - 1, whole - 1] {
            let refused = made(Function::Decode, &session, most).unwrap_err();
            assert!(matches!(refused, ExportError::Unsupported { format: "ONNX", .. }), "{refused}");
        }
    }
}
