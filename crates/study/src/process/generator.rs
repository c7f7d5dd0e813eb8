//! The first process of a slave node (R4): follows the pool and makes candidates when its worker wants some.
//!
//! It hears the news of all slaves' trials (R6), so its base models come from everybody's.

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use morph::{Architecture, ArchitectureHash};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{
    BudgetFraction, Limits, Objective, Pool, PoolError, SearchError, SearchSettings, Surrogate,
};

use crate::{
    latency::{Pace, measured_latency},
    message::{FromGenerator, GeneratorSetup, TellGenerator, receive, send},
    process::{end_with_parent, first_line},
    trial::Candidate,
};

/// Proposals in a row that may be too slow before the limit of latency is said to be out of reach.
const TOO_SLOW_MAX: usize = 64;

/// A generator's state between two messages.
struct Generator {
    setup: GeneratorSetup,
    pool: Pool,
    surrogate: Surrogate,
    pace: Pace,
    /// Seconds of each network for one example, as first measured: it is not faster or slower for other
    /// hyperparameters.
    latencies: BTreeMap<ArchitectureHash, f64>,
    budget_used: f64,
    /// How many candidates its worker waits for.
    wanted: u16,
    made: u64,
    /// Nothing new is found any more.
    exhausted: bool,
    /// Nothing new was found, but what is under way may change that when it has ended.
    waits: bool,
}

