//! `lehr config render`: a configuration with every default visible.

use std::path::Path;

use anyhow::{Result, bail};
use study::folder::StudyFolder;

use crate::{command::read_study, settings};

pub(crate) fn render(path: &Path) -> Result<String> {
    if StudyFolder::open(path).is_ok() {
        return settings::render(&read_study(path)?.config);
    }
    match settings::toml_of(path) {
        Some(file) => settings::render(&settings::decided(&settings::read(&file)?)?),
        None => bail!(
            "{} is no lehr.toml, no folder with one, and no study",
            path.display()
        ),
    }
}
