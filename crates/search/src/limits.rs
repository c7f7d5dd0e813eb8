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

/// Beside these, where a model is trained as several networks one after the other: the file of the training under
/// way once more, as a part of the file of the trial, …
const BYTES_PER_PARAMETER_OF_SEVERAL: u64 = 24;

/// … and for each network but the last its values, these as a file, and both in the file of the trial.
const BYTES_PER_PARAMETER_TRAINED: u64 = 12;

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
    /// Layers, input and output among them. Nobody asks for this one: it follows from the number of networks, which
    /// are one network in the end. So no file holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u64>,
    /// As how many networks a model is trained, one after the other, if as several. All limits are of each of them, but
    /// that of memory, which is of the whole training. No file holds it either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<u64>,
}

/// What a model takes of something that is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// What is counted.
    pub unit: &'static str,
    /// How much a model takes.
    pub needed: u64,
    /// How much it may take.
    pub allowed: u64,
}

impl Need {
    /// The part of the limit that is used: above 1 it is broken.
    pub fn share(self) -> f64 {
        self.needed as f64 / self.allowed as f64
    }
}

/// What is counted of layers.
const LAYERS: &str = "layers";

impl Limits {
    /// How much of the tightest limit a model uses: above 1 it breaks it, 0 if nothing is limited.
    ///
    /// # Cost
    /// `O(layers)`.
    pub fn used(&self, architecture: &Architecture, setting: &Setting) -> f64 {
        let needs = self.needs(architecture, setting);
        needs.map(Need::share).fold(0.0, f64::max)
    }

    /// Whether a model breaks none of them.
    pub fn allow(&self, architecture: &Architecture, setting: &Setting) -> bool {
        self.used(architecture, setting) <= 1.0
    }

    /// The limit that a model uses most of; `None` if nothing is limited that can be counted.
    ///
    /// # Cost
    /// `O(layers)`.
    pub fn tightest(&self, architecture: &Architecture, setting: &Setting) -> Option<Need> {
        let needs = self.needs(architecture, setting);
        needs.max_by(|one, other| one.share().total_cmp(&other.share()))
    }

    /// What a model takes of everything that is limited and can be counted.
    fn needs(
        &self,
        architecture: &Architecture,
        setting: &Setting,
    ) -> impl Iterator<Item = Need> + use<> {
        let cost = architecture.cost();
        let memory = training_bytes(cost, setting, self.networks.unwrap_or(1));
        let all = [
            ("parameters", cost.parameters, self.parameters),
            ("operations per example", cost.flops, self.flops),
            ("bytes of training memory", memory, self.memory_bytes),
            ("bytes as a file", file_bytes(architecture), self.file_bytes),
            (LAYERS, architecture.nodes().len() as u64, self.layers),
        ];
        all.into_iter().filter_map(|(unit, needed, limit)| {
            limit.map(|allowed| Need {
                unit,
                needed,
                allowed,
            })
        })
    }

    /// What helps where a limit is too tight for every model.
    pub(crate) fn advice(&self, broken: &Need) -> &'static str {
        match (broken.unit, self.networks) {
            (LAYERS, _) => "have fewer folds or repeats",
            (_, Some(_)) => "raise that limit, or have fewer folds or repeats",
            (_, None) => "raise that limit",
        }
    }
}

