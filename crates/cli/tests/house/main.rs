//! The house rules that a machine can check, checked on the whole repository.
//!
//! STYLE.md says the rules; a rule marked ⚙ there is one of these tests or a lint in `Cargo.toml`.
//! Every rule is also shown a text that breaks it, so that a rule that has gone blind is noticed.

mod documents;
mod manifests;
mod repository;
mod rules;
mod source;
mod supply;

use std::fmt;

/// One place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// File, relative to the repository, with a line where there is one.
    pub(crate) place: String,
    /// What is wrong there, against which rule.
    pub(crate) rule: String,
}

impl Violation {
    fn new(place: impl Into<String>, rule: impl Into<String>) -> Violation {
        Violation {
            place: place.into(),
            rule: rule.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.rule)
    }
}

/// Fails with every violation on a line of its own.
fn check_none(violations: &[Violation]) {
    let lines: Vec<String> = violations.iter().map(Violation::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} violation(s)\n{}",
        lines.len(),
        lines.join("\n")
    );
}
