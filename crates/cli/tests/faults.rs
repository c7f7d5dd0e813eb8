//! A study under fire: trainers, generators, workers and the master are killed, and the same command
//! is run again. No finished trial may be lost or doubled, and the best may never get worse.
//!
//! `LEHR_KILLS` sets how many moments are tried; the default keeps the whole under a minute.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{
    env, fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use studies::{ledger, lehr, said, write_moons};
use study::{
    artifact::ArtifactStore, folder::StudyFolder, ledger::open_to_read, trial::TrialState,
};

/// Trials of the study.
const TRIALS: u64 = 60;

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

const KILLS_BY_DEFAULT: u32 = 8;

fn start(data: &Path, out: &Path) -> Child {
    lehr()
        .args([
            "explore",
            "--trials",
            &TRIALS.to_string(),
            "--workers",
            "2",
            "--slots",
            "1",
        ])
        .args(["--seed", "5", "--out"])
        .arg(out)
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started")
}

/// Descendants of a process by role, found in `/proc`; only these are ever killed.
fn family(master: u32) -> Vec<(String, u32)> {
    let mut family = vec![("explore".to_string(), master)];
    let mut index = 0;
    while let Some((_, parent)) = family.get(index).cloned() {
        index += 1;
        for process in children(parent) {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let role = line.split(|byte| *byte == 0).nth(1).unwrap_or_default();
            family.push((String::from_utf8_lossy(role).to_string(), process));
        }
    }
    family
}

fn children(parent: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task"))
        .into_iter()
        .flatten()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|line| {
            line.split_whitespace()
                .map(str::to_string)
                .collect::<Vec<_>>()
        })
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// What may never be lost: the finished trials with their artifacts, and the best score.
#[derive(Default)]
struct Acknowledged {
    finished: Vec<(u64, f64)>,
    best: Option<f64>,
}

fn acknowledged(out: &Path) -> Acknowledged {
    let Ok(folder) = StudyFolder::open(out) else {
        return Acknowledged::default();
    };
    let ledger = ledger(out);
    let store = ArtifactStore::at(&folder.artifacts());
    let trials = ledger.trials().unwrap();
    check_history(&trials);
    let finished = trials
        .iter()
        .filter_map(|trial| {
            let result = trial.result()?;
            store
                .get(&result.artifact)
                .expect("no row names a missing artifact");
            Some((trial.id.0, result.score))
        })
        .collect();
    let best = ledger
        .best()
        .unwrap()
        .map(|trial| trial.result().unwrap().score);
    Acknowledged { finished, best }
}

fn check_history(trials: &[study::trial::Trial]) {
    let mut sequences: Vec<u64> = trials
        .iter()
        .filter_map(|trial| match &trial.state {
            TrialState::Finished { sequence, .. }
            | TrialState::Stopped { sequence, .. }
            | TrialState::Failed { sequence, .. } => Some(sequence.0),
            _ => None,
        })
        .collect();
    sequences.sort_unstable();
    let dense: Vec<u64> = (1..=sequences.len() as u64).collect();
    assert_eq!(sequences, dense, "the history has a gap or a double");
}

fn kill_hard(process: u32) {
    if let Some(process) = rustix::process::Pid::from_raw(process.cast_signed()) {
        // It may have ended by itself in the meantime.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_any_process_is_killed_at_any_moment() {
    let kills = env::var("LEHR_KILLS")
        .ok()
        .and_then(|text| text.parse().ok());
    let kills = kills.unwrap_or(KILLS_BY_DEFAULT);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 300);
    let (mut study, mut round) = (0, 0);
    let mut before = Acknowledged::default();
    while round < kills {
        let out = place.path().join(format!("study-{study}"));
        let mut master = start(&data, &out);
        round += 1;
        thread::sleep(Duration::from_millis(rng.random_range(50..1500)));
        let roles = ["explore", "worker", "generator", "trainer"];
        let role = roles.choose(&mut rng).unwrap();
        let victims: Vec<u32> = family(master.id())
            .into_iter()
            .filter(|(found, _)| found == role)
            .map(|(_, process)| process)
            .collect();
        victims
            .choose(&mut rng)
            .into_iter()
            .for_each(|victim| kill_hard(*victim));
        // Some rounds go on to the end after the kill, some are cut off by killing the master.
        if *role == "explore" || rng.random_bool(0.5) {
            thread::sleep(Duration::from_millis(rng.random_range(0..500)));
            kill_hard(master.id());
        }
        wait(&mut master);
        let after = acknowledged(&out);
        for known in &before.finished {
            assert!(
                after.finished.contains(known),
                "{role}: trial {known:?} was lost"
            );
        }
        assert!(
            after.best >= before.best,
            "{role}: {:?} after {:?}",
            after.best,
            before.best
        );
        let complete = after.finished.len() as u64 == TRIALS;
        before = after;
        if complete {
            study += 1;
            before = Acknowledged::default();
        }
    }
    let out = place.path().join(format!("study-{study}"));
    let mut last = start(&data, &out);
    assert!(wait(&mut last), "the last run ends well");
    let counts = ledger(&out).counts().unwrap();
    assert_eq!(counts.ended(), TRIALS, "{counts:?}");
    assert_eq!((counts.queued, counts.running), (0, 0));
}

fn wait(child: &mut Child) -> bool {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if started.elapsed() > PATIENCE {
            family(child.id())
                .into_iter()
                .for_each(|(_, process)| kill_hard(process));
            panic!("the study hangs");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_process_stays_behind_when_the_master_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 300);
    let mut master = start(&data, &place.path().join("study"));
    let started = Instant::now();
    while family(master.id()).len() < 7 && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    let family = family(master.id());
    assert!(
        family.len() >= 7,
        "master, two workers, two generators, two trainers: {family:?}"
    );
    kill_hard(master.id());
    master.wait().unwrap();
    let alive = |process: &u32| {
        let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    let gone = || family.iter().all(|(_, process)| !alive(process));
    while !gone() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(gone(), "somebody of {family:?} stayed");
}

#[test]
fn a_study_of_other_data_or_settings_is_not_taken_up() {
    let place = tempfile::tempdir().unwrap();
    let data = write_moons(place.path(), 300);
    let out = place.path().join("study");
    let made = studies::explore(&data, &out, &["--trials", "2", "--seed", "1"]);
    assert!(made.status.success(), "{}", said(&made));
    let trials_before = open_to_read(&StudyFolder::open(&out).unwrap())
        .unwrap()
        .trials()
        .unwrap();
    let other_seed = studies::explore(&data, &out, &["--trials", "4", "--seed", "2"]);
    assert!(
        said(&other_seed).contains("made with seed = 1, now it is 2"),
        "{}",
        said(&other_seed)
    );
    let other_data = write_moons(place.path(), 302);
    let refused = studies::explore(&other_data, &out, &["--trials", "4", "--seed", "1"]);
    assert!(
        said(&refused).contains("explores other data"),
        "{}",
        said(&refused)
    );
    assert_eq!(ledger(&out).trials().unwrap(), trials_before);
}
