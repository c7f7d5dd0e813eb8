//! What `lehr serve` and `lehr dashboard` have in common: an address, a token, and what is said about both.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    http::{Challenge, Token},
    tell,
};

/// The token that is asked for: that of the file, a new one where others can reach the address, or none.
pub(crate) fn token(
    listen: SocketAddr,
    file: Option<&Path>,
    challenge: Challenge,
) -> Result<Option<Token>> {
    if let Some(path) = file {
        return Token::read(path).map(Some);
    }
    if listen.ip().is_loopback() {
        return Ok(None);
    }
    let (token, text) = Token::fresh().context("a token is needed on this address")?;
    let shown = match challenge {
        Challenge::Bearer => format!("clients must send `Authorization: Bearer {text}`"),
        Challenge::Password => format!("a browser asks for a name (any) and a password: {text}"),
    };
    tell(&format!("others can reach {listen}, so {shown}"));
    tell("this token is shown once and kept nowhere; --token-file FILE reads one that stays");
    Ok(Some(token))
}

/// What crosses the network there can be read by others.
pub(crate) fn warn_of_plain_text(listen: SocketAddr, what: &str) {
    if !listen.ip().is_loopback() {
        tell(&format!(
            "{what} and the token are sent unencrypted: let a proxy with TLS stand in front"
        ));
    }
}

/// Says that questions are taken, and where: the latter on standard output, for programs that let the system choose
/// the port.
pub(crate) fn announce(address: SocketAddr, said: &str) {
    tell(said);
    let _ = writeln!(io::stdout(), "http://{address}").and_then(|()| io::stdout().flush());
}
