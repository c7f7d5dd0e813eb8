//! What is worth saying about rows: duplicates, the sides of the split, weights, images.

use super::{
    super::{PartRows, Profile, SharedRows, near::NearDuplicates},
    DUPLICATE_SHARE, Finding, FindingKind as Kind,
    Importance::{Detail, Note, Warning},
    percent,
};
use crate::{
    roles::{Part, Sides},
    source::{Dataset, Source},
    split::{Split, VAULT_ROWS_MIN},
};

/// From this share on, images that are nearly the same as training images are no accident.
const NEAR_SHARE: f64 = 0.002;

pub(super) fn findings(source: &Source, split: &Split, profile: &Profile) -> Vec<Finding> {
    let mut findings = duplicates(source, profile);
    findings.extend(time_order(source, split));
    findings.extend(vault_size(source, profile.rows));
    findings.extend(weights(source));
    findings.extend(images(profile));
    findings
}

fn duplicates(source: &Source, profile: &Profile) -> Vec<Finding> {
    let rows = profile.rows.all().max(1) as f64;
    let found = &profile.duplicates;
    let (is_images, things) = match source.dataset {
        Dataset::Images(_) => (true, "images"),
        Dataset::Table(_) => (false, "rows"),
        Dataset::Series(_) => (false, "series"),
        Dataset::Texts(_) => (false, "texts"),
    };
    let mut findings = Vec::new();
    let importance = |count: usize, of: f64| match count as f64 >= DUPLICATE_SHARE * of {
        true => Note,
        false => Detail,
    };
    if found.repeated > 0 {
        findings.push(Finding::new(
            importance(found.repeated, rows),
            Kind::Repeated,
            &[],
            format!(
                "{} {things} ({}) repeat an earlier one, target included",
                found.repeated,
                percent(found.repeated as f64 / rows)
            ),
            "they are kept and count each time",
        ));
    }
    if found.conflicting > 0 {
        let most = found.accuracy_max.filter(|most| *most < 0.9995);
        let most = most.map_or(String::new(), |most| {
            format!(
                ", so that no model can be right on more than {} of all",
                percent(most)
            )
        });
        findings.push(Finding::new(
            importance(found.conflicting, rows),
            Kind::Conflicting,
            &[],
            format!(
                "{} {things} stand with another target elsewhere{most}",
                found.conflicting
            ),
            "they are kept",
        ));
    }
    for shared in &found.shared {
        findings.extend(shared_rows(shared, things, is_images));
    }
    findings
}

fn shared_rows(shared: &SharedRows, things: &str, is_images: bool) -> Vec<Finding> {
    let part = shared.part.name();
    let mut findings = Vec::new();
    if shared.rows > 0 {
        let is_many = is_images || shared.rows as f64 >= DUPLICATE_SHARE * shared.of as f64;
        let together = match things {
            "rows" => "; --split-group COLUMN keeps rows together that belong together",
            _ => "",
        };
        findings.push(Finding::new(
            if is_many { Warning } else { Detail },
            Kind::SharedRows,
            &[part],
            format!(
                "{} of {} {part} {things} are identical to {things} to learn from, so that the score on \
                 them flatters",
                shared.rows, shared.of
            ),
            format!("they are kept{together}"),
        ));
    }
    if shared.groups > 0 {
        findings.push(Finding::new(
            Warning,
            Kind::SharedGroups,
            &[part],
            format!(
                "{} of {} {part} rows belong to groups that are learned from, too, because they came in a \
                 file of their own",
                shared.groups, shared.of
            ),
            "they stay there, so that the score on them flatters",
        ));
    }
    findings
}

fn time_order(source: &Source, split: &Split) -> Vec<Finding> {
    let Sides::Times(times) = &source.facts.sides else {
        return Vec::new();
    };
    let time = |row: &u32| times[*row as usize];
    let newest = split.train.iter().map(time).fold(f64::MIN, f64::max);
    let of_part = |part: Part| {
        let rows = split.rows(part);
        let older = rows.iter().filter(|row| time(row) < newest).count();
        let found = format!(
            "{older} of {} {} rows are older than rows to learn from, because they came in a file of \
             their own",
            rows.len(),
            part.name()
        );
        let done = "they stay there, so that the score on them may flatter";
        (older > 0).then(|| Finding::new(Warning, Kind::TimeOrder, &[part.name()], found, done))
    };
    [Part::Validation, Part::Vault]
        .into_iter()
        .filter_map(of_part)
        .collect()
}

