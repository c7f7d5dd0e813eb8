//! Texts to words, words to numbers, and numbers to words.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use crate::{
    error::Problem,
    tensor::{Tensor, Values, room},
};

/// Looks each value up among the keys; what is no key becomes the default.
///
/// # Source
/// ONNX `ai.onnx.ml.LabelEncoder`, version 2 and later.
pub(super) fn encode_labels(input: &Tensor, arguments: &Arguments<'_>) -> Result<Tensor, Problem> {
    let shape = input.shape().to_vec();
    match input.values() {
        Values::Texts(words) if arguments.has("keys_strings") => {
            arguments.only(&["keys_strings", "values_int64s", "default_int64"])?;
            let (keys, numbers) = (
                arguments.texts("keys_strings")?,
                arguments.ints("values_int64s")?,
            );
            let table = table(keys, numbers.to_vec())?;
            let otherwise = arguments.int_or("default_int64", -1)?;
            let number = |word: &String| table.get(word).copied().unwrap_or(otherwise);
            Tensor::made(shape, Values::Ints(words.iter().map(number).collect()))
        }
        Values::Ints(numbers) if arguments.has("keys_int64s") => {
            let keys = arguments.ints("keys_int64s")?.to_vec();
            if arguments.has("values_int64s") {
                arguments.only(&["keys_int64s", "values_int64s", "default_int64"])?;
                let table = table(keys, arguments.ints("values_int64s")?.to_vec())?;
                let otherwise = arguments.int_or("default_int64", -1)?;
                let other = |number: &i64| table.get(number).copied().unwrap_or(otherwise);
                return Tensor::made(shape, Values::Ints(numbers.iter().map(other).collect()));
            }
            arguments.only(&["keys_int64s", "values_strings", "default_string"])?;
            let table = table(keys, arguments.texts("values_strings")?)?;
            let otherwise = arguments.text_or("default_string", "_Unused")?;
            let word = |number: &i64| table.get(number).unwrap_or(&otherwise).clone();
            Tensor::made(shape, Values::Texts(numbers.iter().map(word).collect()))
        }
        other => Err(Problem::new(format!(
            "{} has no keys here",
            other.element()
        ))),
    }
}

/// Splits texts at white space; those with fewer pieces than others end in empty ones.
///
/// # Source
/// ONNX `StringSplit`, version 20, with an empty delimiter; white space is that of ASCII.
pub(super) fn split(input: &Tensor, arguments: &Arguments<'_>) -> Result<Tensor, Problem> {
    arguments.only(&["delimiter"])?;
    let Values::Texts(texts) = input.values() else {
        return Err(Problem::new("only texts can be split"));
    };
    if !arguments.text_or("delimiter", "")?.is_empty() {
        return Err(Problem::new("texts are split at white space only, here"));
    }
    let pieces: Vec<Vec<&str>> = texts
        .iter()
        .map(|t| t.split_ascii_whitespace().collect())
        .collect();
    let most = pieces.iter().map(Vec::len).max().unwrap_or(0);
    let mut split = room(&[texts.len(), most])?;
    for pieces in pieces {
        let place = |place: usize| pieces.get(place).copied().unwrap_or_default().to_string();
        split.extend((0..most).map(place));
    }
    Tensor::made([input.shape(), &[most]].concat(), Values::Texts(split))
}

fn table<K: Ord, V>(keys: Vec<K>, values: Vec<V>) -> Result<BTreeMap<K, V>, Problem> {
    let (lengths, pairs) = ((keys.len(), values.len()), keys.into_iter().zip(values));
    let table: BTreeMap<K, V> = pairs.collect();
    match lengths == (table.len(), table.len()) {
        true => Ok(table),
        false => {
            let (keys, values) = lengths;
            let different = table.len();
            let problem =
                format!("{keys} keys, {different} of them different, have {values} values");
            Err(Problem(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_into_pieces_and_empty_ones_behind() {
        let texts = ["a  b", "", " c "].map(str::to_string).to_vec();
        let input = Tensor::new(vec![3, 1], Values::Texts(texts)).unwrap();
        let found = split(&input, &Arguments::of(&[])).unwrap();
        let pieces = ["a", "b", "", "", "c", ""].map(str::to_string).to_vec();
        assert_eq!(
            found,
            Tensor::new(vec![3, 1, 2], Values::Texts(pieces)).unwrap()
        );
    }
}
