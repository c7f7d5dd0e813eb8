//! What no model of a study may exceed, known before a single number is computed.
//!
//! Parameters and operations are exact. Memory is an estimate: the exact number is known to the
//! training engine's plan, which refuses what does not fit; here it only keeps the search away from
//! models that would be refused.

use std::fmt;

use morph::{Architecture, Cost, Layer};
use serde::{Deserialize, Serialize};

use crate::setting::{Setting, Value};

/// The hyperparameter that says how many examples are in memory at once.
const BATCH_SIZE: &str = "batch_size";

/// Examples in memory at once where the setting does not say.
const BATCH_SIZE_USUAL: u64 = 64;

/// Bytes per learned value in training: itself, its gradient, two moments, its best and its averaged value, and as
/// much again while a training is kept as a file; 4 bytes each.
const BYTES_PER_PARAMETER: u64 = 48;

/// Bytes of one value in a file.
const BYTES_PER_VALUE: u64 = 4;

/// Bytes of a file that name a layer and its tensors: the most that a layer takes in either format.
const FILE_BYTES_PER_LAYER: u64 = 640;

/// Every activation is kept until its gradient, of the same size, is known.
const COPIES_OF_ACTIVATIONS: u64 = 2;

/// What no model may exceed; nothing is limited by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Learned values.
    pub parameters: Option<u64>,
    /// Floating-point operations of the forward pass of one example.
    pub flops: Option<u64>,
    /// Bytes that training takes, by estimate.
    pub memory_bytes: Option<u64>,
    /// Bytes of the model as a file, by an estimate that is not below the truth.
    pub file_bytes: Option<u64>,
    /// Microseconds of the forward pass of one example. A clock has to say it, so it is not looked at
    /// here: whoever proposes measures, and refuses what is slower ([`crate::Pool::refuse`]).
    pub latency_micros: Option<u64>,
}

impl Limits {
    /// How much of the tightest limit a model uses: above 1 it breaks it, 0 if nothing is limited.
    pub fn used(&self, architecture: &Architecture, setting: &Setting) -> f64 {
        let cost = architecture.cost();
        let share = |needed: u64, limit: Option<u64>| match limit {
            Some(limit) => needed as f64 / limit as f64,
            None => 0.0,
        };
        share(cost.parameters, self.parameters)
            .max(share(cost.flops, self.flops))
            .max(share(training_bytes(cost, setting), self.memory_bytes))
            .max(share(file_bytes(architecture), self.file_bytes))
    }

    /// Whether a model breaks none of them.
    pub fn allow(&self, architecture: &Architecture, setting: &Setting) -> bool {
        self.used(architecture, setting) <= 1.0
    }
}

/// Estimate of the memory that training takes: learned values with all that is kept beside them, and twice
/// the activations of a batch.
///
/// # Units
/// Bytes.
pub fn training_bytes(cost: Cost, setting: &Setting) -> u64 {
    let batch = match setting.value(BATCH_SIZE) {
        Some(Value::Integer(batch)) => u64::try_from(*batch).unwrap_or(0).max(1),
        _ => BATCH_SIZE_USUAL,
    };
    let activations = cost.activation_bytes.saturating_mul(batch);
    let parameters = cost.parameters.saturating_mul(BYTES_PER_PARAMETER);
    activations
        .saturating_mul(COPIES_OF_ACTIVATIONS)
        .saturating_add(parameters)
}

/// Estimate, never too low, of the larger of a model's two files, ONNX and safetensors, without its
/// preprocessing: what it has learned and measured in 4 bytes each, and the words around them.
///
/// # Units
/// Bytes.
pub fn file_bytes(architecture: &Architecture) -> u64 {
    let measured = |id| match architecture.layer(id) {
        Layer::BatchNorm => 2 * u64::from(architecture.shape(id).channels()),
        _ => 0,
    };
    let statistics: u64 = architecture.ids().map(measured).sum();
    let values = architecture.cost().parameters.saturating_add(statistics);
    let layers = architecture.nodes().len() as u64;
    values
        .saturating_mul(BYTES_PER_VALUE)
        .saturating_add(layers * FILE_BYTES_PER_LAYER)
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.parameters
                .map(|limit| format!("at most {limit} parameters")),
            self.flops
                .map(|limit| format!("at most {limit} operations per example")),
            self.memory_bytes
                .map(|limit| format!("at most {limit} bytes of training memory")),
            self.file_bytes
                .map(|limit| format!("files of at most {limit} bytes")),
            self.latency_micros
                .map(|limit| format!("at most {limit} µs per example")),
        ];
        let said: Vec<String> = parts.into_iter().flatten().collect();
        if said.is_empty() {
            return f.write_str("no limits");
        }
        f.write_str(&said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture() -> Architecture {
        // 4·8 + 8 + 8·2 + 2 = 58 parameters; 2·4·8 + 8 + 2·8·2 = 104 operations;
        // 4 + 8 + 8 + 2 + 2 values.
        "in 4 | dense 8 | relu | dense 2".parse().unwrap()
    }

    #[test]
    fn the_tightest_limit_counts() {
        let used = |limits: Limits| limits.used(&architecture(), &Setting::default());
        assert_eq!(used(Limits::default()), 0.0);
        let parameters = Some(116);
        assert_eq!(
            used(Limits {
                parameters,
                ..Limits::default()
            }),
            0.5
        );
        assert_eq!(
            used(Limits {
                parameters,
                flops: Some(104),
                ..Limits::default()
            }),
            1.0
        );
        assert_eq!(
            used(Limits {
                parameters: Some(0),
                ..Limits::default()
            }),
            f64::INFINITY
        );
    }

    #[test]
    fn a_limit_may_be_reached_but_not_exceeded() {
        let limits = |parameters| Limits {
            parameters: Some(parameters),
            ..Limits::default()
        };
        assert!(limits(58).allow(&architecture(), &Setting::default()));
        assert!(!limits(57).allow(&architecture(), &Setting::default()));
    }

    #[test]
    fn memory_grows_with_the_batch() {
        let of = |batch| {
            let setting = Setting::default().with("batch_size", Value::Integer(batch));
            training_bytes(architecture().cost(), &setting)
        };
        assert_eq!(of(1), 58 * 48 + 2 * 24 * 4);
        assert_eq!(of(64), 58 * 48 + 64 * 2 * 24 * 4);
        assert_eq!(
            training_bytes(architecture().cost(), &Setting::default()),
            of(64)
        );
    }

    #[test]
    fn limits_are_shown_as_a_list() {
        let limits = Limits {
            parameters: Some(1000),
            flops: None,
            memory_bytes: Some(4096),
            file_bytes: Some(512),
            latency_micros: Some(900),
        };
        insta::assert_snapshot!(limits, @"at most 1000 parameters, at most 4096 bytes of training memory, files of at most 512 bytes, at most 900 µs per example");
        insta::assert_snapshot!(Limits::default(), @"no limits");
    }
}
