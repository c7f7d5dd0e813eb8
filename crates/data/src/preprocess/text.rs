//! Texts: the words or the characters of the training rows get codes, the commonest first.
//!
//! Two ways of writing the same word, as `Dear` and `dear,`, share a code, and so do a letter and its capital. As
//! a runtime of ONNX can look up what is written and nothing else, all ways are listed: those of the training
//! rows, and each word small, with a capital, and in capitals.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::lookups::Pairs;
use crate::{
    fitted::{FittedText, TextUnit},
    levels::commonest,
    source::Texts,
    table::columns::is_missing,
};

/// Words or characters that get a code of their own; their vectors are most of a network.
const KNOWN_MAX: usize = 8_000;

/// A rarer word or character says nothing about others; it is how the unknown is learned.
const OCCURRENCES_MIN: usize = 2;

/// Pairs of characters are told from so many known characters on: where these are as many as words, pairs are words;
/// of an alphabet, a convolution learns its own.
const PAIRED_FROM: usize = 256;

/// Pairs of characters that get a code of their own.
const PAIRS_MAX: usize = 8_000;

/// Rarer pairs say nothing about others.
const PAIR_OCCURRENCES_MIN: usize = 3;

/// Share of the training rows that are read to their end.
const READ_TO_THE_END: f64 = 0.98;

/// Words that are read of a text at least and at most.
const WORDS_READ: RangeInclusive<usize> = 4..=256;

/// Characters that are.
const CHARACTERS_READ: RangeInclusive<usize> = FittedText::CHARACTERS_MIN as usize..=1024;

/// Where characters are numbers, places behind the end of a text hold 0.
const END: &str = "\0";

/// Texts are read by characters if less than this share of their words is known.
///
/// Of English texts 0.43 to 0.53 are with 20 rows and 0.9 with 3,000 (three sets); where words are not set apart, or are
/// names, it is close to none.
const KNOWN_SHARE_MIN: f64 = 1.0 / 3.0;

/// Words of a text beside other columns that get a feature of their own.
const BAG_WORDS_MAX: usize = 200;

/// What these texts are best read by.
pub(crate) fn unit_of(texts: &[String]) -> TextUnit {
    let mut occurrences: BTreeMap<String, usize> = BTreeMap::new();
    for form in texts.iter().flat_map(|text| TextUnit::Word.pieces(text)) {
        *occurrences.entry(word_of(form)).or_default() += 1;
    }
    let all: usize = occurrences.values().sum();
    let known = |count: &&usize| **count >= OCCURRENCES_MIN;
    let known: usize = occurrences.values().filter(known).sum();
    match (known as f64) < KNOWN_SHARE_MIN * all as f64 {
        true => TextUnit::Character,
        false => TextUnit::Word,
    }
}

/// Learns the words or characters of the training rows, and how long texts are.
pub(super) fn fit(texts: &Texts, rows: &[u32]) -> FittedText {
    let chosen = || rows.iter().map(|row| texts.texts[*row as usize].as_str());
    let unit = texts.unit;
    let (known, read) = match unit {
        TextUnit::Word => (common(unit, word_of, chosen(), KNOWN_MAX), WORDS_READ),
        TextUnit::Character => (
            common(unit, letter_of, chosen(), KNOWN_MAX),
            CHARACTERS_READ,
        ),
    };
    let mut lengths: Vec<usize> = chosen().map(|text| unit.pieces(text).count()).collect();
    lengths.sort_unstable();
    let place = (lengths.len() as f64 * READ_TO_THE_END) as usize;
    let length = lengths[place.min(lengths.len() - 1)];
    let mut fitted = FittedText {
        name: texts.name.clone(),
        unit,
        length: length.clamp(*read.start(), *read.end()) as u32,
        codes: u32::from(FittedText::FIRST_KNOWN) + known.len() as u32,
        forms: forms_of(&known, FittedText::FIRST_KNOWN),
        pairs: Vec::new(),
    };
    if unit == TextUnit::Character {
        fitted.forms = of_characters(fitted.forms);
        if known.len() >= PAIRED_FROM {
            fitted.pairs = common_pairs(&fitted, chosen());
            fitted.codes += fitted.pairs.len() as u32;
        }
    }
    fitted
}

/// The commonest pairs of known characters side by side, equally common ones in the order of their codes.
fn common_pairs<'a>(fitted: &FittedText, texts: impl Iterator<Item = &'a str>) -> Vec<[u16; 2]> {
    let are_known = |pair: &[u16; 2]| pair.iter().all(|code| *code >= FittedText::FIRST_KNOWN);
    let mut occurrences: BTreeMap<[u16; 2], usize> = BTreeMap::new();
    for text in texts {
        let codes = fitted.unit.pieces(text).map(|form| code_of(fitted, form));
        let codes: Vec<u16> = codes.collect();
        for pair in codes.array_windows().copied().filter(are_known) {
            *occurrences.entry(pair).or_default() += 1;
        }
    }
    let pairs = commonest(&occurrences, PAIRS_MAX).into_iter();
    let pairs = pairs.filter(|pair| pair.1 >= PAIR_OCCURRENCES_MIN);
    pairs.map(|(pair, _)| pair).collect()
}

