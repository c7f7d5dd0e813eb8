//! Exported models in ONNX Runtime: from raw rows to the answer they say what lehr says.
//!
//! Needs a Python with `onnxruntime` (`LEHR_PYTHON`, otherwise `python3`). Without one these tests are
//! skipped and say so; with `LEHR_REQUIRE_ONNXRUNTIME=1` they fail, so that nothing is skipped in CI.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    num::NonZeroUsize,
    path::PathBuf,
    process::Command,
};

use data::{
    Dataset, FittedColumn, FittedKind, FittedTask, Images, Preprocessor, RawTargets, ReadLimits,
    Request, Scaling, TaskKind, read,
};
use morph::{Architecture, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};
use train::{
    Calibration, ExportError, Mode, Network, Plan, Purpose, Threads, Weights, export_network,
    export_onnx, reference::ReferenceWeights,
};

use crate::{again::run_again, architectures::random};

/// Largest difference of a probability, or of a prediction relative to its size.
const TOLERANCE: f64 = 1e-5;

/// The same for raw outputs: sums of values that random products have made large and that nearly cancel.
const RAW_TOLERANCE: f64 = 1e-4;

const ROWS: u32 = 13;

/// A raw input of a model, as the script reads it.
#[derive(Serialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: &'static str,
    shape: Vec<usize>,
    values: Vec<Value>,
}

