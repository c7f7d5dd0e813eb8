//! What the ledger says, read while somebody looks.
//!
//! A trial that has ended stays as it ended, so it is read once; what is under way is read at every look. However many
//! look, and however large the study, reading it takes at most a tenth of the time, or a look every [`REST_MAX`]; who
//! comes while somebody reads is shown what was read before. Single trials, and what they come from, are read each time
//! that they are asked for, through a connection of their own.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use search::TrialId;
use study::{
    explore::now,
    folder::StudyFolder,
    ledger::{LedgerError, Node},
    prepared::PreparedFiles,
    trial::{Instant as Moment, Sequence, Trial},
};
use train::Metric;

use super::{row::Row, seen::Seen};
use crate::{
    command::{Reading, config_of, explain, read_study},
    report::{Fact, name},
    show,
};

/// What was read is shown for so long before it is read again, or for [`PAUSE`] times as long as reading took, but not
/// for longer than [`REST_MAX`].
const FRESH: Duration = Duration::from_secs(1);
const PAUSE: u32 = 9;
const REST_MAX: Duration = Duration::from_secs(10);

/// Trials under way that are read; a larger cluster has more.
const UNDER_WAY_MAX: u32 = 2_000;

/// A study that is looked at.
pub(super) struct Watch {
    place: PathBuf,
    newest: Mutex<Newest>,
    /// Whoever holds it reads.
    followed: Mutex<Option<Study>>,
    /// For the pages of single trials, which wait for nobody who reads all.
    asked: Mutex<Option<Opened>>,
}

/// What was seen last, and until when that is shown.
#[derive(Default)]
struct Newest {
    seen: Option<Arc<Seen>>,
    due: Option<Instant>,
}

/// An open ledger.
struct Opened {
    reading: Reading,
    /// Which file it is, as the system knows it.
    file: Option<(u64, u64)>,
}

/// A study, as far as it has been read.
struct Study {
    opened: Opened,
    name: String,
    data: String,
    networks: usize,
    metric: Metric,
    ended: Vec<Arc<Row>>,
    last: Sequence,
    lag: Lag,
}

/// How far the clock of whoever writes the ledger is behind this machine's. A study on one machine counts the time in
/// which the machine was awake; after an hour of sleep all that it writes is an hour behind.
#[derive(Default)]
struct Lag {
    /// The newest sign of life of any node.
    heard: Option<f64>,
    seconds: f64,
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
            newest: Mutex::default(),
            followed: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// How the study stands, or stood a moment ago. If the ledger cannot be read any more, what was seen last is
    /// shown, with the reason.
    ///
    /// # Errors
    /// If it could never be read.
    pub(super) fn look(&self) -> Result<Arc<Seen>> {
        let last = match held(&self.newest).standing() {
            (Some(seen), true) => return Ok(seen),
            (last, _) => last,
        };
        let mut followed = match (self.followed.try_lock(), last) {
            (Ok(followed), _) => followed,
            (Err(TryLockError::Poisoned(error)), _) => error.into_inner(),
            (Err(TryLockError::WouldBlock), Some(seen)) => return Ok(seen),
            (Err(TryLockError::WouldBlock), None) => held(&self.followed),
        };
        // Somebody may have read while this one waited.
        if let (Some(seen), true) = held(&self.newest).standing() {
            return Ok(seen);
        }
        let began = Instant::now();
        let read = follow(&mut followed, &self.place);
        held(&self.newest).take(read, began.elapsed())
    }

    /// One trial; nothing if there is none of this number.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub(super) fn trial(&self, seen: &Seen, id: TrialId) -> Result<Option<Detail>> {
        // Whoever waits for a ledger that is away keeps others from their pages.
        if let Some(problem) = &seen.problem {
            bail!("the ledger could not be read again: {problem}");
        }
        let mut asked = held(&self.asked);
        if asked.as_ref().is_some_and(Opened::is_replaced) {
            *asked = None;
        }
        let opened = match &mut *asked {
            Some(opened) => opened,
            none => none.insert(Opened::at(&self.place)?),
        };
        let told = detail(&opened.reading, seen, id);
        if told.is_err() {
            *asked = None;
        }
        told
    }

    /// The report, if there is one.
    ///
    /// # Errors
    /// If there is one that cannot be read.
    pub(super) fn report(&self) -> Result<Option<String>> {
        let path = StudyFolder::open(&self.place)?.report();
        match fs::read_to_string(&path) {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }
}

