//! Steps of the presets against PyTorch, and the numbers that each preset is: `assets/fixtures/steps.json`, by
//! `steps.py` there, which says them apart from the presets' files.

use crate::support::fixtures::{fixture, fixture_normals};
use crate::support::gpu;
use limn::kernels::philox::Stream;
use limn::models::Model;
use limn::nn::ParamInfo;
use limn::program::Device;
use limn::train::{Config, Session, Setting, presets};
use serde_json::Value;
use std::ops::Range;
use toml::Table;

/// Streams that the fixtures draw pixels and classes from, and the first of the directions that movements are held
/// along.
const PIXELS: u32 = 600;
const CLASSES: u32 = 601;
const DIRECTIONS: u32 = 700;

/// Settings key by key, `optim.lr`, as JSON, which tells 1 from 1.0 as TOML does.
fn flat(of: &Value) -> Vec<(String, String)> {
    let tables = of.as_object().expect("tables");
    let keys = |(table, keys): (&String, &Value)| {
        let keys = keys.as_object().expect("a table").clone();
        keys.into_iter().map(move |(key, value)| (format!("{table}.{key}"), value.to_string())).collect::<Vec<_>>()
    };
    let mut all: Vec<_> =
        ["model", "data", "optim", "train"].iter().filter_map(|t| tables.get_key_value(*t)).flat_map(keys).collect();
    all.sort();
    all
}

/// What keeps a preset's file from being what the fixtures say: a line for each key.
fn misses(file: &Table, settings: &Value) -> Vec<String> {
    let file = flat(&serde_json::to_value(file).expect("JSON"));
    let settings = flat(settings);
    let missing = |from: &[(String, String)], of: &[(String, String)], who: &str| {
        let lines = from.iter().filter(|pair| !of.contains(pair)).map(|(key, value)| format!("{who}: {key} = {value}"));
        lines.collect::<Vec<_>>()
    };
    [missing(&file, &settings, "the file alone"), missing(&settings, &file, "PyTorch alone")].concat()
}

#[test]
fn every_preset_is_what_pytorch_was_given() {
    let fixture = fixture("steps");
    assert_eq!(presets().len() + 1, fixture.as_object().expect("presets").len(), "a preset and its fixture");
    for (name, text) in presets() {
        let misses = misses(&text.parse().expect("TOML"), &fixture[*name]["settings"]);
        assert!(misses.is_empty(), "{name}:\n{}", misses.join("\n"));
    }
}

