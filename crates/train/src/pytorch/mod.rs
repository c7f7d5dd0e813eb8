//! A trained model as a Python file that a person can read: preprocessing, layers and answers written out.
//!
//! It needs PyTorch, safetensors and numpy, and the weights' file beside it; nothing of lehr. Nothing in
//! it interprets an architecture: every layer is a line. Read in this order: [`script`] here, `network`
//! (the `nn.Module`), `inputs` (preprocessing and answers; `series` of series, `dialect` how tables are
//! written), `literal` (values as Python writes them); the `.py` files beside them are the parts that are the
//! same for every model of their kind. No file is written here.

mod dialect;
mod inputs;
mod literal;
mod network;
mod series;

use data::Preprocessor;
use morph::Architecture;

use crate::{
    calibration::Calibration,
    onnx::{ExportError, check_shapes},
};

/// What every script begins with, behind its description.
const IMPORTS: &str = "\
import csv
import datetime
import gzip
import io
import json
import math
import re
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
";

/// What the weights' file is called, beside the script.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// A trained model as the text of a Python file.
///
/// `facts` are lines for its head: what the model is and where its weights come from.
///
/// # Errors
/// If network and preprocessing do not fit each other.
pub fn script(
    architecture: &Architecture,
    preprocessor: &Preprocessor,
    calibration: &Calibration,
    facts: &[String],
) -> Result<String, ExportError> {
    check_shapes(architecture, preprocessor)?;
    let mut facts = facts.to_vec();
    facts.extend(inputs::needs(preprocessor).map(str::to_string));
    let head = head(architecture, inputs::takes(preprocessor), &facts);
    let parts = [
        head,
        IMPORTS.to_string(),
        inputs::answers(preprocessor.task(), calibration),
        network::module(architecture),
        inputs::inputs(preprocessor),
        inputs::predictions(preprocessor.task()),
    ];
    Ok(parts.map(|part| part.trim_end().to_string()).join("\n\n\n") + "\n")
}

/// A network alone as the text of a Python module: the class `Network`, which takes prepared inputs.
pub fn network_module(architecture: &Architecture) -> String {
    let parts = [
        "\"\"\"A network alone, its layers written out.\"\"\"\n\n".to_string() + IMPORTS,
        network::module(architecture),
    ];
    parts.map(|part| part.trim_end().to_string()).join("\n\n\n") + "\n"
}

fn head(architecture: &Architecture, takes: &str, facts: &[String]) -> String {
    // Nothing in a description may end it early, or be read as an escape.
    let plain = |text: &str| text.replace('\\', "/").replace('"', "'");
    let facts: String = facts
        .iter()
        .map(|fact| format!("{}\n", plain(fact)))
        .collect();
    format!(
        "#!/usr/bin/env python3\n\
         \"\"\"A model found by lehr, in PyTorch: from raw input to the answer.\n\n    \
         python model.py {takes}\n\n\
         prints what `lehr predict` prints; `predict` gives the same to a program. The weights lie in\n\
         {WEIGHTS_FILE} beside this file. Needs torch, safetensors and numpy, and nothing of lehr.\n\n\
         {facts}Layers: {}\n\"\"\"",
        plain(&architecture.to_string())
    )
}