/// A lock that is held, whatever became of those who held it before: they leave nothing half done.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Newest {
    /// What was seen last, and whether that is shown for a while yet.
    fn standing(&self) -> (Option<Arc<Seen>>, bool) {
        let is_fresh = self.due.is_some_and(|due| Instant::now() < due);
        (self.seen.clone(), is_fresh)
    }

    /// Keeps what was read, or why it could not be.
    fn take(&mut self, read: Result<Seen>, took: Duration) -> Result<Arc<Seen>> {
        let usual = (took * PAUSE).clamp(FRESH, REST_MAX);
        let (seen, rest) = match (read, &self.seen) {
            // The first time, everything was read that has ever ended.
            (Ok(seen), None) => (seen, FRESH),
            (Ok(seen), Some(_)) => (seen, usual),
            (Err(error), None) => return Err(error),
            (Err(error), Some(last)) => (last.outlived(show::chain(&error)), usual),
        };
        self.due = Some(Instant::now() + rest);
        let seen = Arc::new(seen);
        self.seen = Some(Arc::clone(&seen));
        Ok(seen)
    }
}

impl Opened {
    fn at(place: &Path) -> Result<Opened> {
        let reading = read_study(place)?;
        let file = file_of(&reading);
        Ok(Opened { reading, file })
    }

    /// Whether the study was removed, or removed and begun again: what is open still shows the old one.
    fn is_replaced(&self) -> bool {
        file_of(&self.reading) != self.file
    }
}

impl Lag {
    /// What it is by that clock now. Signs of life that still come, yet look older than a lease, betray it.
    fn now(&mut self, nodes: &[Node], lease_secs: f64, now: Moment) -> Moment {
        let signs = nodes.iter().map(|node| node.seen_at.0);
        let newest = signs.max_by(f64::total_cmp);
        if let (Some(heard), Some(newest)) = (self.heard, newest) {
            let late = now.0 - newest;
            let comes = newest > heard;
            if comes {
                self.seconds = if late >= lease_secs { late } else { 0.0 };
            } else if late - self.seconds >= lease_secs {
                self.seconds = 0.0;
            }
        }
        self.heard = newest;
        Moment(now.0 - self.seconds)
    }
}

/// Device and number of the file that is the ledger, or that says where it is.
fn file_of(reading: &Reading) -> Option<(u64, u64)> {
    let places = [reading.folder.ledger(), reading.folder.ledger_place()];
    let found = places.iter().find_map(|place| fs::metadata(place).ok());
    found.map(|file| (file.dev(), file.ino()))
}

/// Reads on, or from the beginning if this is no longer the study that was read.
fn follow(followed: &mut Option<Study>, place: &Path) -> Result<Seen> {
    let read = match followed.take() {
        None => None,
        Some(mut study) => study.is_current()?.then(|| {
            let seen = study.read();
            (study, seen)
        }),
    };
    let (study, seen) = match read {
        Some(read) => read,
        None => {
            let mut study = Study::open(place)?;
            let seen = study.read();
            (study, seen)
        }
    };
    // If it cannot be read, the connection may be what is broken: the next look opens another.
    let seen = seen?;
    *followed = Some(study);
    Ok(seen)
}

