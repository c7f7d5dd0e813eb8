//! Preprocessed rows as trainers take them: compact in memory, filled into a batch without allocation.
//!
//! Of data larger than memory a chosen part is here, and the rest is in a file of blocks ([`Shards`]);
//! [`Examples::portion`] gives as many rows of both as are here, for one epoch after the other.

mod block;
mod portion;
mod shards;

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::error::DataError;

pub use shards::{ShardWriter, Shards};

/// What a network gets for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemShape {
    /// A vector.
    Features(u32),
    /// An image, channels last.
    Image {
        /// Rows of pixels.
        height: u32,
        /// Columns of pixels.
        width: u32,
        /// Values per pixel.
        channels: u32,
    },
    /// A series, channels last.
    Series {
        /// Values per step.
        channels: u32,
        /// Number of steps.
        length: u32,
    },
    /// A text: the codes of its words.
    Tokens {
        /// Codes are below it.
        codes: u32,
        /// Number of words or characters.
        length: u32,
        /// Codes that each of them has, side by side.
        #[serde(default = "one")]
        channels: u32,
    },
}

/// Of texts that were converted before they had several.
fn one() -> u32 {
    1
}

impl ItemShape {
    /// How many values one row has.
    pub fn values(self) -> usize {
        match self {
            ItemShape::Features(count) => count as usize,
            ItemShape::Image {
                height,
                width,
                channels,
            } => height as usize * width as usize * channels as usize,
            ItemShape::Series { channels, length } => channels as usize * length as usize,
            ItemShape::Tokens {
                length, channels, ..
            } => length as usize * channels as usize,
        }
    }
}

/// What is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One of `count` classes each.
    Classes {
        /// Class of each row.
        ids: Vec<u32>,
        /// How many classes there are.
        count: u32,
    },
    /// A standardised value each.
    Values(Vec<f32>),
    /// Not known.
    None,
}

#[derive(Clone, Debug, PartialEq)]
enum Inputs {
    Floats(Vec<f32>),
    /// Bytes, and for each channel what is subtracted and what is divided by.
    Bytes {
        bytes: Vec<u8>,
        shift: Vec<f32>,
        scale: Vec<f32>,
    },
    /// Codes of words, each a number of its own for the network.
    Codes(Vec<u16>),
}

/// Preprocessed rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    item: ItemShape,
    inputs: Inputs,
    targets: Targets,
    rows: usize,
    /// How much each row counts, 1 on average; all the same if absent.
    weights: Option<Vec<f32>>,
    /// More rows of the same kind, on disk.
    rest: Option<Shards>,
}

impl Examples {
    /// Rows given as numbers that a network can take as they are.
    pub fn from_floats(item: ItemShape, inputs: Vec<f32>, targets: Targets) -> Examples {
        let rows = inputs.len() / item.values().max(1);
        Examples {
            item,
            inputs: Inputs::Floats(inputs),
            targets,
            rows,
            weights: None,
            rest: None,
        }
    }

    /// Images given as bytes; `(byte − shift[c]) / scale[c]` is what a network takes.
    pub fn from_bytes(
        item: ItemShape,
        bytes: Vec<u8>,
        shift: Vec<f32>,
        scale: Vec<f32>,
        targets: Targets,
    ) -> Examples {
        let rows = bytes.len() / item.values().max(1);
        Examples {
            item,
            inputs: Inputs::Bytes {
                bytes,
                shift,
                scale,
            },
            targets,
            rows,
            weights: None,
            rest: None,
        }
    }

    /// Texts given as codes, `length` for each.
    pub fn from_codes(item: ItemShape, codes: Vec<u16>, targets: Targets) -> Examples {
        let rows = codes.len() / item.values().max(1);
        Examples {
            item,
            inputs: Inputs::Codes(codes),
            targets,
            rows,
            weights: None,
            rest: None,
        }
    }

    /// Some of the rows, in this order.
    pub fn chosen(&self, rows: &[u32]) -> Examples {
        fn some<T: Copy>(values: &[T], len: usize, rows: &[u32]) -> Vec<T> {
            let each = rows.iter().map(|row| *row as usize * len);
            each.flat_map(|start| &values[start..start + len])
                .copied()
                .collect()
        }
        let len = self.item_len();
        let inputs = match &self.inputs {
            Inputs::Floats(values) => Inputs::Floats(some(values, len, rows)),
            Inputs::Bytes {
                bytes,
                shift,
                scale,
            } => Inputs::Bytes {
                bytes: some(bytes, len, rows),
                shift: shift.clone(),
                scale: scale.clone(),
            },
            Inputs::Codes(codes) => Inputs::Codes(some(codes, len, rows)),
        };
        let targets = match &self.targets {
            Targets::Classes { ids, count } => Targets::Classes {
                ids: some(ids, 1, rows),
                count: *count,
            },
            Targets::Values(values) => Targets::Values(some(values, 1, rows)),
            Targets::None => Targets::None,
        };
        Examples {
            item: self.item,
            inputs,
            targets,
            rows: rows.len(),
            weights: self.weights.as_ref().map(|weights| some(weights, 1, rows)),
            rest: None,
        }
    }

