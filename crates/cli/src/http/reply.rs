//! What goes back to a client: a status, a body, and a message in it if something was wrong.

use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::json;

use super::limits::RETRY_AFTER_SECS;

pub(crate) const JSON: &str = "application/json";
pub(crate) const CSV: &str = "text/csv; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An answer that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    form: &'static str,
    body: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, form: &'static str, body: impl Into<Bytes>) -> Reply {
        Reply {
            status,
            form,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// Something is wrong, and this is what.
    pub(crate) fn problem(status: StatusCode, message: impl Into<String>) -> Reply {
        let body = json!({ "error": message.into() }).to_string() + "\n";
        Reply::new(status, JSON, body)
    }

    /// There is too much to do at the moment.
    pub(crate) fn overloaded(message: impl Into<String>) -> Reply {
        Reply::problem(StatusCode::SERVICE_UNAVAILABLE, message)
            .with(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.push((name, value));
        self
    }

    /// This answer with a tag of its content; without content, if the asker has shown that very tag.
    pub(crate) fn unless_known(mut self, known: Option<&HeaderValue>) -> Reply {
        if self.status != StatusCode::OK {
            return self;
        }
        let tag = format!("\"{}\"", blake3::hash(&self.body).to_hex());
        let tag = HeaderValue::from_str(&tag).expect("a digest is plain letters");
        if known == Some(&tag) {
            self.status = StatusCode::NOT_MODIFIED;
            self.body = Bytes::new();
        }
        self.with(header::ETAG, tag)
    }

    /// The connection ends with this answer.
    pub(crate) fn closing(self) -> Reply {
        self.with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.form));
        // A browser must not take an answer for something else than it says it is.
        let nosniff = HeaderValue::from_static("nosniff");
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        response
    }
}
