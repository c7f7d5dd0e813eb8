//! The secret that clients must show where others than this machine can reach the server.
//!
//! It comes from a file or is made anew; never from the command line, which every user of a machine can
//! read. Only its digest is kept, and digests are compared in constant time.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::header::HeaderValue;
use rustix::rand::{GetRandomFlags, getrandom};

/// A shorter secret could be guessed.
const LETTERS_MIN: usize = 16;

/// Random bytes of a new token.
const FRESH_BYTES: usize = 32;

/// How a client shows the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Behind the word `Bearer`, as programs do.
    Bearer,
    /// So, or as a password: a browser asks its user for one, and then shows it by itself. Only for sites on which
    /// nothing can be changed: a page of somebody else could make the browser ask them, too.
    Password,
}

impl Challenge {
    /// What a client without the token is told about it.
    pub(super) fn header(self) -> &'static str {
        match self {
            Challenge::Bearer => "Bearer",
            Challenge::Password => "Basic realm=\"lehr: any name, and the token as the password\"",
        }
    }
}

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
    pub(super) fn is_shown_by(
        &self,
        authorization: Option<&HeaderValue>,
        challenge: Challenge,
    ) -> bool {
        let Some((scheme, shown)) = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
        else {
            return false;
        };
        let shown = shown.trim();
        let is_scheme = |name: &str| scheme.eq_ignore_ascii_case(name);
        match challenge {
            _ if is_scheme("bearer") => self.is(shown),
            Challenge::Password if is_scheme("basic") => {
                password(shown).is_some_and(|password| self.is(&password))
            }
            _ => false,
        }
    }

    fn is(&self, shown: &str) -> bool {
        Token::of(shown).0 == self.0
    }
}

/// The password of `Basic` credentials (RFC 7617): what stands behind the name and a colon.
fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    let (_, password) = text.split_once(':')?;
    Some(password.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_after_bearer_is_taken() {
        let (token, text) = Token::fresh().unwrap();
        assert_eq!(text.len(), 2 * FRESH_BYTES);
        let shown = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            token.is_shown_by(Some(&value), Challenge::Bearer)
        };
        assert!(shown(&format!("Bearer {text}")) && shown(&format!("bearer  {text}")));
        for wrong in [
            text.clone(),
            format!("Basic {text}"),
            format!("Basic {}", BASE64_STANDARD.encode(format!("me:{text}"))),
            format!("Bearer {}", &text[1..]),
            "Bearer ".to_string(),
        ] {
            assert!(!shown(&wrong), "{wrong}");
        }
        assert!(!token.is_shown_by(None, Challenge::Bearer));
    }

    #[test]
    fn a_browser_shows_the_token_as_a_password_whatever_the_name() {
        let (token, text) = Token::fresh().unwrap();
        let shown = |credentials: &str| {
            let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
            let value = HeaderValue::from_str(&value).unwrap();
            token.is_shown_by(Some(&value), Challenge::Password)
        };
        assert!(shown(&format!("me:{text}")) && shown(&format!(":{text}")));
        for wrong in [
            text.clone(),
            format!("{text}:"),
            format!("me:{text}:"),
            "me:".to_string(),
        ] {
            assert!(!shown(&wrong), "{wrong}");
        }
        let bearer = HeaderValue::from_str(&format!("Bearer {text}")).unwrap();
        assert!(token.is_shown_by(Some(&bearer), Challenge::Password));
        for damaged in ["Basic", "Basic !!!", "Basic /w=="] {
            let value = HeaderValue::from_static(damaged);
            assert!(
                !token.is_shown_by(Some(&value), Challenge::Password),
                "{damaged}"
            );
        }
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
        let token = Token::read(&path).unwrap();
        assert!(token.is_shown_by(Some(&header), Challenge::Bearer));
    }
}
