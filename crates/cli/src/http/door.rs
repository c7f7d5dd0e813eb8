//! Who may ask: the right `Host` where only this machine can reach the server, the token elsewhere.
//!
//! A page in a browser can be made to ask a server on the user's own machine under a name of the page's
//! choice; the name in `Host` gives it away.

use std::net::{IpAddr, SocketAddr};

use hyper::{
    StatusCode, Version,
    header::{self, HeaderValue},
    http::{request::Parts, uri::Authority},
};

use super::{
    reply::Reply,
    token::{Challenge, Token},
};

/// Whether a token must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Open,
    Token,
}

/// What a request has to show.
pub(crate) struct Door {
    token: Option<Token>,
    challenge: Challenge,
    is_loopback: bool,
}

impl Door {
    /// `challenge` says how the token, if there is one, is shown.
    pub(crate) fn new(listen: SocketAddr, token: Option<Token>, challenge: Challenge) -> Door {
        Door {
            token,
            challenge,
            is_loopback: listen.ip().is_loopback(),
        }
    }

    /// Nothing if the request may come in, otherwise what it is told. What is open to all asks for no token.
    pub(super) fn refusal(&self, head: &Parts, access: Access) -> Option<Reply> {
        if let Some(problem) = self.wrong_host(head) {
            return Some(Reply::problem(StatusCode::MISDIRECTED_REQUEST, problem));
        }
        let token = self.token.as_ref()?;
        let shown = head.headers.get(header::AUTHORIZATION);
        if access == Access::Open || token.is_shown_by(shown, self.challenge) {
            return None;
        }
        let problem = "the token is missing or wrong: send `Authorization: Bearer TOKEN`";
        let challenge = HeaderValue::from_static(self.challenge.header());
        Some(
            Reply::problem(StatusCode::UNAUTHORIZED, problem)
                .with(header::WWW_AUTHENTICATE, challenge),
        )
    }

    fn wrong_host(&self, head: &Parts) -> Option<String> {
        if !self.is_loopback {
            return None;
        }
        let given = head.headers.get_all(header::HOST);
        let mut names = given.iter().map(|host| host.to_str().unwrap_or_default());
        if head.version == Version::HTTP_10 && given.iter().next().is_none() {
            // Browsers always name a host.
            return head.uri.authority().and_then(wrong_authority);
        }
        let named = match names.next() {
            None => return Some("the request has no `Host`".to_string()),
            Some(_) if names.next().is_some() => {
                return Some("the request has more than one `Host`".to_string());
            }
            Some(named) => named,
        };
        match named.parse::<Authority>() {
            Ok(authority) => wrong_authority(&authority),
            Err(_) => Some(format!("the `Host` `{named}` is none")),
        }
        .or_else(|| head.uri.authority().and_then(wrong_authority))
    }
}

fn wrong_authority(authority: &Authority) -> Option<String> {
    let host = authority.host().trim_matches(['[', ']']);
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_this_machine = is_loopback || host.eq_ignore_ascii_case("localhost");
    (!is_this_machine).then(|| {
        format!(
            "the `Host` `{host}` is not this machine: ask for localhost or 127.0.0.1, or let the \
             server listen on an address that others may reach, with a token"
        )
    })
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn refused(door: &Door, head: &[(&str, &str)], path: &str) -> Option<u16> {
        let mut request = Request::builder().uri(path);
        for (name, value) in head {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let access = match head.uri.path() {
            "/healthz" => Access::Open,
            _ => Access::Token,
        };
        door.refusal(&head, access)
            .map(|reply| reply.status.as_u16())
    }

    #[test]
    fn a_server_on_this_machine_answers_only_under_names_of_this_machine() {
        let door = Door::new("127.0.0.1:8080".parse().unwrap(), None, Challenge::Bearer);
        for host in [
            "localhost",
            "LOCALHOST:9",
            "127.0.0.1:8080",
            "127.8.8.8",
            "[::1]:80",
        ] {
            assert_eq!(refused(&door, &[("host", host)], "/"), None, "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "",
            "192.168.0.1",
        ] {
            assert_eq!(refused(&door, &[("host", host)], "/"), Some(421), "{host}");
        }
        assert_eq!(refused(&door, &[], "/"), Some(421));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(refused(&door, &twice, "/"), Some(421));
        let absolute = refused(&door, &[("host", "localhost")], "http://evil.example/");
        assert_eq!(absolute, Some(421));
    }

    #[test]
    fn elsewhere_all_that_is_not_open_asks_for_the_token() {
        let (token, text) = Token::fresh().unwrap();
        let everywhere = "0.0.0.0:80".parse().unwrap();
        let door = Door::new(everywhere, Some(token), Challenge::Bearer);
        let bearer = format!("Bearer {text}");
        let shown = [("host", "models.example"), ("authorization", &bearer)];
        assert_eq!(refused(&door, &shown, "/predict"), None);
        for (path, status) in [
            ("/predict", Some(401)),
            ("/", Some(401)),
            ("/nowhere", Some(401)),
            ("/healthz", None),
        ] {
            let host = [("host", "models.example")];
            assert_eq!(refused(&door, &host, path), status, "{path}");
        }
    }
}
