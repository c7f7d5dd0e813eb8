//! Studies, models and trainings that are made up, for tests of what happens around them.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::collections::BTreeMap;

use data::SplitShares;
use search::{Origin, Rule, Rungs, SearchSettings, Setting};
use study::{
    config::{Budget, Inherit, Resources, Retrain, StudyConfig, TrainingSettings},
    message::StopCause,
    trial::{Candidate, Digest, EarlyStop, Job, TrialResult, WorkerName},
};
use train::{EpochReport, Evaluation};

pub(crate) const EPOCHS: u32 = 4;
pub(crate) const RUNGS: Rungs = Rungs {
    rule: Rule::Median,
    first: 1,
    factor: 2,
};

pub(crate) struct Training {
    pub(crate) job: Job,
    pub(crate) curve: Vec<EpochReport>,
    pub(crate) told: Option<StopCause>,
}

pub(crate) fn config(trials: u64, workers: u16, slots: u16) -> StudyConfig {
    StudyConfig {
        data: "rows.csv".into(),
        test: None,
        validation: None,
        roles: data::Roles::default(),
        steps: None,
        target: None,
        ignore: Vec::new(),
        image_size: None,
        read: data::ReadMax::default(),
        columns: data::ColumnKinds::default(),
        header: data::HeaderLine::Guess,
        dialect: data::Dialect::default(),
        kind: None,
        task: None,
        metric: Some(train::Metric::Accuracy),
        seed: 1,
        budget: Budget {
            seconds: None,
            trials: Some(trials),
        },
        folds: None,
        repeats: None,
        ensemble: None,
        split: SplitShares::default(),
        resources: Resources {
            workers,
            slots,
            threads: 1,
            memory_bytes_max: None,
        },
        training: TrainingSettings {
            epochs: Some(EPOCHS),
            epochs_inherited: None,
            patience: None,
            class_weights: Some(train::ClassWeights::Equal),
            precision: train::Precision::F32,
            rungs: RUNGS,
            inherit: Inherit::Weights,
            retrain: Retrain::Best,
        },
        search: SearchSettings::default(),
    }
}

/// A model that differs from all with other units.
pub(crate) fn candidate(units: u32, proposed_by: &WorkerName) -> Candidate {
    Candidate {
        architecture: format!("in 4 | dense {units} | relu | dense 2")
            .parse()
            .unwrap(),
        setting: Setting::default(),
        origin: Origin::Seed {
            name: "made up".to_string(),
        },
        promise: None,
        latency_seconds: None,
        proposed_by: proposed_by.clone(),
    }
}

pub(crate) fn epoch(number: u32, score: f64) -> EpochReport {
    EpochReport {
        epoch: number,
        train_loss: 1.0,
        validation: Evaluation {
            rows: 10,
            loss: 1.0,
            metrics: BTreeMap::new(),
        },
        score,
        seconds: f64::from(number),
    }
}

/// The best score of these epochs.
pub(crate) fn best(curve: &[EpochReport]) -> f64 {
    let scores = curve.iter().map(|epoch| epoch.score);
    scores.reduce(f64::max).unwrap_or_default()
}

pub(crate) fn early_stop(training: Training) -> EarlyStop {
    EarlyStop {
        curve: training.curve,
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe: training.job.recipe,
    }
}

pub(crate) fn result(training: Training) -> Box<TrialResult> {
    let score = best(&training.curve);
    Box::new(TrialResult {
        score,
        loss: 1.0 - score,
        metrics: BTreeMap::new(),
        epoch: 1,
        curve: training.curve,
        ended: train::Ended::AllEpochs,
        artifact: Digest::of(b"weights"),
        artifact_bytes: 7,
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe: training.job.recipe,
    })
}
