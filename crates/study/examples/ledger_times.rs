//! How long a ledger in PostgreSQL takes for each question of one node, by the length of what it answers.
//!
//! ```sh
//! lehr ledger up --dir /tmp/ledger
//! cargo run --release -p study --example ledger_times -- ADDRESS
//! ```
//!
//! One connection, nobody else: what `ledger_load` measures under traffic is split here into
//! what a question costs by itself and what each row of its answer adds. Every trial has a curve of 52 epochs.
//! Prints one CSV row for each question: median and longest of a hundred.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{Write, stdout},
    time::Instant as Moment,
};

use search::{Origin, Setting, TrialId};
use study::{
    ledger::{ClaimKey, Ending, Keeping, LEASE_SECS, Operations, Postgres, Reading, StudyRecord},
    trial::{Candidate, Digest, Instant, Lease, Sequence, Slot, TrialResult, WorkerName},
};
use train::{EpochReport, Evaluation};

/// How often each question is asked.
const ASKED: usize = 100;

/// Trials that have ended before the reading is timed.
const ENDED: u64 = 600;

/// Nodes that have joined before the list of them is timed.
const NODES: u32 = 1000;

const ZERO: Instant = Instant(0.0);

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("give ADDRESS")?;
    let study = format!("times_{}", std::process::id());
    let record = StudyRecord {
        config: "{}".to_string(),
        data: "none".to_string(),
        trials_max: None,
    };
    let (mut ledger, _) =
        Postgres::create(&address.parse()?, &study.parse()?, &record, LEASE_SECS)?;
    let node = WorkerName("node-0".to_string());
    for number in 0..NODES {
        ledger.join(&WorkerName(format!("node-{number}")), "host", 1, ZERO)?;
    }
    writeln!(stdout(), "question,rows,median_ms,longest_ms")?;
    write_trials(&mut ledger, &node)?;
    for rows in [0, 1, 16, 64, 256] {
        let after = Sequence(ENDED - rows);
        let latest = TrialId(u64::MAX >> 1);
        timed("news", rows, || {
            ledger.unheard(&node, after, latest, ZERO).map(drop)
        })?;
        timed("ended", rows, || ledger.ended(after).map(drop))?;
        timed("tracks", rows, || ledger.tracks(after).map(drop))?;
    }
    timed("nodes", u64::from(NODES), || ledger.nodes().map(drop))?;
    timed("counts", ENDED, || ledger.counts().map(drop))?;
    timed("standing", 1, || ledger.standing(ZERO).map(drop))?;
    Ok(())
}

/// Makes the history that is read afterwards; how it is written is timed on the way.
fn write_trials(ledger: &mut Postgres, node: &WorkerName) -> Result<(), Box<dyn Error>> {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for number in 1..=ENDED {
        let candidate = candidate(number, node);
        let begun = Moment::now();
        ledger.propose(&candidate, ZERO)?;
        let key = ClaimKey {
            slot: Slot(0),
            incarnation: 1,
            number,
        };
        let proposed = Moment::now();
        let claim = ledger.claim(node, key, ZERO)?;
        let claimed = Moment::now();
        let lease: Lease = claim.ok_or("the trial just proposed waits")?.lease;
        ledger.beat(node, &[lease], &[], ZERO)?;
        let beaten = Moment::now();
        let ending = Ending::Finished(Box::new(result(number)));
        let encoded = Moment::now();
        ledger.finish(lease, &ending, ZERO)?;
        let parts = [
            ("proposal", proposed - begun),
            ("claim", claimed - proposed),
            ("beat", beaten - claimed),
            ("result", encoded.elapsed()),
        ];
        for (question, took) in parts {
            times.entry(question).or_default().push(took.as_secs_f64());
        }
    }
    for (question, times) in &mut times {
        report(question, 1, times)?;
    }
    Ok(())
}

fn timed<E: Error + 'static>(
    question: &str,
    rows: u64,
    mut ask: impl FnMut() -> Result<(), E>,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::with_capacity(ASKED);
    for _ in 0..ASKED {
        let begun = Moment::now();
        ask()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    report(question, rows, &mut times)
}

fn report(question: &str, rows: u64, times: &mut [f64]) -> Result<(), Box<dyn Error>> {
    times.sort_by(f64::total_cmp);
    let (median, longest) = (times[times.len() / 2] * 1e3, times[times.len() - 1] * 1e3);
    writeln!(stdout(), "{question},{rows},{median:.2},{longest:.2}")?;
    Ok(())
}

/// A network of eight layers, as a search comes to after a while.
fn candidate(number: u64, node: &WorkerName) -> Candidate {
    let text = format!(
        "in 3x32x32 | conv {number} k3 | bn | relu | conv 32 k3 | bn | relu | gap | dense 10"
    );
    Candidate {
        architecture: text.parse().expect("a network"),
        setting: Setting::default(),
        origin: Origin::Seed {
            name: "timed".to_string(),
        },
        promise: None,
        latency_seconds: None,
        proposed_by: node.clone(),
    }
}

fn result(number: u64) -> TrialResult {
    let epoch = |epoch: u32| EpochReport {
        epoch,
        train_loss: 1.0 / f64::from(epoch),
        validation: Evaluation {
            rows: 10_000,
            loss: 1.0 / f64::from(epoch + 1),
            metrics: BTreeMap::from([(train::Metric::Accuracy, 0.123_456_789)]),
        },
        score: 0.123_456_789,
        seconds: f64::from(epoch),
    };
    TrialResult {
        score: number as f64,
        loss: 1.0,
        metrics: BTreeMap::new(),
        epoch: 1,
        curve: (1..=52).map(epoch).collect(),
        ended: train::Ended::AllEpochs,
        artifact: Digest::of(&number.to_le_bytes()),
        artifact_bytes: 100_000,
        inheritance: None,
        seconds: 60.0,
        memory_bytes: 1 << 20,
        recipe: train::Recipe::default(),
    }
}