    /// The same rows with weights, which are scaled to 1 on average.
    ///
    /// # Shapes
    /// `weights: [rows]`, finite and not negative; if all are 0, every row counts the same.
    pub fn with_weights(self, weights: &[f64]) -> Examples {
        assert_eq!(weights.len(), self.rows, "every row has one weight");
        let sum: f64 = weights.iter().sum();
        let scaled = |weight: &f64| (weight * weights.len() as f64 / sum) as f32;
        Examples {
            weights: (sum > 0.0).then(|| weights.iter().map(scaled).collect()),
            ..self
        }
    }

    /// The same rows with weights that are taken as they are, and with targets.
    ///
    /// # Shapes
    /// `weights: [rows]`, if there are any.
    pub(crate) fn with_answers(self, targets: Targets, weights: Option<Vec<f32>>) -> Examples {
        let fits = weights
            .as_ref()
            .is_none_or(|weights| weights.len() == self.rows);
        assert!(fits, "every row has one weight");
        Examples {
            targets,
            weights,
            ..self
        }
    }

    /// The same rows, with more behind them on disk.
    pub fn with_rest(self, rest: Shards) -> Examples {
        Examples {
            rest: Some(rest),
            ..self
        }
    }

    /// The rows that are on disk, if there are any.
    pub fn rest(&self) -> Option<&Shards> {
        self.rest.as_ref()
    }

    /// How much each row counts, 1 on average; nothing if all count the same.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_deref()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many values one row has.
    pub fn item_len(&self) -> usize {
        self.item.values()
    }

    /// What one row is.
    pub fn item(&self) -> ItemShape {
        self.item
    }

    /// What is to be predicted.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Puts more rows behind these, without targets.
    ///
    /// # Panics
    /// If the rows are not of the same preprocessing.
    pub fn append(&mut self, more: Examples) {
        assert_eq!(self.item, more.item, "rows of one preprocessing are alike");
        match (&mut self.inputs, more.inputs) {
            (Inputs::Floats(values), Inputs::Floats(more)) => values.extend(more),
            (Inputs::Bytes { bytes, .. }, Inputs::Bytes { bytes: more, .. }) => bytes.extend(more),
            (Inputs::Codes(codes), Inputs::Codes(more)) => codes.extend(more),
            _ => panic!("rows of one preprocessing are alike"),
        }
        self.targets = Targets::None;
        self.rows += more.rows;
    }

    /// Fills a batch.
    ///
    /// # Shapes
    /// `out: [rows.len()][item_len]`, channels last.
    pub fn copy_inputs(&self, rows: &[u32], out: &mut [f32]) {
        let len = self.item_len();
        for (row, out) in rows.iter().zip(out.chunks_exact_mut(len)) {
            let from = *row as usize * len..(*row as usize + 1) * len;
            match &self.inputs {
                Inputs::Floats(values) => out.copy_from_slice(&values[from]),
                Inputs::Bytes {
                    bytes,
                    shift,
                    scale,
                } => {
                    fill_normalised(&bytes[from], shift, scale, out);
                }
                Inputs::Codes(codes) => {
                    for (out, code) in out.iter_mut().zip(&codes[from]) {
                        *out = f32::from(*code);
                    }
                }
            }
        }
    }
}

fn fill_normalised(bytes: &[u8], shift: &[f32], scale: &[f32], out: &mut [f32]) {
    let channels = shift.len();
    for (pixel, out) in bytes
        .chunks_exact(channels)
        .zip(out.chunks_exact_mut(channels))
    {
        for channel in 0..channels {
            out[channel] = (f32::from(pixel[channel]) - shift[channel]) / scale[channel];
        }
    }
}

/// Names of the tensors in a file of examples.
const INPUTS: &str = "inputs";
const SHIFT: &str = "shift";
const SCALE: &str = "scale";
const CLASSES: &str = "classes";
const VALUES: &str = "values";
const WEIGHTS: &str = "weights";

/// The key under which the rest is written.
const ABOUT: &str = "lehr.examples";

#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    item: ItemShape,
    classes: u32,
    /// Name of the file beside this one that has more rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<String>,
}

