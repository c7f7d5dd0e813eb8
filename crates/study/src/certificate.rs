//! What an exported file is certified to do: its bytes on disk, run again by `replay`, say of raw rows
//! what lehr says.
//!
//! The certificate is the last thing in the file it speaks of, so that a file carries its own proof:
//! everything before it is hashed as it stands. A file that says something else than lehr is not left
//! behind. Which rows are tried is decided by the caller; this file never opens the vault.

mod compare;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use data::{DataError, Sample};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use replay::{Replay, ReplayError};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use train::onnx::{ExportError, export_onnx, property_bytes};

use self::compare::compare;
use crate::{
    artifact::{replace_durably, write_durably},
    model::{Model, ModelError},
    trial::Digest,
};

/// Version of the certificate.
const FORMAT: u32 = 1;

/// The fact of the file that holds the certificate.
const KEY: &str = "lehr.certificate";

/// The fact of the file that names its weights.
const WEIGHTS_KEY: &str = "lehr.weights_blake3";

/// Rows that are tried at most.
pub const ROWS_MAX: usize = 1000;

/// Rows that are tried even of the largest networks.
const ROWS_MIN: usize = 10;

/// Operations that may be spent, in plain loops: some seconds.
const FLOPS_MAX: u64 = 20_000_000_000;

/// One row in so many is drawn, besides those of the vault: cells without a value, wild ones and words
/// that were never seen are rare among real ones.
const DRAWN_SHARE: usize = 10;

/// Largest difference of a probability, or of a value in standard deviations of the target.
pub const TOLERANCE: f64 = 1e-4;

/// Where tried rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowsOf {
    /// Of the vault, as they were read.
    Vault,
    /// Of the validation rows, as they were read: the study has no vault.
    Validation,
    /// Nobody's: drawn by a fixed seed, with gaps, wild values and words never seen.
    Drawn,
}

impl fmt::Display for RowsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowsOf::Vault => "vault",
            RowsOf::Validation => "validation",
            RowsOf::Drawn => "drawn",
        })
    }
}

/// What was found on rows of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Where the rows come from.
    pub rows_of: RowsOf,
    /// How many.
    pub rows: usize,
    /// Largest difference of a probability, or of a value in standard deviations of the target (relative to
    /// its own distance from the mean if that is larger), beyond what rounding to `f32` takes.
    pub largest_difference: f64,
    /// Labels that differ; more than none only where two classes are equally probable within the tolerance.
    pub labels_that_differ: usize,
}

/// What a file was found to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Version of this record.
    pub format: u32,
    /// The runs.
    pub tried: Vec<Tried>,
    /// What was compared: `probabilities and label`, or `prediction`.
    pub compared: String,
    /// No difference is larger.
    pub tolerance: f64,
    /// Version of the operators in the file.
    pub opset: i64,
    /// What ran the file again.
    pub runtime: String,
    /// blake3 of `model.safetensors`.
    pub weights_blake3: Digest,
    /// blake3 of all bytes of the file before the certificate.
    pub graph_blake3: Digest,
}

impl Certificate {
    /// The largest difference of all.
    pub fn largest_difference(&self) -> f64 {
        self.tried
            .iter()
            .fold(0.0, |largest, tried| tried.largest_difference.max(largest))
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tried = |tried: &Tried| format!("{} {}", tried.rows, tried.rows_of);
        let tried: Vec<String> = self.tried.iter().map(tried).collect();
        let differ: usize = self
            .tried
            .iter()
            .map(|tried| tried.labels_that_differ)
            .sum();
        write!(
            f,
            "opset {}, run again by {} on {} rows: {} at most {:.1e} apart",
            self.opset,
            self.runtime,
            tried.join(" and "),
            self.compared,
            self.largest_difference(),
        )?;
        match differ {
            0 => Ok(()),
            differ => write!(f, ", {differ} label(s) of equally probable classes differ"),
        }
    }
}

