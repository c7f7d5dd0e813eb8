//! What a model looks at: how much worse it gets when one column is shuffled among the rows.
//!
//! All values that preprocessing makes of a column are shuffled together, so that it counts as what the user
//! gave. Columns that say the same as others seem unimportant: the model reads the other one. The metric
//! counts rows by their weights; which row gets whose values is chance alone.
//! Breiman 2001, section 10; Fisher, Rudin & Dominici 2019.

use std::time::{Duration, Instant};

use data::{Examples, FittedColumn, Targets};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use train::Metric;

use crate::{
    model::{Model, ModelError},
    predictor::Predictor,
};

/// Rows that are shuffled at most.
const ROWS_MAX: usize = 2000;

/// How often each column is shuffled.
const REPEATS: usize = 5;

/// No column is shuffled again after this.
const TIME_MAX: Duration = Duration::from_secs(4);

/// How much worse the metric gets without each column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Most important first.
    pub columns: Vec<ColumnImportance>,
    /// Columns for which there was no time.
    pub unmeasured: usize,
    /// Rows that were shuffled.
    pub rows: usize,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnImportance {
    /// Its name.
    pub column: String,
    /// Mean loss of the metric, in its unit; about 0 if the model does not need the column.
    pub drop: f64,
    /// Standard deviation over the repeats.
    pub deviation: f64,
    /// How often it was shuffled.
    pub repeats: usize,
}

/// The prepared values of some rows, to be shuffled.
struct Rows {
    item: data::ItemShape,
    values: Vec<f32>,
    width: usize,
    targets: Targets,
    weights: Option<Vec<f32>>,
}

/// Shuffles every column of a table; `None` without rows.
///
/// # Errors
/// If the network cannot be built.
pub(super) fn importance(
    model: &Model,
    columns: &[FittedColumn],
    examples: &Examples,
    metric: Metric,
    scale: f64,
    seed: u64,
) -> Result<Option<Importance>, ModelError> {
    let rows = Rows::of(examples);
    let count = rows.values.len() / rows.width.max(1);
    let mut predictor = Predictor::new(model)?;
    let mut value = |values: Vec<f32>| {
        let examples = Examples::from_floats(rows.item, values, rows.targets.clone());
        let outputs = predictor.outputs(&examples);
        let calibration = &model.card.calibration;
        let evaluation =
            calibration.evaluate(&outputs, &rows.targets, rows.weights.as_deref(), scale);
        let value = evaluation.metrics.get(&metric).copied();
        metric.score(value.unwrap_or(f64::NAN))
    };
    let whole = value(rows.values.clone());
    if count < 2 || !whole.is_finite() {
        return Ok(None);
    }
    let started = Instant::now();
    let mut drops: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    'measuring: for _ in 0..REPEATS {
        let mut offset = 0;
        for (column, drops) in columns.iter().zip(&mut drops) {
            if started.elapsed() > TIME_MAX {
                break 'measuring;
            }
            let mut order: Vec<usize> = (0..count).collect();
            order.shuffle(&mut rng);
            let end = offset + column.width();
            let drop = whole - value(rows.shuffled(offset..end, &order));
            if drop.is_finite() {
                drops.push(drop);
            }
            offset = end;
        }
    }
    let measured = columns
        .iter()
        .zip(&drops)
        .filter(|(_, drops)| !drops.is_empty());
    let mut found: Vec<ColumnImportance> = measured
        .map(|(column, drops)| summary(&column.name, drops))
        .collect();
    found.sort_by(|a, b| b.drop.total_cmp(&a.drop));
    Ok(Some(Importance {
        unmeasured: columns.len() - found.len(),
        columns: found,
        rows: count,
    }))
}

impl Rows {
    /// All rows, or as many as are shuffled at most, evenly chosen.
    fn of(examples: &Examples) -> Rows {
        let step = examples.len().div_ceil(ROWS_MAX).max(1);
        let chosen: Vec<u32> = (0..examples.len() as u32).step_by(step).collect();
        let width = examples.item_len();
        let mut values = vec![0.0; width * chosen.len()];
        examples.copy_inputs(&chosen, &mut values);
        let targets = match examples.targets() {
            Targets::Classes { ids, count } => Targets::Classes {
                ids: chosen.iter().map(|row| ids[*row as usize]).collect(),
                count: *count,
            },
            Targets::Values(values) => {
                Targets::Values(chosen.iter().map(|row| values[*row as usize]).collect())
            }
            Targets::None => Targets::None,
        };
        Rows {
            item: examples.item(),
            values,
            width,
            targets,
            weights: examples
                .weights()
                .map(|weights| chosen.iter().map(|row| weights[*row as usize]).collect()),
        }
    }

    /// A copy in which some values of each row are those of another.
    fn shuffled(&self, places: std::ops::Range<usize>, order: &[usize]) -> Vec<f32> {
        let mut values = self.values.clone();
        for (row, from) in values.chunks_exact_mut(self.width.max(1)).zip(order) {
            let other = &self.values[from * self.width..(from + 1) * self.width];
            row[places.clone()].copy_from_slice(&other[places.clone()]);
        }
        values
    }
}