impl Examples {
    /// Writes them to a file that trainers load: safetensors, nothing executable.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let classes = match &self.targets {
            Targets::Classes { count, .. } => *count,
            _ => 0,
        };
        let about = About {
            format: 1,
            item: self.item,
            classes,
            rest: self.rest.as_ref().map(Shards::file_name),
        };
        let about = serde_json::to_string(&about).expect("its keys are strings");
        let owned = self.tensors();
        let views = owned.iter().map(|(name, kind, bytes)| {
            let length = bytes.len() / (kind.bitsize() / 8);
            let view = TensorView::new(*kind, vec![length], bytes);
            (*name, view.expect("the length was computed from the bytes"))
        });
        let metadata = Some([(ABOUT.to_string(), about)].into_iter().collect());
        let bytes = safetensors::serialize(views, metadata)
            .map_err(|error| damaged(path, &error.to_string()))?;
        write_durably(path, &bytes)
    }

    fn tensors(&self) -> Vec<(&'static str, Dtype, Vec<u8>)> {
        let mut tensors = match &self.inputs {
            Inputs::Floats(values) => vec![(INPUTS, Dtype::F32, float_bytes(values))],
            Inputs::Bytes {
                bytes,
                shift,
                scale,
            } => vec![
                (INPUTS, Dtype::U8, bytes.clone()),
                (SHIFT, Dtype::F32, float_bytes(shift)),
                (SCALE, Dtype::F32, float_bytes(scale)),
            ],
            Inputs::Codes(codes) => {
                let bytes = codes.iter().flat_map(|code| code.to_le_bytes()).collect();
                vec![(INPUTS, Dtype::U16, bytes)]
            }
        };
        match &self.targets {
            Targets::Classes { ids, .. } => {
                let bytes = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                tensors.push((CLASSES, Dtype::U32, bytes));
            }
            Targets::Values(values) => tensors.push((VALUES, Dtype::F32, float_bytes(values))),
            Targets::None => {}
        }
        if let Some(weights) = &self.weights {
            tensors.push((WEIGHTS, Dtype::F32, float_bytes(weights)));
        }
        tensors
    }

    /// Loads what [`Examples::save`] wrote.
    ///
    /// # Errors
    /// If the file is missing, damaged, or of another kind.
    pub fn load(path: &Path) -> Result<Examples, DataError> {
        let bytes = fs::read(path).map_err(|source| DataError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        let (examples, rest) =
            read_examples(&bytes).ok_or_else(|| damaged(path, "it holds no prepared rows"))?;
        let Some(rest) = rest else {
            return Ok(examples);
        };
        let rest = Shards::open(&path.with_file_name(rest))?;
        match rest.holds_more_of(&examples) {
            true => Ok(examples.with_rest(rest)),
            false => Err(damaged(rest.path(), "its rows are not of these data")),
        }
    }
}

/// Writes a file and makes sure that it is on the disk: a study appears by a rename, which must not outlive what is
/// in its files when the power fails.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}

fn damaged(path: &Path, problem: &str) -> DataError {
    DataError::Malformed {
        path: path.to_path_buf(),
        problem: problem.to_string(),
    }
}

fn read_examples(bytes: &[u8]) -> Option<(Examples, Option<String>)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let about = metadata.metadata().as_ref()?.get(ABOUT)?;
    let about: About = serde_json::from_str(about).ok()?;
    if about.format != 1 {
        return None;
    }
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let floats = |name: &str| {
        tensors
            .tensor(name)
            .ok()
            .map(|view| read_floats(view.data()))
    };
    let inputs = tensors.tensor(INPUTS).ok()?;
    let targets = match (tensors.tensor(CLASSES).ok(), floats(VALUES)) {
        (Some(view), _) => {
            let ids: Vec<u32> = view
                .data()
                .chunks_exact(4)
                .map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")))
                .collect();
            if ids.iter().any(|id| *id >= about.classes) {
                return None;
            }
            Targets::Classes {
                ids,
                count: about.classes,
            }
        }
        (None, Some(values)) => Targets::Values(values),
        (None, None) => Targets::None,
    };
    let examples = match inputs.dtype() {
        Dtype::U8 => Examples::from_bytes(
            about.item,
            inputs.data().to_vec(),
            floats(SHIFT)?,
            floats(SCALE)?,
            targets,
        ),
        Dtype::U16 => Examples::from_codes(about.item, read_codes(inputs.data()), targets),
        _ => Examples::from_floats(about.item, read_floats(inputs.data()), targets),
    };
    let weights = floats(WEIGHTS);
    let fits = |weights: &Vec<f32>| weights.len() == examples.rows;
    let examples = weights.as_ref().is_none_or(fits).then_some(Examples {
        weights,
        ..examples
    })?;
    Some((examples, about.rest))
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn read_floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")))
        .collect()
}

fn read_codes(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|two| u16::from_le_bytes(two.try_into().expect("two bytes")))
        .collect()
}
