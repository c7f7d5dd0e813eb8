//! A space as text files have it: one table per hyperparameter, with a `kind` and its bounds.
//!
//! What is left out is decided when it is read and stands there when it is written again; an
//! unknown key is an error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Domain, Scale},
    setting::Value,
    space::{Parameter, Space, SpaceError},
};

/// A hyperparameter as a text file has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Written {
    Float {
        low: f64,
        high: f64,
        #[serde(default)]
        scale: Scale,
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<f64>,
        default: Option<f64>,
    },
    #[serde(alias = "int")]
    Integer {
        low: i64,
        high: i64,
        #[serde(default)]
        scale: Scale,
        step: Option<i64>,
        default: Option<i64>,
    },
    #[serde(alias = "categorical")]
    Category {
        choices: Vec<String>,
        default: Option<String>,
    },
}

impl TryFrom<BTreeMap<String, Written>> for Space {
    type Error = SpaceError;

    fn try_from(written: BTreeMap<String, Written>) -> Result<Space, SpaceError> {
        let parameters: Result<Vec<Parameter>, SpaceError> = written
            .into_iter()
            .map(|(name, written)| read(&name, written))
            .collect();
        Space::new(parameters?)
    }
}

fn read(name: &str, written: Written) -> Result<Parameter, SpaceError> {
    let (domain, default) = match written {
        Written::Float {
            low,
            high,
            scale,
            step,
            default,
        } => {
            let domain = match step {
                None => Domain::Float { low, high, scale },
                Some(step) => Domain::Stepped {
                    low,
                    high,
                    scale,
                    step,
                },
            };
            (domain, default.map(Value::Float))
        }
        Written::Integer {
            low,
            high,
            scale,
            step,
            default,
        } => {
            let step = step.unwrap_or(scale.least_step());
            (
                Domain::Integer {
                    low,
                    high,
                    scale,
                    step,
                },
                default.map(Value::Integer),
            )
        }
        Written::Category { choices, default } => {
            (Domain::Category { choices }, default.map(Value::Category))
        }
    };
    Parameter::new(name, domain, default)
}

impl From<Space> for BTreeMap<String, Written> {
    fn from(space: Space) -> BTreeMap<String, Written> {
        space
            .parameters
            .into_iter()
            .map(|parameter| (parameter.name.clone(), write(parameter)))
            .collect()
    }
}

fn write(parameter: Parameter) -> Written {
    match (parameter.domain, parameter.default) {
        (Domain::Float { low, high, scale }, Value::Float(default)) => Written::Float {
            low,
            high,
            scale,
            step: None,
            default: Some(default),
        },
        (
            Domain::Stepped {
                low,
                high,
                scale,
                step,
            },
            Value::Float(default),
        ) => Written::Float {
            low,
            high,
            scale,
            step: Some(step),
            default: Some(default),
        },
        (
            Domain::Integer {
                low,
                high,
                scale,
                step,
            },
            Value::Integer(default),
        ) => Written::Integer {
            low,
            high,
            scale,
            step: Some(step),
            default: Some(default),
        },
        (Domain::Category { choices }, Value::Category(default)) => Written::Category {
            choices,
            default: Some(default),
        },
        _ => unreachable!("a default is a value of its domain"),
    }
}
