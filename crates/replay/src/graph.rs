//! A file as it was read, and its nodes computed one after the other.

use std::collections::BTreeMap;

use prost::Message;

use crate::{
    error::ReplayError,
    message::{Model, Node, ValueInfo},
    operator,
    tensor::{Element, Tensor},
};

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub element: Element,
    /// Its extents; `None` for what is only known when the model runs.
    pub extents: Vec<Option<usize>>,
}

/// A model, read from the bytes of a file and ready to be run.
#[derive(Clone, Debug)]
pub struct Replay {
    model: Model,
    inputs: Vec<Declared>,
    outputs: Vec<Declared>,
    constants: BTreeMap<String, Tensor>,
}

impl Replay {
    /// Reads a file.
    ///
    /// # Errors
    /// If the bytes are no ONNX model, or hold what is not read here.
    pub fn read(bytes: &[u8]) -> Result<Replay, ReplayError> {
        let unreadable = |reason: String| ReplayError::Unreadable { reason };
        let mut model = Model::decode(bytes).map_err(|error| unreadable(error.to_string()))?;
        let graph = model
            .graph
            .as_mut()
            .ok_or_else(|| unreadable("there is no graph".to_string()))?;
        let mut constants = BTreeMap::new();
        for constant in std::mem::take(&mut graph.initializer) {
            let tensor = Tensor::stored(&constant)
                .map_err(|reason| unreadable(format!("constant `{}`: {reason}", constant.name)))?;
            constants.insert(constant.name, tensor);
        }
        let declared = |values: &[ValueInfo]| -> Result<Vec<Declared>, ReplayError> {
            values
                .iter()
                .map(|value| declared(value).map_err(unreadable))
                .collect()
        };
        let (inputs, outputs) = (declared(&graph.input)?, declared(&graph.output)?);
        Ok(Replay {
            model,
            inputs,
            outputs,
            constants,
        })
    }

    /// What the model takes, in the file's order.
    pub fn inputs(&self) -> &[Declared] {
        &self.inputs
    }

    /// What the model gives, in the file's order.
    pub fn outputs(&self) -> &[Declared] {
        &self.outputs
    }

    /// Facts about the model, in the file's order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let properties = self.model.metadata_props.iter();
        properties.map(|property| (property.key.as_str(), property.value.as_str()))
    }

    /// Version of a set of operators; the core's has an empty name.
    pub fn operator_version(&self, domain: &str) -> Option<i64> {
        let sets = &self.model.opset_import;
        sets.iter()
            .find(|set| set.domain == domain)
            .map(|set| set.version)
    }

    /// Computes the outputs, in the file's order.
    ///
    /// # Shapes
    /// As the file declares them.
    /// # Errors
    /// The first input that is missing or unfit, or the first node that cannot be computed.
    /// # Cost
    /// Plain loops, every value kept to the end: a tenth of a fast runtime's speed at best.
    /// # Source
    /// The ONNX specification, operators of version 17: <https://onnx.ai/onnx/operators/>.
    pub fn run(&self, inputs: &BTreeMap<String, Tensor>) -> Result<Vec<Tensor>, ReplayError> {
        let mut values: BTreeMap<&str, Tensor> = BTreeMap::new();
        for asked in &self.inputs {
            let name = asked.name.clone();
            let given = inputs
                .get(&name)
                .ok_or(ReplayError::InputMissing { name })?;
            check_input(asked, given)?;
            values.insert(&asked.name, given.clone());
        }
        let given: usize = values.values().map(|tensor| tensor.values().len()).sum();
        let most = given.saturating_mul(VALUES_PER_GIVEN).max(VALUES_MIN);
        for node in self.model.graph.iter().flat_map(|graph| &graph.node) {
            let result = self.compute(node, &values)?;
            check_size(node, result.values().len(), given, most)?;
            let name = node.output.first().map_or("", String::as_str);
            values.insert(name, result);
        }
        let output =
            |declared: &Declared| self.value(&declared.name, &values, "the model").cloned();
        self.outputs.iter().map(output).collect()
    }

    fn compute(&self, node: &Node, values: &BTreeMap<&str, Tensor>) -> Result<Tensor, ReplayError> {
        let input = |name: &String| self.value(name, values, &node.name);
        let inputs: Vec<&Tensor> = node.input.iter().map(input).collect::<Result<_, _>>()?;
        operator::compute(node, &inputs).map_err(|problem| failed(node, problem.0))
    }

    fn value<'a>(
        &'a self,
        name: &str,
        values: &'a BTreeMap<&str, Tensor>,
        reader: &str,
    ) -> Result<&'a Tensor, ReplayError> {
        values
            .get(name)
            .or_else(|| self.constants.get(name))
            .ok_or_else(|| ReplayError::ValueMissing {
                reader: reader.to_string(),
                name: name.to_string(),
            })
    }
}

/// A tensor has at most so many values for each that was given, a word or a number: more than attention over thousands
/// of steps makes of one.
const VALUES_PER_GIVEN: usize = 1 << 20;

/// So many a tensor may always have.
const VALUES_MIN: usize = 1 << 22;

/// Refuses what a damaged file makes of little, before more is made of that.
fn check_size(node: &Node, made: usize, given: usize, most: usize) -> Result<(), ReplayError> {
    match made > most {
        true => Err(failed(
            node,
            format!("{made} values of {given} that were given are more than a model needs"),
        )),
        false => Ok(()),
    }
}

fn failed(node: &Node, problem: String) -> ReplayError {
    ReplayError::Node {
        node: node.name.clone(),
        operator: match node.domain.as_str() {
            "" => node.op_type.clone(),
            domain => format!("{domain}.{}", node.op_type),
        },
        problem,
    }
}

fn declared(value: &ValueInfo) -> Result<Declared, String> {
    let name = value.name.clone();
    let tensor = value
        .value_type
        .as_ref()
        .and_then(|kind| kind.tensor.as_ref());
    let tensor = tensor.ok_or_else(|| format!("`{name}` is no tensor"))?;
    let element = Element::numbered(tensor.element.into())
        .ok_or_else(|| format!("`{name}` has a type of number {}", tensor.element))?;
    let shape = tensor
        .shape
        .as_ref()
        .ok_or_else(|| format!("`{name}` has no shape"))?;
    let extent = |fixed: Option<i64>| fixed.and_then(|extent| usize::try_from(extent).ok());
    let extents = shape.dim.iter().map(|dim| extent(dim.fixed)).collect();
    Ok(Declared {
        name,
        element,
        extents,
    })
}

fn check_input(asked: &Declared, given: &Tensor) -> Result<(), ReplayError> {
    let extents = asked.extents.iter().zip(given.shape());
    let fits = asked.element == given.values().element()
        && asked.extents.len() == given.shape().len()
        && extents
            .clone()
            .all(|(asked, given)| asked.is_none_or(|asked| asked == *given));
    if fits {
        return Ok(());
    }
    let shown = |extent: &Option<usize>| extent.map_or("any".to_string(), |e| e.to_string());
    let shape: Vec<String> = asked.extents.iter().map(shown).collect();
    Err(ReplayError::InputUnfit {
        name: asked.name.clone(),
        found: given.values().element(),
        shape: given.shape().to_vec(),
        asked: format!("{} of shape [{}]", asked.element, shape.join(", ")),
    })
}