/// A model, its raw inputs, and the network's outputs for them.
struct Case {
    name: String,
    architecture: Architecture,
    weights: Weights,
    preprocessor: Preprocessor,
    calibration: Calibration,
    inputs: BTreeMap<String, Raw>,
    examples: data::Examples,
}

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("onnx");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The Python that has ONNX Runtime, or `None` if these tests are to be skipped.
fn python() -> Option<String> {
    let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let tried = Command::new(&python)
        .args(["-c", "import onnxruntime, numpy"])
        .output();
    let problem = match tried {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let required = env::var("LEHR_REQUIRE_ONNXRUNTIME").is_ok_and(|value| value == "1");
    assert!(
        !required,
        "{python} has no onnxruntime, but LEHR_REQUIRE_ONNXRUNTIME=1: {problem}"
    );
    eprintln!("skipped: {python} has no onnxruntime and numpy; install them, or set LEHR_PYTHON");
    None
}

fn metadata() -> Vec<(String, String)> {
    let fact = |key: &str, value: &str| (key.to_string(), value.to_string());
    vec![
        fact("lehr.vault_accuracy", "0.91"),
        fact("lehr.note", "größer als 0"),
    ]
}

impl Case {
    /// What lehr says: probabilities and labels, or predictions in the target's unit.
    fn answers(&self) -> BTreeMap<&'static str, Value> {
        let rows = self.examples.len();
        let batch = NonZeroUsize::new(4).unwrap();
        let plan = Plan::compile(&self.architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
        let mut network = Network::new(plan, self.weights.clone());
        let all: Vec<u32> = (0..rows as u32).collect();
        let outputs = network.outputs(&self.examples, &all);
        let values = |shape: [usize; 2], values: Vec<f64>| json!({ "shape": shape, "values": values, "tolerance": TOLERANCE });
        match self.preprocessor.task() {
            FittedTask::Classification { classes } => {
                let rows_of = outputs.chunks_exact(classes.len());
                let probabilities: Vec<Vec<f64>> = rows_of
                    .map(|logits| self.calibration.probabilities(logits))
                    .collect();
                let labels: Vec<&str> = probabilities
                    .iter()
                    .map(|row| classes[self.calibration.label(row)].as_str())
                    .collect();
                let labels = json!({ "shape": [rows], "values": labels, "tolerance": 0 });
                let probabilities = values([rows, classes.len()], probabilities.concat());
                BTreeMap::from([("probabilities", probabilities), ("label", labels)])
            }
            FittedTask::Regression { mean, scale, .. } => {
                let in_unit = outputs
                    .iter()
                    .map(|output| f64::from(*output) * scale + mean);
                BTreeMap::from([("prediction", values([rows, 1], in_unit.collect()))])
            }
        }
    }

    fn export(&self) -> Vec<u8> {
        export_onnx(
            &self.architecture,
            &self.weights,
            &self.preprocessor,
            &self.calibration,
            &metadata(),
        )
        .unwrap()
    }

    /// Writes model, inputs and expected answers; returns their paths.
    fn write(&self) -> [PathBuf; 3] {
        let folder = folder();
        let path = |end: &str| folder.join(format!("{}{end}", self.name));
        let paths = [path(".onnx"), path(".inputs.json"), path(".expected.json")];
        let metadata: BTreeMap<String, String> = metadata().into_iter().collect();
        let expected = json!({ "outputs": self.answers(), "metadata": metadata });
        fs::write(&paths[0], self.export()).unwrap();
        fs::write(&paths[1], serde_json::to_string(&self.inputs).unwrap()).unwrap();
        fs::write(&paths[2], serde_json::to_string(&expected).unwrap()).unwrap();
        paths
    }
}

/// Runs all cases in one go: starting Python takes longer than all of them.
fn check(cases: &[Case]) {
    check_files(&cases.iter().map(Case::write).collect::<Vec<_>>());
}

/// A network alone with random weights, drawn inputs, and what the engine says of them.
pub(crate) struct DrawnNetwork {
    pub(crate) weights: Weights,
    /// As the scripts read them, channels first.
    pub(crate) inputs: Value,
    pub(crate) expected: Value,
}

impl DrawnNetwork {
    pub(crate) fn of(architecture: &Architecture, rng: &mut ChaCha8Rng) -> DrawnNetwork {
        let weights = ReferenceWeights::drawn(architecture, rng).rounded();
        let rows = ROWS as usize;
        let batch = NonZeroUsize::new(rows).unwrap();
        let plan = Plan::compile(architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
        let channels = architecture.input_shape().channels() as usize;
        let positions = architecture.input_shape().positions();
        let inputs: Vec<f32> = (0..rows * channels * positions)
            .map(|_| rng.random_range(-2.0..4.0))
            .collect();
        let outputs = Network::new(plan, weights.clone())
            .forward(&inputs, Mode::Eval)
            .to_vec();
        let place = |at: usize| {
            let (row, rest) = (at / (channels * positions), at % (channels * positions));
            (row * positions + rest % positions) * channels + rest / positions
        };
        let values: Vec<f32> = (0..inputs.len()).map(|at| inputs[place(at)]).collect();
        let (height, width) = architecture.input_shape().plane();
        let shape = match architecture.input_shape() {
            Shape::Flat { .. } => vec![rows, channels],
            Shape::Sequence { .. } => vec![rows, channels, width],
            Shape::Image { .. } => vec![rows, channels, height, width],
        };
        let inputs = json!({ "input": { "type": "float32", "shape": shape, "values": values } });
        let shape = [rows, architecture.outputs() as usize];
        let output = json!({ "shape": shape, "values": outputs, "tolerance": RAW_TOLERANCE });
        let expected = json!({ "outputs": { "output": output }, "metadata": {} });
        DrawnNetwork {
            weights,
            inputs,
            expected,
        }
    }
}

/// Writes such a network as ONNX; returns the files' paths.
fn write_network(name: &str, architecture: &Architecture, rng: &mut ChaCha8Rng) -> [PathBuf; 3] {
    let drawn = DrawnNetwork::of(architecture, rng);
    let model = export_network(architecture, &drawn.weights).unwrap();
    let paths = [".onnx", ".inputs.json", ".expected.json"]
        .map(|end| folder().join(format!("{name}{end}")));
    fs::write(&paths[0], model).unwrap();
    fs::write(&paths[1], drawn.inputs.to_string()).unwrap();
    fs::write(&paths[2], drawn.expected.to_string()).unwrap();
    paths
}

/// What lehr says and what `replay` says of each case is what ONNX Runtime says.
fn check_files(cases: &[[PathBuf; 3]]) {
    let again: Vec<[PathBuf; 3]> = cases.iter().map(run_again).collect();
    let Some(python) = python() else { return };
    let (is_same, said) = compared(&python, &[cases, &again].concat().concat());
    assert!(is_same, "{said}");
    let differences = said
        .lines()
        .filter_map(|line| line.split("difference ").nth(1));
    let worst = differences
        .map(|text| text.parse::<f64>().unwrap())
        .fold(0.0, f64::max);
    let versions = said.lines().last().unwrap();
    println!(
        "{} model(s), largest difference {worst:e}; {versions}",
        cases.len()
    );
}

/// Whether ONNX Runtime says what is expected, and what the script says about it.
fn compared(python: &str, paths: &[PathBuf]) -> (bool, String) {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tools/onnx/check_onnx.py"
    );
    let output = Command::new(python)
        .arg(script)
        .args(paths)
        .output()
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    let said = format!("{complained}{}", String::from_utf8_lossy(&output.stdout));
    (output.status.success(), said)
}

/// Classes, or a number if there is one output.
fn task(outputs: u32) -> Value {
    if outputs == 1 {
        return json!({ "kind": "regression", "target": "price", "mean": 0.5, "scale": 2.0 });
    }
    let classes: Vec<String> = (0..outputs).map(|class| format!("class {class}")).collect();
    json!({ "kind": "classification", "classes": classes })
}

/// Random weights and random raw images or number columns for an architecture.
fn random_case(name: String, architecture: Architecture, rng: &mut ChaCha8Rng) -> Case {
    let weights = ReferenceWeights::drawn(&architecture, rng).rounded();
    let (inputs, preprocessor, dataset) = match architecture.input_shape() {
        Shape::Image {
            channels,
            height,
            width,
        } => random_images([height, width, channels], task(architecture.outputs()), rng),
        shape => random_numbers(shape.channels(), task(architecture.outputs()), rng),
    };
    let rows: Vec<u32> = (0..ROWS).collect();
    let examples = preprocessor.apply(&dataset, &rows).unwrap();
    let offset = if architecture.outputs() == 2 {
        -0.6
    } else {
        0.0
    };
    Case {
        name,
        architecture,
        weights,
        preprocessor,
        calibration: Calibration::new(1.7, 0.3).unwrap().with_offset(offset),
        inputs,
        examples,
    }
}

fn preprocessor(inputs: Value, task: Value) -> Preprocessor {
    serde_json::from_value(json!({ "format": 1, "inputs": inputs, "task": task })).unwrap()
}

fn random_images(
    [height, width, channels]: [u32; 3],
    task: Value,
    rng: &mut ChaCha8Rng,
) -> (BTreeMap<String, Raw>, Preprocessor, Dataset) {
    let shift: Vec<f32> = (0..channels)
        .map(|_| rng.random_range(90.0..150.0))
        .collect();
    let scale: Vec<f32> = (0..channels)
        .map(|_| rng.random_range(40.0..90.0))
        .collect();
    let image = json!({
        "height": height, "width": width, "channels": channels, "shift": shift, "scale": scale
    });
    let bytes: Vec<u8> = (0..ROWS * height * width * channels)
        .map(|_| rng.random())
        .collect();
    let shape = [ROWS, height, width, channels]
        .map(|extent| extent as usize)
        .to_vec();
    let values = bytes.iter().map(|byte| json!(byte)).collect();
    let inputs = BTreeMap::from([(
        "image".to_string(),
        Raw {
            kind: "uint8",
            shape,
            values,
        },
    )]);
    let targets = RawTargets::Unknown(ROWS as usize);
    let dataset = Dataset::Images(Images {
        height,
        width,
        channels,
        bytes,
        targets,
    });
    (
        inputs,
        preprocessor(json!({ "image": image }), task),
        dataset,
    )
}

fn random_numbers(
    features: u32,
    task: Value,
    rng: &mut ChaCha8Rng,
) -> (BTreeMap<String, Raw>, Preprocessor, Dataset) {
    let (mut inputs, mut fitted, mut columns) = (BTreeMap::new(), Vec::new(), Vec::new());
    for feature in 0..features {
        let name = format!("column {feature}");
        fitted.push(json!({
            "name": name, "kind": "numeric", "fill": 0.5, "missing_indicator": "absent",
            "shift": rng.random_range(-3.0..3.0), "scale": rng.random_range(0.5..2.0)
        }));
        let cells: Vec<f64> = (0..ROWS)
            .map(|_| f64::from(rng.random_range(-5.0_f32..5.0)))
            .collect();
        let values = cells.iter().map(|cell| json!(cell)).collect();
        inputs.insert(
            name.clone(),
            Raw {
                kind: "float32",
                shape: vec![ROWS as usize, 1],
                values,
            },
        );
        columns.push(data::Column {
            name,
            cells: data::Cells::Numbers(cells),
        });
    }
    let targets = RawTargets::Unknown(ROWS as usize);
    let dataset = Dataset::Table(data::Table { columns, targets });
    (
        inputs,
        preprocessor(json!({ "columns": fitted }), task),
        dataset,
    )
}

/// Every kind of layer there is, on an image and behind it.
pub(crate) const EVERY_KIND: &str = "in 3x9x8 | conv 6 k3 | bn | a: relu | conv 6 k3 | ln | b: gelu \
    | add a b | maxpool k2 | c: dwconv k3 | d: conv 4 k1 s1 (c) | cat c d | avgpool k2 s1 | bn \
    | e: relu | f: gap | g: flatten (e) | cat f g | dense 12 | ln | gelu | bn | relu \
    | dropout 0.3 | dense 5";

#[test]
fn a_network_of_every_kind_of_layer_says_the_same_in_onnx_runtime() {
    let architecture: Architecture = EVERY_KIND.parse().unwrap();
    let kinds: BTreeSet<&str> = architecture
        .nodes()
        .iter()
        .map(|node| node.layer.kind())
        .collect();
    assert_eq!(kinds.len(), 16, "{kinds:?}");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    check(&[random_case(
        "every-kind".to_string(),
        architecture,
        &mut rng,
    )]);
}

/// Layers of a series, and those that look things up, gate and choose.
pub(crate) const ALONE: [&str; 5] = [
    "in 3x16 | conv 12 k5 | bn | relu | maxpool k2 | dwconv k3 d2 | conv 4 k3 s2 | silu \
     | avgpool k2 s1 | ln | flatten | dense 3",
    "in 2x6 | embed 3 8 | a: position | ln | b: attention 2 | c: add a b | ln | conv 12 k1 | gelu \
     | d: conv 8 k1 | add c d | gap | dense 3",
    "in 5 | slice 0 3 | embed 3 4 | dense 2 | b: sigmoid | c: slice 3 2 (in) | mul b c | dense 3",
    "in 2x4x5 | conv 4 k3 d2 | a: relu | gap | dense 2 | relu | dense 4 | b: sigmoid | mul a b \
     | slice 1 2 | gap | dense 3",
    "in 4 | periodic 3 | dense 6 | bn | relu | periodic 1 | dense 3",
];

#[test]
fn a_network_alone_says_the_same_in_onnx_runtime() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut cases = Vec::new();
    for (number, text) in ALONE.iter().enumerate() {
        let architecture = text.parse().unwrap();
        cases.push(write_network(
            &format!("alone-{number}"),
            &architecture,
            &mut rng,
        ));
    }
    let mut series = 0;
    while series < 40 {
        let architecture = random(&mut rng);
        if architecture.input_shape().is_sequence() {
            cases.push(write_network(
                &format!("series-{series}"),
                &architecture,
                &mut rng,
            ));
            series += 1;
        }
    }
    check_files(&cases);
}

