//! A graph while it is put together: nodes, constants, and names that never collide.

use std::collections::BTreeSet;

use super::message::{
    Attribute, AttributeKind, Constant, ElementType, Extent, Graph, Node, TensorShape, TensorType,
    ValueInfo, ValueType,
};

/// Operators of this domain are part of ONNX, but not of its core: the one for category columns.
pub(super) const ML_DOMAIN: &str = "ai.onnx.ml";

/// Name of a value in the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValueName(String);

/// A fixed argument of an operation.
pub(super) enum Argument<'a> {
    Float(f32),
    Text(&'a str),
    Int(i64),
    Ints(&'a [i64]),
    Texts(&'a [&'a str]),
    /// An element type, as `Cast` takes it.
    Type(ElementType),
}

/// An extent of an input or output: rows are not known before the model runs.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Rows,
    Fixed(u32),
}

/// Puts a graph together.
#[derive(Default)]
pub(super) struct GraphBuilder {
    graph: Graph,
    names: BTreeSet<String>,
}

impl GraphBuilder {
    /// Adds an input that whoever runs the model gives by name.
    pub(super) fn input(
        &mut self,
        wanted: &str,
        element: ElementType,
        sizes: &[Size],
        meaning: &str,
    ) -> ValueName {
        let name = self.free_name(wanted);
        self.graph
            .input
            .push(value_info(&name, element, sizes, meaning));
        name
    }

    /// Keeps a name for an output, so that no input can take it.
    pub(super) fn reserve(&mut self, name: &str) -> ValueName {
        self.free_name(name)
    }

    /// Declares a value as an output.
    pub(super) fn output(
        &mut self,
        name: &ValueName,
        element: ElementType,
        sizes: &[Size],
        meaning: &str,
    ) {
        self.graph
            .output
            .push(value_info(name, element, sizes, meaning));
    }

    /// Adds an operation whose result gets the name wanted, or one like it.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&ValueName],
        arguments: &[(&str, Argument<'_>)],
        wanted: &str,
    ) -> ValueName {
        let output = self.free_name(wanted);
        self.push(operator, inputs, arguments, &[&output]);
        output
    }

    /// Adds an operation with a second result that nobody asks for.
    pub(super) fn node_with_rest(
        &mut self,
        operator: &str,
        inputs: &[&ValueName],
        arguments: &[(&str, Argument<'_>)],
        wanted: &str,
    ) -> ValueName {
        let output = self.free_name(wanted);
        let rest = self.free_name(&format!("{wanted} rest"));
        self.push(operator, inputs, arguments, &[&output, &rest]);
        output
    }

    /// Adds an operation whose result is a reserved name.
    pub(super) fn node_into(
        &mut self,
        operator: &str,
        inputs: &[&ValueName],
        arguments: &[(&str, Argument<'_>)],
        output: &ValueName,
    ) {
        self.push(operator, inputs, arguments, &[output]);
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&ValueName],
        arguments: &[(&str, Argument<'_>)],
        outputs: &[&ValueName],
    ) {
        let domain = if operator == "LabelEncoder" {
            ML_DOMAIN
        } else {
            ""
        };
        self.graph.node.push(Node {
            input: inputs.iter().map(|input| input.0.clone()).collect(),
            output: outputs.iter().map(|output| output.0.clone()).collect(),
            name: format!("{operator} {}", self.graph.node.len()),
            op_type: operator.to_string(),
            attribute: arguments
                .iter()
                .map(|(name, value)| attribute(name, value))
                .collect(),
            domain: domain.to_string(),
        });
    }

    /// Adds `f32` numbers.
    pub(super) fn floats(&mut self, wanted: &str, dims: &[usize], values: &[f32]) -> ValueName {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(wanted, dims, ElementType::Float, bytes)
    }

    /// Adds `f64` numbers.
    pub(super) fn doubles(&mut self, wanted: &str, dims: &[usize], values: &[f64]) -> ValueName {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(wanted, dims, ElementType::Double, bytes)
    }

    /// Adds `i64` numbers.
    pub(super) fn ints(&mut self, wanted: &str, dims: &[usize], values: &[i64]) -> ValueName {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(wanted, dims, ElementType::Int64, bytes)
    }

    fn constant(
        &mut self,
        wanted: &str,
        dims: &[usize],
        element: ElementType,
        bytes: Vec<u8>,
    ) -> ValueName {
        let name = self.free_name(wanted);
        self.graph.initializer.push(Constant {
            dims: dims.iter().map(|extent| *extent as i64).collect(),
            data_type: Some(element.into()),
            name: name.0.clone(),
            raw_data: Some(bytes),
        });
        name
    }

    /// The name wanted, with a number behind it if it is taken; an empty name means "absent" in ONNX.
    fn free_name(&mut self, wanted: &str) -> ValueName {
        let wanted = if wanted.is_empty() { "unnamed" } else { wanted };
        let numbered = (2_u64..).map(|number| format!("{wanted} ({number})"));
        let name = std::iter::once(wanted.to_string())
            .chain(numbered)
            .find(|name| !self.names.contains(name))
            .expect("there are more numbers than names");
        self.names.insert(name.clone());
        ValueName(name)
    }

    /// Whether an operation of this name is in the graph.
    pub(super) fn uses(&self, operator: &str) -> bool {
        self.graph.node.iter().any(|node| node.op_type == operator)
    }

    /// The finished graph.
    pub(super) fn finish(mut self) -> Graph {
        self.graph.name = "lehr".to_string();
        self.graph
    }
}

fn value_info(name: &ValueName, element: ElementType, sizes: &[Size], meaning: &str) -> ValueInfo {
    let extent = |size: &Size| match size {
        Size::Rows => Extent {
            fixed: None,
            named: Some("rows".to_string()),
        },
        Size::Fixed(extent) => Extent {
            fixed: Some(i64::from(*extent)),
            named: None,
        },
    };
    let shape = TensorShape {
        dim: sizes.iter().map(extent).collect(),
    };
    let tensor = TensorType {
        element: Some(element.into()),
        shape: Some(shape),
    };
    ValueInfo {
        name: name.0.clone(),
        value_type: Some(ValueType {
            tensor: Some(tensor),
        }),
        doc_string: meaning.to_string(),
    }
}

fn attribute(name: &str, value: &Argument<'_>) -> Attribute {
    let mut attribute = Attribute {
        name: name.to_string(),
        ..Attribute::default()
    };
    let kind = match value {
        Argument::Float(value) => {
            attribute.float = Some(*value);
            AttributeKind::Float
        }
        Argument::Text(value) => {
            attribute.text = Some(value.as_bytes().to_vec());
            AttributeKind::Text
        }
        Argument::Int(value) => {
            attribute.int = Some(*value);
            AttributeKind::Int
        }
        Argument::Type(element) => {
            attribute.int = Some(i64::from(i32::from(*element)));
            AttributeKind::Int
        }
        Argument::Ints(values) => {
            attribute.ints = values.to_vec();
            AttributeKind::Ints
        }
        Argument::Texts(values) => {
            attribute.texts = values.iter().map(|text| text.as_bytes().to_vec()).collect();
            AttributeKind::Texts
        }
    };
    attribute.kind = Some(kind.into());
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_or_empty_gets_another_one() {
        let mut builder = GraphBuilder::default();
        let names = ["label", "", "label", "label", ""].map(|name| builder.free_name(name).0);
        assert_eq!(
            names,
            ["label", "unnamed", "label (2)", "label (3)", "unnamed (2)"]
        );
    }
}
