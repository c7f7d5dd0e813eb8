//! What every trial of a study says of the rows that validate and of the vault: what rules of choosing among them are
//! compared by. A study itself asks the vault about its winner only.
//!
//! `every_trial STUDY FOLDER` writes into the folder a line of JSON for each trial with a score (`trials.jsonl`) and,
//! as little-endian numbers of four bytes, `[trials][rows][outputs]` of logits or standardised values
//! (`validation.f32`, `vault.f32`) and `[rows]` of classes or values (`validation_targets.f32`,
//! `vault_targets.f32`). With cross-validation a validation row is told of by the networks that have not learned
//! from it, and the vault by the mean of all.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use data::{Examples, Targets};
use study::{
    artifact::ArtifactStore,
    folder::StudyFolder,
    folds::Folds,
    ledger::open_to_read,
    predictor::network_outputs,
    prepared::PreparedFiles,
    trial::{Trial, TrialResult},
};
use train::ensemble::members_from_safetensors;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [study, place] = &arguments[..] else {
        return Err("every_trial STUDY FOLDER".into());
    };
    let folder = StudyFolder::open(study)?;
    let rows = Rows::of(&folder)?;
    fs::create_dir_all(place)?;
    write_floats(
        &place.join("validation_targets.f32"),
        &targets(&rows.validation),
    )?;
    write_floats(&place.join("vault_targets.f32"), &targets(&rows.vault))?;
    let mut table = fs::File::create(place.join("trials.jsonl"))?;
    let (mut validation, mut vault) = (Vec::new(), Vec::new());
    for trial in open_to_read(&folder)?.trials()? {
        let Some(result) = trial.result() else {
            continue;
        };
        let said = rows.said(&folder, &trial, result)?;
        validation.extend(said.validation);
        vault.extend(said.vault);
        let line = serde_json::json!({
            "trial": trial.id,
            "origin": trial.candidate.origin,
            "score": result.score,
            "loss": result.loss,
            "parameters": trial.candidate.architecture.cost().parameters,
        });
        writeln!(table, "{line}")?;
    }
    write_floats(&place.join("validation.f32"), &validation)?;
    write_floats(&place.join("vault.f32"), &vault)?;
    Ok(())
}

/// The rows of a study.
struct Rows {
    validation: Examples,
    vault: Examples,
    folds: Folds,
}

/// What a trial says of them.
struct Said {
    validation: Vec<f32>,
    vault: Vec<f32>,
}

impl Rows {
    fn of(folder: &StudyFolder) -> Result<Rows, Box<dyn Error>> {
        let files = PreparedFiles::at(&folder.prepared());
        Ok(Rows {
            validation: PreparedFiles::load(&files.validation)?,
            vault: PreparedFiles::load(&files.vault)?,
            folds: files.read_folds()?,
        })
    }

    fn said(
        &self,
        folder: &StudyFolder,
        trial: &Trial,
        result: &TrialResult,
    ) -> Result<Said, Box<dyn Error>> {
        let architecture = &trial.candidate.architecture;
        let bytes = ArtifactStore::at(&folder.artifacts()).get(&result.artifact)?;
        let members = members_from_safetensors(&bytes, architecture)?;
        let validation = self.folds.told(&self.validation, &|network, rows| {
            network_outputs(architecture, &members[network.min(members.len() - 1)], rows)
        })?;
        let mut vault: Vec<f32> = Vec::new();
        for member in &members {
            let said = network_outputs(architecture, member, &self.vault)?;
            vault.resize(said.len(), 0.0);
            for (mean, said) in vault.iter_mut().zip(said) {
                *mean += said / members.len() as f32;
            }
        }
        Ok(Said { validation, vault })
    }
}

fn targets(examples: &Examples) -> Vec<f32> {
    match examples.targets() {
        Targets::Classes { ids, .. } => ids.iter().map(|id| *id as f32).collect(),
        Targets::Values(values) => values.clone(),
        Targets::None => Vec::new(),
    }
}

fn write_floats(path: &Path, values: &[f32]) -> io::Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(path, bytes)
}
