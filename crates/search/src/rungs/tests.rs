//! Rungs against slow counts, and what is expected of a training against lines that are known.

use super::*;

const HALVING: Rungs = Rungs {
    rule: Rule::Halving,
    first: 3,
    factor: 2,
};

const LAST: Rung = Rung(1);

fn look(trial: u64, rung: Rung, score: f64) -> Look {
    Look {
        trial: TrialId(trial),
        birth: Birth::Fresh,
        parent: None,
        stage: Stage {
            rung,
            is_first: false,
        },
        score,
    }
}

#[test]
fn rungs_are_shares_of_the_whole_training() {
    let lengths = |epochs| -> Vec<(u32, u32)> {
        let rungs = HALVING.of(epochs).into_iter();
        rungs.map(|(rung, length)| (rung.0, length)).collect()
    };
    assert_eq!(lengths(52), [(2, 13), (1, 26)]);
    assert_eq!(lengths(51), [(2, 13), (1, 26)]);
    assert_eq!(lengths(20), [(2, 5), (1, 10)]);
    assert_eq!(lengths(10), [(2, 3), (1, 5)]);
    assert_eq!(lengths(8), [(1, 4)]);
    assert!(lengths(4).is_empty() && lengths(1).is_empty());
    let rule = Rule::None;
    assert!(Rungs { rule, ..HALVING }.of(52).is_empty());
    let stage = |rung, is_first| {
        let rung = Rung(rung);
        Some(Stage { rung, is_first })
    };
    assert_eq!(HALVING.at(13, 52), stage(2, true));
    assert_eq!(HALVING.at(26, 52), stage(1, false));
    assert_eq!(HALVING.at(27, 52), None);
}

#[test]
fn nobody_is_looked_at_before_a_quarter_of_its_training() {
    for factor in 2..9 {
        let rungs = Rungs {
            first: 1,
            factor,
            ..HALVING
        };
        for epochs in 1..200 {
            let earliest = rungs.of(epochs).first().map(|(_, length)| *length);
            assert!(earliest.is_none_or(|length| EARLIEST * length >= epochs));
        }
    }
}

#[test]
fn senseless_rungs_are_refused_and_those_of_old_studies_end_all_the_same() {
    for (first, factor) in [(0, 0), (0, 1), (1, 2), (u32::MAX, u32::MAX)] {
        let rungs = Rungs {
            first,
            factor,
            ..HALVING
        };
        assert!(rungs.of(u32::MAX).len() <= 32 && rungs.of(0).is_empty());
        assert_eq!(rungs.check().is_ok(), first >= 1 && factor >= 2);
    }
    let rungs = |first, factor| Rungs {
        first,
        factor,
        ..HALVING
    };
    insta::assert_snapshot!(rungs(0, 2).check().unwrap_err(), @"`rung_first` = 0 leaves nothing to compare: it must be at least 1 epoch");
    insta::assert_snapshot!(rungs(1, 1).check().unwrap_err(), @"`rung_factor` = 1 makes no rung longer than the one before: it must be at least 2");
}

const SCORES: [f64; 12] = [0.5, 0.1, 0.4, 0.9, 0.3, 0.6, 0.95, 0.2, 0.91, 0.5, 0.5, 0.5];

/// What the definition says of each score, from a count over those before it: `goes_on(better, all)`.
fn agree_with_a_slow_count(rule: Rule, goes_on: impl Fn(usize, usize) -> bool) {
    let rungs = Rungs { rule, ..HALVING };
    let mut ladder = Ladder::default();
    for (place, score) in SCORES.into_iter().enumerate() {
        let before = SCORES[..place].iter();
        let better = before.filter(|other| **other > score).count();
        let verdict = ladder.look(rungs, look(place as u64, LAST, score));
        let expected = goes_on(better, place + 1);
        assert_eq!(verdict == Verdict::Continue, expected, "{place}");
    }
}

#[test]
fn the_best_two_of_five_go_on_as_a_slow_count_says() {
    // As many as whole pairs of every five so far.
    let kept = |all: usize| (1..).take_while(|kept| 5 * kept <= 2 * all).count();
    agree_with_a_slow_count(Rule::Halving, |better, all| {
        kept(all) == 0 || better < kept(all)
    });
}

#[test]
fn the_better_half_goes_on_as_a_slow_count_says() {
    agree_with_a_slow_count(Rule::Median, |better, all| 2 * better < all);
}

/// Trainings that gain 0.2 from the only rung to the end, give or take 0.01.
fn gaining(count: u64) -> Ladder {
    let mut ladder = Ladder::default();
    for trial in 0..count {
        let score = 0.3 + 0.05 * trial as f64;
        ladder.note(TrialId(trial), Birth::Fresh, LAST, score);
        let noise = [0.01, -0.01, -0.01, 0.01][trial as usize % 4];
        ladder.end(TrialId(trial), Birth::Fresh, score + 0.2 + noise);
    }
    ladder
}