#[test]
fn random_networks_say_the_same_in_onnx_runtime() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut cases = Vec::new();
    while cases.len() < 60 {
        let architecture = random(&mut rng);
        if !architecture.input_shape().is_sequence() {
            let name = format!("random-{}", cases.len());
            cases.push(random_case(name, architecture, &mut rng));
        }
    }
    // Of two classes the probabilities are moved, too.
    let two = "in 4 | dense 8 | gelu | dense 2".parse().unwrap();
    cases.push(random_case("two-classes".to_string(), two, &mut rng));
    check(&cases);
}

/// Everything that people write where they have no value; in a file, or given to the model.
const NO_VALUE: [&str; 13] = [
    "", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None", "purple",
];

/// Dates over more than a year, and their seconds since 1970.
const DAYS: [(&str, f64); 6] = [
    ("1969-12-31 23:59:30", -30.0),
    ("1970-01-01 12:00:00", 43_200.0),
    ("1970-01-05 06:30:00", 369_000.0),
    ("1970-03-01 00:00:00", 5_097_600.0),
    ("1971-02-28 18:45:15", 36_614_715.0),
    ("1972-02-29 03:00:00", 68_180_400.0),
];

/// Incomes and balances as no training row has them: beyond both ends, beyond `float`, at knots, missing.
const ODD_INCOMES: [(&str, &str); ROWS as usize] = [
    ("-1e30", "-1e300"),
    ("-5", "0"),
    ("0", "2000000"),
    ("1200", "2000000.125"),
    ("1200.5", "2000000.126"),
    ("25000", "2000000.5"),
    ("1e6", "2000001"),
    ("3e7", "2000003"),
    ("1e30", "2000200"),
    ("1e38", "1e6"),
    ("", "1e300"),
    ("purple", "NaN"),
    ("-1e38", "2000064"),
];