/// Why a file was not certified, or is not what its certificate says.
#[derive(Debug, Error)]
pub enum CertifyError {
    /// The model cannot be exported.
    #[error("the model cannot be exported as ONNX")]
    Export(#[from] ExportError),
    /// lehr itself cannot predict.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The rows are of another kind than the model's.
    #[error(transparent)]
    Rows(#[from] DataError),
    /// The file cannot be run again.
    #[error("{} cannot be run again", .path.display())]
    Replay {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReplayError,
    },
    /// The file says something else than lehr.
    #[error(
        "the exported model says {found} where lehr says {expected}: `{output}` of {rows_of} row {row}; \
         {tolerance} apart is allowed, so no ONNX file is left", tolerance = TOLERANCE
    )]
    Differs {
        /// What the file says.
        found: String,
        /// What lehr says.
        expected: String,
        /// Of what.
        output: String,
        /// Where the row comes from.
        rows_of: RowsOf,
        /// Its number among these, from 1.
        row: usize,
    },
    /// A file has no certificate, or is not the one that was certified.
    #[error("{} is not the file that was certified: {problem}", .path.display())]
    Unproven {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{} could not be {action}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How many rows of a model are tried: fewer of large networks.
fn rows_max(model: &Model) -> usize {
    let flops = model.card.architecture.cost().flops.max(1);
    ((FLOPS_MAX / flops) as usize).clamp(ROWS_MIN, ROWS_MAX)
}

/// Exports a model into a file, runs the file again on rows, and writes what was found into it.
///
/// `real` are rows that somebody has; some drawn ones are added, and are all there is without them. No
/// more than `rows` are tried of either, and fewer of a large network.
///
/// # Errors
/// If the file says something else than lehr of any row; then no file is left.
pub fn write_certified(
    model: &Model,
    real: Option<(RowsOf, &Sample)>,
    rows: usize,
    path: &Path,
) -> Result<Certificate, CertifyError> {
    let unproven = path.with_extension(format!("onnx.{}.unproven", std::process::id()));
    let written = certified(model, real, rows.min(rows_max(model)), &unproven).and_then(
        |(bytes, certificate)| {
            replace_durably(path, &bytes).map_err(|source| file_error(path, "written", source))?;
            Ok(certificate)
        },
    );
    // What was not proven must not lie about, nor an older model under the name of this one.
    let _ = fs::remove_file(&unproven);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// A model as ONNX, not yet certified.
fn exported(model: &Model) -> Result<Vec<u8>, ExportError> {
    let card = &model.card;
    let fact = |key: &str, value: String| (key.to_string(), value);
    let facts = [
        fact("lehr.trial", card.trial.to_string()),
        fact("lehr.architecture", card.architecture.to_string()),
        fact(WEIGHTS_KEY, card.weights.to_string()),
    ];
    export_onnx(
        &card.architecture,
        &model.weights,
        &card.preprocessor,
        &card.calibration,
        &facts,
    )
}

/// Whether a file with this certificate is what this model would be exported as, with the same calibration and
/// preprocessing.
pub(crate) fn is_of(certificate: &Certificate, model: &Model) -> bool {
    // Other weights are told by their digest; only for the same ones the file is made to be compared.
    certificate.weights_blake3 == model.card.weights
        && exported(model).is_ok_and(|bytes| Digest::of(&bytes) == certificate.graph_blake3)
}

fn certified(
    model: &Model,
    real: Option<(RowsOf, &Sample)>,
    rows: usize,
    unproven: &Path,
) -> Result<(Vec<u8>, Certificate), CertifyError> {
    let card = &model.card;
    let exported = exported(model)?;
    write_durably(unproven, &exported).map_err(|source| file_error(unproven, "written", source))?;
    // What is run is what is on disk, not what was meant to be there.
    let mut bytes = read(unproven)?;
    let replay = read_replay(unproven, &bytes)?;
    let (mut tried, mut drawn) = (Vec::new(), rows);
    if let Some((rows_of, sample)) = real {
        let sample = sample.at_most(rows);
        drawn = (rows / DRAWN_SHARE).max(1);
        tried.push(compare(model, &replay, unproven, rows_of, &sample)?);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let drawn = Sample::drawn(&card.preprocessor, drawn, &mut rng);
    tried.push(compare(model, &replay, unproven, RowsOf::Drawn, &drawn)?);
    let names: Vec<&str> = replay
        .outputs()
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    let certificate = Certificate {
        format: FORMAT,
        tried,
        compared: names.join(" and "),
        tolerance: TOLERANCE,
        opset: replay.operator_version("").unwrap_or_default(),
        runtime: concat!("replay ", env!("CARGO_PKG_VERSION")).to_string(),
        weights_blake3: card.weights.clone(),
        graph_blake3: Digest::of(&bytes),
    };
    bytes.extend(property_bytes(KEY, &text(&certificate)));
    Ok((bytes, certificate))
}

fn text(certificate: &Certificate) -> String {
    serde_json::to_string(certificate).expect("a certificate has string keys only")
}

/// Proves that a file is, bit for bit, the one that was certified, and returns its certificate.
///
/// # Errors
/// If it has no certificate, or any byte before it has changed.
pub fn verify(path: &Path) -> Result<Certificate, CertifyError> {
    let bytes = read(path)?;
    let unproven = |problem: &str| CertifyError::Unproven {
        path: path.to_path_buf(),
        problem: problem.to_string(),
    };
    let replay = read_replay(path, &bytes)?;
    let facts: BTreeMap<&str, &str> = replay.metadata().collect();
    let written = facts
        .get(KEY)
        .ok_or_else(|| unproven("it holds no certificate"))?;
    let certificate: Certificate = serde_json::from_str(written)
        .map_err(|error| unproven(&format!("its certificate cannot be read ({error})")))?;
    if certificate.format != FORMAT {
        let problem = format!("its certificate has format {}", certificate.format);
        return Err(unproven(&problem));
    }
    let before = bytes.strip_suffix(property_bytes(KEY, written).as_slice());
    let before = before.ok_or_else(|| unproven("something stands behind its certificate"))?;
    if Digest::of(before) != certificate.graph_blake3 {
        return Err(unproven(
            "its graph has another digest than its certificate says",
        ));
    }
    if facts.get(WEIGHTS_KEY) != Some(&certificate.weights_blake3.as_str()) {
        return Err(unproven("its certificate is of other weights"));
    }
    Ok(certificate)
}

fn file_error(path: &Path, action: &'static str, source: io::Error) -> CertifyError {
    CertifyError::File {
        path: path.to_path_buf(),
        action,
        source,
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertifyError> {
    fs::read(path).map_err(|source| file_error(path, "read", source))
}

fn read_replay(path: &Path, bytes: &[u8]) -> Result<Replay, CertifyError> {
    Replay::read(bytes).map_err(|source| CertifyError::Replay {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests;