fn summary(column: &str, drops: &[f64]) -> ColumnImportance {
    let count = drops.len() as f64;
    let mean = drops.iter().sum::<f64>() / count;
    let variance = drops.iter().map(|drop| (drop - mean).powi(2)).sum::<f64>();
    ColumnImportance {
        column: column.to_string(),
        drop: mean,
        deviation: (variance / (count - 1.0).max(1.0)).sqrt(),
        repeats: drops.len(),
    }
}

#[cfg(test)]
mod tests {
    use data::{ItemShape, Preprocessor};
    use rand::Rng;
    use search::{Setting, TrialId};
    use train::{Calibration, Weights};

    use super::*;
    use crate::{
        model::{FORMAT, ModelCard},
        trial::Digest,
    };

    /// A model of four values that only looks at the second, which says whether a colour is red.
    fn model_of_red() -> Model {
        let architecture: morph::Architecture = "in 4 | dense 1".parse().unwrap();
        let mut weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
        let names: Vec<String> = weights
            .tensors()
            .map(|(name, _)| name.to_string())
            .collect();
        for name in names {
            let values = weights.values_mut(&name).unwrap();
            values.fill(0.0);
            if let [_, red, ..] = values {
                *red = 2.0;
            }
        }
        let number = |name: &str| {
            serde_json::json!({
                "name": name, "kind": "numeric", "fill": 0.0, "missing_indicator": "absent",
                "shift": 0.0, "scale": 1.0,
            })
        };
        let colour = serde_json::json!({
            "name": "colour", "kind": "category", "levels": ["red", "blue"],
            "missing_indicator": "absent",
        });
        let preprocessor: Preprocessor = serde_json::from_value(serde_json::json!({
            "format": 1,
            "inputs": { "columns": [number("noise"), colour, number("more noise")] },
            "task": { "kind": "regression", "target": "y", "mean": 0.0, "scale": 1.0 },
        }))
        .unwrap();
        let card = ModelCard {
            format: FORMAT,
            trial: TrialId(1),
            members: Vec::new(),
            architecture,
            setting: Setting::default(),
            preprocessor,
            calibration: Calibration::default(),
            weights: Digest::of(&[]),
        };
        Model { card, weights }
    }

    #[test]
    fn the_one_column_that_tells_something_is_found_and_shuffled_as_a_whole() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (mut values, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            let red = f32::from(u8::from(rng.random_bool(0.5)));
            let [noise, more] = [0; 2].map(|_| rng.random_range(-1.0..1.0));
            values.extend([noise, red, 1.0 - red, more]);
            targets.push(2.0 * red);
        }
        let shape = ItemShape::Features(4);
        let examples = Examples::from_floats(shape, values, Targets::Values(targets));
        let model = model_of_red();
        let columns = model.card.preprocessor.columns().unwrap();
        let found = importance(&model, columns, &examples, Metric::Rmse, 1.0, 7)
            .unwrap()
            .unwrap();
        let red = &found.columns[0];
        assert_eq!((red.column.as_str(), red.repeats), ("colour", REPEATS));
        // Half of the rows get another colour: the mean square error is 4 · ½, its root √2.
        assert!((red.drop - 2.0_f64.sqrt()).abs() < 0.1, "{red:?}");
        assert!(found.columns[1..].iter().all(|column| column.drop == 0.0));
        assert_eq!((found.unmeasured, found.rows), (0, 300));
    }

    #[test]
    fn a_column_that_only_rows_without_weight_need_does_not_matter() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut values, mut targets, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..400 {
            let red = f32::from(u8::from(rng.random_bool(0.5)));
            values.extend([0.0, red, 1.0 - red, 0.0]);
            // The model says 2 of red ones. Where that is right, rows weigh nothing.
            let is_told = row % 2 == 0;
            targets.push(if is_told { 2.0 * red } else { 1.0 });
            weights.push(if is_told { 0.0 } else { 1.0 });
        }
        let shape = ItemShape::Features(4);
        let examples = Examples::from_floats(shape, values, Targets::Values(targets));
        let model = model_of_red();
        let columns = model.card.preprocessor.columns().unwrap();
        let drop = |examples: &Examples| {
            let found = importance(&model, columns, examples, Metric::Rmse, 1.0, 7);
            let found = found.unwrap().unwrap();
            let colour = found.columns.iter().find(|found| found.column == "colour");
            colour.unwrap().drop
        };
        assert!(drop(&examples) > 0.3);
        // It is off by 1 of all others, whatever their colour.
        assert!(drop(&examples.with_weights(&weights)).abs() < 1e-6);
    }

    #[test]
    fn many_rows_are_thinned_evenly() {
        let count = 2 * ROWS_MAX + 1;
        let values: Vec<f32> = (0..count).map(|row| row as f32).collect();
        let targets = Targets::Values(values.clone());
        let examples = Examples::from_floats(ItemShape::Features(1), values, targets);
        let rows = Rows::of(&examples);
        assert!(rows.values.len() <= ROWS_MAX);
        assert_eq!(rows.values[..3], [0.0, 3.0, 6.0]);
        assert_eq!(rows.targets, Targets::Values(rows.values.clone()));
    }
}