/// An income, the same for many, and a balance far from zero: of an odd row, or with long tails.
fn money(row: usize, rows: usize, rng: &mut ChaCha8Rng) -> (String, String) {
    if rows == ODD_INCOMES.len() {
        let (income, balance) = ODD_INCOMES[row];
        return (income.to_string(), balance.to_string());
    }
    let income = match row % 9 {
        0 => String::new(),
        _ => format!("{:.2}", 1.3_f64.powi(row as i32 * 7 % 61)),
    };
    let balance = 2_000_000.0 + rng.random_range(0.0..2.0_f64).powi(9);
    (income, format!("{balance:.3}"))
}

/// A table as people have it: numbers with gaps, a year, a time stamp, dates with gaps, words with gaps,
/// numbers with long tails, columns named like the model's outputs.
fn table(rows: usize, target: &str, words: &[&str], rng: &mut ChaCha8Rng) -> String {
    let names = "age,year,time,colour,label,prediction,single,seen,income,balance";
    let mut text = format!("{names},{target}\n");
    for row in 0..rows {
        let age = rng.random_range(18.0..90.0_f32);
        let is_missing = rng.random_range(0..5) == 0;
        let age_cell = if is_missing {
            String::new()
        } else {
            format!("{age:.1}")
        };
        let year = rng.random_range(1950..2024);
        let time = 1_600_000_000_000_i64 + rng.random_range(0..9_000_000_i64);
        let colour = words[row % words.len()];
        let label = ["yes", "no", "perhaps"][rng.random_range(0..3)];
        let prediction = rng.random_range(-1.0..1.0_f32);
        let single = ["on", "off"][rng.random_range(0..2)];
        let seen = match rng.random_range(0..8) {
            0 => String::new(),
            _ => DAYS[rng.random_range(0..DAYS.len())].0.to_string(),
        };
        let (income, balance) = money(row, rows, rng);
        let answer = match target {
            "class" => ["left", "right", "straight on"][rng.random_range(0..3)].to_string(),
            _ => format!("{:.2}", 1e6 + f64::from(age) * 10.0),
        };
        text += &format!(
            "{age_cell},{year},{time},{colour},{label},{prediction},{single},{seen},{income},{balance},\
             {answer}\n"
        );
    }
    text
}

