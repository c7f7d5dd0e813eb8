//! What the processes of a worker must know, put together from a study's configuration and prepared files.

use std::path::{Path, PathBuf};

use data::Preprocessor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Limits, SearchSettings, Task};
use train::{Calibration, Weights, export_onnx};

use crate::{
    config::StudyConfig,
    message::{GeneratorSetup, TrainerSetup, WorkerSetup},
    open::linear,
    prepared::{PrepareError, PreparedFiles, network_task, target_scale},
    process::checkpoints::CHECKPOINT_SECS,
    trial::WorkerName,
};

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
        let members = folds.networks() as u64;
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
        if let Some(bytes) = &mut settings.limits.file_bytes {
            *bytes = bytes.saturating_sub(preprocessing_bytes(&preprocessor));
        }
        settings.limits = shared(settings.limits, members);
        Ok(CommonSetup {
            trainer,
            task: network_task(&preprocessor),
            settings,
            config: config.clone(),
        })
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

/// What each of so many networks may have, if the model that answers in the end is all of them.
fn shared(limits: Limits, members: u64) -> Limits {
    let share = |limit: Option<u64>| limit.map(|limit| limit / members);
    Limits {
        parameters: share(limits.parameters),
        flops: share(limits.flops),
        memory_bytes: limits.memory_bytes,
        file_bytes: share(limits.file_bytes),
        latency_micros: share(limits.latency_micros),
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
        (bytes.len() as u64).saturating_sub(4 * linear.cost().parameters)
    })
}
