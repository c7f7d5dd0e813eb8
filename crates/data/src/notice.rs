//! What was noticed while reading, for the user to see before anything is trained.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something was found out or decided.
    Note,
    /// Something may be wrong with the data.
    Warning,
}

/// One thing that was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What it is, in one sentence.
    pub text: String,
}

impl Notice {
    /// Something that was found out or decided.
    pub fn note(text: impl Into<String>) -> Notice {
        Notice {
            severity: Severity::Note,
            text: text.into(),
        }
    }

    /// Something that may be wrong.
    pub fn warning(text: impl Into<String>) -> Notice {
        Notice {
            severity: Severity::Warning,
            text: text.into(),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Note => f.write_str(&self.text),
            Severity::Warning => write!(f, "warning: {}", self.text),
        }
    }
}
