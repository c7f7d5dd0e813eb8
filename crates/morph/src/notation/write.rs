//! Printing an architecture; see the parent module for the notation. Never reads one.

use std::{collections::BTreeMap, fmt};

use crate::{
    architecture::{Architecture, LayerId},
    layer::{DropRate, Kernel, Layer, Window},
    notation::KINDS,
};

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = names(self);
        for id in self.ids().take(self.nodes().len() - 1) {
            if id.index() > 0 {
                write!(f, " | ")?;
            }
            if let Some(name) = names.get(&id).filter(|_| id.index() > 0) {
                write!(f, "{name}: ")?;
            }
            write!(f, "{}", self.layer(id))?;
            write_sources(f, self, id, &names)?;
        }
        Ok(())
    }
}

/// Whether the inputs must be written, because they are not just the statement before.
fn names_inputs(architecture: &Architecture, id: LayerId) -> bool {
    match architecture.inputs(id) {
        [] => false,
        [only] => only.index() + 1 != id.index(),
        _ => true,
    }
}

fn names(architecture: &Architecture) -> BTreeMap<LayerId, String> {
    let mut names: BTreeMap<LayerId, String> = architecture
        .ids()
        .filter(|id| names_inputs(architecture, *id))
        .flat_map(|id| {
            architecture
                .inputs(id)
                .iter()
                .map(|input| (*input, String::new()))
        })
        .collect();
    let mut unused = (0..)
        .map(letters)
        .filter(|name| !KINDS.contains(&name.as_str()));
    for (id, name) in &mut names {
        *name = match id.index() {
            0 => "in".to_owned(),
            _ => unused.next().expect("there is always another name"),
        };
    }
    names
}

/// a, b, …, z, aa, ab, …
fn letters(mut number: u32) -> String {
    let mut name = Vec::new();
    loop {
        name.push(char::from(b'a' + (number % 26) as u8));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return name.iter().rev().collect(),
        }
    }
}

/// A layer's kind and arguments, without its name and sources: `conv 16 k3`.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match self {
            Layer::Input { shape } => write!(f, " {shape}"),
            Layer::Dense { units } => write!(f, " {units}"),
            Layer::Conv { channels, kernel } => write!(f, " {channels} {}", KernelText(*kernel)),
            Layer::DepthwiseConv { kernel } => write!(f, " {}", KernelText(*kernel)),
            Layer::MaxPool { window } | Layer::AvgPool { window } => {
                write!(f, " {}", WindowText(*window))
            }
            Layer::Dropout { rate } => write!(f, " {}", RateText(*rate)),
            Layer::Slice { first, count } => write!(f, " {first} {count}"),
            Layer::Embedding { codes, width } => write!(f, " {codes} {width}"),
            Layer::Periodic { frequencies } => write!(f, " {frequencies}"),
            Layer::Attention { heads } => write!(f, " {heads}"),
            _ => Ok(()),
        }
    }
}

fn write_sources(
    f: &mut fmt::Formatter<'_>,
    architecture: &Architecture,
    id: LayerId,
    names: &BTreeMap<LayerId, String>,
) -> fmt::Result {
    if !names_inputs(architecture, id) {
        return Ok(());
    }
    match architecture.inputs(id) {
        [only] => write!(f, " ({})", names[only]),
        inputs => inputs
            .iter()
            .try_for_each(|input| write!(f, " {}", names[input])),
    }
}

struct KernelText(Kernel);

impl fmt::Display for KernelText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0.size())?;
        match (self.0.stride(), self.0.dilation()) {
            (1, 1) => Ok(()),
            (1, dilation) => write!(f, " d{dilation}"),
            (stride, _) => write!(f, " s{stride}"),
        }
    }
}

struct WindowText(Window);

impl fmt::Display for WindowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0.size())?;
        match self.0.stride() {
            stride if stride == self.0.size() => Ok(()),
            stride => write!(f, " s{stride}"),
        }
    }
}

struct RateText(DropRate);

impl fmt::Display for RateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:03}", self.0.thousandths());
        write!(f, "0.{}", digits.trim_end_matches('0'))
    }
}
