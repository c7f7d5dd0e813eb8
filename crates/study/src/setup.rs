//! What the processes of a worker must know, put together from a study's configuration and prepared files.

use std::path::{Path, PathBuf};

use data::Preprocessor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Limits, SearchSettings, Task};
use train::{Calibration, Weights, ensemble::layers_max, export_onnx};

use crate::{
    config::StudyConfig,
    message::{GeneratorSetup, TrainerSetup, WorkerSetup},
    open::linear,
    prepared::{PrepareError, PreparedFiles, network_task, target_scale},
    process::checkpoints::CHECKPOINT_SECS,
    trial::WorkerName,
};

/// Bytes of a learned value in a file.
const PARAMETER_BYTES: u64 = size_of::<f32>() as u64;

/// What is the same for all workers on a machine.
#[derive(Clone, Debug)]
pub(crate) struct CommonSetup {
    trainer: TrainerSetup,
    task: Task,
    settings: SearchSettings,
    config: StudyConfig,
}

impl CommonSetup {
    /// Reads what is needed from a study's prepared files.
    pub(crate) fn read(
        prepared: &Path,
        artifacts: &Path,
        config: &StudyConfig,
    ) -> Result<CommonSetup, PrepareError> {
        let files = PreparedFiles::at(prepared);
        let preprocessor = files.read_preprocessor()?;
        let metric = config
            .metric
            .expect("a study's metric is decided when it is made");
        let folds = files.read_folds()?;
        let networks = folds.networks();
        let task = network_task(&preprocessor);
        let trainer = TrainerSetup {
            folds,
            train: files.train,
            validation: files.validation,
            artifacts: artifacts.to_path_buf(),
            metric,
            target_scale: target_scale(&preprocessor),
            threads: config.resources.threads,
            memory_bytes_max: config.resources.memory_bytes_max,
            checkpoint_secs: CHECKPOINT_SECS,
        };
        let mut settings = config.search.clone();
        let limits = network_limits(settings.limits, &preprocessor);
        settings.limits = shared(limits, networks, task.outputs);
        Ok(CommonSetup {
            trainer,
            task,
            settings,
            config: config.clone(),
        })
    }

    /// What each network of a model may have.
    pub(crate) fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// What one worker must know: its number makes its random streams its own, and they go on after the
    /// proposals that it has made.
    pub(crate) fn of_worker(
        &self,
        name: &WorkerName,
        number: u32,
        proposals_made: u64,
        spool: &Path,
    ) -> WorkerSetup {
        let slots = self.config.resources.slots;
        let generator = GeneratorSetup {
            worker: name.clone(),
            task: self.task,
            settings: self.settings.clone(),
            seed: self.config.seed.wrapping_add(u64::from(number)),
            proposals_made,
        };
        WorkerSetup {
            rungs: self.config.training.rungs,
            name: name.clone(),
            slots,
            generator,
            trainer: self.trainer.clone(),
            spool: PathBuf::from(spool),
        }
    }
}

/// What the layer costs that makes one network of a model's networks: it takes what all of them put out, and puts out
/// as much as one of them.
pub(crate) struct Joining {
    pub(crate) parameters: u64,
    pub(crate) flops: u64,
}

impl Joining {
    /// Of so many networks that put out so many values each; one alone is joined to nothing.
    pub(crate) fn of(networks: usize, outputs: u32) -> Joining {
        let outputs = u64::from(outputs);
        let weights = networks as u64 * outputs * outputs;
        match networks {
            0 | 1 => Joining {
                parameters: 0,
                flops: 0,
            },
            _ => Joining {
                parameters: weights + outputs,
                flops: 2 * weights,
            },
        }
    }
}

/// What each of so many networks may have, if the model that answers in the end is all of them, joined.
fn shared(limits: Limits, networks: usize, outputs: u32) -> Limits {
    let joining = Joining::of(networks, outputs);
    let share = |limit: Option<u64>, joining: u64| {
        limit.map(|limit| limit.saturating_sub(joining) / networks as u64)
    };
    Limits {
        parameters: share(limits.parameters, joining.parameters),
        flops: share(limits.flops, joining.flops),
        memory_bytes: limits.memory_bytes,
        file_bytes: share(limits.file_bytes, PARAMETER_BYTES * joining.parameters),
        // What joining takes is not known before it is measured.
        latency_micros: share(limits.latency_micros, 0),
        layers: (networks > 1).then(|| layers_max(networks) as u64),
        networks: (networks > 1).then_some(networks as u64),
    }
}

