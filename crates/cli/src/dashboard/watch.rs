//! What the ledger says, read while somebody looks.
//!
//! A trial that has ended stays as it ended, so it is read once; what is under way is read at every look. However many
//! look, and however large the study, reading takes at most a tenth of the time.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use search::{Outcome, TrialId};
use study::{
    config::StudyConfig,
    explore::now,
    ledger::{Counts, LedgerError, Node, Standing},
    message::Progress,
    prepared::PreparedFiles,
    status::{Status, busy},
    trial::{Sequence, Trial},
};

use super::row::{Row, State};
use crate::{
    command::{Reading, config_of, explain, read_study},
    report::{Fact, MetricShown, name},
    show,
};

/// What was read is shown for so long before it is read again, or for [`READING_SHARE`] times as long as reading took.
const FRESH: Duration = Duration::from_secs(1);
const READING_SHARE: u32 = 10;

/// Trials under way that are listed; a study of a large cluster may have thousands.
const UNDER_WAY_MAX: usize = 256;

/// A study that is looked at.
pub(super) struct Watch {
    place: PathBuf,
    sight: Mutex<Sight>,
}

/// What was seen, and until when that is shown.
#[derive(Default)]
struct Sight {
    study: Option<Study>,
    newest: Option<Arc<Seen>>,
    due: Option<Instant>,
}

/// A study whose ledger is open.
struct Study {
    reading: Reading,
    /// Which file it is, as the system knows it.
    file: Option<(u64, u64)>,
    name: String,
    data: String,
    networks: usize,
    ended: Vec<Arc<Row>>,
    last: Sequence,
}

/// How a study stood at one moment.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    /// What is learned from, in one line.
    pub(super) data: String,
    /// With cross-validation a model is so many networks.
    pub(super) networks: usize,
    pub(super) config: StudyConfig,
    pub(super) standing: Standing,
    /// Seconds of exploring, as far as the master has counted them.
    pub(super) spent_seconds: f64,
    pub(super) counts: Counts,
    pub(super) nodes: Vec<Node>,
    pub(super) lease_secs: f64,
    /// In the order in which they ended.
    pub(super) ended: Vec<Arc<Row>>,
    /// The oldest of them first; not all, if there are very many.
    pub(super) under_way: Vec<Row>,
    pub(super) has_report: bool,
    /// Why this is not how it stands now, if the ledger could not be read again.
    pub(super) problem: Option<String>,
}

/// A trial, and what is told of it alone.
pub(super) struct Detail {
    pub(super) trial: Trial,
    /// Parent first.
    pub(super) ancestors: Vec<Trial>,
    pub(super) facts: Vec<Fact>,
}

impl Watch {
    pub(super) fn over(study: &Path) -> Watch {
        Watch {
            place: study.to_path_buf(),
            sight: Mutex::default(),
        }
    }

    /// How the study stands, or stood a moment ago. If the ledger cannot be read any more, what was seen last is
    /// shown, with the reason.
    ///
    /// # Errors
    /// If it could never be read.
    pub(super) fn look(&self) -> Result<Arc<Seen>> {
        let mut sight = self.lock();
        let is_due = sight.due.is_none_or(|due| Instant::now() >= due);
        if let (false, Some(newest)) = (is_due, &sight.newest) {
            return Ok(Arc::clone(newest));
        }
        let began = Instant::now();
        let read = sight.read(&self.place);
        sight.due = Some(Instant::now() + FRESH.max(began.elapsed() * READING_SHARE));
        let seen = match (read, &sight.newest) {
            (Ok(seen), _) => seen,
            (Err(error), None) => return Err(error),
            (Err(error), Some(newest)) => Seen {
                problem: Some(show::chain(&error)),
                ..Seen::clone(newest)
            },
        };
        let seen = Arc::new(seen);
        sight.newest = Some(Arc::clone(&seen));
        Ok(seen)
    }

