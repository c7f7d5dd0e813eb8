//! Whether deep learning paid off: the winner against the best of the simple models, row by row.
//!
//! Both are scored on the same draws of the same rows, so what makes a row hard for both cancels out: a
//! paired bootstrap, over groups of rows where these stay together. Where fewer than six rows or groups tell the
//! two apart, nothing is claimed. What it cannot see is that another split or another training might end
//! differently.

use serde::{Deserialize, Serialize};
use train::Metric;

use super::{
    TREES,
    scores::{Difference, Scored, Shows, Standing},
};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The network is better, and chance does not explain it.
    DeepLearningPaidOff,
    /// One may be better, but these rows cannot show it.
    NoDifferenceShown,
    /// The simple model is better, and chance does not explain it; or the winner is a simple model.
    SimpleModelIsBetter,
}

/// The winner against the best of the simple models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was found.
    pub finding: Finding,
    /// The simple model that did best on the validation rows.
    pub against: String,
    /// The winner's metric on the vault.
    pub winner: f64,
    /// That model's metric on the vault.
    pub other: f64,
    /// By how much the winner is better.
    pub difference: Difference,
    /// On so many rows.
    pub rows: usize,
    /// Of so many groups, if rows come in groups.
    #[serde(default)]
    pub groups: Option<usize>,
    /// Whether the winner is the linear model itself.
    pub winner_is_linear: bool,
}

/// Compares the winner, which stands first, with the rest; `None` without a vault, or nothing beside it.
pub(super) fn verdict(
    standing: &Standing,
    metric: Metric,
    (rows, groups): (usize, Option<usize>),
    winner_is_linear: bool,
) -> Option<Verdict> {
    let (winner, others) = standing.scored.split_first()?;
    let chosen = best_by_validation(others, metric)?;
    let other = &others[chosen];
    let (winner_value, other_value) = (winner.vault?.value, other.vault?.value);
    let difference = standing.better_by(0, chosen + 1, metric)?;
    let finding = match difference.shows {
        Shows::Worse => Finding::SimpleModelIsBetter,
        _ if winner_is_linear => Finding::SimpleModelIsBetter,
        Shows::Better => Finding::DeepLearningPaidOff,
        Shows::Nothing => Finding::NoDifferenceShown,
    };
    Some(Verdict {
        finding,
        against: other.name.clone(),
        winner: winner_value,
        other: other_value,
        difference,
        rows,
        groups,
        winner_is_linear,
    })
}

/// So many rows, of so many groups if they come in groups.
pub fn rows_in_words(rows: usize, groups: Option<usize>) -> String {
    match groups {
        None => format!("{rows} rows"),
        Some(1) => format!("{rows} rows of one group"),
        Some(groups) => format!("{rows} rows of {groups} groups"),
    }
}

/// The vault may not choose whom the winner is compared with: the validation rows do.
fn best_by_validation(others: &[Scored], metric: Metric) -> Option<usize> {
    let scores = others.iter().enumerate().filter_map(|(index, other)| {
        other.vault?;
        Some((index, metric.score(other.validation?)))
    });
    let best = scores.reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.map(|(index, _)| index)
}

impl Verdict {
    /// The finding in a few words.
    pub fn headline(&self) -> String {
        let Verdict {
            finding,
            against,
            rows,
            ..
        } = self;
        match finding {
            Finding::DeepLearningPaidOff => format!("deep learning paid off against {against}"),
            Finding::NoDifferenceShown => {
                let rows = rows_in_words(*rows, self.groups);
                format!("no difference to {against} that {rows} can show")
            }
            Finding::SimpleModelIsBetter if self.difference.shows == Shows::Worse => {
                let it = if against.starts_with(TREES) {
                    "them"
                } else {
                    "it"
                };
                format!("{against} did better than the network: use {it}")
            }
            Finding::SimpleModelIsBetter => {
                "no network was better than the linear model".to_string()
            }
        }
    }

