//! The winner in detail: sections about its answers, its sureness, what it looks at and its worst errors.

use maud::{Markup, html};
use study::conclude::{
    Details,
    details::{Answers, ToldOf, Weighing},
};

use super::{
    confusion, importance,
    model::MetricShown,
    parts::{section, thousands},
    reliability, residuals, worst,
};

/// All sections that tell of single rows.
pub(crate) fn details(details: &Details, metric: &MetricShown) -> Markup {
    let rows = thousands(details.rows as u64);
    let mut of = match details.told_of {
        ToldOf::Vault => format!("On the {rows} rows of the vault."),
        ToldOf::Validation => format!(
            "There is no vault: this is about the {rows} validation rows, which chose the winner, and flatters."
        ),
    };
    if details.weighing == Weighing::ByWeight {
        of += " Rows are counted one by one; means, shares and scores are by their weights.";
    }
    html! {
        @match &details.answers {
            Answers::Classes { confusion, reliability } => {
                (section(
                    "Right and wrong",
                    &format!(
                        "{of} Each line of the left table is a class; what is off its diagonal is wrong."
                    ),
                    &confusion::confusion(confusion),
                ))
                (section(
                    "How sure it is",
                    &format!(
                        "{of} Where the line lies below the diagonal, the model is surer than it is right."
                    ),
                    &reliability::reliability(reliability, &confusion.classes),
                ))
            }
            Answers::Values { residuals } => (section(
                "Predicted and true",
                &format!("{of} Rows above the line were predicted too low."),
                &residuals::residuals(residuals),
            )),
        }
        @if let Some(importance) = &details.importance {
            (section(
                "What it looks at",
                &format!(
                    "How much worse {} gets if a column is shuffled among the rows; the thin line is one \
                     standard deviation over repeats. A column that others repeat seems unimportant.",
                    metric.name
                ),
                &importance::importance(importance),
            ))
        }
        @if !details.worst.is_empty() {
            (section(
                "Worst errors",
                "Worst first. These are the rows to look at first: some of them may be labelled wrong.",
                &worst::worst(&details.worst),
            ))
        }
    }
}
