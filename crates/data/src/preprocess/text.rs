//! Texts: the words of the training rows get codes, the commonest first.
//!
//! Two ways of writing the same word, as `Dear` and `dear,`, share a code. As a runtime of ONNX can look up
//! what is written and nothing else, all ways are listed: those of the training rows, and each word small,
//! with a capital, and in capitals.

use std::collections::BTreeMap;

use crate::{fitted::FittedText, source::Texts, table::columns::is_missing};

/// Words that get a code of their own; their vectors are most of a network.
const WORDS_MAX: usize = 8_000;

/// A rarer word says nothing about others; it is how the unknown is learned.
const OCCURRENCES_MIN: usize = 2;

/// Share of the training rows that are read to their end.
const READ_TO_THE_END: f64 = 0.98;

/// Words that are read of a text at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=256;

/// Words of a text beside other columns that get a feature of their own.
const BAG_WORDS_MAX: usize = 200;

/// Learns the words of the training rows, and how long texts are.
pub(super) fn fit(texts: &Texts, rows: &[u32]) -> FittedText {
    let chosen = || rows.iter().map(|row| texts.texts[*row as usize].as_str());
    let words = common_words(chosen(), WORDS_MAX);
    let mut lengths: Vec<usize> = chosen()
        .map(|text| text.split_ascii_whitespace().count())
        .collect();
    lengths.sort_unstable();
    let place = (lengths.len() as f64 * READ_TO_THE_END) as usize;
    let length = lengths[place.min(lengths.len() - 1)];
    FittedText {
        name: texts.name.clone(),
        length: length.clamp(*LENGTH.start(), *LENGTH.end()) as u32,
        codes: u32::from(FittedText::FIRST_WORD) + words.len() as u32,
        forms: forms_of(&words, FittedText::FIRST_WORD),
    }
}

/// The common words of a text beside other columns, by their forms, and how many there are.
pub(super) fn fit_bag<'a>(cells: impl Iterator<Item = &'a str>) -> (BTreeMap<String, u16>, u32) {
    let words = common_words(cells, BAG_WORDS_MAX);
    (forms_of(&words, 0), words.len() as u32)
}

/// A word and how often it occurs in which form.
type Word<'a> = (String, BTreeMap<&'a str, usize>);

/// The commonest words, equally common ones in the order of the alphabet.
fn common_words<'a>(texts: impl Iterator<Item = &'a str>, words_max: usize) -> Vec<Word<'a>> {
    let mut words: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for form in texts.flat_map(str::split_ascii_whitespace) {
        *words
            .entry(word_of(form))
            .or_default()
            .entry(form)
            .or_default() += 1;
    }
    let occurrences = |word: &Word<'_>| word.1.values().sum::<usize>();
    let mut words: Vec<Word<'_>> = words
        .into_iter()
        .filter(|word| occurrences(word) >= OCCURRENCES_MIN)
        .collect();
    words.sort_by(|a, b| occurrences(b).cmp(&occurrences(a)).then(a.0.cmp(&b.0)));
    words.truncate(words_max);
    words
}

/// All forms of these words, which get codes from `first` on.
fn forms_of(words: &[Word<'_>], first: u16) -> BTreeMap<String, u16> {
    let mut forms = BTreeMap::new();
    for (index, (word, seen)) in words.iter().enumerate() {
        let code = first + index as u16;
        forms.extend(seen.keys().map(|form| ((*form).to_string(), code)));
        for form in [word.clone(), capitalised(word), word.to_uppercase()] {
            forms.entry(form).or_insert(code);
        }
    }
    forms
}

/// A form without capitals and without what stands around its letters and digits.
fn word_of(form: &str) -> String {
    let bare = form.trim_matches(|letter: char| !letter.is_alphanumeric());
    let bare = if bare.is_empty() { form } else { bare };
    bare.to_lowercase()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// The codes of these rows' words; what is written for a missing cell has none, wherever it comes from, as
/// the exported files cannot know from where they are asked.
///
/// # Shapes
/// `[rows][length]`.
pub(super) fn codes(fitted: &FittedText, texts: &Texts, rows: &[u32]) -> Vec<u16> {
    let length = fitted.length as usize;
    let mut codes = vec![FittedText::NOTHING; length * rows.len()];
    for (row, out) in rows.iter().zip(codes.chunks_exact_mut(length)) {
        let text = texts.texts[*row as usize].as_str();
        if is_missing(text.trim()) {
            continue;
        }
        for (form, out) in text.split_ascii_whitespace().zip(out) {
            *out = fitted
                .forms
                .get(form)
                .copied()
                .unwrap_or(FittedText::UNKNOWN);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RawTargets;

    fn texts(lines: &[&str]) -> Texts {
        Texts {
            name: "text".to_string(),
            texts: lines.iter().map(|line| (*line).to_string()).collect(),
            targets: RawTargets::Unknown(lines.len()),
        }
    }

    #[test]
    fn all_ways_of_writing_a_word_share_its_code() {
        let train = texts(&["Dear John, dear all", "(dear) all: Ünder ünder"]);
        let fitted = fit(&train, &[0, 1]);
        let new = texts(&["dear Dear DEAR (dear) all: ALL ÜNDER"]);
        let codes = codes(&fitted, &new, &[0]);
        assert_eq!(codes[..4], [2; 4], "{fitted:?}");
        assert_eq!(codes[4..], [3, 3, 4][..codes.len() - 4]);
    }

    #[test]
    fn a_word_that_occurs_once_is_as_unknown_as_one_that_never_does() {
        let fitted = fit(&texts(&["one two two", "two three"]), &[0, 1]);
        let codes = codes(&fitted, &texts(&["one four two"]), &[0]);
        assert_eq!(codes, [1, 1, 2, 0]);
    }

    #[test]
    fn what_is_written_for_a_missing_text_is_no_word() {
        let fitted = fit(&texts(&["one two two", "NA NA two"]), &[0, 1]);
        let new = texts(&["NA", " n/a\n", "", "NA NA", "none"]);
        let codes = codes(&fitted, &new, &[0, 1, 2, 3, 4]);
        let rows: Vec<&[u16]> = codes.chunks_exact(4).collect();
        assert_eq!(rows[..3], [[0; 4]; 3], "{fitted:?}");
        assert_eq!(rows[3][..2], [3, 3]);
        assert_eq!(rows[4], [1, 0, 0, 0]);
    }
}