/// Names of the columns that are scaled by their quantiles.
fn by_quantiles(columns: &[FittedColumn]) -> Vec<&str> {
    let is_so = |column: &&FittedColumn| match &column.kind {
        FittedKind::Numeric { scaling, .. } => matches!(scaling, Scaling::Quantiles { .. }),
        _ => false,
    };
    let columns = columns.iter().filter(is_so);
    columns.map(|column| column.name.as_str()).collect()
}

/// Fits preprocessing on one file, and predicts for another with gaps and words never seen.
fn table_case(target: &str, kind: TaskKind) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let folder = folder();
    let path = folder.join(format!("{target}-train.csv"));
    fs::write(
        &path,
        table(200, target, &["red", "green", "", "blau"], &mut rng),
    )
    .unwrap();
    let request = Request {
        path,
        target: Some(target.to_string()),
        task: Some(kind),
        ..Request::default()
    };
    let source = read(&request).unwrap();
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(&source, &rows).unwrap();
    let features = preprocessor.item().values();
    assert_eq!(
        features,
        2 + 1 + 1 + 4 + 3 + 1 + 2 + 8 + 2 + 1,
        "every column reaches the network"
    );
    let long_tailed: Vec<&str> = by_quantiles(preprocessor.columns().unwrap());
    assert_eq!(long_tailed, ["income", "balance"]);

    let path = folder.join(format!("{target}-new.csv"));
    let text = table(ROWS as usize, target, &NO_VALUE, &mut rng);
    fs::write(&path, &text).unwrap();
    let rows = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    assert_eq!((rows.examples.len(), rows.bad.len()), (ROWS as usize, 0));
    let outputs = if kind == TaskKind::Classification {
        3
    } else {
        1
    };
    let notation = format!("in {features} | dense 16 | bn | relu | dense {outputs}");
    let architecture: Architecture = notation.parse().unwrap();
    let weights = ReferenceWeights::drawn(&architecture, &mut rng).rounded();
    let inputs = raw_columns(&text, &preprocessor);
    let name = format!("table-{target}");
    Case {
        name,
        architecture,
        weights,
        preprocessor,
        calibration: Calibration::new(1.7, 0.3).unwrap(),
        inputs,
        examples: rows.examples,
    }
}

