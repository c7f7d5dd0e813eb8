//! Words to numbers and numbers to words.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use crate::{
    error::Problem,
    tensor::{Tensor, Values},
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
            arguments.only(&["keys_int64s", "values_strings", "default_string"])?;
            let (keys, words) = (
                arguments.ints("keys_int64s")?,
                arguments.texts("values_strings")?,
            );
            let table = table(keys.to_vec(), words)?;
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
