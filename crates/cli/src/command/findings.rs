//! What was found about a winner, as text: whether it paid off, where it errs, how sure it is, what it looks at.

use study::conclude::{
    Conclusion, Details, Verdict,
    classes::{ClassScores, Confusion},
    details::{Answers, ToldOf, Weighing},
    importance::{ColumnImportance, Importance},
    reliability::Reliability,
    residuals::{Interval, Residuals},
    worst::WorstRow,
};

use crate::show;

/// Columns, confusions and rows that are named on the command line.
const NAMED_MAX: usize = 5;

/// Classes and columns in a model card.
const CARD_ROWS_MAX: usize = 20;

/// The verdict with its numbers.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    let difference = verdict.difference.interval;
    let [value, low, high] = [difference.value, difference.low, difference.high].map(signed);
    format!(
        "{}: difference {value} on the same {} vault rows (95 % interval {low} to {high}; above 0 the \
         winner is better)",
        verdict.headline(),
        verdict.rows,
    )
}

/// A number with its sign: differences are read by it.
pub(crate) fn signed(value: f64) -> String {
    match value {
        value if value >= 0.0 => format!("+{}", show::significant(value)),
        value => format!("−{}", show::significant(-value)),
    }
}

/// What `lehr best` says of the winner below its scores, a line each.
pub(crate) fn text(conclusion: &Conclusion) -> String {
    let mut lines: Vec<(&str, String)> = Vec::new();
    for absent in &conclusion.absent {
        lines.push((
            "",
            format!("{:<10} not by {}: {}", "", absent.name, absent.reason),
        ));
    }
    if let Some(found) = &conclusion.verdict {
        lines.push(("verdict", verdict(found)));
        lines.push(("", found.advice().to_string()));
    }
    let details = &conclusion.details;
    match &details.answers {
        Answers::Classes {
            confusion,
            reliability,
        } => {
            lines.push(("calibrated", surety(reliability, confusion)));
            let confused = confusion.confused.iter().take(NAMED_MAX);
            let named: Vec<String> = confused
                .map(|pair| format!("{} said to be {} ({})", pair.truth, pair.said, pair.rows))
                .collect();
            if !named.is_empty() {
                lines.push(("confused", named.join(", ")));
            }
        }
        Answers::Values { residuals } => {
            lines.extend(
                residuals
                    .interval
                    .map(|interval| ("interval", within(interval))),
            );
        }
    }
    if let Some(importance) = &details.importance {
        lines.push(("looks at", looks_at(importance)));
    }
    let worst = details.worst.iter().take(NAMED_MAX);
    let named: Vec<String> = worst.filter_map(named_row).collect();
    if !named.is_empty() {
        lines.push(("worst", named.join(", ")));
    }
    let line = |(name, text): &(&str, String)| format!("{name:<11} {text}\n");
    lines.iter().map(line).collect()
}

fn surety(reliability: &Reliability, confusion: &Confusion) -> String {
    let calibration = &reliability.calibration;
    let mut text = format!(
        "probabilities are off by {} on the mean, by {} before a temperature of {}",
        show::significant(reliability.after.error),
        show::significant(reliability.before.error),
        show::significant(calibration.temperature()),
    );
    if calibration.offset() != 0.0 {
        text += &format!(
            " and an offset of {}",
            show::significant(calibration.offset())
        );
    }
    if let Some(said) = threshold(reliability, &confusion.classes) {
        text += &format!("; {said}");
    }
    text
}

/// From which probability on the second of two classes is said, if not from one half.
pub(crate) fn threshold(reliability: &Reliability, classes: &[ClassScores]) -> Option<String> {
    let calibration = &reliability.calibration;
    let [_, second] = classes else { return None };
    calibration.moves_labels().then(|| {
        format!(
            "`{}` is said above a probability of {}, which is best for the metric",
            second.class,
            show::significant(calibration.threshold())
        )
    })
}

/// What a prediction interval is, and how many rows it really holds.
pub(crate) fn within(interval: Interval) -> String {
    format!(
        "a prediction ± {} is made to hold {:.0} % of new rows; here it holds {:.1} %",
        show::significant(interval.half_width),
        interval.share * 100.0,
        interval.held * 100.0,
    )
}

fn looks_at(importance: &Importance) -> String {
    let columns = importance.columns.iter().take(NAMED_MAX);
    let named: Vec<String> = columns
        .map(|column| format!("{} {}", column.column, signed(column.drop)))
        .collect();
    format!(
        "{} (loss of the metric if the column is shuffled)",
        named.join(", ")
    )
}

