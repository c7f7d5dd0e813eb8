//! A training that its node must leave: another trainer goes on where it was, to the same bits.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{
    fs,
    io::{BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use search::{Setting, TrialId};
use study::{
    artifact::ArtifactStore,
    config::StudyConfig,
    folder::StudyFolder,
    message::{FromTrainer, StopCause, TellTrainer, TrainerSetup, receive},
    prepared::PreparedFiles,
    recipe::{Start, decide},
    trial::{Digest, Job, Lease, LeaseEpoch, TrialResult},
};

/// A trainer that is spoken to as its worker does.
struct Trainer {
    process: Child,
    said: BufReader<ChildStdout>,
    /// Where it could be gone on with.
    kept: Vec<Digest>,
}

impl Drop for Trainer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Trainer {
    fn start(folder: &StudyFolder, config: &StudyConfig) -> Trainer {
        Trainer::start_with(folder, config, 60.0)
    }

    fn start_with(folder: &StudyFolder, config: &StudyConfig, checkpoint_secs: f64) -> Trainer {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .arg("trainer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let files = PreparedFiles::at(&folder.prepared());
        let folds = files.read_folds().unwrap();
        let setup = TrainerSetup {
            train: files.train,
            validation: files.validation,
            folds,
            artifacts: folder.artifacts(),
            metric: config.metric.unwrap(),
            target_scale: 1.0,
            threads: 1,
            memory_bytes_max: None,
            checkpoint_secs,
        };
        let kept = Vec::new();
        let mut trainer = Trainer {
            process,
            said,
            kept,
        };
        let setup = Box::new(setup);
        trainer.tell(&TellTrainer::Setup { setup });
        trainer
    }

    fn tell(&mut self, message: &TellTrainer) {
        let line = serde_json::to_string(message).unwrap();
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn begin(&mut self, job: &Job) {
        let job = Box::new(job.clone());
        self.tell(&TellTrainer::Train { job });
    }

    /// Begins a job of a trainer that keeps it after each epoch, until it has been kept so many times.
    fn begin_until_kept(&mut self, job: &Job, times: usize) {
        self.begin(job);
        while self.kept.len() < times {
            match receive(&mut self.said).unwrap().unwrap() {
                FromTrainer::Epoch { .. } => {}
                FromTrainer::Checkpoint { checkpoint, .. } => self.kept.push(checkpoint),
                end => panic!("it ended too early: {end:?}"),
            }
        }
    }

    /// What comes of a job; `leave_after` an epoch it is told that its node must leave.
    fn train(&mut self, job: &Job, leave_after: Option<u32>) -> (u32, FromTrainer) {
        self.begin(job);
        self.end(leave_after)
    }

    /// What comes of the job under way, and the first epoch that is heard of.
    fn end(&mut self, leave_after: Option<u32>) -> (u32, FromTrainer) {
        let mut first_epoch = None;
        loop {
            match receive(&mut self.said).unwrap().unwrap() {
                FromTrainer::Epoch { report, .. } => {
                    first_epoch.get_or_insert(report.epoch);
                    if leave_after == Some(report.epoch) {
                        let cause = StopCause::Leave;
                        self.tell(&TellTrainer::Stop { cause });
                    }
                }
                FromTrainer::Checkpoint { checkpoint, .. } => self.kept.push(checkpoint),
                end => return (first_epoch.unwrap_or_default(), end),
            }
        }
    }
}

fn job(config: &StudyConfig, folder: &StudyFolder) -> Job {
    let files = PreparedFiles::at(&folder.prepared());
    let train = PreparedFiles::load(&files.train).unwrap();
    let mut recipe = decide(
        &Setting::default(),
        &config.training,
        train.targets(),
        Start::Fresh,
    )
    .unwrap();
    recipe.epochs = 40.try_into().unwrap();
    recipe.patience = None;
    Job {
        lease: Lease {
            trial: TrialId(7),
            epoch: LeaseEpoch(1),
        },
        architecture: format!(
            "in {} | dense 64 | bn | relu | dropout 0.2 | dense 64 | relu | dense 2",
            train.item_len()
        )
        .parse()
        .unwrap(),
        recipe,
        inheritance: None,
        checkpoint: None,
        seed: 11,
        seconds_max: None,
        seconds_left: None,
    }
}

fn finished(end: FromTrainer) -> Box<TrialResult> {
    match end {
        FromTrainer::Finished { result, .. } => result,
        other => panic!("{other:?}"),
    }
}

fn paused(end: FromTrainer) -> Digest {
    match end {
        FromTrainer::Paused { checkpoint, .. } => checkpoint.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A study of one small table, and a job for its trainers.
fn scene(place: &Path, folds: &str) -> (StudyFolder, StudyConfig, Job) {
    let data = studies::write_moons(place, 1500);
    let out = place.join("moons.lehr");
    let made = studies::explore(&data, &out, &["--trials", "1", "--folds", folds]);
    assert!(made.status.success(), "{}", studies::said(&made));
    let folder = StudyFolder::open(&out).unwrap();
    let config = study_config(&out);
    let job = job(&config, &folder);
    (folder, config, job)
}

#[test]
fn a_training_that_was_paused_goes_on_elsewhere_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let (folder, config, job) = scene(place.path(), "1");

    let (_, whole) = Trainer::start(&folder, &config).train(&job, None);
    let whole = finished(whole);
    assert!(whole.curve.len() > 10, "{}", whole.curve.len());

    let (first, left) = Trainer::start(&folder, &config).train(&job, Some(3));
    assert_eq!(first, 1);
    let rest = Job {
        checkpoint: Some(paused(left)),
        ..job.clone()
    };
    let (first, end) = Trainer::start(&folder, &config).train(&rest, None);
    assert!(first > 3, "it began again with epoch {first}");
    let end = finished(end);
    assert_eq!(end.artifact, whole.artifact);
    assert_eq!((end.score, end.epoch), (whole.score, whole.epoch));
    assert_eq!(end.curve.len(), whole.curve.len());

    // One whose checkpoint is lost is begun anew, and comes to the same, too.
    let lost = Job {
        checkpoint: Some(Digest::of(b"nowhere")),
        ..job
    };
    let (first, end) = Trainer::start(&folder, &config).train(&lost, None);
    assert_eq!((first, finished(end).artifact), (1, whole.artifact));
}

#[test]
fn a_training_whose_trainer_was_killed_goes_on_from_its_last_checkpoint_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let (folder, config, job) = scene(place.path(), "1");
    let (_, whole) = Trainer::start(&folder, &config).train(&job, None);
    let whole = finished(whole);

    let mut trainer = Trainer::start_with(&folder, &config, 0.0);
    trainer.begin_until_kept(&job, 5);
    trainer.process.kill().unwrap();
    let there = |digest: &Digest| ArtifactStore::at(&folder.artifacts()).path(digest).exists();
    let kept = trainer.kept.clone();
    assert!(!there(&kept[0]) && !there(&kept[1]), "old ones take room");

    let rest = Job {
        checkpoint: kept.last().filter(|last| there(last)).cloned(),
        ..job
    };
    assert!(rest.checkpoint.is_some());
    let mut second = Trainer::start_with(&folder, &config, 0.0);
    let (first, end) = second.train(&rest, None);
    assert_eq!(first, 6, "it went on behind the wrong epoch");
    let end = finished(end);
    assert_eq!(end.artifact, whole.artifact);
    assert_eq!((end.score, end.epoch), (whole.score, whole.epoch));
    assert!(!second.kept.is_empty());
    assert!(
        !second.kept.iter().any(there),
        "a training that has ended is kept"
    );
}

#[test]
fn a_cross_validation_that_breaks_off_in_a_later_fold_goes_on_there_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let (folder, config, job) = scene(place.path(), "3");
    let (_, whole) = Trainer::start(&folder, &config).train(&job, None);
    let whole = finished(whole);

    // The first fold is kept after each epoch but its last; then comes the second.
    let in_the_second = whole.curve.len() + 7;
    let mut killed = Trainer::start_with(&folder, &config, 0.0);
    killed.begin_until_kept(&job, in_the_second);
    killed.process.kill().unwrap();
    let of_killed = killed.kept.last().unwrap().clone();
    let mut left = Trainer::start_with(&folder, &config, 0.0);
    left.begin_until_kept(&job, in_the_second);
    let cause = StopCause::Leave;
    left.tell(&TellTrainer::Stop { cause });
    let (_, end) = left.end(None);
    let of_left = paused(end);

    for checkpoint in [of_killed, of_left] {
        let rest = Job {
            checkpoint: Some(checkpoint),
            ..job.clone()
        };
        let mut trainer = Trainer::start(&folder, &config);
        let (first, end) = trainer.train(&rest, None);
        assert_eq!(first, 0, "the first fold was trained again");
        let end = finished(end);
        assert_eq!(end.artifact, whole.artifact);
        assert_eq!((end.score, end.epoch), (whole.score, whole.epoch));
        assert_eq!(end.curve.len(), whole.curve.len());
        // Another job is not gone on with.
        let other = Job { seed: 12, ..rest };
        let (first, end) = trainer.train(&other, None);
        assert_eq!(first, 1);
        assert_ne!(finished(end).artifact, whole.artifact);
    }
}

#[test]
fn a_trainer_that_cannot_store_weights_dies_and_blames_no_model() {
    let place = tempfile::tempdir().unwrap();
    let (folder, config, mut job) = scene(place.path(), "1");
    job.recipe.epochs = 1.try_into().unwrap();
    // Not even root writes into a folder that is a file.
    fs::remove_dir_all(folder.artifacts()).unwrap();
    fs::write(folder.artifacts(), "").unwrap();
    let mut trainer = Trainer::start(&folder, &config);
    trainer.begin(&job);
    while let Some(said) = receive::<FromTrainer>(&mut trainer.said).unwrap() {
        assert!(matches!(said, FromTrainer::Epoch { .. }), "{said:?}");
    }
    assert!(!trainer.process.wait().unwrap().success());
}

fn study_config(out: &Path) -> StudyConfig {
    serde_json::from_str(&studies::ledger(out).record().unwrap().config).unwrap()
}
