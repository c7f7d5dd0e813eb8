//! What a desk answers to one worker, question after question.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod made_up;

use data::Targets;
use made_up::{EPOCHS, Training, candidate, config, epoch, result};
use search::{Origin, Rung, Stage, TrialId, Verdict};
use study::{
    desk::Desk,
    ledger::{Sqlite, StudyRecord, WORKER_CRASHES_MAX},
    message::{Answer, Ask, Course, Reply},
    trial::{Candidate, Digest, Instant, Job, Lease, Slot, WorkerName},
};

/// One worker and its desk.
struct Scene {
    desk: Desk,
    worker: WorkerName,
    claims: u64,
}

impl Scene {
    fn new() -> Scene {
        let record = StudyRecord {
            config: String::new(),
            data: String::new(),
            trials_max: None,
        };
        let ledger = Box::new(Sqlite::in_memory(&record, Instant(0.0)).unwrap());
        let targets = Targets::Values(vec![0.0; 10]);
        let desk = Desk::new(ledger, config(100, 1, 1), targets, "host".to_string());
        let mut scene = Scene {
            desk: desk.unwrap().with_quarantine(),
            worker: WorkerName("node-1".to_string()),
            claims: 0,
        };
        scene.ask(&Ask::Hello { slots: 1 });
        scene
    }

    fn ask(&mut self, ask: &Ask) -> Reply {
        let now = Instant(1.0);
        let answered = self.desk.answer(&self.worker, ask, now, &mut Vec::new());
        answered.unwrap()
    }

    fn propose(&mut self, candidate: Candidate) {
        let candidate = Box::new(candidate);
        self.ask(&Ask::Propose { candidate });
    }

    fn claim(&mut self) -> Option<Job> {
        self.claims += 1;
        let (slot, number) = (Slot(0), self.claims);
        match self.ask(&Ask::Claim { slot, number }).answer {
            Answer::Work { job, .. } => Some(*job),
            Answer::NoWork { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    fn give_back(&mut self, lease: Lease, crash: Option<&str>) -> Reply {
        self.ask(&Ask::Release {
            lease,
            crash: crash.map(str::to_string),
            checkpoint: None,
        })
    }

    fn propose_child(&mut self, parent: TrialId, units: u32) {
        let origin = Origin::Variant {
            parent,
            morphs: Vec::new(),
            temperature: 1.0,
            base_models: vec![parent],
            targets: vec![parent],
        };
        self.propose(Candidate {
            origin,
            ..candidate(units, &self.worker)
        });
    }

    /// What becomes of a child of the first trial that has this score at its only rung.
    fn child(&mut self, units: u32, score: f64) -> Verdict {
        self.propose_child(TrialId(1), units);
        let lease = self.claim().unwrap().lease;
        let stage = Stage {
            rung: Rung(1),
            is_first: true,
        };
        let look = Ask::Look {
            lease,
            stage,
            score,
        };
        match self.ask(&look).answer {
            Answer::Verdict { verdict, .. } => verdict,
            other => panic!("{other:?}"),
        }
    }

    fn finish(&mut self, job: Job) {
        let lease = job.lease;
        let result = result(Training {
            job,
            curve: vec![epoch(1, 0.5)],
            told: None,
        });
        self.ask(&Ask::Finish { lease, result });
    }
}

#[test]
fn a_worker_whose_trainers_die_gets_no_more_work_and_what_is_well_is_not_ended_for_it() {
    let mut scene = Scene::new();
    for units in 0..WORKER_CRASHES_MAX + 2 {
        let candidate = candidate(8 + units, &scene.worker);
        scene.propose(candidate);
    }
    let mut jobs: Vec<Job> = (0..WORKER_CRASHES_MAX + 2)
        .map(|_| scene.claim().unwrap())
        .collect();
    let (finished, paused) = (jobs.pop().unwrap(), jobs.pop().unwrap());
    for job in jobs {
        assert!(!scene.desk.is_quarantined(&scene.worker));
        let reply = scene.give_back(job.lease, Some("signal 9"));
        assert_eq!(reply.news.course, Course::Explore);
    }
    assert!(scene.desk.is_quarantined(&scene.worker));
    assert_eq!(scene.claim(), None);
    // Others see it, too, as long as nothing of it ends well.
    scene.give_back(paused.lease, None);
    assert!(scene.desk.ledger().nodes().unwrap()[0].is_quarantined());
    scene.finish(finished);
    assert!(scene.desk.is_quarantined(&scene.worker));
}

#[test]
fn a_child_of_weights_that_are_gone_is_trained_as_a_model_without_a_parent() {
    let mut scene = Scene::new();
    let parent = candidate(8, &scene.worker);
    scene.propose(parent);
    let job = scene.claim().unwrap();
    let parent = job.lease.trial;
    scene.finish(job);
    scene.propose_child(parent, 16);
    let job = scene.claim().unwrap();
    let weights = Digest::of(b"weights");
    let inherited = job.inheritance.map(|from| from.artifact);
    assert_eq!(inherited.as_ref(), Some(&weights));
    assert_eq!(job.recipe.epochs.get(), EPOCHS / 2);
    let lease = job.lease;
    scene.ask(&Ask::Weightless { lease, weights });
    let again = scene.claim().unwrap();
    assert_eq!(again.lease.trial, lease.trial);
    assert_eq!(again.inheritance, None);
    assert_eq!(again.recipe.epochs.get(), EPOCHS);
}

#[test]
fn a_child_at_its_first_rung_is_held_to_its_parents_first_fold_and_not_to_all_folds() {
    let cases = [(0.9, 0.6, Verdict::Continue), (0.3, 0.4, Verdict::Stop)];
    for (of_all_folds, of_the_child, expected) in cases {
        let mut scene = Scene::new();
        let first = candidate(8, &scene.worker);
        scene.propose(first);
        let job = scene.claim().unwrap();
        let lease = job.lease;
        let mut ended = result(Training {
            job,
            curve: vec![epoch(1, 0.5)],
            told: None,
        });
        ended.score = of_all_folds;
        scene.ask(&Ask::Finish {
            lease,
            result: ended,
        });
        // The others are ahead of it, so that only its parent can speak for it.
        let others = [(16, 0.95), (24, 0.95)].map(|(units, score)| scene.child(units, score));
        assert!(others.contains(&Verdict::Continue));
        assert_eq!(scene.child(32, of_the_child), expected);
    }
}
