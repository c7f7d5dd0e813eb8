//! Boosting: each round grows trees that mend what all before them leave, until the validation rows stop
//! gaining.
//!
//! Friedman 2001 with second derivatives as in Chen & Guestrin 2016 (XGBoost). A number is one sequence of
//! trees under the squared error, two classes are one under the log-loss, more classes one each under
//! the softmax.
//!
//! A row's weight multiplies its loss, so that a row of weight 2 pulls as two rows of weight 1 do. Only what
//! guards against chance counts rows and not weights: how many a leaf must have (`leaf_rows_min`), because one
//! row is one observation however much it weighs, and where gaps go that no row of a leaf has. Weights should
//! be 1 on average: what draws leaves towards 0 is on the scale of a row.

use crate::{
    bins::{apply_all, fit_all},
    grow::{Grower, Pull},
    table::{Goal, Table},
    tree::{Ensemble, Tree},
};

/// No probability counts as less in a loss.
const PROBABILITY_MIN: f64 = 1e-15;

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Share of a tree's correction that is made.
    pub learning_rate: f64,
    /// Leaves of a tree at most.
    pub leaves_max: usize,
    /// Training rows of a leaf at least, whatever they weigh.
    pub leaf_rows_min: u32,
    /// How much the value of a leaf is drawn towards 0.
    pub ridge: f64,
    /// How much more where categories are grouped: they are easily grouped too well.
    pub category_ridge: f64,
    /// How much the order of rare categories is drawn towards the middle.
    pub category_smoothing: f64,
    /// Rounds at most.
    pub rounds_max: usize,
    /// Rounds without a lower validation loss before it ends.
    pub patience: usize,
}

impl Default for Settings {
    /// The usual values of LightGBM; its ridge is 0, that of XGBoost 1.
    fn default() -> Settings {
        Settings {
            learning_rate: 0.1,
            leaves_max: 31,
            leaf_rows_min: 20,
            ridge: 1.0,
            category_ridge: 10.0,
            category_smoothing: 10.0,
            rounds_max: 1000,
            patience: 30,
        }
    }
}

/// What is learned from what, and what says when to stop.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// Rows that are learned from.
    pub train: &'a Table,
    /// What they should say.
    pub train_goal: Goal<'a>,
    /// How much a row of each class weighs; all the same if empty.
    pub class_weights: &'a [f32],
    /// How much each of them weighs, beside its class; all the same if empty. One of weight 0 is not there.
    pub train_weights: &'a [f32],
    /// Rows that say when to stop.
    pub validation: &'a Table,
    /// What they should say.
    pub validation_goal: Goal<'a>,
    /// How much each of them counts in the loss; all the same if empty.
    pub validation_weights: &'a [f32],
}

/// Whether there is time for another tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// There is.
    Yes,
    /// There is not.
    No,
}

/// Why no more trees were grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The validation loss fell no more.
    Settled,
    /// All rounds were made.
    Rounds,
    /// It was told to stop.
    Stopped,
}

/// Trees up to the round with the lowest validation loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Boosted {
    /// The trees.
    pub ensemble: Ensemble,
    /// Mean loss on the validation rows: log-loss, or half the squared error.
    pub validation_loss: f64,
    /// Why no more were grown.
    pub ended: Ended,
}

/// Grows trees.
///
/// # Shapes
/// Both tables have the same columns; goals have a value for each row of their table, and so have weights
/// that are not empty.
/// # Units
/// Losses are log-losses in nats, or half the squared error in the goal's unit, squared.
/// # Errors
/// None; without a round that lowers the loss, the ensemble has no trees and says the mean.
/// # Cost
/// `O(rounds · sequences · rows · columns · log leaves)`; `go_on` is asked before every tree.
/// # Source
/// Friedman 2001, algorithm 1; Chen & Guestrin 2016, section 2.2; Ke et al. 2017, section 2.
pub fn boost(
    problem: &Problem<'_>,
    settings: &Settings,
    go_on: &mut dyn FnMut() -> GoOn,
) -> Boosted {
    let bins = fit_all(problem.train, problem.train_weights);
    let train = apply_all(&bins, problem.train);
    let validation = apply_all(&bins, problem.validation);
    let base = base(problem);
    let sequences = base.len();
    let mut outputs = repeated(&base, train.rows);
    let mut validated = repeated(&base, validation.rows);
    let mut best = (0, validation_loss(problem, &validated));
    let mut rounds: Vec<Vec<Tree>> = Vec::new();
    let mut grower = Grower::new(&bins, &train, problem.train_weights, settings);
    let mut pull = vec![(vec![0.0; train.rows], vec![0.0; train.rows]); sequences];
    let ended = loop {
        if rounds.len() == settings.rounds_max {
            break Ended::Rounds;
        }
        if rounds.len() - best.0 >= settings.patience {
            break Ended::Settled;
        }
        fill_pull(problem, &outputs, &mut pull);
        let mut trees = Vec::with_capacity(sequences);
        for (sequence, (gradients, curvatures)) in pull.iter().enumerate() {
            if go_on() == GoOn::No {
                break;
            }
            let pull = Pull {
                gradients,
                curvatures,
            };
            let tree = grower.grow(pull, &mut outputs[sequence]);
            for (row, output) in validated[sequence].iter_mut().enumerate() {
                *output += f64::from(tree.value(&validation, row));
            }
            trees.push(tree);
        }
        if trees.len() < sequences {
            break Ended::Stopped;
        }
        rounds.push(trees);
        let loss = validation_loss(problem, &validated);
        if loss < best.1 {
            best = (rounds.len(), loss);
        }
    };
    rounds.truncate(best.0);
    let ensemble = Ensemble {
        bins,
        base,
        rounds,
        outputs: problem.train_goal.outputs(),
    };
    Boosted {
        ensemble: ensemble.without_unasked(),
        validation_loss: best.1,
        ended,
    }
}

