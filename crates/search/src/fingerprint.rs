//! What makes two trials the same: equal networks up to renumbering, and equal hyperparameters.

use std::{fmt, str::FromStr};

use morph::Architecture;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{origin::Restart, setting::Setting};

/// Goes into every fingerprint; a change of what is hashed needs another one.
const CONTEXT: &str = "lehr trial fingerprint 1";

/// 32 bytes that equal trials share; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// Why a text is no [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no fingerprint of a trial: it has 64 hexadecimal digits")]
pub struct FingerprintError {
    /// What was given, at most its first 80 characters.
    pub text: String,
}

impl Fingerprint {
    /// The fingerprint of an architecture trained with these hyperparameters.
    ///
    /// # Cost
    /// That of [`Architecture::canonical_hash`].
    pub fn of(architecture: &Architecture, setting: &Setting) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(architecture.canonical_hash().bytes());
        hasher.update(&setting.canonical_bytes());
        Fingerprint(*hasher.finalize().as_bytes())
    }

    /// The fingerprint of the same, trained once more.
    #[must_use]
    pub fn again(self, start: Restart) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.0);
        hasher.update(match start {
            Restart::Scratch => b"scratch",
            Restart::Lineage => b"lineage",
        });
        Fingerprint(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Fingerprint, FingerprintError> {
        blake3::Hash::from_hex(text)
            .map(|hash| Fingerprint(*hash.as_bytes()))
            .map_err(|_| FingerprintError {
                text: text.chars().take(80).collect(),
            })
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Fingerprint, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::Value;

    fn of(notation: &str, rate: f64) -> Fingerprint {
        let setting = Setting::default().with("learning_rate", Value::Float(rate));
        Fingerprint::of(&notation.parse().unwrap(), &setting)
    }

    #[test]
    fn a_fingerprint_ignores_the_order_of_layers_and_nothing_else() {
        let one = of(
            "in 4 | a: dense 8 | b: dense 8 (in) | add a b | dense 2",
            0.1,
        );
        let swapped = of(
            "in 4 | b: dense 8 | a: dense 8 (in) | add a b | dense 2",
            0.1,
        );
        assert_eq!(one, swapped);
        assert_ne!(
            one,
            of(
                "in 4 | a: dense 8 | b: dense 8 (in) | add a b | dense 2",
                0.2
            )
        );
        assert_ne!(
            of("in 4 | dense 8 | dense 2", 0.1),
            of("in 4 | dense 9 | dense 2", 0.1)
        );
    }

    #[test]
    fn a_model_trained_once_more_is_another_trial() {
        let once = of("in 4 | dense 2", 0.1);
        let again = [Restart::Scratch, Restart::Lineage].map(|start| once.again(start));
        assert!(once != again[0] && once != again[1] && again[0] != again[1]);
        assert_eq!(again[0], once.again(Restart::Scratch));
    }

    #[test]
    fn a_fingerprint_is_written_in_hexadecimal_and_reads_back() {
        let fingerprint = of("in 4 | dense 2", 0.1);
        let text = serde_json::to_string(&fingerprint).unwrap();
        assert_eq!(text.len(), 66);
        assert_eq!(
            serde_json::from_str::<Fingerprint>(&text).unwrap(),
            fingerprint
        );
        let error = "zz".parse::<Fingerprint>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"`zz` is no fingerprint of a trial: it has 64 hexadecimal digits");
    }
}