#[test]
fn a_training_is_expected_where_straight_lines_through_others_lead() {
    let mut ladder = gaining(8);
    let end = ladder.expected(Birth::Fresh, LAST, 0.4);
    assert!((end - 0.6).abs() < 0.01, "{end}");
    assert_eq!(ladder.expected(Birth::Inherited, LAST, 0.4), 0.4);
    // A rung further down: half as much again is gained from there to the last.
    for trial in 0..8 {
        let at_last = 0.3 + 0.05 * trial as f64;
        ladder.note(TrialId(trial), Birth::Fresh, Rung(2), at_last - 0.1);
    }
    let end = ladder.expected(Birth::Fresh, Rung(2), 0.3);
    assert!((end - 0.6).abs() < 0.01, "{end}");
}

#[test]
fn nobody_is_expected_to_end_above_those_that_were_ahead() {
    let mut ladder = Ladder::default();
    // Everybody learns all there is, sooner or later.
    for (trial, score) in [0.5, 0.8, 0.9].into_iter().enumerate() {
        let trial = TrialId(trial as u64);
        ladder.note(trial, Birth::Fresh, LAST, score);
        ladder.end(trial, Birth::Fresh, 1.0 - 0.02 * score);
    }
    let expected = ladder.expected(Birth::Fresh, LAST, 0.7);
    assert!((expected - 0.983).abs() < 1e-9, "{expected}");
    assert_eq!(ladder.expected(Birth::Inherited, LAST, 0.7), 0.7);
}

#[test]
fn two_on_a_steep_line_let_nobody_be_expected_above_the_best_that_has_ended() {
    let mut ladder = Ladder::default();
    for (trial, at_rung, end) in [(1, 0.500, 0.60), (2, 0.501, 0.70)] {
        ladder.note(TrialId(trial), Birth::Fresh, LAST, at_rung);
        ladder.end(TrialId(trial), Birth::Fresh, end);
    }
    // Those ahead of it have not ended.
    ladder.look(HALVING, look(3, LAST, 0.9));
    ladder.look(HALVING, look(4, LAST, 0.85));
    assert_eq!(ladder.look(HALVING, look(5, LAST, 0.8)), Verdict::Stop);
    assert_eq!(ladder.expected(Birth::Fresh, LAST, 0.8), 0.8);
    assert_eq!(ladder.expected(Birth::Fresh, LAST, 0.6), 0.7);
}

#[test]
fn a_training_that_is_begun_again_is_not_compared_with_itself() {
    let mut ladder = Ladder::default();
    let mut verdict = |trial, score| ladder.look(HALVING, look(trial, LAST, score));
    assert_eq!(verdict(1, 0.9), Verdict::Continue);
    assert_eq!(verdict(7, 0.5), Verdict::Continue);
    // Its trainer has died, and it comes by once more.
    assert_eq!(verdict(7, 0.5), Verdict::Continue);
}

#[test]
fn a_score_that_is_no_number_wins_nothing() {
    let rungs = Rungs {
        rule: Rule::Extrapolation,
        ..HALVING
    };
    let verdict = gaining(8).look(rungs, look(9, LAST, f64::NAN));
    assert_eq!(verdict, Verdict::Stop);
}

#[test]
fn who_may_still_win_goes_on_and_nobody_is_stopped_before_there_is_something_to_go_by() {
    let rungs = Rungs {
        rule: Rule::Extrapolation,
        ..HALVING
    };
    // Eight trainings ended at up to 0.85.
    let verdict = |score| gaining(8).look(rungs, look(9, LAST, score));
    assert_eq!(verdict(0.64), Verdict::Continue);
    assert_eq!(verdict(0.60), Verdict::Stop);
    assert_eq!(
        gaining(3).look(rungs, look(9, LAST, 0.0)),
        Verdict::Continue
    );
    assert_eq!(
        gaining(8).look(rungs, look(9, Rung(2), 0.0)),
        Verdict::Continue
    );
}

#[test]
fn inherited_trainings_are_compared_with_their_own_and_at_first_with_their_parents() {
    let mut ladder = Ladder::default();
    let inherited = |trial, score, parent, is_first| Look {
        birth: Birth::Inherited,
        parent: Some(parent),
        stage: Stage {
            rung: LAST,
            is_first,
        },
        ..look(trial, LAST, score)
    };
    for (trial, score) in [0.9, 0.91, 0.92, 0.93].into_iter().enumerate() {
        ladder.look(HALVING, inherited(trial as u64, score, 1.0, true));
    }
    let mut verdict = |look| ladder.look(HALVING, look);
    assert_eq!(verdict(look(5, LAST, 0.5)), Verdict::Continue);
    assert_eq!(verdict(inherited(6, 0.5, 0.6, true)), Verdict::Stop);
    assert_eq!(verdict(inherited(7, 0.5, 0.5, true)), Verdict::Continue);
    assert_eq!(verdict(inherited(8, 0.5, 0.1, false)), Verdict::Stop);
}
