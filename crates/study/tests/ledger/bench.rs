//! A ledger of either kind with a clock that can be put forward, and what is written into it.

use std::collections::BTreeMap;

use search::{Origin, Setting, TrialId};
use study::{
    ledger::{
        Claim, ClaimKey, Ending, FinishOutcome, LEASE_SECS, Ledger, Postgres, Proposed, Release,
        ReleaseOutcome, Sqlite, StudyRecord, Term,
    },
    trial::{
        Candidate, Digest, EarlyStop, Instant, Lease, Sequence, Slot, TrialResult, WorkerName,
    },
};

use crate::servers::PostgresServer;

/// A ledger and its clock, which a test can put forward.
pub(super) struct Bench<'a> {
    pub(super) ledger: Box<dyn Ledger>,
    now: f64,
    slots_claimed: u16,
    server: Option<(&'a PostgresServer, String)>,
}

impl Bench<'_> {
    pub(super) fn in_sqlite() -> Bench<'static> {
        let ledger = Sqlite::in_memory(&record(None), Instant(0.0)).unwrap();
        Bench::on(Box::new(ledger))
    }

    pub(super) fn on(ledger: Box<dyn Ledger>) -> Bench<'static> {
        Bench {
            ledger,
            now: 1.0,
            slots_claimed: 0,
            server: None,
        }
    }

    pub(super) fn in_postgres<'a>(server: &'a PostgresServer, name: &str) -> Bench<'a> {
        let (address, study) = (server.address(), name.parse().unwrap());
        let record = record(None);
        Postgres::create(&address, &study, &record, LEASE_SECS).unwrap();
        // The server has only just started, and a test has no time to wait.
        server.query(&format!("update lehr_{name}.study set grace_secs = 0"));
        Bench {
            server: Some((server, name.to_string())),
            ..Bench::on(Box::new(Postgres::open(&address, &study).unwrap()))
        }
    }

    /// Time passes. A database has its own clock: there, everything that was is put back.
    pub(super) fn pass(&mut self, seconds: f64) {
        self.now += seconds;
        if let Some((server, name)) = &self.server {
            server.query(&format!(
                "update lehr_{name}.trial set lease_until = lease_until - {seconds};
                 update lehr_{name}.study set counted_at = counted_at - {seconds},
                 leader_until = leader_until - {seconds};
                 update lehr_{name}.node set seen_at = seen_at - {seconds}"
            ));
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant(self.now)
    }

    pub(super) fn try_propose(&mut self, candidate: &Candidate) -> Proposed {
        let now = self.now();
        self.ledger.propose(candidate, now).unwrap()
    }

    pub(super) fn propose(&mut self, units: u32) -> TrialId {
        match self.try_propose(&candidate(units)) {
            Proposed::Accepted(trial) => trial,
            other => panic!("{other:?}"),
        }
    }

    /// A slot of this node that was not used before claims.
    pub(super) fn claim(&mut self, number: u32) -> Option<Lease> {
        self.claim_whole(number).map(|claim| claim.lease)
    }

    /// The same, with all that is told.
    pub(super) fn claim_whole(&mut self, number: u32) -> Option<Claim> {
        self.slots_claimed += 1;
        let key = ClaimKey {
            slot: Slot(self.slots_claimed),
            incarnation: 1,
            number: 1,
        };
        self.claim_as(number, key)
    }

    pub(super) fn claim_as(&mut self, number: u32, key: ClaimKey) -> Option<Claim> {
        let now = self.now();
        self.ledger.claim(&node(number), key, now).unwrap()
    }

    /// Somebody is master, for longer than any test lasts.
    pub(super) fn lead(&mut self) -> Term {
        let now = self.now();
        self.ledger.lead("master", 1e6, now).unwrap().unwrap()
    }

    pub(super) fn keep_back(&mut self, trials: u64) {
        let (term, now) = (self.lead(), self.now());
        self.ledger.keep_back(term, trials, now).unwrap();
    }

    pub(super) fn end(&mut self, lease: Lease, ending: &Ending) -> FinishOutcome {
        let now = self.now();
        self.ledger.finish(lease, ending, now).unwrap()
    }

    pub(super) fn finish(&mut self, lease: Lease, score: f64) -> FinishOutcome {
        self.end(lease, &Ending::Finished(result(score, 0.5)))
    }

    pub(super) fn beat(&mut self, number: u32, leases: &[Lease]) -> Vec<Lease> {
        let now = self.now();
        self.ledger.beat(&node(number), leases, &[], now).unwrap()
    }

    pub(super) fn release(&mut self, lease: Lease, release: &Release) -> ReleaseOutcome {
        let now = self.now();
        self.ledger.release(lease, release, now).unwrap()
    }

    pub(super) fn join(&mut self, number: u32) -> u32 {
        let now = self.now();
        let joined = self.ledger.join(&node(number), "host", 2, now);
        joined.unwrap().number
    }
}

pub(super) fn recorded(place: u64, is_best: bool) -> FinishOutcome {
    let sequence = Sequence(place);
    FinishOutcome::Recorded { sequence, is_best }
}

pub(super) fn record(trials_max: Option<u64>) -> StudyRecord {
    StudyRecord {
        config: "{}".to_string(),
        data: "digits".to_string(),
        trials_max,
    }
}

pub(super) fn candidate(units: u32) -> Candidate {
    Candidate {
        architecture: format!("in 4 | dense {units} | relu | dense 2")
            .parse()
            .unwrap(),
        setting: Setting::default(),
        origin: Origin::Seed {
            name: format!("mlp {units}"),
        },
        promise: None,
        latency_seconds: None,
        proposed_by: WorkerName("node-1".to_string()),
    }
}

pub(super) fn result(score: f64, loss: f64) -> Box<TrialResult> {
    let recipe = train::Recipe::default();
    Box::new(TrialResult {
        score,
        loss,
        metrics: BTreeMap::new(),
        epoch: 1,
        curve: Vec::new(),
        ended: train::Ended::AllEpochs,
        artifact: Digest::of(b"weights"),
        artifact_bytes: 7,
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe,
    })
}

pub(super) fn early_stop() -> EarlyStop {
    EarlyStop {
        curve: Vec::new(),
        inheritance: None,
        seconds: 1.0,
        memory_bytes: 1,
        recipe: train::Recipe::default(),
    }
}

pub(super) fn node(number: u32) -> WorkerName {
    WorkerName(format!("node-{number}"))
}
