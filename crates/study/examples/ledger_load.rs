//! How long a ledger in PostgreSQL takes for each operation, under the traffic of many nodes.
//!
//! ```sh
//! lehr ledger up --dir /tmp/ledger
//! cargo run --release -p study --example ledger_load -- ADDRESS NODES SECONDS QUEUED [TRIAL_SECONDS]
//! ```
//!
//! Each node has a connection of its own, one trainer, trainings of `TRIAL_SECONDS` on the mean (60 if absent;
//! exponential), and beats as a node does; it proposes as many trials as it finishes. With `TRIAL_SECONDS` 0 it
//! claims and finishes without a pause: the most that the ledger does. Prints one CSV row for each operation.

use std::{
    collections::BTreeMap,
    error::Error,
    io::{Write, stderr, stdout},
    process::Command,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::{Duration, Instant as Moment},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{Origin, Setting, TrialId};
use study::{
    ledger::{
        Admission, ClaimKey, Ending, Keeping, LEASE_SECS, LedgerError, Operations, Postgres,
        Reading, StudyRecord,
    },
    trial::{Candidate, Digest, Instant, Lease, Sequence, Slot, TrialResult, WorkerName},
};

/// Pause between two beats, and by which share it varies.
const BEAT_SECS: (f64, f64) = (15.0, 0.2);

type Times = BTreeMap<&'static str, Vec<f64>>;

struct Load {
    nodes: usize,
    seconds: f64,
    trial_seconds: f64,
}

struct Client {
    ledger: Postgres,
    name: WorkerName,
    rng: ChaCha8Rng,
    times: Times,
    told: (Sequence, TrialId),
    lease: Option<Lease>,
    number: usize,
    proposed: u32,
    claims: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, nodes, seconds, queued, more @ ..] = arguments.as_slice() else {
        return Err("give ADDRESS NODES SECONDS QUEUED [TRIAL_SECONDS]".into());
    };
    let load = Load {
        nodes: nodes.parse()?,
        seconds: seconds.parse()?,
        trial_seconds: more.first().map_or(Ok(60.0), |text| text.parse())?,
    };
    let admission = study(address, queued.parse()?)?;
    let opened = Moment::now();
    let all = Arc::new(Mutex::new(Times::new()));
    let ready = Arc::new(Barrier::new(load.nodes + 1));
    let cpu_before = thread::scope(|scope| {
        for number in 0..load.nodes {
            let (admission, all, ready, load) = (&admission, &all, &ready, &load);
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, move || client(admission, number, load, ready, all))
                .map(drop)
                .unwrap_or_else(|error| tell(&format!("node {number}: {error}")));
        }
        ready.wait();
        let seconds = opened.elapsed().as_secs_f64();
        tell(&format!("{} connections after {seconds:.1} s", load.nodes));
        cpu_seconds()
    });
    let share = (cpu_seconds() - cpu_before) / load.seconds;
    writeln!(stdout(), "operation,count,per_second,p50_ms,p99_ms,max_ms")?;
    let mut all = all.lock().map_err(|_| "a node has panicked")?;
    for (operation, times) in all.iter_mut() {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1e3;
        let (count, rate) = (times.len(), times.len() as f64 / load.seconds);
        writeln!(
            stdout(),
            "{operation},{count},{rate:.1},{:.2},{:.2},{:.2}",
            at(0.5),
            at(0.99),
            at(1.0)
        )?;
    }
    tell(&format!("the server used {share:.2} cores"));
    Ok(())
}

fn tell(text: &str) {
    // If nobody can hear it, that is no reason to stop.
    let _ = writeln!(stderr(), "{text}");
}

/// A study with so many waiting trials.
fn study(address: &str, queued: u64) -> Result<Admission, Box<dyn Error>> {
    let name = format!("load_{}", std::process::id());
    let record = StudyRecord {
        config: "{}".to_string(),
        data: "none".to_string(),
        trials_max: None,
    };
    let (address, study) = (address.parse()?, name.parse()?);
    let (_, admission) = Postgres::create(&address, &study, &record, LEASE_SECS)?;
    let text = serde_json::to_string(&candidate(0, 0))?.replace('\'', "''");
    let fill = format!(
        "insert into lehr_{name}.trial (id, fingerprint, candidate, proposed_at)
         select n, 'filled ' || n, '{text}', 0 from generate_series(1, {queued}) n;
         update lehr_{name}.study set trials = {queued}; analyze lehr_{name}.trial"
    );
    let filled = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &address.to_string(),
            "-c",
            &fill,
        ])
        .status()?;
    match filled.success() {
        true => Ok(admission),
        false => Err("the queue could not be filled".into()),
    }
}

fn candidate(node: usize, number: u32) -> Candidate {
    let (units, other) = (1 + number, 1 + node);
    Candidate {
        architecture: format!("in 64 | dense {units} | relu | dense {other} | relu | dense 10")
            .parse()
            .expect("a network"),
        setting: Setting::default(),
        origin: Origin::Seed {
            name: format!("node {node}"),
        },
        promise: None,
        latency_seconds: None,
        proposed_by: WorkerName(format!("node-{node}")),
    }
}

