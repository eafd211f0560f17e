//! Trained models as ONNX: what is in the files, and that ONNX Runtime makes the same of them.

mod ops;
mod runtime;

use super::models::{Place, on_cpu};
use super::own_pictures::pictures;
use super::{limn, text};
use limn::export::onnx::proto::{Extent, GraphProto, ModelProto, ValueInfoProto};
use limn::export::onnx::{BATCH, IR_VERSION, OPSET, model};
use limn::export::{Tensor, Trained};
use limn::program::Device;
use limn::sample::Function;
use limn::train::{Config, RunDir, Session, presets};
use prost::Message;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// The operators of ONNX's set 15.
const OPERATORS: &str = "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization \
    Bernoulli BitShift Cast CastLike Ceil Celu Clip Compress Concat ConcatFromSequence Constant ConstantOfShape Conv \
    ConvInteger ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear \
    Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gemm GlobalAveragePool \
    GlobalLpPool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity If InstanceNormalization \
    IsInf IsNaN LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger \
    Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization Min Mod Mul Multinomial Neg \
    NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or \
    PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform \
    RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin \
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round Scan ScatterElements \
    ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength Shape Shrink \
    Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split \
    SplitToSequence Sqrt Squeeze StringNormalizer Sub Sum Tan Tanh TfIdfVectorizer ThresholdedRelu Tile TopK Transpose \
    Trilu Unique Unsqueeze Where Xor";

/// Name and extents of a value, an extent that a caller chooses by its name.
fn about(value: &ValueInfoProto) -> (String, Vec<String>) {
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref()).expect("a tensor");
    let extent = |dim: &Option<Extent>| match dim.as_ref().expect("an extent") {
        Extent::DimValue(extent) => extent.to_string(),
        Extent::DimParam(name) => name.clone(),
    };
    let dims = &tensor.shape.as_ref().expect("a shape").dim;
    (value.name.clone(), dims.iter().map(|dim| extent(&dim.value)).collect())
}

/// A value of this name and these extents, as [`about`] tells it.
fn is(name: &str, extents: &[&str]) -> (String, Vec<String>) {
    (name.into(), extents.iter().map(|extent| extent.to_string()).collect())
}

/// Expects operators that ONNX has, of values that are there before, each with a name of its own.
#[track_caller]
fn holds_together(graph: &GraphProto, outside: &HashSet<String>) {
    let mut known = outside.clone();
    let given = graph.input.iter().map(|value| &value.name).chain(graph.initializer.iter().map(|weight| &weight.name));
    given.for_each(|name| assert!(known.insert(name.clone()), "\"{name}\" is there twice"));
    for node in &graph.node {
        assert!(OPERATORS.split_whitespace().any(|name| name == node.op_type), "{}", node.op_type);
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            assert!(known.contains(name), "{}: there is no \"{name}\" yet", node.name);
        }
        let inner = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
        inner.for_each(|graph| holds_together(graph, &known));
        node.output.iter().for_each(|name| assert!(known.insert(name.clone()), "\"{name}\" is made twice"));
    }
    graph.output.iter().for_each(|value| assert!(known.contains(&value.name), "nothing makes \"{}\"", value.name));
}

/// Expects the initialisers to be parameters of the model with their values, but for what a mask
/// hides, which is 0.
#[track_caller]
fn holds_parameters(graph: &GraphProto, parameters: &[Tensor], masked: bool) {
    assert!(!graph.initializer.is_empty());
    for weight in &graph.initializer {
        let own = |tensor: &&Tensor| tensor.name == weight.name || weight.name == format!("gmm.{}", tensor.name);
        let parameter = parameters.iter().find(own).unwrap_or_else(|| panic!("what is {}?", weight.name));
        assert!(weight.dims.iter().map(|extent| *extent as usize).eq(parameter.shape.iter().copied()));
        let values = weight.raw_data.chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")));
        assert_eq!(values.len(), parameter.values.len());
        let same = |(a, b): (f32, &f32)| a.to_bits() == b.to_bits() || (masked && a == 0.0);
        assert!(std::iter::zip(values, &parameter.values).all(same), "{}", weight.name);
    }
}

/// The run in a folder with the weights it would be exported with.
fn trained(folder: &Path) -> Trained {
    let run = RunDir::open(folder).expect("a run");
    let (session, step) = run.session(Device::Cpu, None).expect("a checkpoint");
    Trained { run, session, step, data: None }
}

/// The model in a file.
fn read(path: &Path) -> ModelProto {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    ModelProto::decode(bytes.as_slice()).expect("a model")
}

