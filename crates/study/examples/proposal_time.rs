//! How long a proposal takes with a long history, and what part of it the surrogate is.
//!
//! `proposal_time TRIALS…` makes a history of so many trials of small image networks with made-up scores
//! and then times proposals, each after one more trial has ended, as a generator meets it.

use std::{
    error::Error,
    io::{Write, stdout},
    time::Instant,
};

use morph::Shape;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{
    BudgetFraction, Origin, Outcome, Pool, PoolEntry, Proposal, SearchSettings, Space, Strategy,
    Surrogate, Task, TaskHint, TrialId, propose,
};

const TASK: Task = Task {
    input: Shape::Image {
        channels: 3,
        height: 32,
        width: 32,
    },
    tokens: None,
    outputs: 10,
};

/// Proposals that are timed.
const TIMED: usize = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let header = "trials,points,candidates,median_ms,longest_ms,unscreened_median_ms";
    writeln!(stdout(), "{header}")?;
    for trials in std::env::args().skip(1) {
        let trials: usize = trials.parse()?;
        let (screened, unscreened) = (
            settings(Strategy::Annealing),
            settings(Strategy::Unscreened),
        );
        let mut surrogate = Surrogate::default();
        let mut pool = Pool::default();
        while pool.entries().len() < trials {
            grow(&mut pool, &unscreened, &mut surrogate)?;
        }
        grow(&mut pool, &screened, &mut surrogate)?;
        let (mut times, mut others) = (Vec::new(), Vec::new());
        for _ in 0..TIMED {
            others.push(grow(&mut pool, &unscreened, &mut surrogate)?);
            times.push(grow(&mut pool, &screened, &mut surrogate)?);
        }
        times.sort_by(f64::total_cmp);
        others.sort_by(f64::total_cmp);
        writeln!(
            stdout(),
            "{trials},{},{},{:.1},{:.1},{:.1}",
            surrogate.points(),
            screened.targets * screened.variants + screened.fresh,
            times[TIMED / 2],
            times[TIMED - 1],
            others[TIMED / 2],
        )?;
    }
    Ok(())
}

fn settings(strategy: Strategy) -> SearchSettings {
    SearchSettings {
        strategy,
        space: Space::default_for(TaskHint::Image),
        ..SearchSettings::default()
    }
}

/// One trial more; milliseconds that its proposal took.
fn grow(
    pool: &mut Pool,
    settings: &SearchSettings,
    surrogate: &mut Surrogate,
) -> Result<f64, Box<dyn Error>> {
    let sequence = pool.entries().len() as u64 + 1;
    let mut rng = ChaCha8Rng::seed_from_u64(sequence);
    let used = BudgetFraction::clamped(0.5);
    let began = Instant::now();
    let proposal = propose(pool, surrogate, used, &TASK, settings, &mut rng)?;
    let milliseconds = began.elapsed().as_secs_f64() * 1e3;
    let parent = match proposal.origin {
        Origin::Variant { parent, .. } => Some(parent),
        _ => None,
    };
    let Proposal {
        architecture,
        setting,
        ..
    } = proposal;
    // Small networks of medium depth are best.
    let parameters = architecture.cost().parameters as f64;
    let depth = architecture.nodes().len() as f64;
    pool.push(PoolEntry {
        trial: TrialId(sequence),
        sequence,
        architecture,
        setting,
        outcome: Outcome::Scored(-(depth - 24.0).abs() - parameters.ln()),
        parent,
    })?;
    Ok(milliseconds)
}
