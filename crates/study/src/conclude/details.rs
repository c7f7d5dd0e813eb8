//! The winner in detail: where it is right and wrong, how sure it is, what it looks at.

use data::{Examples, FittedTask, Targets};
use serde::{Deserialize, Serialize};
use train::Calibration;

use super::{
    Ground,
    classes::{Confusion, confusion},
    importance::{Importance, importance},
    reliability::{Reliability, reliability},
    residuals::{Pairs, Residuals, residuals},
    worst::{Told, WorstRow, worst_rows},
};
use crate::model::{Model, ModelError};

/// Everything about the winner on rows that it has not learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Which rows are told of.
    pub told_of: ToldOf,
    /// How many.
    pub rows: usize,
    /// How much they count; alike in what earlier versions wrote.
    #[serde(default)]
    pub weighing: Weighing,
    /// Its answers beside the true ones.
    pub answers: Answers,
    /// What it looks at; absent for what are no columns.
    pub importance: Option<Importance>,
    /// The rows that it gets most wrong.
    pub worst: Vec<WorstRow>,
}

/// Which rows are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldOf {
    /// Those that nothing has seen before.
    Vault,
    /// Those that chose the winner, because there is no vault: all that is said of them flatters.
    Validation,
}

/// How much rows count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighing {
    /// All the same.
    #[default]
    Alike,
    /// Each by its weight: rows are counted one by one, but means, shares and scores are by weight.
    ByWeight,
}

/// Answers beside the true ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answers {
    /// Of classes.
    Classes {
        /// Which is taken for which.
        confusion: Confusion,
        /// How sure it is and how right.
        reliability: Reliability,
    },
    /// Of numbers.
    Values {
        /// How far off it is.
        residuals: Residuals,
    },
}

/// Tells of a model; the outputs are those for the rows of the vault and of the validation split.
///
/// # Errors
/// If the network cannot be built.
pub(super) fn details(
    ground: &Ground,
    model: &Model,
    vault: &[f32],
    validation: &[f32],
) -> Result<Details, ModelError> {
    let names = &ground.row_names;
    let (told_of, examples, outputs, names) = match ground.vault.is_empty() {
        true => (
            ToldOf::Validation,
            &ground.validation,
            validation,
            &names.validation,
        ),
        false => (ToldOf::Vault, &ground.vault, vault, &names.vault),
    };
    let calibration = &model.card.calibration;
    let answers = answers(ground, calibration, examples, outputs, validation);
    // Without a vault and with folds there is no row that none of the networks has learned from.
    let has_learned = told_of == ToldOf::Validation && !ground.folds.is_empty();
    let importance = match ground.preprocessor.columns() {
        Some(columns) if !has_learned => importance(
            model,
            columns,
            examples,
            ground.metric,
            ground.scale,
            ground.seed,
        )?,
        _ => None,
    };
    let told = Told {
        examples,
        outputs,
        preprocessor: &ground.preprocessor,
        calibration,
        names,
        columns: telling(importance.as_ref()),
    };
    Ok(Details {
        told_of,
        rows: examples.len(),
        weighing: match examples.weights() {
            None => Weighing::Alike,
            Some(_) => Weighing::ByWeight,
        },
        answers,
        worst: worst_rows(&told),
        importance,
    })
}

/// What is said of these rows beside what is true; how far off to expect it comes from the validation rows.
fn answers(
    ground: &Ground,
    calibration: &Calibration,
    examples: &Examples,
    outputs: &[f32],
    validation: &[f32],
) -> Answers {
    match (ground.preprocessor.task(), examples.targets()) {
        (FittedTask::Classification { classes }, Targets::Classes { ids, .. }) => {
            let rows = outputs.chunks_exact(classes.len());
            let said: Vec<usize> = rows
                .map(|logits| calibration.label(&calibration.probabilities(logits)))
                .collect();
            Answers::Classes {
                confusion: confusion(classes, ids, &said, examples.weights()),
                reliability: reliability(
                    outputs,
                    ids,
                    examples.weights(),
                    classes.len(),
                    calibration,
                ),
            }
        }
        (task, _) => {
            let told = pairs(task, examples, outputs);
            let fitted = pairs(task, &ground.validation, validation);
            Answers::Values {
                residuals: residuals(target_name(task), &told, &fitted),
            }
        }
    }
}

fn telling(importance: Option<&Importance>) -> Vec<&str> {
    let columns = importance.map_or(&[][..], |importance| &importance.columns);
    columns
        .iter()
        .map(|column| column.column.as_str())
        .collect()
}

fn target_name(task: &FittedTask) -> &str {
    match task {
        FittedTask::Regression { target, .. } => target,
        FittedTask::Classification { .. } => "",
    }
}

/// True and predicted values in the target's own unit.
fn pairs(task: &FittedTask, examples: &Examples, outputs: &[f32]) -> Pairs {
    let (FittedTask::Regression { mean, scale, .. }, Targets::Values(values)) =
        (task, examples.targets())
    else {
        return Pairs {
            truth: Vec::new(),
            predicted: Vec::new(),
            weights: Vec::new(),
        };
    };
    let in_unit = |values: &[f32]| {
        values
            .iter()
            .map(|v| f64::from(*v) * scale + mean)
            .collect()
    };
    Pairs {
        truth: in_unit(values),
        predicted: in_unit(outputs),
        weights: match examples.weights() {
            Some(weights) => weights.iter().map(|weight| f64::from(*weight)).collect(),
            None => vec![1.0; values.len()],
        },
    }
}