fn result(score: f64) -> TrialResult {
    TrialResult {
        score,
        loss: 1.0 - score,
        metrics: BTreeMap::new(),
        epoch: 1,
        curve: Vec::new(),
        ended: train::Ended::AllEpochs,
        artifact: Digest::of(&score.to_le_bytes()),
        artifact_bytes: 100_000,
        inheritance: None,
        seconds: 60.0,
        memory_bytes: 1 << 20,
        recipe: train::Recipe::default(),
    }
}

fn client(admission: &Admission, number: usize, load: &Load, ready: &Barrier, all: &Mutex<Times>) {
    // As a node does, that comes while many others come.
    let mut opened = Postgres::admitted(admission);
    while opened.as_ref().is_err_and(LedgerError::may_pass) {
        opened = Postgres::admitted(admission);
    }
    ready.wait();
    let mut client = match opened {
        Ok(ledger) => Client {
            ledger,
            name: WorkerName(format!("node-{number}")),
            rng: ChaCha8Rng::seed_from_u64(number as u64),
            times: Times::new(),
            told: (Sequence(0), TrialId(u64::MAX >> 1)),
            lease: None,
            number,
            proposed: 0,
            claims: 0,
        },
        Err(error) => return tell(&format!("node {number}: {error}")),
    };
    if let Err(error) = client.work(load) {
        tell(&format!("node {number}: {error}"));
    }
    let Ok(mut all) = all.lock() else { return };
    for (operation, times) in client.times {
        all.entry(operation).or_default().extend(times);
    }
}

impl Client {
    fn work(&mut self, load: &Load) -> Result<(), Box<dyn Error>> {
        let zero = Instant(0.0);
        let name = self.name.clone();
        self.timed("join", |client| client.ledger.join(&name, "host", 1, zero))?;
        let begin = Moment::now();
        let mut beat_at = self.rng.random_range(0.0..BEAT_SECS.0);
        // Trainings are spread from the start, as they would be after a while.
        let mut ends_at = load.trial_seconds * self.rng.random_range(0.0..1.0);
        while begin.elapsed().as_secs_f64() < load.seconds {
            let now = begin.elapsed().as_secs_f64();
            if now >= beat_at && load.trial_seconds > 0.0 {
                self.beat()?;
                beat_at =
                    now + BEAT_SECS.0 * self.rng.random_range(1.0 - BEAT_SECS.1..1.0 + BEAT_SECS.1);
            } else if now >= ends_at {
                self.next_trial(load)?;
                let mean = load.trial_seconds;
                ends_at = now - mean * (1.0 - self.rng.random::<f64>()).ln();
            } else {
                let pause = (beat_at.min(ends_at) - now).clamp(0.0, 1.0);
                thread::sleep(Duration::from_secs_f64(pause));
            }
        }
        Ok(())
    }

    /// A beat, with the news that come with it.
    fn beat(&mut self) -> Result<(), Box<dyn Error>> {
        let (name, zero) = (self.name.clone(), Instant(0.0));
        let leases: Vec<Lease> = self.lease.into_iter().collect();
        self.timed("beat", |client| {
            client.ledger.beat(&name, &leases, &[], zero)
        })?;
        let (place, trial) = self.told;
        let unheard = self.timed("unheard", |client| {
            client.ledger.unheard(&name, place, trial, zero)
        })?;
        if let Some(last) = unheard.history.last() {
            self.told.0 = last.sequence;
        }
        Ok(())
    }

    fn next_trial(&mut self, load: &Load) -> Result<(), Box<dyn Error>> {
        let (name, zero) = (self.name.clone(), Instant(0.0));
        if let Some(lease) = self.lease.take() {
            let score = self.rng.random();
            let ending = Ending::Finished(Box::new(result(score)));
            self.timed("finish", |client| {
                client.ledger.finish(lease, &ending, zero)
            })?;
            if load.trial_seconds > 0.0 {
                self.proposed += 1;
                let proposal = candidate(self.number, self.proposed);
                self.timed("propose", |client| client.ledger.propose(&proposal, zero))?;
            }
        }
        self.claims += 1;
        let key = ClaimKey {
            slot: Slot(0),
            incarnation: 1,
            number: self.claims,
        };
        let claim = self.timed("claim", |client| client.ledger.claim(&name, key, zero))?;
        self.lease = claim.map(|claim| claim.lease);
        Ok(())
    }

    fn timed<T, E>(
        &mut self,
        operation: &'static str,
        run: impl FnOnce(&mut Client) -> Result<T, E>,
    ) -> Result<T, E> {
        let begin = Moment::now();
        let answer = run(self);
        let time = begin.elapsed().as_secs_f64();
        self.times.entry(operation).or_default().push(time);
        answer
    }
}

/// Seconds of all cores that processes called postgres have used.
fn cpu_seconds() -> f64 {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let used = processes.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let rest = text.strip_prefix(&format!("{} (postgres) ", entry.file_name().to_str()?))?;
        let words: Vec<&str> = rest.split(' ').collect();
        // Its own time, and that of connections that have ended: user and system of each.
        let parts = words.get(11..15)?.iter().map(|word| word.parse::<f64>());
        Some(parts.sum::<Result<f64, _>>().ok()? / ticks)
    });
    used.sum()
}
