//! What is worth saying about the target: classes that are rare or absent, numbers with long tails.

use super::{
    super::{Profile, TargetProfile},
    Finding, FindingKind as Kind,
    Importance::{Detail, Note, Warning},
    named,
};
use crate::roles::Part;

/// Training rows below which a class can hardly be learned.
const RARE_CLASS_ROWS: usize = 10;

/// A tail so long deserves a word.
const SKEWNESS: f64 = 2.0;

/// Numbers of so few different values look like classes.
const FEW_VALUES: usize = 10;

pub(super) fn findings(profile: &Profile) -> Vec<Finding> {
    let mut findings = classes(profile);
    findings.extend(target(profile));
    findings
}

fn classes(profile: &Profile) -> Vec<Finding> {
    let TargetProfile::Classification { classes, .. } = &profile.target else {
        return Vec::new();
    };
    let lacking = |part: Part| -> Vec<&str> {
        let without = classes.iter().filter(|class| class.rows.of(part) == 0);
        without.map(|class| class.class.as_str()).collect()
    };
    let mut findings = Vec::new();
    for part in Part::ALL
        .into_iter()
        .filter(|part| profile.rows.of(*part) > 0)
    {
        let names = lacking(part);
        if names.is_empty() {
            continue;
        }
        let done = match part {
            Part::Train => "nothing can be learned of them",
            Part::Validation | Part::Vault => "the score there says nothing of them",
        };
        let found = format!("no {} row is of class {}", part.name(), named(&names));
        findings.push(Finding::new(
            Warning,
            Kind::AbsentClass,
            &names,
            found,
            done,
        ));
    }
    let is_rare = |rows: usize| (1..RARE_CLASS_ROWS).contains(&rows);
    let rare = classes.iter().filter(|class| is_rare(class.rows.train));
    let names: Vec<&str> = rare.map(|class| class.class.as_str()).collect();
    if !names.is_empty() {
        findings.push(Finding::new(
            Note,
            Kind::RareClass,
            &names,
            format!(
                "fewer than {RARE_CLASS_ROWS} training rows are of class {}",
                named(&names)
            ),
            "they are kept; hardly anything can be learned of them",
        ));
    }
    findings
}

fn target(profile: &Profile) -> Vec<Finding> {
    let TargetProfile::Regression {
        name,
        values,
        distinct,
    } = &profile.target
    else {
        return Vec::new();
    };
    let finding = |importance, found: String, done: &str| {
        Finding::new(importance, Kind::Target, &[name], found, done)
    };
    let mut findings = Vec::new();
    if *distinct <= FEW_VALUES && values.whole {
        let found = format!("`{name}` has {distinct} different values only");
        let done = "it is predicted as a number; --task classification predicts classes";
        findings.push(finding(Note, found, done));
    }
    if values.skewness.abs() >= SKEWNESS {
        let side = if values.skewness > 0.0 {
            "right"
        } else {
            "left"
        };
        let found = format!(
            "`{name}` has a long tail to the {side} (skewness {:.1})",
            values.skewness
        );
        let done = "it is standardised, and errors beyond one deviation count linearly; its logarithm may \
                    be easier to predict";
        findings.push(finding(Note, found, done));
    }
    if values.outliers > 0 {
        let found = format!(
            "`{name}` has {} values far outside of the middle half",
            values.outliers
        );
        findings.push(finding(
            Detail,
            found,
            "they are kept; errors beyond one deviation count linearly",
        ));
    }
    findings
}
