//! Exported models run again by `replay`, from the bytes of their files: they say what lehr says, and, in
//! the same run of ONNX Runtime that checks the exporter, what ONNX Runtime says.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use replay::{Replay, ReplayError, Tensor, Values};
use serde_json::{Value, json};

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A raw input as the scripts of these tests store it.
fn tensor(stored: &Value) -> Tensor {
    let shape = stored["shape"].as_array().unwrap();
    let shape = shape
        .iter()
        .map(|extent| extent.as_u64().unwrap() as usize)
        .collect();
    let values = stored["values"].as_array().unwrap();
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let values = match stored["type"].as_str().unwrap() {
        "float32" => Values::Floats(values.iter().map(|value| number(value) as f32).collect()),
        "float64" => Values::Doubles(values.iter().map(number).collect()),
        "uint8" => Values::Bytes(values.iter().map(|value| number(value) as u8).collect()),
        _ => Values::Texts(
            values
                .iter()
                .map(|value| value.as_str().unwrap().to_string())
                .collect(),
        ),
    };
    Tensor::new(shape, values).unwrap()
}

/// Values as JSON, one list whatever the shape.
fn flat(tensor: &Tensor) -> Value {
    match tensor.values() {
        Values::Floats(values) => json!(values),
        Values::Texts(values) => json!(values),
        other => panic!("no model puts out {}", other.element()),
    }
}

fn flattened(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(parts) => parts.iter().flat_map(flattened).collect(),
        other => vec![other],
    }
}

/// How far two outputs are apart, relative to the size of what is expected; texts are equal or not.
fn distance(found: &Value, expected: &Value) -> f64 {
    let (found, expected) = (flattened(found), flattened(expected));
    assert_eq!(found.len(), expected.len());
    let one = |(found, expected): (&&Value, &&Value)| match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() / expected.abs().max(1.0),
        _ if found == expected => 0.0,
        _ => f64::INFINITY,
    };
    // `max` would pass over what is not a number.
    let all: Vec<f64> = found.iter().zip(&expected).map(one).collect();
    assert!(all.iter().all(|distance| !distance.is_nan()));
    all.into_iter().fold(0.0, f64::max)
}

/// Runs a model again; writes what it says as what ONNX Runtime is to say, and returns where.
pub(crate) fn run_again([model, inputs, expected]: &[PathBuf; 3]) -> [PathBuf; 3] {
    let replay = Replay::read(&fs::read(model).unwrap()).unwrap();
    let raw = read_json(inputs);
    let given: BTreeMap<String, Tensor> = raw
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, stored)| (name.clone(), tensor(stored)))
        .collect();
    let results = replay.run(&given).unwrap();
    let mut said = read_json(expected);
    for (declared, result) in replay.outputs().iter().zip(&results) {
        let wanted = &mut said["outputs"][&declared.name];
        assert_eq!(
            json!(result.shape()),
            wanted["shape"],
            "{}",
            model.display()
        );
        let (found, tolerance) = (flat(result), wanted["tolerance"].as_f64().unwrap());
        let distance = distance(&found, &wanted["values"]);
        let name = &declared.name;
        assert!(
            distance <= tolerance,
            "{}: `{name}` differs by {distance:e}",
            model.display()
        );
        wanted["values"] = found;
    }
    assert_eq!(results.len(), said["outputs"].as_object().unwrap().len());
    let path = expected.with_extension("again.json");
    fs::write(&path, said.to_string()).unwrap();
    [model.clone(), inputs.clone(), path]
}

/// A network of two inputs that is small enough to be broken by hand.
fn small() -> Vec<u8> {
    let architecture = "in 2 | dense 3 | relu | dense 1".parse().unwrap();
    let mut rng = rand::SeedableRng::seed_from_u64(1);
    let weights = train::Weights::fresh(&architecture, &mut rng);
    train::export_network(&architecture, &weights).unwrap()
}

fn refusal(inputs: &BTreeMap<String, Tensor>) -> String {
    let replay = Replay::read(&small()).unwrap();
    replay.run(inputs).unwrap_err().to_string()
}

#[test]
fn a_file_is_run_again_only_with_the_inputs_it_declares() {
    let floats = |shape: &[usize]| {
        let count = shape.iter().product();
        Tensor::new(shape.to_vec(), Values::Floats(vec![0.5; count])).unwrap()
    };
    let named = |name: &str, tensor| BTreeMap::from([(name.to_string(), tensor)]);
    let missing = refusal(&named("image", floats(&[4, 2])));
    assert!(missing.contains("`input`"), "{missing}");
    let unfit = refusal(&named("input", floats(&[4, 3])));
    assert!(
        unfit.contains("[4, 3]") && unfit.contains("[any, 2]"),
        "{unfit}"
    );
    let other = Tensor::new(vec![1, 2], Values::Doubles(vec![0.0; 2])).unwrap();
    assert!(refusal(&named("input", other)).contains("double"));
    let replay = Replay::read(&small()).unwrap();
    let results = replay.run(&named("input", floats(&[4, 2]))).unwrap();
    assert_eq!(results[0].shape(), [4, 1]);
    assert_eq!(replay.operator_version(""), Some(17));
}

/// Whatever is done to a file, it is run or refused, and nothing breaks.
#[test]
fn a_damaged_file_is_refused_or_run_but_never_breaks_anything() {
    let bytes = small();
    let input = Tensor::new(vec![1, 2], Values::Floats(vec![1.0, -1.0])).unwrap();
    let inputs = BTreeMap::from([("input".to_string(), input)]);
    let mut refused = 0;
    for place in 0..bytes.len() {
        for flipped in [1, 8, 128] {
            let mut damaged = bytes.clone();
            damaged[place] ^= flipped;
            let run = Replay::read(&damaged).and_then(|replay| replay.run(&inputs));
            refused += usize::from(run.is_err());
        }
        let cut = Replay::read(&bytes[..place]).and_then(|replay| replay.run(&inputs));
        refused += usize::from(cut.is_err());
    }
    assert!(
        refused > bytes.len(),
        "{refused} of {} were refused",
        4 * bytes.len()
    );
    let error = Replay::read(b"no model").unwrap_err();
    assert!(matches!(error, ReplayError::Unreadable { .. }), "{error}");
}
