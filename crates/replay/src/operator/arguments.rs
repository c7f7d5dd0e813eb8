//! The fixed arguments of a node, by name.
//!
//! Whoever asks for an argument knows it; one that nobody could ask for must not be passed over, so
//! operators that have more arguments than are computed here refuse the others.

use crate::{error::Problem, message::Attribute};

/// Extents, strides and pads beyond it stand in damaged files only.
const SIZE_MAX: usize = 1 << 24;

/// A number that an extent, a stride or a pad can be.
pub(super) fn size_of(value: i64) -> Option<usize> {
    usize::try_from(value).ok().filter(|size| *size <= SIZE_MAX)
}

/// Arguments of one node.
pub(crate) struct Arguments<'a>(&'a [Attribute]);

impl<'a> Arguments<'a> {
    pub(crate) fn of(attributes: &'a [Attribute]) -> Arguments<'a> {
        Arguments(attributes)
    }

    fn find(&self, name: &str) -> Option<&'a Attribute> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    /// Refuses arguments that have another name than these.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), Problem> {
        let other = self
            .0
            .iter()
            .find(|attribute| !names.contains(&attribute.name.as_str()));
        match other {
            Some(other) => Err(Problem::new(format!(
                "its `{}` is not known here",
                other.name
            ))),
            None => Ok(()),
        }
    }

    pub(crate) fn int(&self, name: &str) -> Result<i64, Problem> {
        self.find(name)
            .and_then(|attribute| attribute.int)
            .ok_or_else(|| Problem::new(format!("it has no whole number `{name}`")))
    }

    pub(crate) fn int_or(&self, name: &str, otherwise: i64) -> Result<i64, Problem> {
        match self.find(name) {
            Some(_) => self.int(name),
            None => Ok(otherwise),
        }
    }

    pub(crate) fn float(&self, name: &str) -> Result<f64, Problem> {
        self.find(name)
            .and_then(|attribute| attribute.float)
            .map(f64::from)
            .ok_or_else(|| Problem::new(format!("it has no number `{name}`")))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<&'a [i64], Problem> {
        self.find(name)
            .map(|attribute| attribute.ints.as_slice())
            .ok_or_else(|| Problem::new(format!("it has no whole numbers `{name}`")))
    }

    /// Extents, strides and the like: whole numbers from 0 to [`SIZE_MAX`], or nothing if there are none of
    /// this name.
    pub(crate) fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, Problem> {
        let size = |value: &i64| {
            let refused = || Problem::new(format!("its `{name}` has the value {value}"));
            size_of(*value).ok_or_else(refused)
        };
        match self.find(name) {
            Some(attribute) => attribute
                .ints
                .iter()
                .map(size)
                .collect::<Result<_, _>>()
                .map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, Problem> {
        let attribute = self
            .find(name)
            .ok_or_else(|| Problem::new(format!("it has no texts `{name}`")))?;
        let text = |bytes: &Vec<u8>| {
            String::from_utf8(bytes.clone())
                .map_err(|_| Problem::new(format!("a text of its `{name}` is not UTF-8")))
        };
        attribute.texts.iter().map(text).collect()
    }

    pub(crate) fn text_or(&self, name: &str, otherwise: &str) -> Result<String, Problem> {
        match self.find(name) {
            None => Ok(otherwise.to_string()),
            Some(attribute) => {
                let bytes = attribute.text.clone().unwrap_or_default();
                String::from_utf8(bytes)
                    .map_err(|_| Problem::new(format!("its `{name}` is not UTF-8")))
            }
        }
    }
}
