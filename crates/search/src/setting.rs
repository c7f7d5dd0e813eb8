//! Determined hyperparameters: what a trainer is told beside the architecture.
//!
//! A [`Setting`] is a plain list of names and values; which values are sensible is the business of
//! [`crate::space`]. Nothing here is random.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// Value of one hyperparameter. Floats are finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    // Stands first: a text format's `64` would also read as a float, its `64.0` not as an integer.
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// One of a few names.
    Category(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value}"),
            Value::Category(value) => f.write_str(value),
        }
    }
}

/// Determined hyperparameters, ordered by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Setting(BTreeMap<String, Value>);

impl Setting {
    /// Names and values, ordered by name.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of this hyperparameter, if it is determined.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The same setting with this value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Setting {
        self.0.insert(name.to_string(), value);
        self
    }

    /// Bytes that are equal for equal settings and differ for different ones.
    pub(crate) fn canonical_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in &self.0 {
            push_text(&mut bytes, name);
            match value {
                Value::Integer(value) => {
                    bytes.push(b'i');
                    bytes.extend(value.to_le_bytes());
                }
                Value::Float(value) => {
                    bytes.push(b'f');
                    // -0.0 equals 0.0: adding 0.0 makes one of the two.
                    bytes.extend((value + 0.0).to_bits().to_le_bytes());
                }
                Value::Category(value) => {
                    bytes.push(b'c');
                    push_text(&mut bytes, value);
                }
            }
        }
        bytes
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl FromIterator<(String, Value)> for Setting {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(values: I) -> Setting {
        Setting(values.into_iter().collect())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, value) in &self.0 {
            write!(f, "{separator}{name}={value}")?;
            separator = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting::default()
            .with("learning_rate", Value::Float(0.001))
            .with("batch_size", Value::Integer(64))
            .with("optimizer", Value::Category("adamw".to_string()))
    }

    #[test]
    fn a_setting_is_shown_on_one_line_ordered_by_name() {
        assert_eq!(
            setting().to_string(),
            "batch_size=64 learning_rate=0.001 optimizer=adamw"
        );
    }

    #[test]
    fn a_setting_survives_json_with_the_kinds_of_its_values() {
        let whole = setting()
            .with("momentum", Value::Float(1.0))
            .with("tiny", Value::Float(1e-300));
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(
            serde_json::from_str::<Setting>(&text).unwrap(),
            whole,
            "{text}"
        );
    }

    #[test]
    fn canonical_bytes_tell_settings_apart_exactly_if_they_differ() {
        let integer = Setting::default().with("a", Value::Integer(1));
        let float = Setting::default().with("a", Value::Float(1.0));
        assert_ne!(integer.canonical_bytes(), float.canonical_bytes());
        let zero = Setting::default().with("a", Value::Float(0.0));
        let negative_zero = Setting::default().with("a", Value::Float(-0.0));
        assert_eq!(zero, negative_zero);
        assert_eq!(zero.canonical_bytes(), negative_zero.canonical_bytes());
    }
}