/// Half the width of the 95 % interval of a share of one half, in percentage points.
fn coarseness(rows: usize) -> f64 {
    100.0 * 1.96 * (0.25 / rows as f64).sqrt()
}

fn vault_size(source: &Source, rows: PartRows) -> Option<Finding> {
    if rows.vault == 0 {
        let done = "the winner has no score that nothing had seen; --test FILE or split.vault sets rows aside";
        return Some(Finding::new(
            Note,
            Kind::Vault,
            &[],
            "no row is in the vault",
            done,
        ));
    }
    let is_small = source.given_test_rows.is_empty() && rows.all() < VAULT_ROWS_MIN;
    let found = format!(
        "there are {} rows, fewer than {VAULT_ROWS_MIN}, and {} of them are in the vault",
        rows.all(),
        rows.vault
    );
    let done = format!(
        "a share is known to {:.0} percentage points there; split.vault sets how many, 0 none",
        coarseness(rows.vault)
    );
    is_small.then(|| Finding::new(Detail, Kind::Vault, &[], found, done))
}

fn weights(source: &Source) -> Option<Finding> {
    let weights = source.facts.weights.as_ref()?;
    let sum: f64 = weights.iter().sum();
    let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
    let nothing = weights.iter().filter(|weight| **weight == 0.0).count();
    let without = match nothing {
        0 => String::new(),
        rows => format!(", {rows} rows not at all"),
    };
    let found = format!(
        "rows count by their weights{without}: as much as {:.0} rows of equal weight",
        sum * sum / squares
    );
    let done = "in the loss, in trees, in every metric, and in all that is fitted or told at the end; the \
                split, scales of the inputs, and counts of rows do not look at them";
    Some(Finding::new(Note, Kind::Weights, &[], found, done))
}

fn images(profile: &Profile) -> Vec<Finding> {
    let Some(images) = &profile.images else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if images.blank > 0 {
        let found = format!("{} images are of one colour all over", images.blank);
        findings.push(Finding::new(Note, Kind::Blank, &[], found, "they are kept"));
    }
    findings.extend(images.near.iter().filter_map(near_duplicates));
    findings
}

/// What is to be said of images that are nearly those to learn from, or may be.
fn near_duplicates(near: &NearDuplicates) -> Option<Finding> {
    let (part, others) = (near.part.name(), near.of.saturating_sub(near.looked_at));
    if near.rows == 0 && others == 0 {
        return None;
    }
    let unknown = match others {
        0 => String::new(),
        others => format!("; {others} others were not compared, because that takes too long"),
    };
    let found = format!(
        "{} of {} {part} images are nearly the same as images to learn from{unknown}",
        near.rows, near.looked_at
    );
    let done = "they are kept; if they are copies, the score on them flatters";
    // A few pairs are alike by chance where all images are alike, as handwritten digits.
    let is_many = near.rows > 0 && near.rows as f64 >= NEAR_SHARE * near.looked_at as f64;
    let importance = if is_many { Warning } else { Detail };
    Some(Finding::new(
        importance,
        Kind::NearDuplicates,
        &[part],
        found,
        done,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_were_not_compared_are_said_even_if_none_is_a_copy() {
        let of = |rows: usize, looked_at: usize| {
            near_duplicates(&NearDuplicates {
                part: Part::Vault,
                looked_at,
                rows,
                of: 20,
            })
        };
        assert!(of(0, 20).is_none());
        let whole = of(3, 20).unwrap();
        let expected = "3 of 20 vault images are nearly the same as images to learn from";
        assert_eq!(
            (whole.importance, whole.found.as_str()),
            (Warning, expected)
        );
        let cut = of(0, 5).unwrap();
        let expected = "0 of 5 vault images are nearly the same as images to learn from; 15 others were not \
                        compared, because that takes too long";
        assert_eq!((cut.importance, cut.found.as_str()), (Detail, expected));
    }
}
