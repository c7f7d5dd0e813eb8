//! A cluster in simulated time: nodes with the real decisions, one master, and the real ledger, in memory, behind a
//! queue of questions that its server has not the cores for yet. No clock, no threads: the same plan gives the
//! same course.

use std::collections::{BTreeMap, VecDeque};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::Rungs;
use study::{
    cluster::lead::Lead,
    config::{Retrain, StudyConfig},
    ledger::StudyRecord,
    trial::Instant,
};

use crate::{
    agenda::{Agenda, What},
    costs,
    made_up::config,
    metered::{Bill, Metered},
    node::{Outside, SimNode},
    tally::{Cause, Tally},
};

/// Seconds of 500 trainings of 52 epochs, as recorded: LCBench, OpenML task 168868 (bench/cluster/README.md).
const RECORDED: &str = include_str!("../../../../bench/cluster/durations.csv");

/// The durations as recorded, or all by the same factor longer or shorter so that this is their mean.
pub(crate) fn durations(mean: Option<f64>) -> Vec<f64> {
    let lines = RECORDED.lines().skip(1);
    let recorded: Vec<f64> = lines.map(|line| line.parse().unwrap()).collect();
    let own = recorded.iter().sum::<f64>() / recorded.len() as f64;
    let factor = mean.map_or(1.0, |mean| mean / own);
    recorded.iter().map(|seconds| seconds * factor).collect()
}

/// So many seconds after the last claim its training has begun.
const SETTLED: f64 = 60.0;

/// How far a study is simulated.
#[allow(dead_code)] // The example does not wait for the end, a test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until all trials of the budget have been claimed and begun: what is still trained then ends as it must.
    Spent,
    /// Until the master says that it has ended.
    Ended,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: usize,
    /// Trainers of each.
    pub(crate) slots: u16,
    /// Trials for each trainer.
    pub(crate) trials: u64,
    /// Mean seconds of a training, if not as recorded.
    pub(crate) mean: Option<f64>,
    pub(crate) until: Until,
    /// Cores of the ledger's server.
    pub(crate) cores: usize,
    /// Share of trainings whose trainer dies.
    pub(crate) deaths: f64,
    pub(crate) seed: u64,
}

impl Plan {
    fn study(&self) -> StudyConfig {
        let mut study = config(self.budget(), self.nodes as u16, self.slots);
        // Trainings are looked at twice, but none is stopped (`node.rs`), and none is repeated for the finale.
        study.training.rungs = Rungs::default();
        study.training.retrain = Retrain::Nothing;
        study
    }

    fn budget(&self) -> u64 {
        (self.nodes * usize::from(self.slots)) as u64 * self.trials
    }
}

pub(crate) struct Cluster {
    plan: Plan,
    ledger: Metered,
    nodes: Vec<SimNode>,
    lead: Lead,
    outside: Outside,
    /// Who waits for the ledger, and since when.
    waiting: VecDeque<(usize, f64)>,
    free_cores: usize,
    /// How long questions waited, once all nodes had joined.
    waits: Vec<f64>,
    joined: usize,
    questions: usize,
    worked: f64,
    /// Busy and open seconds of all trainers, core seconds and questions of the ledger when the budget was spent.
    at_spent: Option<(f64, f64, f64, usize)>,
    last_result: f64,
    has_ended: bool,
}

impl Cluster {
    pub(crate) fn new(plan: Plan) -> Cluster {
        let study = plan.study();
        let ledger = Metered::new(&StudyRecord {
            config: "{}".to_string(),
            data: String::new(),
            trials_max: Some(plan.budget()),
        });
        let mut agenda = Agenda::default();
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        // The master is the party behind all nodes.
        agenda.note(0.0, plan.nodes, What::Arrive);
        for number in 0..plan.nodes {
            let at = rng.random_range(0.0..costs::LAUNCH_SPREAD);
            agenda.note(at, number, What::Start);
        }
        Cluster {
            nodes: (0..plan.nodes)
                .map(|number| SimNode::new(number, &study, &ledger))
                .collect(),
            lead: Lead::new("master".to_string(), study),
            ledger,
            outside: Outside {
                now: 0.0,
                agenda,
                store_until: 0.0,
                spent_at: None,
                durations: durations(plan.mean),
                deaths: plan.deaths,
                seed: plan.seed,
                candidates: 0,
            },
            waiting: VecDeque::new(),
            free_cores: plan.cores,
            waits: Vec::new(),
            joined: 0,
            questions: 0,
            worked: 0.0,
            at_spent: None,
            last_result: 0.0,
            has_ended: false,
            plan,
        }
    }

