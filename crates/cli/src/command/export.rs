//! `lehr export`: a model for use elsewhere, as ONNX from raw input to label, or as safetensors.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use study::model::Model;
use train::onnx::export_onnx;

use crate::{args::ExportArgs, command::load_model};

pub(crate) fn run(args: &ExportArgs) -> Result<String> {
    if args.onnx.is_none() && args.safetensors.is_none() {
        bail!("nothing to write: give --onnx FILE, --safetensors FOLDER, or both");
    }
    let model = load_model(&args.model)?;
    let mut written = String::new();
    if let Some(path) = &args.onnx {
        write_onnx(&model, path)?;
        written += &format!("{}\n", path.display());
    }
    if let Some(folder) = &args.safetensors {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        model.save(folder)?;
        written += &format!("{}\n", folder.join("model.safetensors").display());
        written += &format!("{}\n", folder.join("model.json").display());
    }
    Ok(written)
}

pub(crate) fn write_onnx(model: &Model, path: &Path) -> Result<()> {
    let card = &model.card;
    let facts = [
        ("lehr.trial".to_string(), card.trial.to_string()),
        (
            "lehr.architecture".to_string(),
            card.architecture.to_string(),
        ),
        ("lehr.weights_blake3".to_string(), card.weights.to_string()),
    ];
    let bytes = export_onnx(
        &card.architecture,
        &model.weights,
        &card.preprocessor,
        &facts,
    )
    .context("the model could not be exported as ONNX")?;
    fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))
}
