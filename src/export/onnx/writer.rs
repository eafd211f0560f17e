//! Nodes of a graph in ONNX, with names that are unlike one another.

use super::proto::{AttributeProto, AttributeType, DataType, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use super::trace::UNNAMED;
use std::collections::{HashMap, HashSet};

/// A graph that is being written.
pub(super) struct Writer {
    nodes: Vec<NodeProto>,
    taken: HashSet<String>,
    constants: HashMap<(Vec<i64>, Vec<u8>), String>,
    /// Which part of the model what is written belongs to.
    pub scope: String,
}

impl Writer {
    /// An empty one, in which these names are taken.
    pub(super) fn new(taken: impl IntoIterator<Item = String>) -> Writer {
        Writer {
            nodes: Vec::new(),
            taken: taken.into_iter().collect(),
            constants: HashMap::new(),
            scope: String::new(),
        }
    }

    /// A name that nothing else has.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        for k in 1.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            name = format!("{wanted}_{k}");
        }
        name
    }

    /// An operator on values by their names; returns the name of its result.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let wanted = match self.scope.as_str() {
            "" | UNNAMED => operator.to_string(),
            scope => format!("{scope}/{operator}"),
        };
        self.node_called(&wanted, operator, inputs, attributes)
    }

    /// The same with a name for the result, or one like it.
    pub(super) fn node_called(
        &mut self,
        wanted: &str,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.name(wanted);
        self.nodes_of(operator, inputs, &[&output], attributes);
        output
    }

    /// An operator with results of these names, which have to be new.
    pub(super) fn nodes_of(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        let strings = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        self.nodes.push(NodeProto {
            input: strings(inputs),
            output: strings(outputs),
            name: outputs.first().map(|name| name.to_string()).unwrap_or_default(),
            op_type: operator.into(),
            attribute,
        });
    }

    /// Has a value that a node has made called something else.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        for node in &mut self.nodes {
            let names = node.input.iter_mut().chain(&mut node.output);
            names.filter(|name| *name == from).for_each(|name| *name = to.into());
            if node.name == from {
                node.name = to.into();
            }
        }
        for name in self.constants.values_mut().filter(|name| *name == from) {
            *name = to.into();
        }
    }

    /// Whole numbers, as one axis.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(vec![values.len() as i64], DataType::Int64, bytes)
    }

    /// A whole number, without axes.
    pub(super) fn int(&mut self, value: i64) -> String {
        self.constant(Vec::new(), DataType::Int64, value.to_le_bytes().to_vec())
    }

    /// A number, without axes.
    pub(super) fn number(&mut self, value: f32) -> String {
        self.constant(Vec::new(), DataType::Float, value.to_le_bytes().to_vec())
    }

    /// Numbers of this shape.
    pub(super) fn numbers(&mut self, dims: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(dims.iter().map(|d| *d as i64).collect(), DataType::Float, bytes)
    }

    fn constant(&mut self, dims: Vec<i64>, kind: DataType, raw_data: Vec<u8>) -> String {
        let key = (dims, raw_data);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let (dims, raw_data) = key.clone();
        let value = TensorProto { dims, data_type: kind as i32, name: String::new(), raw_data };
        let attribute = AttributeProto { t: Some(value), ..attribute("value", AttributeType::Tensor) };
        let name = self.node_called("constant", "Constant", &[], vec![attribute]);
        self.constants.insert(key, name.clone());
        name
    }

    /// The nodes that lead to `outputs`, in order.
    pub(super) fn finish(self, outputs: &[ValueInfoProto]) -> Vec<NodeProto> {
        let mut needed: HashSet<String> = outputs.iter().map(|value| value.name.clone()).collect();
        let mut kept = Vec::new();
        for node in self.nodes.into_iter().rev() {
            if node.output.iter().any(|name| needed.contains(name)) {
                reads(&node, &mut needed);
                kept.push(node);
            }
        }
        kept.reverse();
        kept
    }
}

/// Adds what a node reads, and what graphs inside of it do.
pub(super) fn reads(node: &NodeProto, all: &mut HashSet<String>) {
    all.extend(node.input.iter().cloned());
    let inner = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
    inner.flat_map(|graph: &GraphProto| &graph.node).for_each(|node| reads(node, all));
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: kind as i32, ..AttributeProto::default() }
}

/// A setting that is a number.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// A setting that is a whole number.
pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    AttributeProto { i: Some(value as i64), ..attribute(name, AttributeType::Int) }
}

/// A setting that is several whole numbers.
pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto { ints: values.iter().map(|v| *v as i64).collect(), ..attribute(name, AttributeType::Ints) }
}

/// A setting that is a word.
pub(super) fn word(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}

/// A setting that is a graph.
pub(super) fn graph(name: &str, value: GraphProto) -> AttributeProto {
    AttributeProto { g: Some(value), ..attribute(name, AttributeType::Graph) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_equal_constants_are_one_and_what_nobody_needs_is_left_out() {
        let mut writer = Writer::new(["x".to_string()]);
        let [one, same, other] = [1.0, 1.0, 2.0].map(|value| writer.number(value));
        assert_eq!(one, same);
        assert_ne!(one, other);
        let sum = writer.node("Add", &["x", &one], Vec::new());
        let unused = writer.node("Add", &["x", &other], Vec::new());
        assert_ne!(sum, unused);
        writer.rename(&sum, "y");
        let nodes = writer.finish(&[ValueInfoProto { name: "y".into(), ..ValueInfoProto::default() }]);
        let operators: Vec<&str> = nodes.iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(operators, ["Constant", "Add"]);
        assert_eq!(nodes[1].output, ["y"]);
    }
}
