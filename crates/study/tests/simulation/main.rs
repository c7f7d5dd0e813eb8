//! A cluster in one process, under faults drawn from a seed: nodes and masters crash between any two steps, freeze,
//! are cut off, preempted, have wrong clocks or dying trainers; the ledger goes away and loses answers, the store
//! goes away. The decisions are the real ones, and so is the ledger. What holds here holds whatever the shells do.
//!
//! `LEHR_SCHEDULES=100000` runs more schedules than usual, from `LEHR_FIRST_SCHEDULE` on; `LEHR_SCHEDULE=17` repeats one, and says what happens.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod access;
#[path = "../made_up/mod.rs"]
mod made_up;
mod node;
mod shared;

use std::{collections::BTreeSet, thread};

use access::Access;
use made_up::{candidate, config};
use node::{SLOTS, SimNode, Store};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::Mistake;
use study::{
    cluster::lead::Lead,
    config::StudyConfig,
    ledger::{CRASHES_MAX, ClaimKey, Ending, Keeping, Operations, Proposed, Reading, StudyRecord},
    master::EndReason,
    trial::{FailReason, Instant, Slot, TrialState, WorkerName},
};

/// How many schedules are run if nothing else is asked for.
const SCHEDULES: u64 = 2000;

/// How many schedules may pass until a mistake is found.
const SCHEDULES_TO_FIND: u64 = 1000;

/// Each takes its share of the schedules.
const THREADS: u64 = 2;

const NODES: usize = 3;
const TRIALS: u64 = 12;

/// A study that has not ended after so many turns will not.
const TURNS_MAX: u32 = 20_000;

/// After so many turns nothing breaks any more: then all must come to an end.
const TURNS_OF_FAULTS: u32 = 4000;

struct World {
    rng: ChaCha8Rng,
    access: Access,
    store: Store,
    nodes: Vec<SimNode>,
    masters: Vec<(Access, Option<Lead>)>,
    config: StudyConfig,
    units: u32,
    best: f64,
    turn: u32,
    ended: Option<EndReason>,
}

impl World {
    fn new(seed: u64, mistake: Option<Mistake>) -> World {
        let record = StudyRecord {
            config: "{}".to_string(),
            data: String::new(),
            trials_max: Some(TRIALS),
        };
        let access = Access::new(&record, seed, mistake);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut nodes: Vec<SimNode> = (0..NODES)
            .map(|number| SimNode::new(number, access.another()))
            .collect();
        nodes[0].is_sick = rng.random_bool(0.1);
        for node in &mut nodes {
            node.clock = rng.random_range(-1000.0..1000.0);
        }
        access.shared().loss = *[0.0, 0.02, 0.1].get(rng.random_range(0..3)).unwrap();
        let masters = (0..2).map(|_| (access.another(), None)).collect();
        World {
            rng,
            store: Store::default(),
            nodes,
            masters,
            config: config(TRIALS, 1, SLOTS),
            units: 0,
            best: f64::NEG_INFINITY,
            turn: 0,
            ended: None,
            access,
        }
    }

    /// Runs until the study has ended, or something is wrong.
    fn run(&mut self) -> Result<(), String> {
        while self.ended.is_none() {
            self.turn += 1;
            let pause = self.rng.random_range(0.0..2.0);
            let now = self.access.shared().now.plus(pause);
            self.access.shared().now = now;
            self.access.shared().arrive();
            match self.rng.random_range(0..100) {
                0..8 => self.look(),
                8..12 if self.turn < TURNS_OF_FAULTS => self.break_something(),
                8..12 => self.mend_everything(),
                _ => self.act(),
            }
            self.check()?;
        }
        self.check_end()
    }

    fn act(&mut self) {
        let number = self.rng.random_range(0..NODES);
        let node = &mut self.nodes[number];
        if node.is_frozen || node.is_quarantined {
            return;
        }
        match node.is_up() {
            true => node.act(&mut self.store, &mut self.rng, &mut self.units),
            // Its launcher starts it again, unless it knows that the study ends.
            false => {
                let now = self.access.shared().now;
                let standing = self.access.standing(now);
                if standing.is_ok_and(|standing| standing.ending.is_none()) {
                    let _ = node.start(&self.config, &mut self.store);
                }
            }
        }
    }

