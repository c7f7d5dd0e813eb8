//! Reading an architecture; see the parent module for the notation.
//!
//! Any text ends in an architecture or in an error, in time proportional to its length.

use std::{collections::BTreeMap, str::FromStr};

use crate::{
    architecture::{Architecture, LayerId, Node},
    layer::{DropRate, Kernel, Layer, Window},
    notation::{KINDS, NotationError},
    shape::Shape,
};

/// Longer pieces of a text are cut in messages.
const FOUND_MAX: usize = 40;

impl FromStr for Architecture {
    type Err = NotationError;

    fn from_str(text: &str) -> Result<Architecture, NotationError> {
        let mut reader = Reader {
            tokens: tokens(text)?,
            next: 0,
            names: BTreeMap::new(),
        };
        let mut nodes = Vec::new();
        loop {
            let node = reader.statement(nodes.len())?;
            nodes.push(node);
            match reader.take() {
                Token {
                    kind: TokenKind::Bar,
                    ..
                } => {}
                Token {
                    kind: TokenKind::End,
                    ..
                } => break,
                other => return Err(other.unexpected("`|` or the end")),
            }
        }
        if nodes.last().is_none_or(|node| node.layer != Layer::Output) {
            let inputs = vec![LayerId::at(nodes.len() - 1)];
            nodes.push(Node {
                layer: Layer::Output,
                inputs,
            });
        }
        Ok(Architecture::new(nodes)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    Word,
    Bar,
    Colon,
    Open,
    Close,
    End,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: TokenKind,
    text: &'a str,
    position: usize,
}

impl Token<'_> {
    fn unexpected(self, expected: impl Into<String>) -> NotationError {
        let expected = expected.into();
        let found = match self.kind {
            TokenKind::End => "the end".to_owned(),
            _ => format!(
                "`{}`",
                self.text.chars().take(FOUND_MAX).collect::<String>()
            ),
        };
        NotationError::Unexpected {
            position: self.position,
            expected,
            found,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, NotationError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_end();
    let mut position = 1;
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            position += 1;
            continue;
        }
        let (kind, length) = match first {
            '|' => (TokenKind::Bar, 1),
            ':' => (TokenKind::Colon, 1),
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            _ => (
                TokenKind::Word,
                rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ),
        };
        let token = Token {
            kind,
            text: &rest[..length.max(first.len_utf8())],
            position,
        };
        if length == 0 {
            return Err(token.unexpected("a word, `|`, `:`, `(` or `)`"));
        }
        tokens.push(token);
        rest = &rest[length..];
        position += length;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        text: "",
        position,
    });
    Ok(tokens)
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '.' || character == '_'
}

struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
    names: BTreeMap<&'a str, LayerId>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn word(&mut self, expected: &str) -> Result<Token<'a>, NotationError> {
        match self.take() {
            token @ Token {
                kind: TokenKind::Word,
                ..
            } => Ok(token),
            other => Err(other.unexpected(expected)),
        }
    }

    fn statement(&mut self, index: usize) -> Result<Node, NotationError> {
        let mut kind = self.word("a kind such as `conv`, or a name and `:`")?;
        let mut name = None;
        if self.peek().kind == TokenKind::Colon {
            self.take();
            name = Some(kind);
            kind = self.word("a kind such as `conv`")?;
        }
        let layer = self.layer(kind)?;
        let inputs = self.inputs(&layer, index)?;
        if matches!(layer, Layer::Input { .. }) {
            self.names.entry("in").or_insert(LayerId::at(index));
        }
        if let Some(name) = name {
            self.define(name, LayerId::at(index))?;
        }
        Ok(Node { layer, inputs })
    }

    fn define(&mut self, name: Token<'a>, id: LayerId) -> Result<(), NotationError> {
        if !name
            .text
            .starts_with(|first: char| first.is_ascii_alphabetic())
        {
            return Err(name.unexpected("a name that begins with a letter"));
        }
        if KINDS.contains(&name.text) || self.names.contains_key(name.text) {
            let (position, name) = (name.position, name.text.to_owned());
            return Err(NotationError::TakenName { position, name });
        }
        self.names.insert(name.text, id);
        Ok(())
    }

    fn layer(&mut self, kind: Token<'a>) -> Result<Layer, NotationError> {
        Ok(match kind.text {
            "in" => Layer::Input {
                shape: self.shape()?,
            },
            "dense" => Layer::Dense {
                units: self.count("a number of units")?,
            },
            "conv" => Layer::Conv {
                channels: self.count("a number of channels")?,
                kernel: self.kernel()?,
            },
            "dwconv" => Layer::DepthwiseConv {
                kernel: self.kernel()?,
            },
            "bn" => Layer::BatchNorm,
            "ln" => Layer::LayerNorm,
            "relu" => Layer::Relu,
            "gelu" => Layer::Gelu,
            "silu" => Layer::Silu,
            "sigmoid" => Layer::Sigmoid,
            "maxpool" => Layer::MaxPool {
                window: self.window()?,
            },
            "avgpool" => Layer::AvgPool {
                window: self.window()?,
            },
            "gap" => Layer::GlobalAvgPool,
            "flatten" => Layer::Flatten,
            "slice" => Layer::Slice {
                first: self.count("the number of a channel, from 0")?,
                count: self.count("a number of channels")?,
            },
            "embed" => Layer::Embedding {
                codes: self.count("a number of codes")?,
                width: self.count("a number of values per code")?,
            },
            "periodic" => Layer::Periodic {
                frequencies: self.count("a number of frequencies")?,
            },
            "position" => Layer::Position,
            "attention" => Layer::Attention {
                heads: self.count("a number of heads")?,
            },
            "dropout" => Layer::Dropout { rate: self.rate()? },
            "add" => Layer::Add,
            "mul" => Layer::Multiply,
            "cat" => Layer::Concat,
            "out" => Layer::Output,
            _ => return Err(kind.unexpected("a kind such as `conv`, `dense` or `relu`")),
        })
    }

    fn inputs(&mut self, layer: &Layer, index: usize) -> Result<Vec<LayerId>, NotationError> {
        if matches!(layer, Layer::Input { .. }) {
            return Ok(Vec::new());
        }
        if self.peek().kind == TokenKind::Open {
            self.take();
            let sources = self.sources()?;
            return match self.take() {
                Token {
                    kind: TokenKind::Close,
                    ..
                } => Ok(sources),
                other => Err(other.unexpected("a name or `)`")),
            };
        }
        if matches!(layer, Layer::Add | Layer::Multiply | Layer::Concat) {
            return self.sources();
        }
        match index.checked_sub(1) {
            Some(previous) => Ok(vec![LayerId::at(previous)]),
            None => Ok(Vec::new()),
        }
    }

    fn sources(&mut self) -> Result<Vec<LayerId>, NotationError> {
        let mut sources = Vec::new();
        loop {
            let token = self.peek();
            if token.kind != TokenKind::Word && !sources.is_empty() {
                return Ok(sources);
            }
            let token = self.word("the name of an earlier statement")?;
            let source = self.names.get(token.text).copied();
            let (position, name) = (token.position, token.text.to_owned());
            sources.push(source.ok_or(NotationError::UnknownName { position, name })?);
        }
    }

    fn shape(&mut self) -> Result<Shape, NotationError> {
        let expected = || {
            let most = Shape::EXTENT_MAX;
            format!("a shape such as `13` or `3x32x32`, extents from 1 to {most}")
        };
        let token = self.word(&expected())?;
        let extents: Option<Vec<u32>> = token
            .text
            .split('x')
            .map(|extent| extent.parse().ok())
            .collect();
        let shape = match extents.as_deref() {
            Some(&[features]) => Shape::Flat { features },
            Some(&[channels, length]) => Shape::Sequence { channels, length },
            Some(&[channels, height, width]) => Shape::Image {
                channels,
                height,
                width,
            },
            _ => return Err(token.unexpected(expected())),
        };
        if shape.is_legal() {
            Ok(shape)
        } else {
            Err(token.unexpected(expected()))
        }
    }

    fn count(&mut self, expected: &'static str) -> Result<u32, NotationError> {
        let token = self.word(expected)?;
        token.text.parse().map_err(|_| token.unexpected(expected))
    }

    /// A number behind a letter, as in `k3`.
    fn lettered(&mut self, letter: char) -> Option<u8> {
        let token = self.peek();
        let number = token.text.strip_prefix(letter)?.parse().ok()?;
        self.take();
        Some(number)
    }

    fn kernel(&mut self) -> Result<Kernel, NotationError> {
        const EXPECTED: &str = "a kernel such as `k3`, `k3 s2` or `k3 d2`: odd up to 11, stride up to 4, dilation up to 64";
        let token = self.peek();
        let size = self
            .lettered('k')
            .ok_or_else(|| token.unexpected(EXPECTED))?;
        let kernel = match self.lettered('d') {
            Some(dilation) => Kernel::dilated(size, dilation),
            None => Kernel::new(size, self.lettered('s').unwrap_or(1)),
        };
        kernel.ok_or_else(|| token.unexpected(EXPECTED))
    }

    fn window(&mut self) -> Result<Window, NotationError> {
        const EXPECTED: &str = "a window such as `k2` or `k3 s2`: 2 to 8, stride up to the size";
        let token = self.peek();
        let size = self
            .lettered('k')
            .ok_or_else(|| token.unexpected(EXPECTED))?;
        let stride = self.lettered('s').unwrap_or(size);
        Window::new(size, stride).ok_or_else(|| token.unexpected(EXPECTED))
    }

    fn rate(&mut self) -> Result<DropRate, NotationError> {
        const EXPECTED: &str = "a rate from 0.001 to 0.9 with at most three decimals";
        let token = self.word(EXPECTED)?;
        let digits = token
            .text
            .strip_prefix("0.")
            .filter(|digits| (1..=3).contains(&digits.len()));
        digits
            .and_then(|digits| format!("{digits:0<3}").parse().ok())
            .and_then(DropRate::from_thousandths)
            .ok_or_else(|| token.unexpected(EXPECTED))
    }
}
