//! `lehr config render`: a configuration with every default visible.

use std::path::Path;

use anyhow::{Result, bail};
use study::{cluster::invitation::LedgerPlace, folder::StudyFolder};

use crate::{
    command::read_study,
    settings::{self, Told},
};

pub(crate) fn render(path: &Path) -> Result<String> {
    if StudyFolder::open(path).is_ok() {
        let study = read_study(path)?;
        return settings::render(&study.config, LedgerPlace::of(&study.folder)?.as_ref());
    }
    match settings::decide_file(path)? {
        Some(Told { config, place, .. }) => settings::render(&config, place.as_ref()),
        None => bail!(
            "{} is no lehr.toml, no folder with one, and no study",
            path.display()
        ),
    }
}
