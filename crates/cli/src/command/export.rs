//! `lehr export`: a model for use elsewhere, as ONNX from raw input to label, as safetensors, or as a
//! PyTorch script; and whether an ONNX file is still the one that was certified.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use study::{
    certificate::{Certificate, ROWS_MAX, verify, write_certified},
    conclude,
    folder::StudyFolder,
    model::Model,
};

use crate::{args::ExportArgs, command::load_model};

pub(crate) fn run(args: &ExportArgs) -> Result<String> {
    let targets = [&args.onnx, &args.safetensors, &args.pytorch];
    let is_written = targets.iter().any(|target| target.is_some());
    if !is_written && args.check.is_none() {
        bail!(
            "nothing to write: give --onnx FILE, --safetensors FOLDER or --pytorch FOLDER, or \
             --check FILE to look at an ONNX file"
        );
    }
    if is_written && args.model.is_none() {
        bail!(
            "no model is named that --onnx, --safetensors or --pytorch could write: name the MODEL that is to be \
             written, a study's folder or a folder with model.json and model.safetensors"
        );
    }
    let mut said = String::new();
    if let Some(path) = &args.check {
        said += &format!("{}: intact; {}\n", path.display(), checked(args, path)?);
    }
    let Some(place) = &args.model else {
        return Ok(said);
    };
    let model = load_model(place)?;
    if let Some(path) = &args.onnx {
        let certificate = certified(place, &model, path)?;
        said += &format!("{}: {certificate}\n", path.display());
    }
    if let Some(folder) = &args.safetensors {
        make(folder)?;
        model.save(folder)?;
        said += &listed(folder, &["model.safetensors", "model.json"]);
    }
    if let Some(folder) = &args.pytorch {
        make(folder)?;
        model.save(folder)?;
        conclude::write_script(&model, folder)?;
        said += &listed(folder, &["model.py", "model.safetensors", "model.json"]);
    }
    Ok(said)
}

fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))
}

fn listed(folder: &Path, files: &[&str]) -> String {
    let line = |file: &&str| format!("{}\n", folder.join(file).display());
    files.iter().map(line).collect()
}

/// A study's model is certified on rows that nothing learned from; a model alone on drawn ones.
fn certified(place: &Path, model: &Model, path: &Path) -> Result<Certificate> {
    Ok(match StudyFolder::open(place) {
        Ok(study) => conclude::export(&study, model, path)?,
        Err(_) => write_certified(model, None, ROWS_MAX, path)?,
    })
}

/// The certificate of a file that is what it was; with a model, of that model's weights.
fn checked(args: &ExportArgs, path: &Path) -> Result<Certificate> {
    let certificate = verify(path)?;
    if let Some(place) = &args.model {
        let model = load_model(place)?;
        if model.card.weights != certificate.weights_blake3 {
            bail!(
                "{} holds the weights {}, but the model in {} has {}",
                path.display(),
                certificate.weights_blake3,
                place.display(),
                model.card.weights
            );
        }
    }
    Ok(certificate)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_model_that_is_to_be_written_has_to_be_named_also_beside_a_check() {
        let place = tempfile::tempdir().unwrap();
        let written = place.path().join("b.onnx");
        let args = ExportArgs {
            model: None,
            onnx: Some(written.clone()),
            safetensors: None,
            pytorch: None,
            check: Some(PathBuf::from("a.onnx")),
        };
        let refused = run(&args).unwrap_err().to_string();
        assert!(
            refused.contains("name the MODEL that is to be written"),
            "{refused}"
        );
        assert!(!written.exists());
    }
}
