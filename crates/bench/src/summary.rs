//! Means over seeds: regrets against evaluations and against time.

use crate::{run::Course, table::Marks};

/// A mean and how sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error: the standard deviation over the root of the count.
    pub error: f64,
}

impl Mean {
    /// Of these values; zero of none.
    pub fn of(values: &[f64]) -> Mean {
        let count = values.len() as f64;
        if values.is_empty() {
            return Mean::default();
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = match values.len() {
            1 => 0.0,
            _ => (squares / (count - 1.0) / count).sqrt(),
        };
        Mean { mean, error }
    }
}

/// Regrets of one searcher on one table after some evaluations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regret {
    /// By how much the best score found is below the best there is, in the table's units.
    pub score: Mean,
    /// The same of the judged score of that model.
    pub judged: Mean,
    /// The first as a share of the distance between the best and the median model.
    pub normalised: Mean,
    /// When the evaluations had ended, in usual durations of a training.
    pub time: Mean,
}

/// Regrets after so many evaluations (from 1), in the mean over the courses, which are that long.
pub fn mean_regret(courses: &[Course], marks: &Marks, evaluations: usize) -> Regret {
    let mean = |value: &dyn Fn(&Course) -> f64| {
        let values: Vec<f64> = courses.iter().map(value).collect();
        Mean::of(&values)
    };
    let step = |course: &Course| course.steps[evaluations - 1];
    let score = |course: &Course| marks.best - step(course).best.score;
    Regret {
        score: mean(&score),
        judged: mean(&|course| marks.best_judged - step(course).best.judged),
        normalised: mean(&|course| score(course) / (marks.best - marks.median)),
        time: mean(&|course| step(course).time),
    }
}

/// The mean number of evaluations until the regret is at most this; a course that never gets there
/// counts with all its evaluations, and `reached` says how many did.
pub fn evaluations_to(courses: &[Course], marks: &Marks, regret: f64) -> (Mean, usize) {
    let place = |course: &Course| {
        let within = |score: f64| marks.best - score <= regret;
        course.steps.iter().position(|step| within(step.best.score))
    };
    let places: Vec<Option<usize>> = courses.iter().map(place).collect();
    let reached = places.iter().flatten().count();
    let counted = places.iter().zip(courses);
    let values: Vec<f64> = counted
        .map(|(place, course)| place.map_or(course.steps.len(), |place| place + 1) as f64)
        .collect();
    (Mean::of(&values), reached)
}