/// A trial as the ledger has it now, with what was seen of those that ended before it.
fn detail(reading: &Reading, seen: &Seen, id: TrialId) -> Result<Option<Detail>> {
    let ledger = &*reading.ledger;
    let trial = match ledger.trial(id) {
        Ok(trial) => trial,
        Err(LedgerError::NoSuchTrial { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let ancestors = explain::ancestors(ledger, &trial)?;
    let earlier = |ended| Ok(seen.outcomes(ended));
    let facts = explain::facts(reading, &trial, &ancestors, earlier)?;
    Ok(Some(Detail {
        trial,
        ancestors,
        facts,
    }))
}

impl Study {
    fn open(place: &Path) -> Result<Study> {
        let opened = Opened::at(place)?;
        let Reading { folder, config, .. } = &opened.reading;
        let prepared = PreparedFiles::at(&folder.prepared());
        let metric = config.metric;
        Ok(Study {
            name: name(folder),
            data: prepared.read_described()?.data,
            networks: prepared.read_folds()?.networks(),
            metric: metric.context("the study does not say which metric decides")?,
            opened,
            ended: Vec::new(),
            last: Sequence(0),
            lag: Lag::default(),
        })
    }

    /// Whether it is still there, and has all that was read of it: an older copy may have been put in its place.
    fn is_current(&self) -> Result<bool> {
        let ended = self.opened.reading.ledger.ended_count()?;
        Ok(!self.opened.is_replaced() && ended >= self.ended.len() as u64)
    }

    fn read(&mut self) -> Result<Seen> {
        let ledger = &*self.opened.reading.ledger;
        // The budget of a study that is gone on with may be another.
        let config = config_of(ledger)?;
        let nodes = ledger.nodes()?;
        let at = self.lag.now(&nodes, ledger.lease_secs(), now());
        // Before the trials: the best of which it speaks must be among them.
        let standing = ledger.standing(at)?;
        let space = &config.search.space;
        loop {
            let page = ledger.ended(self.last)?;
            let Some(last) = page.last().and_then(Trial::sequence) else {
                break;
            };
            let rows = page.iter();
            let rows = rows.map(|trial| Arc::new(Row::of(trial, self.metric, space)));
            self.ended.extend(rows);
            self.last = last;
        }
        let under_way = ledger.under_way(UNDER_WAY_MAX)?;
        let row = |trial: &Trial| Row::of(trial, self.metric, space);
        Ok(Seen {
            name: self.name.clone(),
            data: self.data.clone(),
            networks: self.networks,
            metric: self.metric,
            standing,
            spent_seconds: ledger.spent_seconds()?,
            counts: ledger.counts()?,
            nodes,
            lease_secs: ledger.lease_secs(),
            ended: self.ended.clone(),
            under_way: under_way.iter().map(row).collect(),
            has_report: self.opened.reading.folder.report().is_file(),
            problem: None,
            config,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::seen::tests::node, *};

    /// What a dashboard takes for now, by how long ago a node was heard of by this machine's clock at each look.
    fn lags(looks: &[(f64, f64)]) -> Vec<f64> {
        let mut lag = Lag::default();
        let at = |(now, seen_at): &(f64, f64)| {
            let mut node = node(1, 0.0, (1, 1));
            node.seen_at = Moment(*seen_at);
            now - lag.now(&[node], 60.0, Moment(*now)).0
        };
        looks.iter().map(at).collect()
    }

    #[test]
    fn a_study_whose_clock_slept_with_the_machine_is_still_alive() {
        // The machine sleeps for an hour behind the second look.
        let looks = [
            (100.0, 95.0),
            (110.0, 108.0),
            (3720.0, 118.0),
            (3730.0, 128.0),
            (3740.0, 128.0),
        ];
        assert_eq!(lags(&looks), [0.0, 0.0, 3602.0, 3602.0, 3602.0]);
    }

    #[test]
    fn a_study_that_is_killed_is_not_alive_for_long() {
        let looks = [
            (100.0, 95.0),
            (110.0, 108.0),
            (200.0, 108.0),
            (3000.0, 108.0),
        ];
        assert_eq!(lags(&looks), [0.0; 4]);
        // Nor one that slept before.
        let looks = [
            (100.0, 95.0),
            (3720.0, 118.0),
            (3740.0, 118.0),
            (3900.0, 118.0),
        ];
        assert_eq!(lags(&looks), [0.0, 3602.0, 3602.0, 0.0]);
    }
}
