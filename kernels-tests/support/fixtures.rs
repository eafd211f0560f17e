//! Figures made with PyTorch, and the numbers that they were made of.

use limn::graph::{Graph, Noise};
use limn::kernels::philox::Stream;

/// A file of figures made with PyTorch.
pub fn fixture(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(format!("assets/fixtures/{name}.json")).expect("the fixture");
    serde_json::from_str(&text).expect("JSON")
}

/// A list of numbers in it.
pub fn numbers(v: &serde_json::Value) -> Vec<f32> {
    v.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number") as f32).collect()
}

/// The graph of the fixtures: seed 0, domain 9.
pub fn fixture_graph() -> Graph {
    Graph::new(Noise { seed: 0, domain: 9, clock: "clock".into() })
}

/// Normal numbers as the fixtures draw them.
pub fn fixture_normals(stream: u32, len: usize, scale: f32) -> Vec<f32> {
    let source = Stream { seed: 0, domain: 9, stream, step: 0, first: 0 };
    (0..len).map(|i| scale * source.normal(i)).collect()
}