    /// What is to be done about it.
    pub fn advice(&self) -> &'static str {
        let interval = self.difference.interval;
        match self.finding {
            Finding::DeepLearningPaidOff => "the network is worth its price on these data",
            // Whoever reads the interval beside it has to know why that is not enough.
            Finding::NoDifferenceShown if interval.low > 0.0 || interval.high < 0.0 => {
                "fewer than six rows or groups tell the two apart, too few for the interval to mean anything: the \
                 simpler model is the safer choice, unless more rows change this"
            }
            Finding::NoDifferenceShown => {
                "the simpler model is the safer choice, unless more rows or more time change this"
            }
            Finding::SimpleModelIsBetter => {
                "a network is not worth it on these data, unless more time changes this"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use data::{Examples, ItemShape, Targets};
    use train::Calibration;

    use super::{
        super::scores::{Contender, score},
        *,
    };

    /// Whether a model is wrong about a row.
    type Wrong<'a> = &'a dyn Fn(usize) -> bool;

    /// The winner and trees, which are wrong about these rows; these are of so many groups, if there are any.
    fn compared(
        rows: usize,
        groups: Option<usize>,
        [winner, other]: [Wrong<'_>; 2],
        winner_is_linear: bool,
    ) -> Verdict {
        let targets = Targets::Classes {
            ids: vec![1; rows],
            count: 2,
        };
        let inputs = vec![0.0; rows];
        let vault = Examples::from_floats(ItemShape::Features(1), inputs, targets);
        let contender = |name: &str, validation: f64, wrong: Wrong<'_>| {
            let output = |row: usize| if wrong(row) { [1.0, 0.0] } else { [0.0, 1.0] };
            Contender {
                name: name.to_string(),
                about: String::new(),
                validation: Some(validation),
                vault: (0..rows).flat_map(output).collect(),
                calibration: Calibration::default(),
            }
        };
        let contenders = [
            contender("the winner", 0.9, winner),
            contender("a model that is never right", 0.0, &|_| true),
            contender(TREES, 0.8, other),
        ];
        let numbers: Vec<u32> = match groups {
            Some(groups) => (0..rows).map(|row| (row * groups / rows) as u32).collect(),
            None => Vec::new(),
        };
        let standing = score(&contenders, &vault, &numbers, Metric::Accuracy, 1.0, 5);
        let (of, metric) = ((rows, groups), Metric::Accuracy);
        verdict(&standing, metric, of, winner_is_linear).unwrap()
    }

    /// Two models that are right on these shares of the rows, the first rows of each being wrong.
    fn judged(rows: usize, winner: f64, other: f64, winner_is_linear: bool) -> Verdict {
        let wrong = |share: f64| ((1.0 - share) * rows as f64).round() as usize;
        let (winner, other) = (wrong(winner), wrong(other));
        let wrong: [Wrong<'_>; 2] = [&|row| row < winner, &|row| row < other];
        compared(rows, None, wrong, winner_is_linear)
    }

    #[test]
    fn rows_are_told_with_their_groups() {
        assert_eq!(rows_in_words(90, None), "90 rows");
        assert_eq!(rows_in_words(90, Some(1)), "90 rows of one group");
        assert_eq!(rows_in_words(90, Some(7)), "90 rows of 7 groups");
    }

    #[test]
    fn a_difference_that_chance_does_not_explain_is_said_whoever_it_favours() {
        let better = judged(500, 0.95, 0.85, false);
        assert_eq!(better.finding, Finding::DeepLearningPaidOff);
        assert_eq!(better.against, TREES);
        assert!((better.difference.interval.value - 0.1).abs() < 1e-9);
        let worse = judged(500, 0.85, 0.95, false);
        assert_eq!(worse.finding, Finding::SimpleModelIsBetter);
        assert_eq!(
            worse.headline(),
            "gradient-boosted trees did better than the network: use them"
        );
    }

    #[test]
    fn a_difference_that_chance_explains_is_none() {
        let verdict = judged(100, 0.91, 0.90, false);
        assert_eq!(verdict.finding, Finding::NoDifferenceShown);
        let interval = verdict.difference.interval;
        assert!(interval.low <= 0.0 && interval.high > 0.0);
        assert!(verdict.headline().contains("100 rows can show"));
    }

    #[test]
    fn rows_that_are_hard_for_both_do_not_hide_a_difference() {
        // Each score alone scatters by 0.05, their difference does not: the same rows are wrong.
        let verdict = judged(400, 0.62, 0.58, false);
        assert_eq!(verdict.finding, Finding::DeepLearningPaidOff);
    }

    #[test]
    fn a_few_groups_show_nothing_though_each_favours_the_same_model() {
        let (tenth, fifth): (Wrong<'_>, Wrong<'_>) = (&|row| row % 10 == 0, &|row| row % 10 < 2);
        for groups in [1, 2, 5] {
            let found = compared(200, Some(groups), [tenth, fifth], false);
            assert!(found.difference.interval.low > 0.0, "{found:?}");
            assert_eq!(found.finding, Finding::NoDifferenceShown, "{groups}");
            assert!(found.advice().contains("fewer than six rows or groups"));
            let linear = compared(200, Some(groups), [fifth, tenth], true);
            assert!(linear.difference.interval.high < 0.0, "{linear:?}");
            assert!(linear.headline().contains("no network was better"));
        }
        let found = compared(200, Some(8), [tenth, fifth], false);
        assert_eq!(found.finding, Finding::DeepLearningPaidOff);
    }

    #[test]
    fn a_few_rows_that_tell_two_models_apart_show_nothing_whatever_is_drawn() {
        // McNemar's exact test, both sides: 0.125, 0.0625 and 0.03125.
        let findings = [
            (4, Finding::NoDifferenceShown),
            (5, Finding::NoDifferenceShown),
            (6, Finding::DeepLearningPaidOff),
        ];
        for (telling, finding) in findings {
            let found = compared(30, None, [&|_| false, &|row| row < telling], false);
            assert_eq!(found.finding, finding, "{telling}");
        }
    }

    #[test]
    fn a_winner_that_is_the_linear_model_is_no_success_of_deep_learning() {
        let verdict = judged(500, 0.95, 0.85, true);
        assert_eq!(verdict.finding, Finding::SimpleModelIsBetter);
        assert!(verdict.headline().contains("no network was better"));
    }
}
