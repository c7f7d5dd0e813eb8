//! What people write into cells: sentences, texts whose words are not set apart, and names.

use std::collections::BTreeSet;

use crate::{
    levels,
    source::{Cells, Column},
};

/// Cells of a text hold at least so many words in the mean,
const TEXT_WORDS_MIN: f64 = 3.0;
/// or so many letters of a script that sets no words apart,
const TEXT_LETTERS_MIN: f64 = 8.0;
/// and at least this share of them are different.
const TEXT_DIFFERENT_SHARE: f64 = 0.3;

/// Of names that are learned from letter by letter, at most this share holds digits: others are numbers of things.
const NUMBERED_SHARE_MAX: f64 = 0.5;

/// Scripts that set no words apart: Thai, Lao, Tibetan, Burmese, Khmer, kana and Chinese characters.
///
/// # Source
/// The Unicode Standard, chart of blocks.
const UNSPACED: [(char, char); 9] = [
    ('\u{e00}', '\u{e7f}'),
    ('\u{e80}', '\u{eff}'),
    ('\u{f00}', '\u{fff}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1780}', '\u{17ff}'),
    ('\u{3040}', '\u{30ff}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{20000}', '\u{323af}'),
];

/// Whether these words are texts rather than categories.
pub(super) fn are_texts(words: &[Option<String>]) -> bool {
    are_sentences(words)
        || mean(words, unspaced_letters_in) >= TEXT_LETTERS_MIN && are_mostly_different(words)
}

/// Whether they are texts of words that are set apart.
pub(super) fn are_sentences(words: &[Option<String>]) -> bool {
    words_per_cell(words) >= TEXT_WORDS_MIN && are_mostly_different(words)
}

/// Whether a column holds names or other sequences of letters: too many for a category, so that nothing can be
/// learned but from how they are written.
pub(super) fn is_spelled(column: &Column) -> bool {
    let Cells::Words(words) = &column.cells else {
        return false;
    };
    let has_digits = |word: &str| usize::from(word.contains(|c: char| c.is_ascii_digit()));
    let present: BTreeSet<&String> = words.iter().flatten().collect();
    present.len() > levels::OWN
        && are_mostly_different(words)
        && mean(words, has_digits) <= NUMBERED_SHARE_MAX
}

/// How much of a text a column is: by words in the mean, then by bytes. Nothing if it holds numbers.
pub(super) fn size_of_texts(cells: &Cells) -> (f64, f64) {
    cells.written().map_or((0.0, 0.0), |words| {
        (words_per_cell(words), mean(words, str::len))
    })
}

/// How many words the cells hold in the mean.
pub(crate) fn words_per_cell(words: &[Option<String>]) -> f64 {
    mean(words, words_in)
}

fn are_mostly_different(words: &[Option<String>]) -> bool {
    let present = words.iter().flatten();
    let different: BTreeSet<&String> = present.clone().collect();
    different.len() as f64 >= TEXT_DIFFERENT_SHARE * present.count() as f64
}

fn words_in(cell: &str) -> usize {
    cell.split_whitespace().count()
}

fn unspaced_letters_in(cell: &str) -> usize {
    let is_unspaced = |letter: &char| UNSPACED.iter().any(|(a, b)| (a..=b).contains(&letter));
    cell.chars().filter(is_unspaced).count()
}

/// The mean over the cells with a value.
fn mean(words: &[Option<String>], count: fn(&str) -> usize) -> f64 {
    let counts = words.iter().flatten().map(|cell| count(cell));
    let present = words.iter().flatten().count().max(1);
    counts.sum::<usize>() as f64 / present as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|cell| Some((*cell).to_string())).collect()
    }

    #[test]
    fn sentences_are_texts_also_where_no_blank_stands_between_words() {
        assert!(are_texts(&words(&["a short sentence", "and another one"])));
        assert!(are_texts(&words(&[
            "この映画はとても面白い",
            "今日は天気が良いですね"
        ])));
        assert!(are_texts(&words(&["วันนี้อากาศดีมาก", "ฉันชอบกินข้าว"])));
        assert!(!are_texts(&words(&["北京", "上海"])));
        assert!(!are_texts(&words(&[
            "https://example.org/a",
            "https://example.org/b"
        ])));
        let same = ["a short sentence"; 4];
        assert!(!are_texts(&words(&same)), "a category with a long name");
    }

    #[test]
    fn names_are_spelled_and_numbers_of_things_are_not() {
        let column = |of: fn(u8) -> String| Column {
            name: "c".to_string(),
            cells: Cells::Words((0..120).map(|row| Some(of(row))).collect()),
        };
        let spelled = |row: u8| {
            format!(
                "{}{}",
                char::from(b'A' + row / 26),
                char::from(b'a' + row % 26)
            )
        };
        assert!(is_spelled(&column(spelled)));
        assert!(!is_spelled(&column(|row| format!("user_{row}"))));
        assert!(!is_spelled(&column(|row| format!("{}", row % 3 == 0))));
    }
}