/// Estimate of the memory that training takes: learned values with all that is kept beside them, and twice
/// the activations of a batch. Of several networks one is trained after the other.
///
/// # Units
/// Bytes.
pub fn training_bytes(cost: Cost, setting: &Setting, networks: u64) -> u64 {
    let batch = match setting.value(BATCH_SIZE) {
        Some(Value::Integer(batch)) => u64::try_from(*batch).unwrap_or(0).max(1),
        _ => BATCH_SIZE_USUAL,
    };
    let activations = cost.activation_bytes.saturating_mul(batch);
    let per_parameter = match networks.saturating_sub(1) {
        0 => BYTES_PER_PARAMETER,
        trained => {
            let trained = BYTES_PER_PARAMETER_TRAINED.saturating_mul(trained);
            trained.saturating_add(BYTES_PER_PARAMETER + BYTES_PER_PARAMETER_OF_SEVERAL)
        }
    };
    let parameters = cost.parameters.saturating_mul(per_parameter);
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
        let for_all = match self.networks {
            Some(_) => " for all of them",
            None => "",
        };
        let parts = [
            self.parameters
                .map(|limit| format!("at most {limit} parameters")),
            self.flops
                .map(|limit| format!("at most {limit} operations per example")),
            self.memory_bytes
                .map(|limit| format!("at most {limit} bytes of training memory{for_all}")),
            self.file_bytes
                .map(|limit| format!("files of at most {limit} bytes")),
            self.latency_micros
                .map(|limit| format!("at most {limit} µs per example")),
            self.layers.map(|limit| format!("at most {limit} layers")),
        ];
        let said: Vec<String> = parts.into_iter().flatten().collect();
        match self.networks {
            _ if said.is_empty() => f.write_str("no limits"),
            Some(networks) => write!(f, "for each of {networks} networks {}", said.join(", ")),
            None => f.write_str(&said.join(", ")),
        }
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
            training_bytes(architecture().cost(), &setting, 1)
        };
        assert_eq!(of(1), 58 * 48 + 2 * 24 * 4);
        assert_eq!(of(64), 58 * 48 + 64 * 2 * 24 * 4);
        assert_eq!(
            training_bytes(architecture().cost(), &Setting::default(), 1),
            of(64)
        );
    }

    #[test]
    fn memory_grows_with_the_networks_that_are_kept_beside_the_one_that_is_trained() {
        let of = |networks| training_bytes(architecture().cost(), &Setting::default(), networks);
        let activations = 64 * 2 * 24 * 4;
        assert_eq!(of(2), 58 * (24 + 2 * 24 + 12) + activations);
        assert_eq!(of(200), 58 * (24 + 2 * 24 + 12 * 199) + activations);
        let limits = |networks| Limits {
            memory_bytes: Some(of(5) - 1),
            networks,
            ..Limits::default()
        };
        assert!(limits(Some(4)).allow(&architecture(), &Setting::default()));
        assert!(!limits(Some(5)).allow(&architecture(), &Setting::default()));
    }

    #[test]
    fn layers_are_counted_and_the_tightest_limit_is_named() {
        let limits = |layers| Limits {
            parameters: Some(58),
            layers: Some(layers),
            networks: Some(5),
            ..Limits::default()
        };
        assert!(limits(5).allow(&architecture(), &Setting::default()));
        assert!(!limits(4).allow(&architecture(), &Setting::default()));
        let tightest = limits(4).tightest(&architecture(), &Setting::default());
        let layers = Need {
            unit: "layers",
            needed: 5,
            allowed: 4,
        };
        assert_eq!(tightest, Some(layers));
        let none = Limits::default().tightest(&architecture(), &Setting::default());
        assert_eq!(none, None);
    }

    #[test]
    fn what_follows_from_the_number_of_networks_is_not_written_where_nobody_has_set_it() {
        let text = serde_json::to_string(&Limits::default()).unwrap();
        assert!(
            !text.contains("layers") && !text.contains("networks"),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<Limits>(&text).unwrap(),
            Limits::default()
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
            ..Limits::default()
        };
        insta::assert_snapshot!(limits, @"at most 1000 parameters, at most 4096 bytes of training memory, files of at most 512 bytes, at most 900 µs per example");
        let of_each = Limits {
            layers: Some(103),
            networks: Some(5),
            ..limits
        };
        insta::assert_snapshot!(of_each, @"for each of 5 networks at most 1000 parameters, at most 4096 bytes of training memory for all of them, files of at most 512 bytes, at most 900 µs per example, at most 103 layers");
        insta::assert_snapshot!(Limits::default(), @"no limits");
    }
}
