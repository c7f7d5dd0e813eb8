//! `lehr dashboard`, really started: its pages say what the ledger says, while a study goes and afterwards; they run
//! nothing but their own script, and nobody is let in who should not be. One test looks at them with a browser, and is
//! skipped without one unless `LEHR_REQUIRE_CHROMIUM` is set.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

mod server;
mod studies;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, LazyLock, Mutex},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use server::Server;
use studies::{explore, ledger, lehr, said, write_moons};
use study::trial::Trial;
use tempfile::TempDir;

/// A name that a page must not obey.
const NAME: &str = "a<b>&c";

fn study_in(place: &Path) -> PathBuf {
    place.join(format!("{NAME}.lehr"))
}

/// A study of six trials that is over.
static OVER: LazyLock<TempDir> = LazyLock::new(|| {
    let place = tempfile::tempdir().unwrap();
    explore_to(place.path(), 6);
    place
});

fn explore_to(place: &Path, trials: u64) {
    let data = write_moons(place, 300);
    let trials = trials.to_string();
    let arguments = ["--trials", &trials, "--seed", "1", "--slots", "2"];
    let output = explore(&data, &study_in(place), &arguments);
    assert!(output.status.success(), "{}", said(&output));
}

/// The value that a trial's page must show.
fn best(study: &Path) -> Trial {
    use study::ledger::Reading;
    Reading::best(&*ledger(study)).unwrap().unwrap()
}

#[test]
fn the_first_page_says_how_good_the_best_is_and_how_far_the_study_has_come() {
    let study = study_in(OVER.path());
    let server = Server::dashboard(&study, &[]);
    let page = server.get("/");
    assert_eq!(page.status, 200);
    let best = best(&study);
    let value = match best.result().unwrap().score {
        1.0 => "1.000".to_string(),
        less => format!("{less:.4}"),
    };
    for words in [
        format!("accuracy {value}"),
        format!("by trial {}", best.id),
        "<b>6</b>".to_string(),
        "of the budget is used".to_string(),
        "all trials are done".to_string(),
        "a&lt;b&gt;&amp;c".to_string(),
    ] {
        assert!(
            page.body.contains(&words),
            "`{words}` is not in {}",
            page.body
        );
    }
    assert!(!page.body.contains(NAME), "the study's name is obeyed");
}

#[test]
fn trials_are_found_by_state_words_and_number_and_each_has_a_page() {
    let study = study_in(OVER.path());
    let server = Server::dashboard(&study, &[]);
    let all = server.get("/trials");
    assert!(all.body.contains("All 6 trials."), "{}", all.body);
    let trials = ledger(&study).trials().unwrap();
    let finished = trials.iter().filter(|trial| trial.result().is_some());
    let page = server.get("/trials?state=finished&order=newest");
    let counted = match finished.count() {
        6 => "All 6 trials.".to_string(),
        some => format!("{some} of 6 trials."),
    };
    assert!(page.body.contains(&counted), "{}", page.body);
    let page = server.get("/trials?state=waiting");
    assert!(page.body.contains("None of 6 trials."), "{}", page.body);
    let page = server.get("/trials?words=2");
    assert!(page.body.contains("href=\"/trials/2\""), "{}", page.body);
    assert!(
        server
            .get("/trials?words=nowhere")
            .body
            .contains("None of 6 trials.")
    );
    // A page behind the last is the last.
    assert!(server.get("/trials?page=99").body.contains("All 6 trials."));

    for trial in &trials {
        let page = server.get(&format!("/trials/{}", trial.id));
        assert_eq!(page.status, 200);
        let explained = lehr()
            .arg("explain")
            .arg(trial.id.to_string())
            .arg(&study)
            .output()
            .unwrap();
        let explained = String::from_utf8(explained.stdout).unwrap();
        for line in explained.lines() {
            // Of the values, whatever is no sign that a page writes otherwise.
            let value = line.get(12..).unwrap_or_default();
            let shown = value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            assert!(
                page.body.contains(&shown),
                "`{shown}` is not on the page of {}",
                trial.id
            );
        }
    }
}

#[test]
fn what_programs_ask_for_is_what_lehr_status_says() {
    let study = study_in(OVER.path());
    let server = Server::dashboard(&study, &[]);
    let asked = server.get("/status.json");
    assert_eq!(asked.value_of("content-type").unwrap(), "application/json");
    let status = lehr()
        .args(["status", "--json"])
        .arg(&study)
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(asked.json(), status);
}