/// The cells as they stand in the file, typed by the kind of their column.
fn raw_columns(text: &str, preprocessor: &Preprocessor) -> BTreeMap<String, Raw> {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let (header, rows) = rows.split_first().unwrap();
    let is_class = matches!(preprocessor.task(), FittedTask::Classification { .. });
    let mut inputs = BTreeMap::new();
    for column in preprocessor.columns().unwrap() {
        let place = header.iter().position(|name| *name == column.name).unwrap();
        let cells = rows.iter().map(|row| row[place]);
        let is_word = matches!(column.kind, FittedKind::Category { .. });
        let kind = match column.name.as_str() {
            _ if is_word => "string",
            "time" | "seen" | "balance" => "float64",
            _ => "float32",
        };
        let day = |cell: &str| DAYS.iter().find(|(day, _)| *day == cell);
        let value = |cell: &str| match cell.parse::<f64>() {
            _ if is_word => json!(cell),
            _ if day(cell).is_some() => json!(day(cell).map(|(_, seconds)| seconds)),
            Ok(number) => json!(number),
            Err(_) => Value::Null,
        };
        // What is named like an output steps aside.
        let is_taken = column.name == if is_class { "label" } else { "prediction" };
        let name = if is_taken {
            format!("{} (2)", column.name)
        } else {
            column.name.clone()
        };
        let raw = Raw {
            kind,
            shape: vec![rows.len(), 1],
            values: cells.map(value).collect(),
        };
        inputs.insert(name, raw);
    }
    inputs
}

#[test]
fn a_table_with_gaps_and_words_never_seen_gives_the_same_in_onnx_runtime() {
    let classes = table_case("class", TaskKind::Classification);
    let values = table_case("amount", TaskKind::Regression);
    check(&[classes, values]);
}

/// The comparison could fail: of the right model, a wrong answer is noticed.
#[test]
fn a_wrong_answer_is_noticed() {
    let Some(python) = python() else { return };
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let architecture: Architecture = "in 4 | dense 3 | gelu | dense 1".parse().unwrap();
    let paths = random_case("wrong".to_string(), architecture, &mut rng).write();
    run_again(&paths);
    let mut expected: Value = serde_json::from_slice(&fs::read(&paths[2]).unwrap()).unwrap();
    let value = &mut expected["outputs"]["prediction"]["values"][3];
    *value = json!(value.as_f64().unwrap() + 3e-4);
    fs::write(&paths[2], expected.to_string()).unwrap();
    let (is_same, said) = compared(&python, &paths);
    assert!(!is_same && said.contains("prediction differs by"), "{said}");
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let case = || {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        random_case("bytes".to_string(), EVERY_KIND.parse().unwrap(), &mut rng)
    };
    let bytes = case().export();
    assert_eq!(bytes, case().export());
    assert!(bytes.len() > 1_000);
}

#[test]
fn parts_that_do_not_fit_are_not_exported() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let case = random_case("parts".to_string(), EVERY_KIND.parse().unwrap(), &mut rng);
    let export = |text: &str, weights: Option<&Weights>| {
        let architecture: Architecture = text.parse().unwrap();
        let own = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(0));
        export_onnx(
            &architecture,
            weights.unwrap_or(&own),
            &case.preprocessor,
            &Calibration::default(),
            &[],
        )
        .unwrap_err()
    };
    assert_eq!(
        export("in 3x9x9 | gap | dense 5", None).to_string(),
        "the network takes 3x9x9, but preprocessing makes 3x9x8"
    );
    assert_eq!(
        export("in 3x9x8 | gap | dense 4", None),
        ExportError::Outputs {
            network: 4,
            task: 5
        }
    );
    let foreign = export("in 3x9x8 | gap | dense 5", Some(&case.weights));
    assert!(matches!(foreign, ExportError::Weights { .. }), "{foreign}");
}
