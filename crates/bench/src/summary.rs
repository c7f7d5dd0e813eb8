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

/// What it takes one searcher on one table to come so near to the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Evaluations that had ended by then.
    pub evaluations: Mean,
    /// When that was, in usual durations of a training.
    pub time: Mean,
    /// How many of the courses came there.
    pub reached: usize,
}

/// What it takes in the mean until the regret is at most this, in the table's units; a course that never
/// gets there counts whole.
pub fn effort_to(courses: &[Course], marks: &Marks, regret: f64) -> Effort {
    let place = |course: &Course| {
        let within = |score: f64| marks.best - score <= regret;
        course.steps.iter().position(|step| within(step.best.score))
    };
    let places: Vec<Option<usize>> = courses.iter().map(place).collect();
    let ended = |course: &Course, place: &Option<usize>| place.unwrap_or(course.steps.len() - 1);
    let both = || courses.iter().zip(&places);
    let evaluations = both().map(|(course, place)| ended(course, place) as f64 + 1.0);
    let time = both().map(|(course, place)| course.steps[ended(course, place)].time);
    Effort {
        evaluations: Mean::of(&evaluations.collect::<Vec<f64>>()),
        time: Mean::of(&time.collect::<Vec<f64>>()),
        reached: places.iter().flatten().count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{run::Step, table::Record};

    fn course(scores: [f64; 3]) -> Course {
        let step = |(index, score): (usize, f64)| Step {
            time: index as f64 + 1.0,
            best: Record {
                score,
                judged: score / 2.0,
            },
        };
        Course {
            steps: scores.into_iter().enumerate().map(step).collect(),
        }
    }

    const MARKS: Marks = Marks {
        best: 10.0,
        best_judged: 6.0,
        median: 2.0,
        worst: 0.0,
    };

    #[test]
    fn regrets_are_means_with_standard_errors() {
        let courses = [course([4.0, 6.0, 8.0]), course([2.0, 2.0, 10.0])];
        let regret = mean_regret(&courses, &MARKS, 2);
        // 4 and 8: mean 6, standard deviation √8, of which the root of 2 is divided off.
        assert_eq!(
            regret.score,
            Mean {
                mean: 6.0,
                error: 2.0
            }
        );
        assert_eq!(regret.judged.mean, 4.0);
        assert_eq!(regret.normalised.mean, 6.0 / 8.0);
        assert_eq!(regret.time.mean, 2.0);
    }

    #[test]
    fn a_course_that_never_gets_there_counts_whole() {
        let courses = [course([4.0, 9.5, 9.5]), course([2.0, 2.0, 8.0])];
        let effort = effort_to(&courses, &MARKS, 1.0);
        assert_eq!((effort.evaluations.mean, effort.reached), (2.5, 1));
        assert_eq!(effort.time.mean, 2.5);
    }
}
