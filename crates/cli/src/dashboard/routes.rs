//! Which page an address asks for, and how it goes back.

use std::sync::Arc;

use anyhow::Result;
use hyper::{
    Method, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    http::request::Parts,
};
use search::TrialId;

use super::{
    State, nodes, overview, page::problem_page, query::Wish, searched, trial, trials, watch::Watch,
};
use crate::{
    http::{Access, Door, HTML, JSON, Reply, Site, TEXT},
    report, show,
};

const SCRIPT: &str = include_str!("live.js");
const OWN_STYLE: &str = include_str!("dashboard.css");

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// A page runs the dashboard's script and no other, has its style and no other, and asks nobody else for anything.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The report has its style inside, and runs nothing; a browser asks for a picture of its own accord.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; \
                             base-uri 'none'; frame-ancestors 'none'";

/// What can be asked for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Overview,
    Trials,
    Trial(TrialId),
    Search,
    Nodes,
    Report,
    Status,
    Style,
    Script,
    Health,
}

impl Route {
    fn of(path: &str) -> Option<Route> {
        Some(match path {
            "/" => Route::Overview,
            "/trials" => Route::Trials,
            "/search" => Route::Search,
            "/nodes" => Route::Nodes,
            "/report" => Route::Report,
            "/status.json" => Route::Status,
            "/style.css" => Route::Style,
            "/live.js" => Route::Script,
            "/healthz" => Route::Health,
            _ => Route::Trial(TrialId(path.strip_prefix("/trials/")?.parse().ok()?)),
        })
    }
}

impl Site for State {
    fn door(&self) -> &Door {
        &self.door
    }

    fn access(&self, path: &str) -> Access {
        match Route::of(path) {
            Some(Route::Health) => Access::Open,
            _ => Access::Token,
        }
    }

    async fn answer(&self, head: &Parts, _body: Incoming) -> Reply {
        // What is shown is how it stands now, and nobody else's business.
        self.shown(head)
            .await
            .with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
            .with(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            )
    }
}

impl State {
    async fn shown(&self, head: &Parts) -> Reply {
        if head.method != Method::GET && head.method != Method::HEAD {
            let message = "a dashboard only shows: it is asked by GET or HEAD";
            return Reply::problem(StatusCode::METHOD_NOT_ALLOWED, message)
                .with(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        let Some(route) = Route::of(head.uri.path()) else {
            let message = format!("There is no page {}.", head.uri.path());
            return html(StatusCode::NOT_FOUND, problem_page(&message));
        };
        match route {
            Route::Health => Reply::new(StatusCode::OK, TEXT, "ok\n"),
            Route::Script => Reply::new(StatusCode::OK, JAVASCRIPT, SCRIPT),
            Route::Style => {
                Reply::new(StatusCode::OK, CSS, format!("{}{OWN_STYLE}", report::STYLE))
            }
            route => self.read(route, head).await,
        }
    }

    /// A page that needs the ledger, made where nobody else waits for it. One that the asker has already is not sent
    /// again.
    async fn read(&self, route: Route, head: &Parts) -> Reply {
        let watch = Arc::clone(&self.watch);
        let query = head.uri.query().map(str::to_string);
        let known = head.headers.get(header::IF_NONE_MATCH).cloned();
        let maker = Arc::clone(&self.makers).acquire_owned().await;
        let maker = maker.expect("nobody closes the semaphore");
        let made = tokio::task::spawn_blocking(move || {
            let reply = answered(&watch, &route, query.as_deref());
            drop(maker);
            reply.map(|reply| reply.unless_known(known.as_ref()))
        });
        match made.await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                let message = show::chain(&error);
                html(StatusCode::SERVICE_UNAVAILABLE, problem_page(&message))
            }
            // Standard error says what it panicked with.
            Err(_) => {
                let message =
                    "The page could not be made; the dashboard's standard error says why.";
                html(StatusCode::INTERNAL_SERVER_ERROR, problem_page(message))
            }
        }
    }
}

fn answered(watch: &Watch, route: &Route, query: Option<&str>) -> Result<Reply> {
    if let Route::Report = route {
        return Ok(match watch.report()? {
            Some(page) => Reply::new(StatusCode::OK, HTML, page).with(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(REPORT_POLICY),
            ),
            None => {
                let message = "There is no report yet: it is written when the study ends, and by `lehr best`.";
                html(StatusCode::NOT_FOUND, problem_page(message))
            }
        });
    }
    let seen = watch.look()?;
    Ok(match route {
        Route::Trials => match Wish::of(query) {
            Ok(wish) => html(StatusCode::OK, trials::page(&seen, &wish)),
            Err(problem) => html(StatusCode::BAD_REQUEST, problem_page(&problem)),
        },
        Route::Trial(id) => match watch.trial(&seen, *id)? {
            Some(detail) => html(StatusCode::OK, trial::page(&seen, &detail)),
            None => {
                let message = format!("The study has no trial {id}.");
                html(StatusCode::NOT_FOUND, problem_page(&message))
            }
        },
        Route::Search => html(StatusCode::OK, searched::page(&seen)),
        Route::Nodes => html(StatusCode::OK, nodes::page(&seen)),
        Route::Status => Reply::new(StatusCode::OK, JSON, show::pretty_json(&seen.status())),
        _ => html(StatusCode::OK, overview::page(&seen)),
    })
}

/// A page as it is sent.
fn html(status: StatusCode, page: String) -> Reply {
    Reply::new(status, HTML, page).with(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_one_page_or_none() {
        assert_eq!(Route::of("/"), Some(Route::Overview));
        assert_eq!(Route::of("/trials"), Some(Route::Trials));
        assert_eq!(Route::of("/trials/17"), Some(Route::Trial(TrialId(17))));
        for none in [
            "",
            "/trials/",
            "/trials/x",
            "/trials/1/2",
            "/trials/-1",
            "/style.css/",
            "/../etc",
        ] {
            assert_eq!(Route::of(none), None, "{none}");
        }
    }
}
