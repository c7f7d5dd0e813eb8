//! What nodes hear of each other's trainings, the same from both engines.

use search::TrialId;
use study::{
    ledger::{Ending, Track},
    trial::{FailReason, Sequence},
};

use crate::bench::{Bench, early_stop, result};

pub(super) fn others_hear_what_they_compare_with_and_no_more(bench: &mut Bench<'_>) {
    let stop = Box::new(early_stop());
    let expected = 0.25;
    let message = "no".to_string();
    let endings = [
        Ending::Finished(result(0.1 + 0.2, 0.5)),
        Ending::Stopped { stop, expected },
        Ending::Failed(FailReason::Refused { message }),
    ];
    for (units, ending) in (8..).zip(&endings) {
        bench.propose(units);
        let lease = bench.claim(1).unwrap();
        bench.end(lease, ending);
    }
    let heard = bench.ledger.tracks(Sequence(0)).unwrap();
    for (place, (heard, ending)) in (1..).zip(heard.iter().zip(&endings)) {
        assert_eq!(
            (heard.sequence, heard.trial),
            (Sequence(place), TrialId(place))
        );
        assert_eq!(heard.track, Track::of(ending));
    }
    let scores = heard
        .iter()
        .map(|heard| heard.track.as_ref().map(|track| track.score));
    assert_eq!(
        scores.collect::<Vec<_>>(),
        [Some(Some(0.1 + 0.2)), Some(None), None]
    );
    assert_eq!(bench.ledger.tracks(Sequence(1)).unwrap(), heard[1..]);
}