/// Every number of a table moved by a few percent, or by one where that is less than one, or made one where it was
/// none.
fn moved(value: &toml::Value) -> Vec<toml::Value> {
    let more = |n: i64| n + (n / 20).max(1);
    match value {
        toml::Value::Integer(n) => vec![more(*n).into(), (n - (n / 20).max(1)).into()],
        toml::Value::Float(x) if *x == 0.0 => vec![0.03.into()],
        toml::Value::Float(x) => vec![(x * 1.03).into(), (x * 0.97).into()],
        toml::Value::Boolean(b) => vec![(!b).into()],
        toml::Value::Array(all) => {
            let with = |i: usize, new: toml::Value| {
                all.iter().enumerate().map(|(j, old)| if i == j { new.clone() } else { old.clone() }).collect()
            };
            all.iter()
                .enumerate()
                .flat_map(|(i, old)| moved(old).into_iter().map(move |new| toml::Value::Array(with(i, new))))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A preset with one number other than it is does not pass for itself.
#[test]
fn every_changed_number_of_a_preset_is_noticed() {
    let fixture = fixture("steps");
    let mut tried = 0;
    for (name, text) in presets() {
        let table: Table = text.parse().expect("TOML");
        for (part, keys) in &table {
            for (key, value) in keys.as_table().expect("a table") {
                for other in moved(value) {
                    let mut changed = table.clone();
                    changed[part].as_table_mut().expect("a table").insert(key.clone(), other.clone());
                    let misses = misses(&changed, &fixture[*name]["settings"]);
                    assert_eq!(misses.len(), 2, "{name}: {part}.{key} = {other} instead of {value}");
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} changed numbers of {} presets, each noticed", presets().len());
    assert!(tried > 1000, "{tried}");
}

/// Networks in the full size of their presets have as many parameters as PyTorch's.
#[test]
fn networks_are_as_large_as_pytorchs() {
    let fixture = fixture("steps");
    for (name, _) in presets() {
        let Some(wanted) = fixture[*name].get("parameters") else { continue };
        let model = Config::preset(name).expect("a preset").model.build().expect("a model");
        let counts =
            model.networks().iter().map(|net| net.params.iter().map(ParamInfo::len).sum()).collect::<Vec<usize>>();
        assert_eq!(serde_json::to_value(counts).expect("JSON"), *wanted, "{name}");
    }
}

/// The bytes of a step's images and of their classes, as the fixtures draw them.
fn upload(model: &dyn Model, images: usize, step: u32, only_black_and_white: bool) -> Vec<f32> {
    let stream = |stream| Stream { seed: 0, domain: 9, stream, step, first: 0 };
    let (pixels, classes) = (stream(PIXELS), stream(CLASSES));
    // A uniform number is the top 24 bits of a word.
    let word = |of: &Stream, i: usize| (of.uniform(i) * 16_777_216.0) as u32;
    let tone = |byte: u8| if only_black_and_white { if byte < 128 { 0 } else { 255 } } else { byte };
    let mut bytes: Vec<u8> = (0..images * model.geometry().iter().product::<usize>())
        .map(|i| tone((word(&pixels, i) >> 16) as u8))
        .collect();
    let count = model.classes() as u32;
    if count > 0 {
        bytes.extend((0..images).map(|i| (word(&classes, i) % count) as u8));
    }
    limn::train::pack(bytes)
}

/// How far a value may be from PyTorch's, relatively: float32 may round otherwise than PyTorch's does.
fn allowed(floor: f64, rounding: &Value) -> f64 {
    floor.max(6.0 * number(rounding))
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn length(of: impl Iterator<Item = f64>) -> f64 {
    of.map(|v| v * v).sum::<f64>().sqrt()
}

/// A session of a preset, narrowed as its fixture says, and its states before and after the fixture's steps: the tensors
/// of each network's, parameters, statistics and averages.
struct Trained {
    session: Session,
    tensors: Vec<(&'static str, Vec<ParamInfo>)>,
    before: Vec<Vec<f32>>,
    after: Vec<Vec<f32>>,
    /// Which of them are of the n-th network.
    networks: Vec<Range<usize>>,
}

impl Trained {
    fn new(name: &str, fixture: &Value, device: Device) -> Trained {
        let mut config = Config::preset(name).expect("a preset");
        let narrow = fixture["narrow"].as_object().expect("settings");
        let narrow: Vec<String> = narrow.iter().map(|(key, value)| format!("model.{key}={value}")).collect();
        config.set_all(&Setting::all(&narrow).expect("settings")).expect("settings");
        let mut session = Session::new(&config.model, &config.optimizer(), 0, device).expect("a session");
        let (mut tensors, mut states, mut networks) = (Vec::new(), Vec::new(), Vec::new());
        for net in session.model.networks() {
            let first = tensors.len();
            let mut add = |kind, state, infos: &Vec<ParamInfo>| {
                tensors.push((kind, infos.clone()));
                states.push(state);
            };
            add("params", net.params_state(), &net.params);
            if net.stats_len() > 0 {
                add("stats", net.stats_state(), &net.stats);
            }
            if session.optim.averages(net) {
                add("average", net.average_state(), &net.params);
            }
            networks.push(first..tensors.len());
        }
        let read = |session: &Session| {
            states.iter().map(|state| session.store.read(state).expect("a state")).collect::<Vec<_>>()
        };
        let before = read(&session);
        let batch = fixture["batch"].as_u64().expect("a number") as usize;
        let images = batch * session.model.batches_per_step();
        let black_and_white = fixture["settings"]["model"]["binarisation"] == "static";
        for step in 0..fixture["steps"].as_u64().expect("a number") as u32 {
            session.go_to(step.into()).expect("a step");
            let mut program = session.train_step(batch).expect("a program");
            program.write("images", &upload(&*session.model, images, step, black_and_white)).expect("an upload");
            program.run().expect("a step");
        }
        let after = read(&session);
        Trained { session, tensors, before, after, networks }
    }

    /// Losses that are not PyTorch's, a line for each.
    fn wrong_losses(&self, fixture: &Value) -> Vec<String> {
        let history = self.session.store.read("history").expect("losses");
        let names = self.session.model.losses();
        let mut wrong = Vec::new();
        for (column, loss) in names.iter().enumerate() {
            let wanted: Vec<f64> = fixture["losses"][*loss].as_array().expect("a loss").iter().map(number).collect();
            let largest = wanted.iter().fold(0.0f64, |a, v| a.max(v.abs()));
            let bound = allowed(1e-5, &fixture["losses_rounding"][*loss]) * largest;
            for (step, want) in wanted.iter().enumerate() {
                let got = f64::from(history[step * names.len() + column]);
                // What is no number is wrong too.
                if (got - want).abs() > bound || got.is_nan() {
                    wrong.push(format!("step {step}: {loss} {got}, PyTorch has {want}, {bound:.1e} is allowed"));
                }
            }
        }
        wrong
    }

    /// Tensors that moved otherwise than PyTorch's, a line for each.
    fn wrong_moves(&self, fixture: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        for (range, wanted) in std::iter::zip(&self.networks, fixture["networks"].as_array().expect("networks")) {
            for k in range.clone() {
                let (kind, infos) = &self.tensors[k];
                let rows = wanted[*kind].as_array().expect("what moved");
                assert_eq!(rows.len(), infos.len(), "{kind}");
                let moves = std::iter::zip(infos, rows).enumerate();
                wrong.extend(moves.filter_map(|(j, (info, row))| {
                    let place = info.offset..info.offset + info.len();
                    let [before, after] = [&self.before[k], &self.after[k]].map(|state| &state[place.clone()]);
                    wrong_move(before, after, DIRECTIONS + j as u32, row)
                        .map(|why| format!("{kind} {}: {why}", info.name))
                }));
            }
        }
        wrong
    }
}

/// What is wrong with how a tensor moved, held against its length, its product with a direction, and its rounding.
fn wrong_move(before: &[f32], after: &[f32], direction: u32, row: &Value) -> Option<String> {
    let [want_length, want_along, rounding] = row.as_array()?.as_slice() else { return Some("no figures".into()) };
    let moved: Vec<f64> = std::iter::zip(after, before).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    let direction = fixture_normals(direction, moved.len(), 1.0);
    let along: f64 = std::iter::zip(&moved, &direction).map(|(v, d)| v * f64::from(*d)).sum();
    // A move is the difference of two numbers that are rounded to their own size.
    let size = length(before.iter().map(|v| f64::from(*v)));
    let bound = allowed(3e-4, rounding) * number(want_length) + 2e-7 * size;
    let figures =
        [("length", length(moved.iter().copied()), want_length, bound), ("product", along, want_along, 3.0 * bound)];
    figures.into_iter().find_map(|(what, got, want, bound)| {
        let off = (got - number(want)).abs();
        let limit = format!("{bound:.1e} is allowed");
        (off > bound || got.is_nan()).then(|| format!("a {what} of {got:e}, PyTorch has {want}, {limit}"))
    })
}

/// Presets of a kind of model, each with its fixture.
fn follow(kinds: &[&str], device: &Device) {
    let fixture = fixture("steps");
    let mut wrong = Vec::new();
    let mut held = 0;
    for (name, _) in presets() {
        let own = &fixture[*name];
        if own.get("losses").is_some() && kinds.iter().any(|kind| own["settings"]["model"]["kind"] == *kind) {
            let trained = Trained::new(name, own, device.clone());
            let lines = [trained.wrong_losses(own), trained.wrong_moves(own)].concat();
            wrong.extend(lines.into_iter().map(|line| format!("{name}, {line}")));
            held += 1;
        }
    }
    assert!(held >= kinds.len(), "{held} presets of {kinds:?}");
    assert!(wrong.is_empty(), "{}:\n{}", device.name(), wrong.join("\n"));
}

const CONVOLUTIONAL: &[&str] = &["dcgan"];
const ADVERSARIAL: &[&str] = &["gan", "wavegan", "progan"];
const CONDITIONED: &[&str] = &["biggan"];
const OTHERS: &[&str] = &["vae", "vae-conv", "ae", "classifier"];

#[test]
fn convolutional_gans_on_the_processor_follow_pytorch() {
    follow(CONVOLUTIONAL, &Device::Cpu);
}

#[test]
fn convolutional_gans_on_the_gpu_follow_pytorch() {
    follow(CONVOLUTIONAL, &gpu());
}

#[test]
fn other_gans_on_the_processor_follow_pytorch() {
    follow(ADVERSARIAL, &Device::Cpu);
}

#[test]
fn other_gans_on_the_gpu_follow_pytorch() {
    follow(ADVERSARIAL, &gpu());
}

#[test]
fn biggan_on_the_processor_follows_pytorch() {
    follow(CONDITIONED, &Device::Cpu);
}

#[test]
fn biggan_on_the_gpu_follows_pytorch() {
    follow(CONDITIONED, &gpu());
}

#[test]
fn autoencoders_and_the_classifier_on_the_processor_follow_pytorch() {
    follow(OTHERS, &Device::Cpu);
}

#[test]
fn autoencoders_and_the_classifier_on_the_gpu_follow_pytorch() {
    follow(OTHERS, &gpu());
}