    /// Runs until the study has ended.
    pub(crate) fn run(mut self) -> Tally {
        while !self.has_ended {
            let (at, party, what) = self.outside.agenda.next().unwrap();
            self.outside.now = at;
            let is_begun = self
                .outside
                .spent_at
                .is_some_and(|spent| at > spent + SETTLED);
            if is_begun && self.plan.until == Until::Spent {
                break;
            }
            match what {
                What::Start => {
                    let there = at + costs::ROUND_TRIP / 2.0;
                    self.outside.agenda.note(there, party, What::Arrive);
                }
                What::Arrive => {
                    self.waiting.push_back((party, at));
                    self.serve();
                }
                What::Served => {
                    self.free_cores += 1;
                    self.serve();
                }
                what => self.nodes[party].meet(what, &mut self.outside),
            }
        }
        self.tally()
    }

    /// Gives free cores to who waits longest.
    fn serve(&mut self) {
        let now = self.outside.now;
        while self.free_cores > 0
            && let Some((party, since)) = self.waiting.pop_front()
        {
            self.free_cores -= 1;
            if self.joined == self.nodes.len() {
                self.waits.push(now - since);
            }
            self.questions += 1;
            let ended = {
                let mut shared = self.ledger.shared();
                shared.now = Instant(now);
                shared.bill = Bill::default();
                shared.ended
            };
            let back = match self.nodes.get_mut(party) {
                Some(node) => node.served(now),
                None => self.look(now),
            };
            let bill = self.ledger.shared().bill;
            self.joined += usize::from(matches!(back, What::Joined));
            self.worked += bill.seconds;
            let served = now + bill.seconds;
            self.outside.agenda.note(served, party, What::Served);
            let ways = f64::from(bill.statements.max(1)) - 0.5;
            let mut there = served + ways * costs::ROUND_TRIP;
            if party == self.nodes.len() {
                there += costs::LOOK;
            }
            self.outside.agenda.note(there, party, back);
            if self.ledger.shared().ended > ended {
                self.last_result = now;
            }
            self.note_spent();
        }
    }

    fn look(&mut self, now: f64) -> What {
        let seen = self.lead.look(&mut self.ledger, Instant(now)).unwrap();
        self.has_ended = seen.end.is_some();
        What::Arrive
    }

    fn note_spent(&mut self) {
        let now = self.outside.now;
        if self.outside.spent_at.is_some() || !self.ledger.shared().is_spent(self.plan.budget()) {
            return;
        }
        self.outside.spent_at = Some(now);
        let busy = self.nodes.iter().map(|node| node.busy(now)).sum();
        let open = self.nodes.iter().map(|node| node.open(now)).sum();
        self.at_spent = Some((busy, open, self.worked, self.questions));
    }

    fn tally(mut self) -> Tally {
        let (busy, open, worked, questions) = self.at_spent.unwrap();
        let spent_at = self.outside.spent_at.unwrap();
        let foreseen: Vec<(f64, f64)> = self.nodes.iter().map(SimNode::foreseen).collect();
        let elapsed = foreseen
            .iter()
            .fold(self.last_result, |last, (end, _)| last.max(*end));
        let all_busy: f64 = foreseen.iter().map(|(_, busy)| busy).sum();
        let trainers = self.plan.nodes * usize::from(self.plan.slots);
        let total = elapsed * trainers as f64;
        let mut idle: BTreeMap<Cause, f64> = Cause::ALL
            .into_iter()
            .map(|cause| {
                let seconds: f64 = self.nodes.iter().map(|node| node.idle.of(cause)).sum();
                let of = match cause {
                    Cause::Start | Cause::Tail => total,
                    _ => open,
                };
                (cause, seconds / of)
            })
            .collect();
        if self.plan.until == Until::Spent {
            // Trainers that will be idle when all is claimed.
            let late = (elapsed - spent_at) * trainers as f64 - (all_busy - busy);
            idle.insert(Cause::Tail, late / total);
        }
        self.waits.sort_by(f64::total_cmp);
        let wait = |share: f64| self.waits[((self.waits.len() - 1) as f64 * share) as usize];
        let durations = &self.outside.durations;
        let shared = self.ledger.shared();
        Tally {
            trainers,
            nodes: self.plan.nodes,
            trials: self.plan.budget(),
            mean: durations.iter().sum::<f64>() / durations.len() as f64,
            elapsed,
            spent_at,
            steady: busy / open,
            whole: all_busy / total,
            idle,
            ledger_busy: worked / (spent_at * self.plan.cores as f64),
            questions: questions as f64 / spent_at,
            waits: [wait(0.5), wait(0.99), wait(1.0)],
            duplicates: shared.duplicates,
            retaken: shared.retaken,
            finished: shared.ended,
        }
    }
}