fn named_row(row: &WorstRow) -> Option<String> {
    let name = row.name.as_ref()?;
    Some(format!("row {name} ({}, said {})", row.truth, row.said))
}

/// What the model card says of the winner below its scores.
pub(crate) fn card(conclusion: &Conclusion) -> String {
    let mut text = String::new();
    for absent in &conclusion.absent {
        text += &format!("\nNot compared: {} — {}.\n", absent.name, absent.reason);
    }
    if let Some(found) = &conclusion.verdict {
        text += &format!(
            "\n## Did deep learning pay off?\n\n{}.\n{}.\n",
            upper_first(&verdict(found)),
            upper_first(found.advice())
        );
    }
    let details = &conclusion.details;
    text += &format!("\n## In detail\n\n{}\n", told_of(details));
    match &details.answers {
        Answers::Classes {
            confusion,
            reliability,
        } => text += &classes(confusion, reliability),
        Answers::Values { residuals } => text += &values(residuals),
    }
    if let Some(importance) = &details.importance {
        text += &columns(&importance.columns);
    }
    text
}

/// Which rows are told of, and how much they count.
pub(crate) fn told_of(details: &Details) -> String {
    let weighing = match details.weighing {
        Weighing::Alike => "",
        Weighing::ByWeight => {
            " Rows are counted one by one; means, shares and scores are by their weights."
        }
    };
    let rows = match details.told_of {
        ToldOf::Vault => format!(
            "What follows is about the {} rows of the vault, which nothing had seen before.",
            details.rows
        ),
        ToldOf::Validation => format!(
            "There is no vault: what follows is about the {} validation rows, which chose the model, and \
             flatters.",
            details.rows
        ),
    };
    rows + weighing
}

fn share(value: Option<f64>) -> String {
    value.map_or("-".to_string(), |value| format!("{value:.3}"))
}

fn classes(confusion: &Confusion, reliability: &Reliability) -> String {
    let mut text =
        "\n| class | rows | precision | recall | F1 |\n|---|---|---|---|---|\n".to_string();
    for class in confusion.classes.iter().take(CARD_ROWS_MAX) {
        text += &format!(
            "| {} | {} | {} | {} | {} |\n",
            class.class.replace('|', "\\|"),
            class.rows,
            share(class.precision),
            share(class.recall),
            share(class.f1)
        );
    }
    let more = confusion.classes.len().saturating_sub(CARD_ROWS_MAX);
    if more > 0 {
        text += &format!("\n{more} more classes.\n");
    }
    text + &format!(
        "\nMean F1 over classes {}.\n{}.\n",
        share(Some(confusion.f1_macro)),
        upper_first(&surety(reliability, confusion))
    )
}

fn values(residuals: &Residuals) -> String {
    let [low, quarter, half, three_quarters, high] = residuals.quantiles.map(show::significant);
    let mut text = format!(
        "\nErrors (predicted less true): mean {}; 5 % lie below {low}, 25 % below {quarter}, half below {half}, \
         75 % below {three_quarters}, 95 % below {high}.\n",
        show::significant(residuals.mean),
    );
    if let Some(interval) = residuals.interval {
        text += &format!("{}.\n", upper_first(&within(interval)));
    }
    text
}

fn columns(columns: &[ColumnImportance]) -> String {
    let mut text =
        "\n| column | loss of the metric if it is shuffled | ± |\n|---|---|---|\n".to_string();
    for column in columns.iter().take(CARD_ROWS_MAX) {
        text += &format!(
            "| {} | {} | {} |\n",
            column.column.replace('|', "\\|"),
            signed(column.drop),
            show::significant(column.deviation)
        );
    }
    text
}

/// The same with a capital letter, as a sentence begins.
pub(crate) fn upper_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use study::conclude::{Difference, Finding, Shows, WithInterval};

    use super::*;

    #[test]
    fn a_verdict_says_against_whom_by_how_much_and_how_sure() {
        let found = Verdict {
            groups: None,
            finding: Finding::NoDifferenceShown,
            against: "gradient-boosted trees".to_string(),
            winner: 0.91,
            other: 0.9,
            difference: Difference {
                interval: WithInterval {
                    value: 0.01,
                    low: -0.02,
                    high: 0.04,
                },
                shows: Shows::Nothing,
            },
            rows: 120,
            winner_is_linear: false,
        };
        assert_eq!(
            verdict(&found),
            "no difference to gradient-boosted trees that 120 rows can show: difference +0.01000 on the \
             same 120 vault rows (95 % interval −0.02000 to +0.04000; above 0 the winner is better)"
        );
    }
}
