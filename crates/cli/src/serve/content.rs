//! What the body of a question is, and what its answer shall be.

use data::{DataKind, Preprocessor};
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderName},
};

use crate::http::Reply;

/// What a body can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Json,
    Csv,
    /// The bytes of one image file; which format, they say themselves.
    Image,
}

impl BodyKind {
    /// Names of the content types that are of this kind; the first is the usual one.
    pub(super) fn types(self) -> &'static [&'static str] {
        match self {
            BodyKind::Json => &["application/json"],
            BodyKind::Csv => &["text/csv"],
            BodyKind::Image => &[
                "image/png",
                "image/jpeg",
                "image/webp",
                "image/bmp",
                "image/gif",
            ],
        }
    }

    /// What a model takes.
    pub(super) fn taken_by(preprocessor: &Preprocessor) -> Vec<BodyKind> {
        let mut kinds = vec![BodyKind::Json];
        if preprocessor.takes_tables() {
            kinds.push(BodyKind::Csv);
        }
        if preprocessor.kind() == DataKind::Images {
            kinds.push(BodyKind::Image);
        }
        kinds
    }

    /// What a request says that its body is.
    ///
    /// # Errors
    /// The answer, if it does not say it or the model does not take it.
    pub(super) fn of(headers: &HeaderMap, taken: &[BodyKind]) -> Result<BodyKind, Reply> {
        let unsupported = |problem: String| {
            let known: Vec<&str> = taken
                .iter()
                .flat_map(|kind| kind.types())
                .copied()
                .collect();
            let message = format!("{problem}: send {}", known.join(", "));
            Reply::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        };
        let encoding = text_of(headers, header::CONTENT_ENCODING);
        if let Some(encoding) = encoding.filter(|encoding| encoding != "identity") {
            return Err(unsupported(format!(
                "the content encoding `{encoding}` is not taken; uncompressed bodies are"
            )));
        }
        let Some(given) = text_of(headers, header::CONTENT_TYPE) else {
            return Err(unsupported("the content type is missing".to_string()));
        };
        let named = given.split(';').next().unwrap_or_default().trim();
        let is_named = |kind: &&BodyKind| kind.types().contains(&named);
        taken.iter().find(is_named).copied().ok_or_else(|| {
            unsupported(format!(
                "the content type `{named}` is not taken by this model"
            ))
        })
    }
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Html,
}

impl Form {
    /// Which of these a client would rather have, by the weights in its `Accept`; the first of equally
    /// good ones, and of those that it does not name.
    pub(super) fn wanted(headers: &HeaderMap, offered: &[Form]) -> Form {
        let accept = text_of(headers, header::ACCEPT).unwrap_or_default();
        let weight = |form: &Form| {
            let ranges = accept.split(',').filter_map(|range| form.weight(range));
            ranges.fold(0.0, f64::max)
        };
        let mut best = (offered[0], weight(&offered[0]));
        for form in &offered[1..] {
            if weight(form) > best.1 {
                best = (*form, weight(form));
            }
        }
        best.0
    }

    /// The weight of an `Accept` range that names this form, as in `text/csv;q=0.5`.
    fn weight(self, range: &str) -> Option<f64> {
        let mut parts = range.split(';').map(str::trim);
        let names = match self {
            Form::Json => ["application/json", "application/*", "*/*"],
            Form::Csv => ["text/csv", "text/*", "*/*"],
            Form::Html => ["text/html", "text/*", "*/*"],
        };
        let name = parts.next()?;
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let is_named = names.contains(&name);
        is_named.then(|| quality.map_or(Some(1.0), |q| q.parse().ok()))?
    }
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or_default().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).unwrap();
        [(name, value)].into_iter().collect()
    }

    #[test]
    fn a_body_is_what_its_content_type_says() {
        let taken = [BodyKind::Json, BodyKind::Image];
        let of = |text: &str| BodyKind::of(&headers(header::CONTENT_TYPE, text), &taken);
        assert_eq!(of("application/json").unwrap(), BodyKind::Json);
        let with_charset = of("Application/JSON; charset=utf-8");
        assert_eq!(with_charset.unwrap(), BodyKind::Json);
        assert_eq!(of("image/png").unwrap(), BodyKind::Image);
        for wrong in ["text/csv", "text/plain", "", "image/x"] {
            assert_eq!(of(wrong).unwrap_err().status.as_u16(), 415, "{wrong}");
        }
        let packed = headers(header::CONTENT_ENCODING, "gzip");
        assert!(BodyKind::of(&packed, &taken).is_err());
        assert!(BodyKind::of(&HeaderMap::new(), &taken).is_err());
    }

    #[test]
    fn an_answer_has_the_form_that_the_client_weighs_most() {
        let offered = [Form::Json, Form::Csv];
        let wanted = |text: &str| Form::wanted(&headers(header::ACCEPT, text), &offered);
        assert_eq!(Form::wanted(&HeaderMap::new(), &offered), Form::Json);
        assert_eq!(wanted("*/*"), Form::Json);
        assert_eq!(wanted("text/csv"), Form::Csv);
        assert_eq!(wanted("text/csv;q=0.5, application/json"), Form::Json);
        assert_eq!(
            wanted("text/csv, application/json;q=0.9, */*;q=0.1"),
            Form::Csv
        );
        assert_eq!(wanted("image/png"), Form::Json);
    }
}