    /// One trial; nothing if there is none of this number.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub(super) fn trial(&self, id: TrialId) -> Result<Option<Detail>> {
        let mut sight = self.lock();
        let study = sight.opened(&self.place)?;
        let ledger = &*study.reading.ledger;
        let trial = match ledger.trial(id) {
            Ok(trial) => trial,
            Err(LedgerError::NoSuchTrial { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let ancestors = explain::ancestors(ledger, &trial)?;
        let earlier = |ended: u64| Ok(study.outcomes(ended, id));
        let facts = explain::facts(&study.reading, &trial, &ancestors, earlier)?;
        Ok(Some(Detail {
            trial,
            ancestors,
            facts,
        }))
    }

    /// The report, if there is one.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub(super) fn report(&self) -> Result<Option<String>> {
        let path = self.lock().opened(&self.place)?.reading.folder.report();
        match fs::read_to_string(&path) {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sight> {
        // Whoever panicked has left what was seen before, which is whole.
        self.sight.lock().unwrap_or_else(|error| error.into_inner())
    }
}

impl Sight {
    fn opened(&mut self, place: &Path) -> Result<&mut Study> {
        if self.study.is_none() {
            self.study = Some(Study::open(place)?);
        }
        self.study.as_mut().context("the study was just opened")
    }

    fn read(&mut self, place: &Path) -> Result<Seen> {
        if self.study.as_ref().is_some_and(Study::is_replaced) {
            self.study = None;
        }
        let read = self.opened(place)?.read();
        if read.is_err() {
            // The connection may be what is broken; the next look opens another.
            self.study = None;
        }
        read
    }
}

impl Study {
    fn open(place: &Path) -> Result<Study> {
        let reading = read_study(place)?;
        let prepared = PreparedFiles::at(&reading.folder.prepared());
        Ok(Study {
            file: file_of(&reading),
            name: name(&reading.folder),
            data: prepared.read_described()?.data,
            networks: prepared.read_folds()?.networks(),
            reading,
            ended: Vec::new(),
            last: Sequence(0),
        })
    }

    /// Whether the study was removed, or removed and begun again: what is open still shows the old one.
    fn is_replaced(&self) -> bool {
        file_of(&self.reading) != self.file
    }

    fn read(&mut self) -> Result<Seen> {
        // The budget of a study that is gone on with may be another.
        self.reading.config = config_of(&*self.reading.ledger)?;
        self.read_ended()?;
        let ledger = &*self.reading.ledger;
        Ok(Seen {
            name: self.name.clone(),
            data: self.data.clone(),
            networks: self.networks,
            config: self.reading.config.clone(),
            standing: ledger.standing(now())?,
            spent_seconds: ledger.spent_seconds()?,
            counts: ledger.counts()?,
            nodes: ledger.nodes()?,
            lease_secs: ledger.lease_secs(),
            ended: self.ended.clone(),
            under_way: self.under_way()?,
            has_report: self.reading.folder.report().is_file(),
            problem: None,
        })
    }

    /// Reads what has ended since it was read last.
    fn read_ended(&mut self) -> Result<()> {
        let ledger = &*self.reading.ledger;
        if ledger.ended_count()? < self.ended.len() as u64 {
            // An older copy was put in the ledger's place.
            self.ended.clear();
            self.last = Sequence(0);
        }
        loop {
            let page = ledger.ended(self.last)?;
            let Some(last) = page.last().and_then(Trial::sequence) else {
                return Ok(());
            };
            self.last = last;
            let metric = self.reading.config.metric;
            let rows = page.iter().map(|trial| Arc::new(Row::of(trial, metric)));
            self.ended.extend(rows);
        }
    }

    fn under_way(&self) -> Result<Vec<Row>> {
        let ledger = &*self.reading.ledger;
        let mut rows = Vec::new();
        for (id, _) in ledger.pending(TrialId(0))?.iter().take(UNDER_WAY_MAX) {
            let row = Row::of(&ledger.trial(*id)?, self.reading.config.metric);
            // It may have ended in between.
            if matches!(row.state, State::Waiting | State::Running) {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// How the first so many trials ended, but for one.
    fn outcomes(&self, ended: u64, but: TrialId) -> Vec<Outcome> {
        let first = self.ended.iter().take(ended as usize);
        let others = first.filter(|row| row.id != but);
        others.filter_map(|row| row.outcome).collect()
    }
}

/// Device and number of the file that is the ledger, or that says where it is.
fn file_of(reading: &Reading) -> Option<(u64, u64)> {
    let places = [reading.folder.ledger(), reading.folder.ledger_place()];
    let found = places.iter().find_map(|place| fs::metadata(place).ok());
    found.map(|file| (file.dev(), file.ino()))
}

impl Seen {
    /// The metric that decides.
    pub(super) fn metric(&self) -> MetricShown {
        match self.config.metric {
            Some(metric) => MetricShown::of(metric),
            None => MetricShown::of(train::Metric::Accuracy),
        }
    }

    /// The best trial so far.
    pub(super) fn best(&self) -> Option<&Row> {
        let best = self.standing.best?;
        let mut rows = self.ended.iter().rev();
        rows.find(|row| row.id == best).map(|row| &**row)
    }

    pub(super) fn budget_used(&self) -> f64 {
        let budget = self.config.budget;
        budget.used(self.spent_seconds, self.counts.ended())
    }

    /// Nodes that have been heard of lately.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Node> {
        let is_alive = |node: &&Node| node.is_alive(self.lease_secs, self.standing.at);
        self.nodes.iter().filter(is_alive)
    }

    /// How far a trial was when its node was last heard of.
    pub(super) fn progress_of(&self, trial: TrialId) -> Option<&Progress> {
        let mut all = self.nodes.iter().flat_map(|node| &node.progress);
        all.rfind(|progress| progress.trial == trial)
    }

    /// The same as `lehr status --json` says.
    pub(super) fn status(&self) -> Status {
        let mut status = Status {
            counts: self.counts,
            best: self.best().and_then(|row| Some((row.id, row.value?))),
            spent_seconds: self.spent_seconds,
            budget_used: self.budget_used(),
            busy: busy(self.ended.iter().filter_map(|row| row.run.as_ref())),
            failures: BTreeMap::new(),
        };
        for reason in self.ended.iter().filter_map(|row| row.reason.as_ref()) {
            *status
                .failures
                .entry(reason.kind().to_string())
                .or_insert(0) += 1;
        }
        status
    }
}