fn code_of(fitted: &FittedText, form: &str) -> u16 {
    let known = fitted.forms.get(form).copied();
    known.unwrap_or(FittedText::UNKNOWN)
}

/// Forms that are characters, which not all capitals are (`SS` is that of `ß`), and the one that stands for the end
/// of a text.
fn of_characters(mut forms: BTreeMap<String, u16>) -> BTreeMap<String, u16> {
    forms.retain(|form, _| form.chars().count() == 1);
    forms.insert(END.to_string(), FittedText::NOTHING);
    forms
}

/// The common words of a text beside other columns, by their forms, and how many there are.
pub(super) fn fit_bag<'a>(cells: impl Iterator<Item = &'a str>) -> (BTreeMap<String, u16>, u32) {
    let words = common(TextUnit::Word, word_of, cells, BAG_WORDS_MAX);
    (forms_of(&words, 0), words.len() as u32)
}

/// A word or character, and how often it occurs in which form.
type Known<'a> = (String, BTreeMap<&'a str, usize>);

/// The commonest words or characters, equally common ones in the order of the alphabet.
fn common<'a>(
    unit: TextUnit,
    of_form: fn(&str) -> String,
    texts: impl Iterator<Item = &'a str>,
    known_max: usize,
) -> Vec<Known<'a>> {
    let mut known: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
    for form in texts.flat_map(|text| unit.pieces(text)) {
        *known
            .entry(of_form(form))
            .or_default()
            .entry(form)
            .or_default() += 1;
    }
    let occurrences = |known: &Known<'_>| known.1.values().sum::<usize>();
    let mut known: Vec<Known<'_>> = known
        .into_iter()
        .filter(|known| occurrences(known) >= OCCURRENCES_MIN)
        .collect();
    known.sort_by(|a, b| occurrences(b).cmp(&occurrences(a)).then(a.0.cmp(&b.0)));
    known.truncate(known_max);
    known
}

/// All forms of these words or characters, which get codes from `first` on.
fn forms_of(known: &[Known<'_>], first: u16) -> BTreeMap<String, u16> {
    let mut forms = BTreeMap::new();
    for (index, (word, seen)) in known.iter().enumerate() {
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

/// A character without being a capital; all white space is the same.
fn letter_of(form: &str) -> String {
    match form.chars().all(char::is_whitespace) {
        true => " ".to_string(),
        false => form.to_lowercase(),
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// The codes of these rows' words or characters, and of the pairs that begin at each; what is written for a missing
/// cell has none, wherever it comes from, as the exported files cannot know from where they are asked.
///
/// # Shapes
/// `[rows][length][channels]`.
pub(super) fn codes(fitted: &FittedText, pairs: &Pairs, texts: &Texts, rows: &[u32]) -> Vec<u16> {
    let (length, channels) = (fitted.length as usize, fitted.channels() as usize);
    let mut codes = vec![FittedText::NOTHING; length * channels * rows.len()];
    for (row, out) in rows.iter().zip(codes.chunks_exact_mut(length * channels)) {
        let text = texts.texts[*row as usize].as_str();
        if is_missing(text.trim_ascii()) {
            continue;
        }
        for (form, out) in fitted.unit.pieces(text).zip(out.chunks_exact_mut(channels)) {
            out[0] = code_of(fitted, form);
        }
        if channels > 1 {
            for place in 1..length {
                let pair = [out[(place - 1) * channels], out[place * channels]];
                out[(place - 1) * channels + 1] =
                    pairs.get(&pair).copied().unwrap_or(FittedText::NOTHING);
            }
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
            unit: TextUnit::Word,
            targets: RawTargets::Unknown(lines.len()),
        }
    }

    #[test]
    fn all_ways_of_writing_a_word_share_its_code() {
        let train = texts(&["Dear John, dear all", "(dear) all: Ünder ünder"]);
        let fitted = fit(&train, &[0, 1]);
        let new = texts(&["dear Dear DEAR (dear) all: ALL ÜNDER"]);
        let codes = codes(&fitted, &Pairs::new(), &new, &[0]);
        assert_eq!(codes[..4], [2; 4], "{fitted:?}");
        assert_eq!(codes[4..], [3, 3, 4][..codes.len() - 4]);
    }

    #[test]
    fn a_word_that_occurs_once_is_as_unknown_as_one_that_never_does() {
        let fitted = fit(&texts(&["one two two", "two three"]), &[0, 1]);
        let codes = codes(&fitted, &Pairs::new(), &texts(&["one four two"]), &[0]);
        assert_eq!(codes, [1, 1, 2, 0]);
    }

    #[test]
    fn what_is_written_for_a_missing_text_is_no_word() {
        let fitted = fit(&texts(&["one two two", "NA NA two"]), &[0, 1]);
        let new = texts(&["NA", " n/a\n", "", "NA NA", "none"]);
        let codes = codes(&fitted, &Pairs::new(), &new, &[0, 1, 2, 3, 4]);
        let rows: Vec<&[u16]> = codes.chunks_exact(4).collect();
        assert_eq!(rows[..3], [[0; 4]; 3], "{fitted:?}");
        assert_eq!(rows[3][..2], [3, 3]);
        assert_eq!(rows[4], [1, 0, 0, 0]);
    }
}