/// Runs a generator on standard input and output until its worker is gone.
///
/// # Errors
/// If its worker says something that is no message.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let mut input = BufReader::new(io::stdin());
    let TellGenerator::Setup { setup } = first_line(&mut input)? else {
        return Err(io::Error::other("a generator hears its setup first"));
    };
    let (sender, messages) = channel();
    thread::spawn(move || {
        while let Ok(Some(message)) = receive::<TellGenerator>(&mut input) {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    Generator::new(*setup).serve(&messages)
}

impl Generator {
    fn new(setup: GeneratorSetup) -> Generator {
        Generator {
            made: setup.proposals_made,
            setup,
            pool: Pool::default(),
            surrogate: Surrogate::default(),
            pace: Pace::default(),
            latencies: BTreeMap::new(),
            budget_used: 0.0,
            wanted: 0,
            exhausted: false,
            waits: false,
        }
    }

    fn serve(&mut self, messages: &Receiver<TellGenerator>) -> io::Result<()> {
        loop {
            // Everything that was said is heard before the next candidate is made.
            let patience = match self.wants_more() {
                true => Duration::ZERO,
                false => Duration::from_secs(3600),
            };
            match messages.recv_timeout(patience) {
                Ok(message) => self.hear(message)?,
                Err(RecvTimeoutError::Timeout) if self.wants_more() => self.make_some()?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn wants_more(&self) -> bool {
        !self.exhausted && !self.waits && self.wanted > 0
    }

    fn hear(&mut self, message: TellGenerator) -> io::Result<()> {
        match message {
            TellGenerator::Setup { .. } => {}
            TellGenerator::Make { count } => self.wanted += count,
            TellGenerator::News {
                history,
                pending,
                budget_used,
            } => {
                self.budget_used = budget_used;
                self.waits &= history.is_empty();
                for (_, model) in pending {
                    self.pool.add_pending(model.architecture, model.setting);
                }
                for row in history {
                    if let Some(seconds) = row.candidate.latency_seconds {
                        self.pool.note_latency(row.trial, seconds);
                        let network = row.candidate.architecture.canonical_hash();
                        self.latencies.entry(network).or_insert(seconds);
                    }
                    self.pool.push(row.into()).map_err(|error: PoolError| {
                        io::Error::other(format!("the history cannot be followed: {error}"))
                    })?;
                }
            }
        }
        Ok(())
    }

    fn make_some(&mut self) -> io::Result<()> {
        let made = match self.fast_enough_candidates() {
            Ok(candidates) => candidates,
            Err(_) if self.pool.pending() > 0 => {
                self.waits = true;
                return Ok(());
            }
            Err(reason) => {
                self.exhausted = true;
                return send(
                    &mut io::stdout().lock(),
                    &FromGenerator::Exhausted { reason },
                );
            }
        };
        for candidate in made {
            self.pool
                .add_pending(candidate.architecture.clone(), candidate.setting.clone());
            self.wanted = self.wanted.saturating_sub(1);
            let candidate = Box::new(candidate);
            send(
                &mut io::stdout().lock(),
                &FromGenerator::Candidate { candidate },
            )?;
        }
        Ok(())
    }

    /// The next proposals that are within the limit of latency, at least one.
    fn fast_enough_candidates(&mut self) -> Result<Vec<Candidate>, String> {
        let Some(limit_micros) = self.setup.settings.limits.latency_micros else {
            return self.next_candidates();
        };
        let (mut slow, mut fastest_micros) = (0, f64::INFINITY);
        while slow < TOO_SLOW_MAX {
            let mut fast = Vec::new();
            for candidate in self.next_candidates()? {
                let micros = self.latency(&candidate.architecture)? * 1e6;
                let share = micros / limit_micros as f64;
                self.pace.note(candidate.architecture.cost().flops, share);
                if share <= 1.0 {
                    fast.push(candidate);
                } else {
                    fastest_micros = fastest_micros.min(micros);
                    slow += 1;
                    self.pool.refuse(candidate.fingerprint());
                }
            }
            if !fast.is_empty() {
                return Ok(fast);
            }
        }
        let which = format!("each of the last {TOO_SLOW_MAX} models that were proposed");
        Err(self.too_slow(&which, limit_micros, fastest_micros))
    }

    /// That models are too slow, with the limit as each network has it: of a model of several networks it is a part
    /// of what was asked for.
    fn too_slow(&self, which: &str, limit_micros: u64, fastest_micros: f64) -> String {
        let of_each = match self.setup.settings.limits.networks {
            Some(networks) => format!(" for each of {networks} networks"),
            None => String::new(),
        };
        format!(
            "{which} takes longer for one example than `limits.latency` allows, {limit_micros} µs{of_each}; the \
             fastest takes {fastest_micros:.0} µs on this machine: raise the limit"
        )
    }

    /// Why nothing was proposed within these limits, in terms of what was asked for: a limit of operations that
    /// measuring suggests is one of latency.
    fn reason(&self, error: &SearchError, limits: Limits) -> String {
        let asked = self.setup.settings.limits;
        let paced = asked.latency_micros.filter(|_| limits != asked);
        let (SearchError::NothingFits { .. }, Some(limit_micros)) = (error, paced) else {
            return error.to_string();
        };
        let measured = self.latencies.values().map(|seconds| seconds * 1e6);
        let fastest_micros = measured.fold(f64::INFINITY, f64::min);
        if fastest_micros > limit_micros as f64 {
            let which = "every model that was measured";
            return self.too_slow(which, limit_micros, fastest_micros);
        }
        let exhausted = SearchError::Exhausted {
            ended: self.pool.entries().len(),
            pending: self.pool.pending(),
        };
        exhausted.to_string()
    }

    /// As many proposals as are wanted, from one look at the pool, if there are so many: where trainings are shorter
    /// than a look takes, trainers would wait for one at a time.
    fn next_candidates(&mut self) -> Result<Vec<Candidate>, String> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.setup.seed);
        rng.set_stream(self.made);
        let used = BudgetFraction::clamped(self.budget_used);
        let settings = SearchSettings {
            limits: self.pace.limits(self.setup.settings.limits),
            ..self.setup.settings.clone()
        };
        let wanted = usize::from(self.wanted);
        let task = &self.setup.task;
        let surrogate = &mut self.surrogate;
        let proposals = search::propose_several(
            wanted, &self.pool, surrogate, used, task, &settings, &mut rng,
        )
        .map_err(|error| self.reason(&error, settings.limits))?;
        self.made += proposals.len() as u64;
        let is_latency_asked = settings.limits.latency_micros.is_some()
            || settings.objectives.contains(&Objective::Latency);
        let mut candidates = Vec::new();
        for proposal in proposals {
            let latency_seconds = match is_latency_asked {
                true => Some(self.latency(&proposal.architecture)?),
                false => None,
            };
            candidates.push(Candidate {
                architecture: proposal.architecture,
                setting: proposal.setting,
                origin: proposal.origin,
                promise: proposal.promise,
                latency_seconds,
                proposed_by: self.setup.worker.clone(),
            });
        }
        Ok(candidates)
    }

    fn latency(&mut self, architecture: &Architecture) -> Result<f64, String> {
        let network = architecture.canonical_hash();
        if let Some(seconds) = self.latencies.get(&network) {
            return Ok(*seconds);
        }
        let seconds = measured_latency(architecture).map_err(|error| error.to_string())?;
        self.latencies.insert(network, seconds);
        Ok(seconds)
    }
}

#[cfg(test)]
mod tests {
    use search::{Outcome, Task, TrialId};

    use super::*;
    use crate::trial::{HistoryRow, Sequence, Underway, WorkerName};

    /// A generator of networks that may have no more parameters than the smallest seed, and no hyperparameters.
    fn generator() -> Generator {
        let mut settings = SearchSettings::default();
        let seeds = morph::seeds::table_seeds(4, 2).into_iter();
        settings.limits.parameters = seeds.map(|(_, seed)| seed.cost().parameters).min();
        assert!(settings.space.is_empty());
        let input = morph::Shape::Flat { features: 4 };
        Generator::new(GeneratorSetup {
            worker: WorkerName("one".to_string()),
            task: Task {
                input,
                tokens: None,
                outputs: 2,
            },
            settings,
            seed: 1,
            proposals_made: 0,
        })
    }

    fn news(history: Vec<HistoryRow>, pending: Vec<(TrialId, Underway)>) -> TellGenerator {
        TellGenerator::News {
            history,
            pending,
            budget_used: 0.1,
        }
    }

    #[test]
    fn limits_that_nothing_meets_are_said_as_they_are_for_each_network() {
        let mut generator = generator();
        generator.hear(TellGenerator::Make { count: 1 }).unwrap();
        let limits = &mut generator.setup.settings.limits;
        (limits.latency_micros, limits.networks) = (Some(0), Some(5));
        let said = generator.fast_enough_candidates().unwrap_err();
        let told = "than `limits.latency` allows, 0 µs for each of 5 networks; the fastest takes";
        assert!(said.contains(told), "{said}");
        // What measuring suggested is no limit that anybody has set.
        assert!(!said.contains("operations"), "{said}");
        let limits = &mut generator.setup.settings.limits;
        (limits.latency_micros, limits.parameters) = (None, Some(1));
        let said = generator.fast_enough_candidates().unwrap_err();
        let told = "for each of 5 networks at most 1 parameters";
        assert!(said.contains(told), "{said}");
    }

    #[test]
    fn who_finds_nothing_new_waits_for_what_is_under_way_and_gives_up_only_then() {
        let mut generator = generator();
        generator.hear(TellGenerator::Make { count: 9 }).unwrap();
        let mut made = Vec::new();
        while let Ok(candidates) = generator.next_candidates() {
            for one in candidates {
                let (architecture, setting) = (one.architecture.clone(), one.setting.clone());
                generator.pool.add_pending(architecture, setting);
                made.push(one);
            }
            assert!(made.len() < 10_000, "the space is small");
        }
        assert!(!made.is_empty());
        generator.make_some().unwrap();
        assert!(!generator.wants_more() && !generator.exhausted);
        // News of trials that begin change nothing, those of one that has ended may.
        generator.hear(news(Vec::new(), Vec::new())).unwrap();
        assert!(!generator.wants_more());
        for (row, candidate) in made.into_iter().enumerate() {
            let sequence = row as u64 + 1;
            let ended = HistoryRow {
                sequence: Sequence(sequence),
                trial: TrialId(sequence),
                candidate,
                outcome: Outcome::Failed,
            };
            generator.hear(news(vec![ended], Vec::new())).unwrap();
            assert!(generator.wants_more(), "after {sequence}");
        }
        generator.hear(TellGenerator::Make { count: 9 }).unwrap();
        while generator.wants_more() && generator.pool.pending() == 0 {
            generator.make_some().unwrap();
        }
        assert!(generator.exhausted || generator.pool.pending() > 0);
    }
}