#[test]
fn the_report_is_shown_with_its_style_and_may_run_nothing() {
    let study = study_in(OVER.path());
    let server = Server::dashboard(&study, &[]);
    assert!(server.get("/").body.contains("href=\"/report\""));
    let report = server.get("/report");
    assert_eq!(
        report.body,
        fs::read_to_string(study.join("report.html")).unwrap()
    );
    let policy = report.value_of("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"),
        "{policy}"
    );
    assert!(!policy.contains("script-src"), "{policy}");
}

#[test]
fn a_page_asks_nobody_else_for_anything_and_one_that_is_known_is_not_sent_again() {
    let server = Server::dashboard(&study_in(OVER.path()), &[]);
    for address in ["/", "/trials", "/trials/1", "/search", "/nodes", "/nowhere"] {
        let page = server.get(address);
        assert!(
            !page.body.contains("http://") && !page.body.contains("https://"),
            "{address}"
        );
        let policy = page.value_of("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    }
    let tag = server.get("/trials/1").value_of("etag").unwrap();
    let again = server.ask("GET /trials/1", &[("If-None-Match", &tag)], b"");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let other = server.ask("GET /trials/2", &[("If-None-Match", &tag)], b"");
    assert_eq!(other.status, 200);
}

#[test]
fn what_is_not_there_or_not_understood_is_said_and_nothing_can_be_changed() {
    let server = Server::dashboard(&study_in(OVER.path()), &[]);
    for (line, status, words) in [
        ("GET /nowhere", 404, "no page /nowhere"),
        ("GET /trials/77", 404, "no trial 77"),
        ("GET /trials/x", 404, "no page /trials/x"),
        ("GET /trials?state=done", 400, "there is finished, running"),
        ("GET /trials?sort=best", 400, "`sort` cannot be asked"),
        ("POST /trials", 405, "only shows"),
        ("DELETE /trials/1", 405, "only shows"),
    ] {
        let answer = server.ask(line, &[], b"");
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.body.contains(words), "{line}: {}", answer.body);
    }
    let foreign = server.ask("GET /", &[("Host", "evil.example")], b"");
    assert_eq!(foreign.status, 421);
    let output = lehr().args(["dashboard", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("/nowhere"), "{told}");
}

#[test]
fn where_others_can_reach_it_a_browser_must_show_the_token() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token");
    fs::write(&file, "0123456789abcdef\n").unwrap();
    let arguments = ["--token-file", file.to_str().unwrap()];
    let server = Server::started("dashboard", "0.0.0.0:0", &study_in(OVER.path()), &arguments);
    let refused = server.get("/");
    assert_eq!(refused.status, 401);
    let challenge = refused.value_of("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic realm="), "{challenge}");
    let with = |password: &str| {
        let shown = BASE64_STANDARD.encode(format!("me:{password}"));
        let authorization = format!("Basic {shown}");
        server
            .ask("GET /", &[("Authorization", &authorization)], b"")
            .status
    };
    assert_eq!(
        (with("0123456789abcdef"), with("0123456789abcdeg")),
        (200, 401)
    );
    let bearer = [("Authorization", "Bearer 0123456789abcdef")];
    assert_eq!(server.ask("GET /status.json", &bearer, b"").status, 200);
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_study_that_goes_on_is_followed_and_one_that_is_gone_is_shown_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    explore_to(place.path(), 3);
    let study = study_in(place.path());
    let server = Server::dashboard(&study, &[]);
    assert!(server.get("/trials").body.contains("All 3 trials."));
    explore_to(place.path(), 5);
    server.until("/trials", "All 5 trials.");
    let page = server.until("/", "<b>5</b>");
    assert!(
        !page.body.contains("could not be read again"),
        "{}",
        page.body
    );

    let elsewhere = place.path().join("elsewhere");
    fs::rename(&study, &elsewhere).unwrap();
    let page = server.until("/", "its ledger could not be read again");
    assert!(page.body.contains("<b>5</b>"), "{}", page.body);

    // Another study of the same name.
    explore_to(place.path(), 2);
    let page = server.until("/trials", "All 2 trials.");
    assert!(
        !page.body.contains("could not be read again"),
        "{}",
        page.body
    );
}

#[test]
fn a_browser_shows_every_page_and_finds_nothing_forbidden_on_it() {
    let Some(browser) = browser() else { return };
    let server = Server::dashboard(&study_in(OVER.path()), &[]);
    for (address, words) in [
        ("/", "of the budget is used"),
        ("/trials?state=finished", "6 trials."),
        ("/trials/1", "Trial 1"),
        ("/search", "Hyperparameters and size"),
        ("/nodes", "that ever came"),
        ("/report", "Made by lehr"),
    ] {
        let (page, told) = looked_at(&browser, server.address.port(), address);
        assert!(page.contains(words), "{address}: {page}");
        assert!(
            !page.contains("This is how the study stood at"),
            "{address}: {page}"
        );
        for mistake in ["Content Security Policy", "Uncaught", "Refused to"] {
            assert!(!told.contains(mistake), "{address}: {told}");
        }
    }
}