/// What networks may have of what a model may: its file holds the preprocessing, too.
pub(crate) fn network_limits(limits: Limits, preprocessor: &Preprocessor) -> Limits {
    let left = |bytes: u64| bytes.saturating_sub(preprocessing_bytes(preprocessor));
    Limits {
        file_bytes: limits.file_bytes.map(left),
        ..limits
    }
}

/// What the preprocessing adds to an exported model, as far as it does not depend on the network.
fn preprocessing_bytes(preprocessor: &Preprocessor) -> u64 {
    let task = network_task(preprocessor);
    let linear = linear(&task);
    let weights = Weights::fresh(&linear, &mut ChaCha8Rng::seed_from_u64(0));
    let exported = export_onnx(
        &linear,
        &weights,
        preprocessor,
        &Calibration::default(),
        &[],
    );
    exported.map_or(0, |bytes| {
        (bytes.len() as u64).saturating_sub(PARAMETER_BYTES * linear.cost().parameters)
    })
}

#[cfg(test)]
mod tests {
    use morph::Architecture;
    use search::limits::file_bytes;
    use train::ensemble::side_by_side;

    use super::*;

    #[test]
    fn networks_that_use_all_of_their_share_are_within_the_limits_together() {
        for (text, networks) in [
            ("in 4 | dense 8 | bn | relu | dense 3", 5),
            ("in 4 | dense 1", 6),
            ("in 4 | dense 8 | relu | dense 3", 1),
        ] {
            let network: Architecture = text.parse().unwrap();
            let together = match networks {
                1 => network.clone(),
                _ => side_by_side(&vec![&network; networks]).unwrap(),
            };
            let (own, cost) = (network.cost(), together.cost());
            let joining = Joining::of(networks, network.outputs());
            let count = networks as u64;
            assert_eq!(cost.parameters, count * own.parameters + joining.parameters);
            assert_eq!(cost.flops, count * own.flops + joining.flops);
            let file = count * file_bytes(&network) + PARAMETER_BYTES * joining.parameters;
            assert!(file_bytes(&together) <= file, "{text}");
            let limits = Limits {
                parameters: Some(cost.parameters),
                flops: Some(cost.flops),
                file_bytes: Some(file),
                ..Limits::default()
            };
            let share = Limits {
                parameters: Some(own.parameters),
                flops: Some(own.flops),
                file_bytes: Some(file_bytes(&network)),
                layers: (networks > 1).then(|| layers_max(networks) as u64),
                networks: (networks > 1).then_some(count),
                ..Limits::default()
            };
            assert_eq!(shared(limits, networks, network.outputs()), share, "{text}");
        }
        let too_little = Limits {
            parameters: Some(7),
            ..Limits::default()
        };
        assert_eq!(shared(too_little, 5, 2).parameters, Some(0));
    }

    #[test]
    fn a_network_and_its_preprocessing_fit_into_one_file() {
        let preprocessor: Preprocessor = serde_json::from_str(
            r#"{"format": 1, "task": {"kind": "classification", "classes": ["a", "b", "c"]},
                "inputs": {"columns": [
                    {"name": "n", "kind": "numeric", "fill": 2, "missing_indicator": "present",
                     "shift": 1.5, "scale": 2.5},
                    {"name": "w", "kind": "category", "levels": ["x", "y"], "missing_indicator": "present"}
                ]}}"#,
        )
        .unwrap();
        let limits = Limits {
            parameters: Some(900),
            file_bytes: Some(100_000),
            ..Limits::default()
        };
        let left = network_limits(limits, &preprocessor);
        assert_eq!(left.parameters, Some(900));
        let network: Architecture = "in 5 | dense 64 | relu | dense 3".parse().unwrap();
        let weights = Weights::fresh(&network, &mut ChaCha8Rng::seed_from_u64(0));
        let calibration = Calibration::default();
        let file = export_onnx(&network, &weights, &preprocessor, &calibration, &[]).unwrap();
        let spent = 100_000 - left.file_bytes.unwrap();
        assert!(spent > 0 && file.len() as u64 <= spent + file_bytes(&network));
        let none = Limits::default();
        assert_eq!(network_limits(none, &preprocessor), none);
    }
}
