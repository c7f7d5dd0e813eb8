//! The secret that clients must show where others than this machine can reach the server.
//!
//! It comes from a file or is made anew; never from the command line, which every user of a machine can
//! read. Only its digest is kept, and digests are compared in constant time.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result, bail};
use hyper::header::HeaderValue;
use rustix::rand::{GetRandomFlags, getrandom};

/// A shorter secret could be guessed.
const LETTERS_MIN: usize = 16;

/// Random bytes of a new token.
const FRESH_BYTES: usize = 32;

/// What a client has to show.
pub(crate) struct Token(blake3::Hash);

impl Token {
    /// The token in a file, without the white space around it.
    ///
    /// # Errors
    /// If the file cannot be read, or what it holds cannot be a token.
    pub(crate) fn read(path: &Path) -> Result<Token> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("could not read the token in {}", path.display()))?;
        let text = text.trim();
        if text.len() < LETTERS_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(
                "{} holds no token: at least {LETTERS_MIN} letters, digits and signs without spaces \
                 are needed, as from `openssl rand -hex 32`",
                path.display()
            );
        }
        Ok(Token::of(text))
    }

    /// A new token, and its text for the one time that it is shown.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub(crate) fn fresh() -> Result<(Token, String)> {
        let mut bytes = [0; FRESH_BYTES];
        let count = getrandom(&mut bytes, GetRandomFlags::empty());
        let count = count.context("could not make a token: the system gives no random bytes")?;
        if count != FRESH_BYTES {
            bail!("could not make a token: the system gives only {count} random bytes");
        }
        let text = bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string can always grow");
            text
        });
        Ok((Token::of(&text), text))
    }

    fn of(text: &str) -> Token {
        Token(blake3::hash(text.as_bytes()))
    }

    /// Whether this `Authorization` shows the token.
    pub(super) fn is_shown_by(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((scheme, shown)) = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer") && Token::of(shown.trim()).0 == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_after_bearer_is_taken() {
        let (token, text) = Token::fresh().unwrap();
        assert_eq!(text.len(), 2 * FRESH_BYTES);
        let shown = |value: &str| token.is_shown_by(Some(&HeaderValue::from_str(value).unwrap()));
        assert!(shown(&format!("Bearer {text}")) && shown(&format!("bearer  {text}")));
        for wrong in [
            text.clone(),
            format!("Basic {text}"),
            format!("Bearer {}", &text[1..]),
            "Bearer ".to_string(),
        ] {
            assert!(!shown(&wrong), "{wrong}");
        }
        assert!(!token.is_shown_by(None));
    }

    #[test]
    fn two_fresh_tokens_differ() {
        assert_ne!(Token::fresh().unwrap().1, Token::fresh().unwrap().1);
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(Token::read(&path).is_err());
        for text in ["", "short\n", "with spaces in between it"] {
            fs::write(&path, text).unwrap();
            assert!(Token::read(&path).is_err(), "{text}");
        }
        fs::write(&path, "0123456789abcdef\n").unwrap();
        let header = HeaderValue::from_static("Bearer 0123456789abcdef");
        assert!(Token::read(&path).unwrap().is_shown_by(Some(&header)));
    }
}