#[test]
fn files_have_the_parameters_by_name_and_say_what_they_are() {
    let place = Place::new();
    let run = place.vae();
    on_cpu(&["eval", text(&run)]).good();
    let said = on_cpu(&["export", text(&run), "--format", "onnx"]).good().out;
    assert!(said.contains("after 2 training steps") && said.contains("onnx"), "{said}");
    let names = std::fs::read_dir(run.join("onnx")).unwrap().map(|entry| entry.unwrap().file_name());
    let names: HashSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(names, HashSet::from(["README.md", "decode.onnx", "encode.onnx"].map(String::from)));

    let decoder = read(&run.join("onnx/decode.onnx"));
    assert_eq!((decoder.ir_version, decoder.producer_name.as_str()), (IR_VERSION, "limn"));
    assert_eq!(decoder.producer_version, env!("CARGO_PKG_VERSION"));
    let sets: Vec<_> = decoder.opset_import.iter().map(|set| (set.domain.as_str(), set.version)).collect();
    assert_eq!(sets, [("", OPSET)]);
    let known: BTreeMap<_, _> =
        decoder.metadata_props.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    let facts = ["preset", "model", "step", "weights", "limn", "data", "data_licence"].map(|key| known[key]);
    assert_eq!(facts, ["vae", "vae", "2", "trained", env!("CARGO_PKG_VERSION"), "fashion-mini", "MIT"]);
    assert!(known["data_source"].contains("Zalando"), "{known:?}");
    let figures: Vec<serde_json::Value> = serde_json::from_str(known["figures"]).unwrap();
    assert!(figures.iter().any(|figure| figure["name"] == "elbo" && figure["step"] == 2), "{figures:?}");

    let graph = decoder.graph.unwrap();
    assert_eq!(graph.input.iter().map(about).collect::<Vec<_>>(), [is("z", &[BATCH, "2"])]);
    assert_eq!(graph.output.iter().map(about).collect::<Vec<_>>(), [is("images", &[BATCH, "1", "28", "28"])]);
    let graph_of_encoder = read(&run.join("onnx/encode.onnx")).graph.unwrap();
    assert_eq!(graph_of_encoder.input.iter().map(about).collect::<Vec<_>>(), [is("images", &[BATCH, "1", "28", "28"])]);
    assert_eq!(graph_of_encoder.output.iter().map(about).collect::<Vec<_>>(), [is("z", &[BATCH, "2"])]);
    let parameters = trained(&run).tensors().unwrap();
    for graph in [&graph, &graph_of_encoder] {
        holds_together(graph, &HashSet::new());
        holds_parameters(graph, &parameters, false);
    }
    let both = graph.initializer.len() + graph_of_encoder.initializer.len();
    // The encoder's mean is read, and not its variance.
    assert_eq!(both, parameters.len() - 2);

    let page = std::fs::read_to_string(run.join("onnx/README.md")).unwrap();
    assert!(page.contains("Trained on fashion-mini: ") && page.contains("Zalando Research; MIT."), "{page}");
    for words in ["decode.onnx", "encode.onnx", "`vae`", "set 15", "standard normal", "InferenceSession", "{\"z\": z}"]
    {
        assert!(page.contains(words), "no {words} in {page}");
    }
}

#[test]
fn pictures_of_somebodys_own_are_named_without_their_place_and_a_licence() {
    let place = Place::new();
    let own = pictures(&place, "mine", 12, [28, 28], false);
    let run = place.train("ae", &["--data", text(&own), "--set", "model.hidden=8", "--set", "model.latent=2"]);
    on_cpu(&["export", text(&run), "--format", "onnx"]).good();
    let entries = read(&run.join("onnx/decode.onnx")).metadata_props;
    let known: BTreeMap<_, _> = entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
    assert_eq!((known["data"], known.get("data_licence"), known.get("data_source")), ("mine", None, None));
    let folder = place.path("");
    for name in ["decode.onnx", "encode.onnx", "README.md"] {
        let bytes = std::fs::read(run.join("onnx").join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(text(&folder)), "{name}");
    }
    assert!(std::fs::read_to_string(run.join("onnx/README.md")).unwrap().contains("Trained on mine: somebody's own."));
}

#[test]
fn nothing_is_written_without_a_checkpoint_or_a_place() {
    let place = Place::new();
    let run = place.vae();
    let file = place.file("taken", b"mine");
    on_cpu(&["export", text(&run), "--format", "onnx", "--out", text(&file)]).bad(&["cannot write", "taken"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    std::fs::remove_file(run.join("checkpoint.safetensors")).unwrap();
    on_cpu(&["export", text(&run), "--format", "onnx"]).bad(&["checkpoint"]);
    assert!(!run.join("onnx").exists());
    assert_eq!(limn(&["export", text(&run), "--format", "onx"]).code, Some(2));
}

#[test]
fn masks_are_zeros_of_the_parameters() {
    let place = Place::new();
    let run = place.pixelcnn();
    let whole = trained(&run);
    let parameters = whole.tensors().unwrap();
    let graph = model(Function::Logits, &whole.session).unwrap().graph.unwrap();
    holds_parameters(&graph, &parameters, true);
    let hidden = |weight: &limn::export::onnx::proto::TensorProto| {
        let all = weight.raw_data.chunks(4).filter(|bytes| **bytes == [0; 4]).count();
        (weight.dims.len() == 4 && weight.dims[2] > 1).then_some(4.0 * all as f32 / weight.raw_data.len() as f32)
    };
    let shares: Vec<f32> = graph.initializer.iter().filter_map(hidden).collect();
    assert!(shares.len() > 1 && shares.iter().all(|share| (0.4..0.6).contains(share)), "{shares:?}");
}

#[test]
fn all_that_presets_do_is_said() {
    for (name, _) in presets() {
        let config = Config::preset(name).expect("a preset");
        let session = Session::new(&config.model, &config.optimizer(), 0, Device::Cpu).expect("a session");
        let run = RunDir { path: "nowhere".into(), config };
        let trained = Trained { run, session, step: 0, data: None };
        let functions = Function::all(&trained.session);
        assert!(!functions.is_empty(), "{name}");
        for function in functions {
            let made = model(function, &trained.session).unwrap_or_else(|e| panic!("{name}: {e}"));
            let made = made.graph.expect("a graph");
            holds_together(&made, &HashSet::new());
            let masked = trained.run.config.model.kind().starts_with("pixel");
            holds_parameters(&made, &trained.tensors().expect("parameters"), masked);
            let values = made.input.iter().chain(&made.output).map(about);
            let by_image = values.filter(|(_, extents)| extents.first().is_some_and(|extent| extent == BATCH)).count();
            let wanted = if function == Function::Components { 0 } else { made.input.len() + made.output.len() };
            assert_eq!(by_image, wanted, "{name} {function}");
        }
    }
}