    fn look(&mut self) {
        let number = self.rng.random_range(0..self.masters.len());
        let (access, lead) = &mut self.masters[number];
        let turn = self.turn;
        let lead =
            lead.get_or_insert_with(|| Lead::new(format!("{number}-{turn}"), self.config.clone()));
        let now = access.shared().now;
        match lead.look(access, now) {
            Ok(seen) => self.ended = seen.end,
            Err(error) => assert!(error.may_pass(), "{error}"),
        }
    }

    fn break_something(&mut self) {
        let number = self.rng.random_range(0..NODES);
        let is_on = self.rng.random_bool(0.3);
        let node = &mut self.nodes[number];
        match self.rng.random_range(0..10) {
            0 => node.crash(),
            1 => node.is_frozen = is_on,
            2 => node.access.cut(is_on),
            3 if !node.is_frozen => node.preempt(),
            4 if !node.is_frozen => node.kill_trainer(),
            5 => self.access.shared().is_away = is_on,
            6 => self.store.is_away = is_on,
            7 => node.disk.is_full = is_on,
            8 => self.access.shared().is_full = is_on,
            _ => {
                // A master dies, or is cut off.
                let number = self.rng.random_range(0..self.masters.len());
                let (access, lead) = &mut self.masters[number];
                access.cut(is_on);
                *lead = None;
            }
        }
    }

    fn mend_everything(&mut self) {
        for node in &mut self.nodes {
            node.is_frozen = false;
            node.access.cut(false);
            // A machine that is sent away is replaced by another one.
            node.is_quarantined = false;
            node.is_sick = false;
            node.disk.is_full = false;
        }
        for (access, _) in &self.masters {
            access.cut(false);
        }
        let mut ledger = self.access.shared();
        ledger.is_away = false;
        ledger.is_full = false;
        ledger.loss = 0.0;
        self.store.is_away = false;
    }

    /// What must hold at every moment.
    fn check(&mut self) -> Result<(), String> {
        if let Some(violation) = self.access.shared().violation.clone() {
            return Err(violation);
        }
        if self.turn > TURNS_MAX {
            return Err(format!("the study does not end: {}", self.described()));
        }
        // Asked seldom, because it is asked of the whole ledger.
        if self.turn.is_multiple_of(64) {
            self.check_best()?;
        }
        Ok(())
    }

    /// Where all are, for whoever has to find out why.
    fn described(&self) -> String {
        let ledger = self.observed();
        let now = ledger.shared().now;
        let counts = ledger.counts().unwrap();
        let standing = ledger.standing(now).unwrap();
        let nodes: Vec<String> = self.nodes.iter().map(SimNode::described).collect();
        format!("{counts:?}, {standing:?}, {nodes:?}")
    }

    /// The ledger as an observer sees it, whom no network cuts off.
    fn observed(&self) -> Access {
        let observer = self.access.another();
        observer.shared().is_away = false;
        observer.shared().loss = 0.0;
        observer
    }

    fn check_best(&mut self) -> Result<(), String> {
        let is_away = self.access.shared().is_away;
        let loss = self.access.shared().loss;
        let best = self.observed().best().unwrap();
        self.access.shared().is_away = is_away;
        self.access.shared().loss = loss;
        let score = best.and_then(|best| best.result().map(|result| result.score));
        match score {
            Some(score) if score < self.best => Err(format!("the best fell to {score}")),
            Some(score) => {
                self.best = score;
                Ok(())
            }
            None if self.best.is_finite() => Err("the best is gone".to_string()),
            None => Ok(()),
        }
    }

