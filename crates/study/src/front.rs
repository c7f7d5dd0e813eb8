//! The front of a study with several objectives: the finished trials that no other one beats in all of them.
//!
//! Scores are validation scores: the vault is opened for the winner only.

use search::{Objective, TrialId, objectives::front};
use serde::{Deserialize, Serialize};
use train::Metric;

use crate::{
    setup::Joining,
    trial::{Candidate, Trial, TrialResult},
};

/// Models of a front that are written as files; of more, so many spread evenly over it, both ends included.
pub const FRONT_FILES_MAX: usize = 24;

/// A model of the front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontModel {
    /// Which trial.
    pub trial: TrialId,
    /// The metric on the validation rows.
    pub validation: f64,
    /// Learned values; with cross-validation those of all its networks and of what joins them.
    pub params: u64,
    /// Operations of the forward pass of one example, of these together.
    pub flops: u64,
    /// Seconds of the forward pass of one example by all its networks, if they were measured.
    pub latency_seconds: Option<f64>,
}

/// The front among these trials, each the mean of so many networks, best score first.
pub fn front_of(
    trials: &[Trial],
    objectives: &[Objective],
    metric: Metric,
    networks: usize,
) -> Vec<FrontModel> {
    let mut finished: Vec<(&Trial, &TrialResult)> = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.result()?)))
        .collect();
    finished.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score));
    let point = |(trial, result): &(&Trial, &TrialResult)| {
        let costs = objectives.iter().map(|objective| -cost(trial, *objective));
        [result.score].into_iter().chain(costs).collect()
    };
    let points: Vec<Vec<f64>> = finished.iter().map(point).collect();
    let chosen = front(&points).into_iter();
    let model = |place: usize| {
        let (trial, result) = finished[place];
        let architecture = &trial.candidate.architecture;
        let cost = architecture.cost();
        let joining = Joining::of(networks, architecture.outputs());
        FrontModel {
            trial: trial.id,
            validation: result.metrics.get(&metric).copied().unwrap_or(f64::NAN),
            params: cost.parameters * networks as u64 + joining.parameters,
            flops: cost.flops * networks as u64 + joining.flops,
            latency_seconds: trial
                .candidate
                .latency_seconds
                .map(|seconds| seconds * networks as f64),
        }
    };
    chosen.map(model).collect()
}

/// What a model costs in an objective; what was not measured is infinitely dear.
fn cost(trial: &Trial, objective: Objective) -> f64 {
    let Candidate {
        architecture,
        latency_seconds,
        ..
    } = &trial.candidate;
    let cost = objective.cost(architecture, *latency_seconds);
    cost.unwrap_or(f64::INFINITY)
}

/// The models of a front that are written as files.
pub fn front_files(front: &[FrontModel]) -> Vec<&FrontModel> {
    let last = front.len().saturating_sub(1);
    if front.len() <= FRONT_FILES_MAX {
        return front.iter().collect();
    }
    (0..FRONT_FILES_MAX)
        .map(|index| &front[index * last / (FRONT_FILES_MAX - 1)])
        .collect()
}

/// The front as a table.
pub(crate) fn front_csv(front: &[FrontModel], metric: Metric) -> String {
    let mut table = format!("trial,{metric},params,flops,latency_seconds,files\n");
    let written = front_files(front);
    for model in front {
        let files = match written.iter().any(|other| other.trial == model.trial) {
            true => files_of(model.trial),
            false => String::new(),
        };
        let latency = model
            .latency_seconds
            .map_or(String::new(), |seconds| format!("{seconds:e}"));
        table.push_str(&format!(
            "{},{},{},{},{latency},{files}\n",
            model.trial, model.validation, model.params, model.flops,
        ));
    }
    table
}

/// How the names of all folders with a model's files begin.
pub(crate) const FILES_PREFIX: &str = "trial-";

/// Name of the folder with a model's files.
pub fn files_of(trial: TrialId) -> String {
    format!("{FILES_PREFIX}{trial}")
}

#[cfg(test)]
mod tests {
    use train::ensemble::side_by_side;

    use super::*;
    use crate::store::sweep::tests::{finished, seed, trial};

    fn model(number: u64) -> FrontModel {
        FrontModel {
            trial: TrialId(number),
            validation: 0.5,
            params: 10 * number,
            flops: 20 * number,
            latency_seconds: (number == 2).then_some(1.5e-3),
        }
    }

    #[test]
    fn a_long_front_is_written_at_both_ends_and_evenly_between() {
        let front: Vec<FrontModel> = (0..100).map(model).collect();
        let written: Vec<u64> = front_files(&front)
            .iter()
            .map(|model| model.trial.0)
            .collect();
        assert_eq!(written.len(), FRONT_FILES_MAX);
        assert_eq!((written[0], written[FRONT_FILES_MAX - 1]), (0, 99));
        let steps = written.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            steps.clone().all(|step| (4..=5).contains(&step)),
            "{written:?}"
        );
        assert_eq!(front_files(&front[..5]).len(), 5);
        assert!(front_files(&[]).is_empty());
    }

    #[test]
    fn a_model_of_several_networks_costs_what_all_of_them_cost_joined() {
        let trials = [trial(1, seed("linear"), finished(1, 0.5, 0.1))];
        let network = &trials[0].candidate.architecture;
        let together = side_by_side(&[network; 5]).unwrap();
        for (networks, cost) in [(1, network.cost()), (5, together.cost())] {
            let front = front_of(&trials, &[Objective::Params], Metric::Accuracy, networks);
            assert_eq!(front.len(), 1);
            assert_eq!(
                (front[0].params, front[0].flops),
                (cost.parameters, cost.flops)
            );
        }
    }

    #[test]
    fn the_table_names_the_files() {
        assert_eq!(
            front_csv(&[model(1), model(2)], Metric::Accuracy),
            "trial,accuracy,params,flops,latency_seconds,files\n\
             1,0.5,10,20,,trial-1\n\
             2,0.5,20,40,1.5e-3,trial-2\n"
        );
    }
}
