//! The random numbers: published vectors, the fixture, and graphs that draw them.

use crate::support::{Rig, Tensors, gpu};
use limn::graph::{Graph, Noise};
use limn::kernels::philox::{Stream, philox4x32_10};
use limn::program::Device;
use serde_json::Value;

fn fixture() -> Value {
    let text = std::fs::read_to_string("assets/fixtures/philox.json").expect("the fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn list<T>(of: &Value, number: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    of.as_array().expect("a list").iter().map(|v| number(v).expect("a number")).collect()
}

fn words(of: &Value) -> Vec<u32> {
    list(of, |v| v.as_u64().map(|n| n as u32))
}

fn floats(of: &Value) -> Vec<f32> {
    list(of, |v| v.as_f64().map(|n| n as f32))
}

/// The stream of a fill of the fixture.
fn stream(fill: &Value) -> Stream {
    let number = |name: &str| fill[name].as_u64().expect("a number");
    let [domain, stream, step] = ["domain", "stream", "step"].map(|name| number(name) as u32);
    Stream { seed: number("seed"), domain, stream, step, first: 0 }
}

#[test]
fn the_published_vectors() {
    let fixture = fixture();
    let vectors = fixture["vectors"].as_array().expect("vectors");
    assert_eq!(vectors.len(), 3);
    for v in vectors {
        let [counter, key, output] = ["counter", "key", "output"].map(|name| words(&v[name]));
        let got = philox4x32_10(counter.try_into().expect("four words"), key.try_into().expect("two words"));
        assert_eq!(got.to_vec(), output, "{v}");
    }
}

fn assert_normal(got: &[f32], want: &[f32], what: &str) {
    for (i, (g, w)) in std::iter::zip(got, want).enumerate() {
        assert!((g - w).abs() <= 2e-6 * (1.0 + w.abs()), "{what}[{i}]: {g:e} and should be {w:e}");
    }
}

#[test]
fn streams_draw_what_the_fixture_holds() {
    for fill in fixture()["fills"].as_array().expect("fills") {
        let source = stream(fill);
        let uniform: Vec<f32> = (0..10).map(|i| source.uniform(i)).collect();
        assert_eq!(uniform, floats(&fill["uniform"]));
        let from_words: Vec<f32> = words(&fill["words"]).iter().map(|w| (w >> 8) as f32 / 16_777_216.0).collect();
        assert_eq!(uniform, from_words);
        let normal: Vec<f32> = (0..10).map(|i| source.normal(i)).collect();
        assert_normal(&normal, &floats(&fill["normal"]), "normal");
    }
}

/// A graph's draws of stream and step of the fixture; earlier streams are taken by others.
fn draws(device: &Device, source: Stream, normal: bool) -> Vec<f32> {
    let g = Graph::new(Noise { seed: source.seed, domain: source.domain, clock: "clock".into() });
    (0..source.stream).for_each(|_| _ = g.next_stream());
    let y = if normal { g.normal(&[10]) } else { g.uniform(&[10], 0.0, 1.0) };
    g.output("y", &y);
    let clock = Tensors::from([("clock".to_string(), vec![f32::from_bits(source.step)])]);
    Rig::on(&g.finish().expect("a graph"), device, &clock).outputs().remove("y").expect("y")
}

fn graphs_draw_what_the_fixture_holds(device: &Device) {
    for fill in fixture()["fills"].as_array().expect("fills") {
        assert_eq!(draws(device, stream(fill), false), floats(&fill["uniform"]));
        assert_normal(&draws(device, stream(fill), true), &floats(&fill["normal"]), "normal");
    }
}

/// A toss falls to 1 where its draw is below the probability: not where it is the probability itself.
fn a_toss_is_below_its_probability(device: &Device) {
    let source = Stream { seed: 5, domain: 2, stream: 0, step: 3, first: 0 };
    let drawn: Vec<f32> = (0..1000).map(|i| source.uniform(i)).collect();
    let above = drawn.iter().map(|p| p.next_up()).collect();
    for (probability, wanted) in [(drawn, 0.0), (above, 1.0)] {
        let g = Graph::new(Noise { seed: source.seed, domain: source.domain, clock: "clock".into() });
        g.output("y", &g.input("p", &[1000]).bernoulli());
        let clock = ("clock".to_string(), vec![f32::from_bits(source.step)]);
        let values = Tensors::from([clock, ("p".to_string(), probability)]);
        let y = Rig::on(&g.finish().expect("a graph"), device, &values).outputs().remove("y").expect("y");
        assert_eq!(y, [wanted; 1000]);
    }
}

#[test]
fn a_toss_is_below_its_probability_on_the_cpu() {
    a_toss_is_below_its_probability(&Device::Reference);
}

#[test]
fn a_toss_is_below_its_probability_on_the_gpu() {
    a_toss_is_below_its_probability(&gpu());
}

#[test]
fn graphs_draw_what_the_fixture_holds_on_the_cpu() {
    graphs_draw_what_the_fixture_holds(&Device::Reference);
}

#[test]
fn graphs_draw_what_the_fixture_holds_on_the_gpu() {
    graphs_draw_what_the_fixture_holds(&gpu());
}
