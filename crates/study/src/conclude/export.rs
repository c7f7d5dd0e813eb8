//! The files of a model for use elsewhere: `model.onnx`, certified, and `model.py`. Raw rows of the vault are
//! read here, and only at the end.

use std::path::Path;

use data::{Sample, error::with_causes};
use serde::{Deserialize, Serialize};
use train::pytorch::script;

use super::ConcludeError;
use crate::{
    artifact::replace_durably,
    certificate::{self, Certificate, RowsOf, write_certified},
    folder::StudyFolder,
    model::Model,
    prepared::{PrepareError, PreparedFiles},
};

/// Rows that the ONNX file of a model of the front is tried on; there may be two dozen such models.
pub(super) const FRONT_ROWS: usize = 100;

/// A model whose ONNX file was not certified, so that there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// What it is, as `trial 7`.
    pub model: String,
    /// Why.
    pub reason: String,
}

/// What is exported of a study's models, and on which rows the files are tried.
pub(super) struct Exporter {
    raw: Option<(RowsOf, Sample)>,
    /// Models that have no ONNX file.
    pub(super) refused: Vec<Refused>,
}

impl Exporter {
    pub(super) fn open(files: &PreparedFiles) -> Result<Exporter, ConcludeError> {
        Ok(Exporter {
            raw: raw_vault(files)?,
            refused: Vec::new(),
        })
    }

    /// Writes `model.py` and `model.onnx` into a folder; the latter not if one that is intact and of this
    /// model lies there. At most so many rows are tried.
    pub(super) fn write(
        &mut self,
        model: &Model,
        place: &Path,
        rows: usize,
    ) -> Result<Option<Certificate>, ConcludeError> {
        write_script(model, place)?;
        let path = place.join("model.onnx");
        let is_of_model = |found: &Certificate| certificate::is_of(found, model);
        if let Some(found) = certificate::verify(&path).ok().filter(is_of_model) {
            return Ok(Some(found));
        }
        match write_certified(model, self.real(), rows, &path) {
            Ok(certificate) => Ok(Some(certificate)),
            Err(error) => {
                self.refused.push(Refused {
                    model: model.card.origin(),
                    reason: with_causes(&error),
                });
                Ok(None)
            }
        }
    }

    fn real(&self) -> Option<(RowsOf, &Sample)> {
        self.raw
            .as_ref()
            .map(|(rows_of, sample)| (*rows_of, sample))
    }
}

/// Exports a study's model into a file and certifies it on raw rows of the study.
///
/// # Errors
/// If the file would say something else than lehr, or cannot be written.
pub fn export(
    folder: &StudyFolder,
    model: &Model,
    path: &Path,
) -> Result<Certificate, ConcludeError> {
    let exporter = Exporter::open(&PreparedFiles::at(&folder.prepared()))?;
    Ok(write_certified(
        model,
        exporter.real(),
        certificate::ROWS_MAX,
        path,
    )?)
}

/// Some of the vault's rows as they were read; of the validation rows if there is no vault. None of a
/// study that was begun before such rows were kept.
fn raw_vault(files: &PreparedFiles) -> Result<Option<(RowsOf, Sample)>, ConcludeError> {
    if !files.raw_vault.exists() {
        return Ok(None);
    }
    let rows_of = match PreparedFiles::load(&files.vault)?.is_empty() {
        true => RowsOf::Validation,
        false => RowsOf::Vault,
    };
    let sample = Sample::load(&files.raw_vault).map_err(PrepareError::from)?;
    Ok(Some((rows_of, sample)))
}

/// Writes `model.py` into a folder, beside the weights that it loads.
///
/// # Errors
/// If the disk is full or may not be written.
pub fn write_script(model: &Model, place: &Path) -> Result<(), ConcludeError> {
    let path = place.join("model.py");
    let card = &model.card;
    let facts = [
        format!(
            "From its study: {}, trained with {}.",
            card.origin(),
            card.setting
        ),
        format!("Weights: blake3 {}", card.weights),
    ];
    let script = script(
        &card.architecture,
        &card.preprocessor,
        &card.calibration,
        &facts,
    )?;
    replace_durably(&path, script.as_bytes()).map_err(ConcludeError::unwritten(&path))
}
