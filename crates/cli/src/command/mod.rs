//! One file per command. Each reads what it needs and returns the text to print.

pub(crate) mod bench;
pub(crate) mod best;
pub(crate) mod clean;
pub(crate) mod config;
pub(crate) mod dashboard;
pub(crate) mod doctor;
pub(crate) mod ensemble;
pub(crate) mod explain;
pub(crate) mod explore;
pub(crate) mod export;
pub(crate) mod findings;
pub(crate) mod inspect;
pub(crate) mod launch;
pub(crate) mod ledger;
pub(crate) mod predict;
pub(crate) mod serve;
pub(crate) mod site;
pub(crate) mod status;
pub(crate) mod trials;
pub(crate) mod waiting;
pub(crate) mod worker;

use std::path::Path;

use anyhow::{Context, Result};
use study::{
    config::StudyConfig,
    folder::StudyFolder,
    ledger::{Ledger, open_to_read},
    model::Model,
};

/// A study, opened to be read while another process may explore it.
pub(crate) struct Reading {
    pub(crate) folder: StudyFolder,
    pub(crate) ledger: Box<dyn Ledger>,
    pub(crate) config: StudyConfig,
}

pub(crate) fn read_study(path: &Path) -> Result<Reading> {
    let folder = StudyFolder::open(path)?;
    let ledger = open_to_read(&folder)?;
    let config = config_of(&*ledger)?;
    Ok(Reading {
        folder,
        ledger,
        config,
    })
}

/// What was decided about a study, as its ledger says it now.
pub(crate) fn config_of(ledger: &dyn Ledger) -> Result<StudyConfig> {
    let record = ledger.record()?;
    serde_json::from_str(&record.config)
        .context("the ledger's configuration is not one of this version")
}

/// The model at this path: a study's best, or a model's own folder.
pub(crate) fn load_model(path: &Path) -> Result<Model> {
    let folder = match StudyFolder::open(path) {
        Ok(study) => study.best(),
        Err(_) => path.to_path_buf(),
    };
    if folder != path && !folder.join("model.json").is_file() {
        anyhow::bail!(
            "the study in {} has no model yet: let `lehr explore` run until it ends or is stopped",
            path.display()
        );
    }
    Ok(Model::load(&folder)?)
}
