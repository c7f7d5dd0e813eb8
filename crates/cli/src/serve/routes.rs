//! What can be asked, and who answers it.

use std::{sync::atomic::Ordering, time::Duration};

use hyper::{
    Method, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    http::request::Parts,
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    State,
    content::{BodyKind, Form},
    limits::ANSWER_WAIT,
    queue::Question,
};
use crate::http::{Access, Door, HTML, JSON, PROMETHEUS, Reply, Site, TEXT};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Card,
    Predict,
    Health,
    Ready,
    Metrics,
    OpenApi,
}

impl Route {
    pub(super) const ALL: [Route; 6] = [
        Route::Card,
        Route::Predict,
        Route::Health,
        Route::Ready,
        Route::Metrics,
        Route::OpenApi,
    ];

    pub(super) fn path(self) -> &'static str {
        match self {
            Route::Card => "/",
            Route::Predict => "/predict",
            Route::Health => "/healthz",
            Route::Ready => "/readyz",
            Route::Metrics => "/metrics",
            Route::OpenApi => "/openapi.json",
        }
    }

    /// What it is for, in a few words.
    pub(super) fn purpose(self) -> &'static str {
        match self {
            Route::Card => "what the model is and takes",
            Route::Predict => "what the model says of rows",
            Route::Health => "whether the server runs",
            Route::Ready => "whether it takes questions",
            Route::Metrics => "what has happened since the start, for Prometheus",
            Route::OpenApi => "a description of all this for machines",
        }
    }

    pub(super) fn of(path: &str) -> Option<Route> {
        Route::ALL.into_iter().find(|route| route.path() == path)
    }

    /// Whether anybody may ask.
    pub(super) fn access(self) -> Access {
        match self {
            Route::Health | Route::Ready => Access::Open,
            _ => Access::Token,
        }
    }

    fn methods(self) -> &'static [Method] {
        const ASKING: [Method; 2] = [Method::GET, Method::HEAD];
        const TELLING: [Method; 1] = [Method::POST];
        match self {
            Route::Predict => &TELLING,
            _ => &ASKING,
        }
    }
}

impl Site for State {
    fn door(&self) -> &Door {
        &self.door
    }

    fn access(&self, path: &str) -> Access {
        Route::of(path).map_or(Access::Token, Route::access)
    }

    async fn answer(&self, head: &Parts, body: Incoming) -> Reply {
        reply(self, Route::of(head.uri.path()), head, body).await
    }

    fn answered(&self, path: &str, status: StatusCode, took: Duration) {
        self.metrics.request(Route::of(path), status, took);
    }

    fn connected(&self) {
        self.metrics.connected();
    }

    fn disconnected(&self) {
        self.metrics.disconnected();
    }

    fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

async fn reply(state: &State, route: Option<Route>, head: &Parts, body: Incoming) -> Reply {
    let Some(route) = route else {
        let paths = Route::ALL.map(Route::path).join(", ");
        let message = format!("there is no `{}`; there are {paths}", head.uri.path());
        return Reply::problem(StatusCode::NOT_FOUND, message);
    };
    if !route.methods().contains(&head.method) {
        let allowed: Vec<&str> = route.methods().iter().map(Method::as_str).collect();
        let allowed = allowed.join(", ");
        let message = format!(
            "`{}` is asked by {allowed}, not {}",
            route.path(),
            head.method
        );
        let value = HeaderValue::from_str(&allowed).expect("methods are plain letters");
        return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, message).with(header::ALLOW, value);
    }
    match route {
        Route::Predict => predict(state, head, body).await,
        Route::Card => card(state, head),
        Route::Health => Reply::new(StatusCode::OK, TEXT, "ok\n"),
        Route::Ready if state.is_stopping() => Reply::overloaded("the server is stopping"),
        Route::Ready => Reply::new(StatusCode::OK, TEXT, "ready\n"),
        Route::Metrics => {
            let text = state.metrics.text(state.queue.len());
            Reply::new(StatusCode::OK, PROMETHEUS, text)
        }
        Route::OpenApi => Reply::new(StatusCode::OK, JSON, state.texts.openapi.clone()),
    }
}

fn card(state: &State, head: &Parts) -> Reply {
    match Form::wanted(&head.headers, &[Form::Json, Form::Html]) {
        Form::Html => Reply::new(StatusCode::OK, HTML, state.texts.page.clone()),
        _ => Reply::new(StatusCode::OK, JSON, state.texts.card.clone()),
    }
}

async fn predict(state: &State, head: &Parts, body: Incoming) -> Reply {
    let kind = match BodyKind::of(&head.headers, &state.texts.taken) {
        Ok(kind) => kind,
        Err(refusal) => return refusal,
    };
    let form = Form::wanted(&head.headers, &[Form::Json, Form::Csv]);
    let body = match state.room.read(&head.headers, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let (answer, answered) = oneshot::channel();
    let question = Question {
        body,
        kind,
        form,
        answer,
    };
    if state.queue.push(question).is_err() {
        return Reply::overloaded("too many requests wait: come again in a moment");
    }
    match timeout(ANSWER_WAIT, answered).await {
        Ok(Ok(reply)) => reply,
        // The thread that had it met a mistake of ours, which standard error tells.
        Ok(Err(_)) => Reply::problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the request could not be computed; the server's standard error says why",
        ),
        Err(_) => {
            let seconds = ANSWER_WAIT.as_secs();
            Reply::overloaded(format!("the request waited longer than {seconds} s"))
        }
    }
}
