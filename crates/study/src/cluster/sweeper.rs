//! Sweeps a study's store while the study is explored, so that it does not grow for ever. This happens beside
//! everything else: what fails is only said, and done later.
//!
//! Only what rows of this study name goes: a study of the same name in another database may share the place.
//!
//! The search may ask for the weights of any model: half of its base models are the best, a quarter the newest, a
//! quarter any. So more is kept than `lehr clean` keeps, and what goes is hardly ever asked for. A child whose
//! parent's weights are gone is trained as a model without a parent, as after `lehr clean`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant as Moment},
};

use crate::{
    clean::{CleanError, Cleaned},
    cluster::invitation::LedgerPlace,
    store::{
        StoreError,
        sweep::{Keep, NEVER, Needs, sweep},
    },
};

/// How many of the best trials keep their weights, and how many of the newest.
const KEPT: usize = 500;

/// Time from one sweep to the next, whatever happens.
const PAUSE: Duration = Duration::from_secs(300);

/// Sweeps one store.
#[derive(Debug)]
pub(crate) struct Sweeper {
    place: LedgerPlace,
    keep: Keep,
    /// How many trials had ended when it last swept, and when that was.
    last: Option<(u64, Moment)>,
    at_work: Option<JoinHandle<Result<Cleaned, StoreError>>>,
    stop: Arc<AtomicBool>,
}

impl Sweeper {
    /// Of the store at this place; `None` if weights are in no store.
    pub(crate) fn of(place: Option<LedgerPlace>) -> Option<Sweeper> {
        let place = place.filter(|place| place.store.is_some())?;
        Some(Sweeper {
            place,
            keep: Keep {
                best: KEPT,
                newest: KEPT,
                young_seconds: NEVER,
            },
            last: None,
            at_work: None,
            stop: Arc::default(),
        })
    }

    /// Whether it is time: after so many trials that something may go, and then as many again as of the newest
    /// are kept.
    pub(crate) fn is_due(&self, ended: u64, now: Moment) -> bool {
        let (due_at, is_rested) = match self.last {
            None => (self.keep.best + self.keep.newest, true),
            Some((ended, begun)) => (
                ended as usize + self.keep.newest,
                now.duration_since(begun) >= PAUSE,
            ),
        };
        self.at_work.is_none() && is_rested && ended as usize > due_at
    }

    /// Begins to sweep, with what the ledger says now that so many trials have ended.
    ///
    /// # Errors
    /// If it could not be found out what is needed; then nothing goes this time.
    pub(crate) fn begin(
        &mut self,
        needs: Result<Needs, CleanError>,
        ended: u64,
        now: Moment,
    ) -> Result<(), CleanError> {
        self.last = Some((ended, now));
        let needs = needs?;
        let (place, keep, stop) = (self.place.clone(), self.keep, Arc::clone(&self.stop));
        self.at_work = Some(thread::spawn(move || {
            let Some(store) = place.store()? else {
                return Ok(Cleaned::default());
            };
            let store = store.stopped_by(stop);
            // Listed after the ledger was read: what was stored since is young, and stays.
            let swept = sweep(&needs, keep, &store.list()?);
            swept.carry_out(&store)?;
            Ok(Cleaned::from(&swept))
        }));
        Ok(())
    }

    /// What has come of it, once, when it is done.
    pub(crate) fn outcome(&mut self) -> Option<Result<Cleaned, StoreError>> {
        let done = self.at_work.take_if(|work| work.is_finished())?;
        // One that has panicked has said so, and is begun again in its time.
        done.join().ok()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(work) = self.at_work.take() {
            // What is left lies there until the next sweep.
            let _ = work.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::store::sweep::tests::{child_of, finished, listed, running, seed, trial};

    fn sweeper(store: &Path) -> Sweeper {
        let place = LedgerPlace {
            ledger: "postgres://owner@127.0.0.1/work".parse().unwrap(),
            study: "digits".parse().unwrap(),
            lease_secs: 60.0,
            store: Some(store.to_str().unwrap().parse().unwrap()),
        };
        let mut sweeper = Sweeper::of(Some(place)).unwrap();
        sweeper.keep.best = 1;
        sweeper.keep.newest = 2;
        sweeper
    }

    fn outcome(sweeper: &mut Sweeper) -> Result<Cleaned, StoreError> {
        let begun = Moment::now();
        loop {
            if let Some(outcome) = sweeper.outcome() {
                return outcome;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it never ends");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_store_is_swept_of_what_nobody_needs_while_a_study_runs() {
        let store = tempfile::tempdir().unwrap();
        let place = store.path().join("digits");
        fs::create_dir(&place).unwrap();
        // The best, one that goes, the parent of a running one, the two newest, and one of somebody else.
        let scores = [0.9, 0.1, 0.2, 0.3, 0.4];
        let mut trials: Vec<_> = scores
            .into_iter()
            .zip(1..)
            .map(|(score, id)| trial(id, seed("mlp"), finished(id, score, 0.0)))
            .collect();
        trials.push(trial(6, child_of(3), running()));
        let path = |number| place.join(listed(number, 0.0).name);
        let files = [1, 2, 3, 4, 5, 99].map(path);
        for file in &files {
            fs::write(file, b"weights").unwrap();
        }
        let mut sweeper = sweeper(store.path());
        let needs = Needs::of(&trials, &[], &[]);
        sweeper.begin(Ok(needs), 5, Moment::now()).unwrap();
        let swept = outcome(&mut sweeper).unwrap();
        assert_eq!((swept.removed, swept.kept), (1, 5));
        let is_there = files.each_ref().map(|file| file.exists());
        assert_eq!(is_there, [true, false, true, true, true, true]);
    }

    #[test]
    fn a_store_is_swept_now_and_then_also_when_it_was_away() {
        let store = tempfile::tempdir().unwrap();
        let mut sweeper = sweeper(&store.path().join("unmounted"));
        let start = Moment::now();
        assert!(!sweeper.is_due(3, start), "nothing can go yet");
        assert!(sweeper.is_due(4, start));
        sweeper.begin(Ok(Needs::default()), 4, start).unwrap();
        assert!(!sweeper.is_due(100, start + PAUSE), "one at a time");
        let error = outcome(&mut sweeper).unwrap_err();
        assert!(error.to_string().contains("unmounted"), "{error}");
        assert!(!sweeper.is_due(100, start + PAUSE / 2));
        assert!(!sweeper.is_due(6, start + PAUSE));
        assert!(sweeper.is_due(7, start + PAUSE));
    }
}