/// What a browser shows of a page that says "All 3 trials.", if it is answered so when it asks again.
fn shown_after(browser: &str, again: &str) -> (String, usize) {
    let server = Server::dashboard(&study_in(OVER.path()), &[]);
    let page = server
        .get("/trials")
        .body
        .replace("All 6 trials.", "All 3 trials.");
    let script = server.get("/live.js").body;
    let stage = Stage::start(vec![
        ("/trials".to_string(), answer("200 OK", "text/html", &page)),
        (
            "/live.js".to_string(),
            answer("200 OK", "text/javascript", &script),
        ),
        (
            "/trials".to_string(),
            again.replace("PAGE", &server.get("/trials").body),
        ),
    ]);
    let (shown, _) = looked_at(browser, stage.port, "/trials");
    (shown, stage.asked("/trials"))
}

#[test]
fn what_has_changed_is_replaced_while_somebody_looks() {
    let Some(browser) = browser() else { return };
    let (page, asked) = shown_after(&browser, &answer("200 OK", "text/html", "PAGE"));
    assert!(page.contains("All 6 trials."), "{page}");
    assert!(!page.contains("This is how the study stood at"), "{page}");
    assert!(asked >= 3, "it asks on");
}

#[test]
fn a_page_that_gets_no_answer_says_so_and_keeps_what_it_showed() {
    let Some(browser) = browser() else { return };
    let (page, asked) = shown_after(
        &browser,
        &answer("503 Service Unavailable", "text/html", "no"),
    );
    assert!(page.contains("All 3 trials."), "{page}");
    assert!(page.contains("This is how the study stood at"), "{page}");
    assert!(page.contains("the dashboard answers 503"), "{page}");
    assert!(asked >= 3, "it asks on");
}

#[test]
fn a_page_whose_token_is_no_more_says_so_and_asks_no_more() {
    let Some(browser) = browser() else { return };
    let (page, asked) = shown_after(&browser, &answer("401 Unauthorized", "text/html", "no"));
    assert!(page.contains("All 3 trials."), "{page}");
    assert!(page.contains("asks for another token now"), "{page}");
    assert_eq!(asked, 2);
}

/// A whole answer.
fn answer(status: &str, form: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {form}; charset=utf-8\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A server that plays a part: to each path it gives its answers in turn, the last one again and again.
struct Stage {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn start(answers: Vec<(String, String)>) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stage = Stage {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
        };
        let (asked, answers) = (Arc::clone(&stage.asked), Arc::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A browser opens connections before it knows what to ask.
                let (asked, answers) = (Arc::clone(&asked), Arc::clone(&answers));
                thread::spawn(move || play(stream.unwrap(), &asked, &answers));
            }
        });
        stage
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|earlier| *earlier == path).count()
    }
}

/// Reads one question and gives it the answer whose turn it is.
fn play(stream: TcpStream, asked: &Mutex<Vec<String>>, answers: &[(String, String)]) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap_or_default() == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_string();
    let of_path = answers.iter().filter(|(of, _)| *of == path);
    let of_path: Vec<&String> = of_path.map(|(_, answer)| answer).collect();
    let mut asked = asked.lock().unwrap();
    let turn = asked.iter().filter(|earlier| **earlier == path).count();
    let nothing = answer("404 Not Found", "text/plain", "");
    let given = of_path.get(turn).or(of_path.last());
    asked.push(path);
    // A browser that has gone hears nothing.
    let _ = stream
        .get_mut()
        .write_all(given.copied().unwrap_or(&nothing).as_bytes());
}

/// Chromium, if it is installed.
fn browser() -> Option<String> {
    let starts = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(starts);
    if found.is_none() {
        assert!(
            env::var_os("LEHR_REQUIRE_CHROMIUM").is_none(),
            "LEHR_REQUIRE_CHROMIUM is set, and there is no chromium"
        );
        eprintln!("skipped: there is no chromium");
    }
    found.map(str::to_string)
}

/// What a page is after some seconds in a browser, and what the browser said of it.
fn looked_at(browser: &str, port: u16, address: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--enable-logging=stderr",
            "--virtual-time-budget=7000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://localhost:{port}{address}"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}
