//! A JSON value before anybody knows what it should be.
//!
//! Words are borrowed from the request, and lists of numbers are held as numbers: they are most of what
//! is sent.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::ROWS_MAX;

/// What a request has to be.
const FORM: &str = "an object with the one key `rows`, a list of rows: {\"rows\": [row, …]}";

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given<'a> {
    Missing,
    Flag(bool),
    Number(f64),
    /// A number without point and exponent, with all of its digits.
    Whole(i128),
    Word(Cow<'a, str>),
    /// A list of nothing but numbers; `null` in it is not a number.
    Numbers(Vec<f64>),
    List(Vec<Given<'a>>),
    Fields(Vec<(Cow<'a, str>, Given<'a>)>),
}

impl Given<'_> {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Given::Missing => "null",
            Given::Flag(true) => "true",
            Given::Flag(false) => "false",
            Given::Number(_) | Given::Whole(_) => "a number",
            Given::Word(_) => "a word",
            Given::Numbers(_) | Given::List(_) => "a list",
            Given::Fields(_) => "an object",
        }
    }

    /// The extents of lists of numbers of equal length; nothing if it is something else.
    pub(super) fn shape(&self) -> Option<Vec<usize>> {
        match self {
            Given::Numbers(numbers) => Some(vec![numbers.len()]),
            Given::List(items) => {
                // Each item is looked at once: lists may be nested deeply.
                let mut shapes = items.iter().map(Given::shape);
                let inner = shapes.next()??;
                let equal = shapes.all(|shape| shape.as_ref() == Some(&inner));
                equal.then(|| [vec![items.len()], inner].concat())
            }
            _ => None,
        }
    }

    /// All numbers of the lists, in their order.
    pub(super) fn numbers_into(&self, out: &mut Vec<f64>) {
        match self {
            Given::Numbers(numbers) => out.extend(numbers),
            Given::List(items) => items.iter().for_each(|item| item.numbers_into(out)),
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Given<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given<'de>, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Given<'de>, E> {
        Ok(Given::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given<'de>, E> {
        Ok(Given::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given<'de>, E> {
        Ok(Given::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given<'de>, E> {
        Ok(Given::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given<'de>, E> {
        Ok(Given::Number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Given<'de>, E> {
        Ok(Given::Word(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given<'de>, E> {
        Ok(Given::Word(Cow::Owned(text.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given<'de>, A::Error> {
        let mut numbers = Vec::new();
        while let Some(item) = list.next_element()? {
            match item {
                Given::Number(value) => numbers.push(value),
                Given::Whole(value) => numbers.push(value as f64),
                Given::Missing => numbers.push(f64::NAN),
                other => return mixed(numbers, other, list),
            }
        }
        Ok(Given::Numbers(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(Given::Fields(fields))
    }
}

/// A list that turned out to hold more than numbers.
fn mixed<'de, A: SeqAccess<'de>>(
    numbers: Vec<f64>,
    other: Given<'de>,
    mut list: A,
) -> Result<Given<'de>, A::Error> {
    let before = numbers.into_iter().map(|value| match value.is_nan() {
        true => Given::Missing,
        false => Given::Number(value),
    });
    let mut items: Vec<Given<'de>> = before.chain([other]).collect();
    while let Some(item) = list.next_element()? {
        items.push(item);
    }
    Ok(Given::List(items))
}

/// A key, borrowed where it can be.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        match Given::deserialize(deserializer)? {
            Given::Word(name) => Ok(Name(name)),
            other => Err(de::Error::custom(format!("{} is no key", other.kind()))),
        }
    }
}

/// A whole request.
pub(super) struct Body<'a> {
    pub(super) rows: Vec<Given<'a>>,
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Body<'de>, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body<'de>, A::Error> {
        let mut found: Option<Rows<'de>> = None;
        while let Some(Name(name)) = map.next_key()? {
            if name != "rows" || found.is_some() {
                let problem = format!("the key `{name}` was not expected: {FORM} is");
                return Err(de::Error::custom(problem));
            }
            found = Some(map.next_value()?);
        }
        match found {
            Some(Rows(rows)) => Ok(Body { rows }),
            None => Err(de::Error::custom(format!(
                "the key `rows` is missing: {FORM} was expected"
            ))),
        }
    }
}

/// The rows of a request, not more than allowed.
struct Rows<'a>(Vec<Given<'a>>);

impl<'de> Deserialize<'de> for Rows<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rows<'de>, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows<'de>, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element()? {
            if rows.len() == ROWS_MAX {
                let problem = format!("more than {ROWS_MAX} rows: send them in several requests");
                return Err(de::Error::custom(problem));
            }
            rows.push(row);
        }
        Ok(Rows(rows))
    }
}