    /// What must hold when all is over.
    fn check_end(&mut self) -> Result<(), String> {
        self.check_best()?;
        let trials = self.observed().trials().unwrap();
        if trials.len() as u64 > TRIALS {
            return Err(format!("{} trials were made of {TRIALS}", trials.len()));
        }
        let is_whole = self.ended == Some(EndReason::Trials);
        let places: BTreeSet<u64> = trials
            .iter()
            .filter_map(|t| Some(t.sequence()?.0))
            .collect();
        if places != (1..=places.len() as u64).collect() {
            return Err(format!("the history has gaps: {places:?}"));
        }
        let mut best = f64::NEG_INFINITY;
        for trial in &trials {
            let id = trial.id;
            match &trial.state {
                TrialState::Finished { result, .. } => {
                    best = best.max(result.score);
                    if !self.store.objects.contains(&result.artifact) {
                        return Err(format!("trial {id} has no weights"));
                    }
                }
                TrialState::Queued | TrialState::Running { .. } if is_whole => {
                    return Err(format!("trial {id} has not ended"));
                }
                _ => {}
            }
            let is_ended = trial.sequence().is_some();
            if !is_ended && self.nodes.iter().any(|node| node.noted.contains(&id)) {
                return Err(format!("trial {id} was noted and is lost"));
            }
            if trial.crashes > CRASHES_MAX {
                return Err(format!(
                    "trial {id} was tried after {} crashes",
                    trial.crashes
                ));
            }
        }
        if is_whole && trials.len() as u64 != TRIALS {
            return Err(format!(
                "only {} trials were made of {TRIALS}: {}",
                trials.len(),
                self.described()
            ));
        }
        match best == self.best || best.is_infinite() {
            true => Ok(()),
            false => Err(format!("the best is {} and not {best}", self.best)),
        }
    }
}

/// What is wrong with the schedule of this seed, if anything is.
fn violation(seed: u64, mistake: Option<Mistake>) -> Option<String> {
    let mut world = World::new(seed, mistake);
    let broken = world.run().err()?;
    Some(format!("schedule {seed}, turn {}: {broken}", world.turn))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost_and_nothing_counted_twice_whatever_breaks() {
    if let Some(seed) = number("LEHR_SCHEDULE") {
        assert_eq!(violation(seed, None), None);
        return;
    }
    let first = number("LEHR_FIRST_SCHEDULE").unwrap_or(0);
    let count = number("LEHR_SCHEDULES").unwrap_or(SCHEDULES);
    thread::scope(|scope| {
        for offset in 0..THREADS {
            let seeds = (first + offset..first + count).step_by(THREADS as usize);
            scope.spawn(move || {
                for seed in seeds {
                    let found = violation(seed, None);
                    assert_eq!(found, None, "LEHR_SCHEDULE={seed} repeats it");
                }
            });
        }
    });
}

/// What was kept back for the best is not lost where there is no best.
#[test]
fn a_study_without_a_score_explores_with_its_whole_budget() {
    let record = StudyRecord {
        config: "{}".to_string(),
        data: String::new(),
        trials_max: Some(TRIALS),
    };
    let mut access = Access::new(&record, 1, None);
    let mut lead = Lead::new("master".to_string(), config(TRIALS, 1, SLOTS));
    let worker = WorkerName("node-0".to_string());
    let now = Instant(1.0);
    assert_eq!(lead.look(&mut access, now).unwrap().end, None);
    let incarnation = access
        .join(&worker, "host", SLOTS, now)
        .unwrap()
        .incarnation;
    for units in 1..=TRIALS {
        let proposed = access
            .propose(&candidate(units as u32, &worker), now)
            .unwrap();
        assert!(
            matches!(proposed, Proposed::Accepted(_)),
            "the {units}th: {proposed:?}"
        );
        let (slot, number) = (Slot(0), units);
        let key = ClaimKey {
            slot,
            incarnation,
            number,
        };
        let claim = access.claim(&worker, key, now).unwrap().unwrap();
        let reason = FailReason::OutOfTime;
        access
            .finish(claim.lease, &Ending::Failed(reason), now)
            .unwrap();
        lead.look(&mut access, now).unwrap();
    }
    access.leave(&worker, now).unwrap();
    assert_eq!(
        lead.look(&mut access, now).unwrap().end,
        Some(EndReason::Trials)
    );
}

#[test]
fn every_mistake_is_found_within_a_thousand_schedules() {
    for mistake in [
        Mistake::UnfencedFinish,
        Mistake::ForgottenBudget,
        Mistake::RowBeforeWeights,
        Mistake::EndlessTerm,
        Mistake::RowBeforeCheckpoint,
        Mistake::KeylessClaim,
    ] {
        let found = (0..SCHEDULES_TO_FIND).find(|seed| violation(*seed, Some(mistake)).is_some());
        assert!(found.is_some(), "{mistake:?} is not found");
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    let turns = |seed| {
        let mut world = World::new(seed, None);
        (world.run(), world.turn)
    };
    for seed in 0..20 {
        assert_eq!(turns(seed), turns(seed));
    }
}