/// Where every row starts: the mean, or the logarithms of the classes' shares.
fn base(problem: &Problem<'_>) -> Vec<f64> {
    match problem.train_goal {
        Goal::Values(values) => {
            let each = values.iter().enumerate();
            let weighed = each.map(|(row, value)| (of_row(problem.train_weights, row), *value));
            let (total, sum) = weighed.fold((0.0, 0.0), |(total, sum), (weight, value)| {
                (total + weight, sum + weight * f64::from(value))
            });
            vec![if total > 0.0 { sum / total } else { 0.0 }]
        }
        Goal::Classes { ids, count } => {
            let mut counts = vec![0.5; count as usize];
            for (row, id) in ids.iter().enumerate() {
                counts[*id as usize] += weight(problem, row, *id);
            }
            let logits: Vec<f64> = counts.iter().map(|count: &f64| count.ln()).collect();
            match &logits[..] {
                [first, second] => vec![second - first],
                _ => logits,
            }
        }
    }
}

/// How much a training row of this class weighs.
fn weight(problem: &Problem<'_>, row: usize, class: u32) -> f64 {
    of_row(problem.class_weights, class as usize) * of_row(problem.train_weights, row)
}

/// One of these weights; 1 if there are none.
fn of_row(weights: &[f32], row: usize) -> f64 {
    weights.get(row).map_or(1.0, |weight| f64::from(*weight))
}

/// `[sequences][rows]`.
fn repeated(base: &[f64], rows: usize) -> Vec<Vec<f64>> {
    base.iter().map(|base| vec![*base; rows]).collect()
}

/// Derivatives of the loss of every training row, for each sequence.
fn fill_pull(problem: &Problem<'_>, outputs: &[Vec<f64>], pull: &mut [(Vec<f32>, Vec<f32>)]) {
    match problem.train_goal {
        Goal::Values(values) => {
            let (gradients, curvatures) = &mut pull[0];
            for (row, value) in values.iter().enumerate() {
                let weight = of_row(problem.train_weights, row);
                gradients[row] = (weight * (outputs[0][row] - f64::from(*value))) as f32;
                curvatures[row] = weight as f32;
            }
        }
        Goal::Classes { ids, .. } => {
            let mut probabilities = vec![0.0; outputs.len()];
            for (row, id) in ids.iter().enumerate() {
                let weight = weight(problem, row, *id);
                probabilities_of(outputs, row, &mut probabilities);
                for (sequence, (gradients, curvatures)) in pull.iter_mut().enumerate() {
                    let probability = probabilities[sequence];
                    let wanted = f64::from(u8::from(is_of(*id, sequence, outputs.len())));
                    gradients[row] = (weight * (probability - wanted)) as f32;
                    curvatures[row] = (weight * probability * (1.0 - probability)) as f32;
                }
            }
        }
    }
}

/// Whether a class is the one that a sequence speaks for; of two classes, the only one is for the second.
fn is_of(class: u32, sequence: usize, sequences: usize) -> bool {
    match sequences {
        1 => class == 1,
        _ => class as usize == sequence,
    }
}

/// Probability of each sequence's class; of two classes, that of the second.
fn probabilities_of(outputs: &[Vec<f64>], row: usize, probabilities: &mut [f64]) {
    if let [logits] = outputs {
        probabilities[0] = 1.0 / (1.0 + (-logits[row]).exp());
        return;
    }
    let largest = outputs
        .iter()
        .map(|of_class| of_class[row])
        .fold(f64::NEG_INFINITY, f64::max);
    for (probability, of_class) in probabilities.iter_mut().zip(outputs) {
        *probability = (of_class[row] - largest).exp();
    }
    let sum: f64 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|power| *power /= sum);
}

/// Mean loss on the validation rows by their weights; 0 if nothing weighs anything.
fn validation_loss(problem: &Problem<'_>, outputs: &[Vec<f64>]) -> f64 {
    let losses = losses(outputs, problem.validation_goal);
    let (mut total, mut sum) = (0.0, 0.0);
    for (row, loss) in losses.into_iter().enumerate() {
        let weight = of_row(problem.validation_weights, row);
        total += weight;
        sum += weight * loss;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

/// Loss of every row.
fn losses(outputs: &[Vec<f64>], goal: Goal<'_>) -> Vec<f64> {
    match goal {
        Goal::Values(values) => {
            let both = outputs[0].iter().zip(values);
            both.map(|(output, value)| (output - f64::from(*value)).powi(2) / 2.0)
                .collect()
        }
        Goal::Classes { ids, .. } => {
            let mut probabilities = vec![0.0; outputs.len()];
            let loss = |(row, id): (usize, &u32)| {
                probabilities_of(outputs, row, &mut probabilities);
                let right = match outputs.len() {
                    1 if *id == 1 => probabilities[0],
                    1 => 1.0 - probabilities[0],
                    _ => probabilities[*id as usize],
                };
                -right.max(PROBABILITY_MIN).ln()
            };
            ids.iter().enumerate().map(loss).collect()
        }
    }
}
