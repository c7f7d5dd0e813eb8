//! lehr's method and what it is compared with, each asked for the next model and told how it was scored.
//!
//! References are written as their papers say, with the papers' numbers where not said otherwise; where a
//! choice is open, the one that did better on these tables was taken.

mod annealing;
mod evolution;
mod local_search;
mod method;
mod old_method;
mod parzen;
mod random;

use std::{fmt, str::FromStr};

use rand_chacha::ChaCha8Rng;
use search::{BudgetFraction, Strategy};
use thiserror::Error;

use crate::table::{Point, Table};
pub use old_method::{OldMethod, Variance};

/// A search over a table. Several models can be asked for before the first is told.
pub trait Searcher {
    /// The next model to train.
    fn ask(&mut self, used: BudgetFraction, rng: &mut ChaCha8Rng) -> Point;

    /// A model that was asked for has this score.
    fn tell(&mut self, point: &Point, score: f64);
}

/// All searchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearcherKind {
    /// The method: annealing, variants, surrogate.
    Lehr,
    /// The method without its surrogate.
    Unscreened,
    /// Multivariate Parzen estimators over all slots.
    Parzen,
    /// Regularised evolution.
    Evolution,
    /// Local search with restarts.
    LocalSearch,
    /// Simulated annealing of a single model.
    Annealing,
    /// What AIPerf does.
    OldMethod,
    /// Models drawn at random.
    Random,
}

/// Why there is no such searcher.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no searcher `{name}`; there are {}", SearcherKind::ALL.map(SearcherKind::name).join(", "))]
pub struct UnknownSearcher {
    /// What was asked for.
    pub name: String,
}

impl SearcherKind {
    /// All of them.
    pub const ALL: [SearcherKind; 8] = [
        SearcherKind::Lehr,
        SearcherKind::Unscreened,
        SearcherKind::Parzen,
        SearcherKind::Evolution,
        SearcherKind::LocalSearch,
        SearcherKind::Annealing,
        SearcherKind::OldMethod,
        SearcherKind::Random,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            SearcherKind::Lehr => "lehr",
            SearcherKind::Unscreened => "unscreened",
            SearcherKind::Parzen => "parzen",
            SearcherKind::Evolution => "evolution",
            SearcherKind::LocalSearch => "local-search",
            SearcherKind::Annealing => "annealing",
            SearcherKind::OldMethod => "old-method",
            SearcherKind::Random => "random",
        }
    }

    /// A search over this table that knows nothing yet.
    pub fn start<'a>(self, table: &'a Table, rng: &mut ChaCha8Rng) -> Box<dyn Searcher + 'a> {
        match self {
            SearcherKind::Lehr => Box::new(method::Method::new(table, Strategy::Annealing, rng)),
            SearcherKind::Unscreened => {
                Box::new(method::Method::new(table, Strategy::Unscreened, rng))
            }
            SearcherKind::Parzen => Box::new(parzen::Parzen::new(table)),
            SearcherKind::Evolution => Box::new(evolution::Evolution::new(table)),
            SearcherKind::LocalSearch => Box::new(local_search::LocalSearch::new(table)),
            SearcherKind::Annealing => Box::new(annealing::Annealing::new(table)),
            SearcherKind::OldMethod => Box::new(OldMethod::new(table, Variance::Solved)),
            SearcherKind::Random => Box::new(random::Random::new(table)),
        }
    }
}

impl fmt::Display for SearcherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SearcherKind {
    type Err = UnknownSearcher;

    fn from_str(name: &str) -> Result<SearcherKind, UnknownSearcher> {
        let found = SearcherKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownSearcher {
            name: name.to_string(),
        })
    }
}
