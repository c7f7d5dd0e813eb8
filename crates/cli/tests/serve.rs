//! `lehr serve`, really started: it says what `lehr predict` says, refuses what it must, outlives slow and
//! rude clients, and finishes what is under way before it ends.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod models;
mod server;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use server::{Client, Response, Server};

/// What `lehr predict` says of a file.
fn predicted(model: &Path, file: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
        .arg("predict")
        .args([model, file])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const CSV: (&str, &str) = ("Content-Type", "text/csv");

#[test]
fn rows_of_a_table_are_answered_as_predict_answers_them() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let content = fs::read(&rows).unwrap();
    let accept = ("Accept", "text/csv");
    let csv = server.ask("POST /predict", &[CSV, accept], &content);
    assert_eq!(csv.status, 200, "{}", csv.body);
    assert_eq!(csv.body, predicted(&model, &rows, &[]));
    assert_eq!(
        csv.value_of("content-type").unwrap(),
        "text/csv; charset=utf-8"
    );

    let expected = json_lines(&predicted(&model, &rows, &["--json"]));
    let json = server.ask("POST /predict", &[CSV], &content);
    assert_eq!(json.json()["rows"], Value::from(expected.clone()));
    let as_objects: Vec<String> = String::from_utf8(content)
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!(
                "{{\"floor\": {}, \"town\": \"{}\", \"area\": {}}}",
                cells[2], cells[1], cells[0]
            )
        })
        .collect();
    let answer = server.predict(&format!("{{\"rows\": [{}]}}", as_objects.join(",")));
    assert_eq!(answer.json()["rows"], Value::from(expected));
}

#[test]
fn images_are_answered_as_predict_answers_them() {
    let place = tempfile::tempdir().unwrap();
    let (model, pixels) = models::digits(place.path());
    let server = Server::start(&model, &[]);
    let all = predicted(&model, &models::digits_file(), &["--json"]);
    let expected: Vec<Value> = json_lines(&all).into_iter().take(200).collect();
    let flat: Vec<String> = pixels[..200]
        .iter()
        .map(|image| format!("{image:?}"))
        .collect();
    let answer = server.predict(&format!("{{\"rows\": [{}]}}", flat.join(",")));
    assert_same_shares(&answer.json()["rows"], &expected);
    let nested: Vec<Vec<&[u8]>> = pixels[..2].iter().map(|i| i.chunks(8).collect()).collect();
    let answer = server.predict(&format!("{{\"rows\": {nested:?}}}"));
    assert_same_shares(&answer.json()["rows"], &expected[..2]);
    let heads = [("Content-Type", "image/bmp")];
    let answer = server.ask("POST /predict", &heads, &models::bitmap(&pixels[0]));
    assert_same_shares(&answer.json()["rows"], &expected[..1]);
}

/// The same rows, labels and, but for the order of additions, probabilities.
fn assert_same_shares(answered: &Value, expected: &[Value]) {
    let answered = answered.as_array().unwrap();
    assert_eq!(answered.len(), expected.len());
    for (answer, expected) in answered.iter().zip(expected) {
        assert_eq!(
            (&answer["row"], &answer["label"]),
            (&expected["row"], &expected["label"])
        );
        for (class, share) in expected["probabilities"].as_object().unwrap() {
            let off = share.as_f64().unwrap() - answer["probabilities"][class].as_f64().unwrap();
            assert!(off.abs() < 1e-6, "{answer} is not {expected}");
        }
    }
}

#[test]
fn bad_rows_are_named_and_the_others_answered() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let answer = server.predict(r#"{"rows": [{"area": 30}, {"area": []}, {"area": 31, "x": 1}]}"#);
    assert_eq!(answer.status, 200);
    let said = answer.json();
    assert_eq!(
        (&said["rows"][0]["row"], &said["rows"][1]["row"]),
        (&1.into(), &3.into())
    );
    assert_eq!(said["errors"][0]["row"], 2);
    assert_eq!(
        said["errors"][0]["reason"],
        "`area` is a list, a number or null is needed"
    );
    let notice = said["notices"][0].as_str().unwrap();
    assert!(notice.starts_with("`x` is no column"), "{notice}");

    let heads = [CSV, ("Accept", "text/csv")];
    let rows = b"area,town,floor\n30,Bern,1\n31\n32,Bern,2\n";
    let answer = server.ask("POST /predict", &heads, rows);
    assert_eq!(answer.body.lines().count(), 3);
    assert_eq!(answer.value_of("lehr-bad-rows").unwrap(), "1");
    let named = answer.value_of("lehr-bad-row").unwrap();
    assert_eq!(named, "2: line 3 has 1 cells, the header 3");

    let nothing = server.predict(r#"{"rows": [[1], 2]}"#);
    assert_eq!(nothing.status, 422);
    assert_eq!(nothing.error(), "none of the 2 rows could be used");
    assert_eq!(nothing.json()["errors"][1]["row"], 2);
    let empty = server.predict(r#"{"rows": []}"#);
    assert_eq!(
        (empty.status, empty.body.as_str()),
        (200, "{\"rows\":[]}\n")
    );
}

/// A question, its heads and body, and the status and message that it gets.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [u8],
    u16,
    &'static str,
);

#[test]
fn what_cannot_be_answered_is_told_why() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let cases: [Case; 10] = [
        (
            "POST /predict",
            &[JSON],
            b"{\"rows\": [1,\n2,,]}",
            400,
            "line 2 column 3",
        ),
        (
            "POST /predict",
            &[JSON],
            b"{\"row\": []}",
            400,
            "the key `row` was not expected",
        ),
        (
            "POST /predict",
            &[CSV],
            b"area,floor\n1,2\n",
            422,
            "lacks the column `town`",
        ),
        ("POST /predict", &[CSV], b"", 400, "is empty"),
        (
            "POST /predict",
            &[("Content-Type", "text/plain")],
            b"1",
            415,
            "application/json, text/csv",
        ),
        (
            "POST /predict",
            &[("Content-Type", "image/png")],
            b"1",
            415,
            "image/png",
        ),
        (
            "POST /predict",
            &[JSON, ("Content-Encoding", "gzip")],
            b"1",
            415,
            "uncompressed",
        ),
        ("GET /predict", &[], b"", 405, "POST, not GET"),
        ("POST /metrics", &[], b"", 405, "GET, HEAD, not POST"),
        ("GET /nowhere", &[], b"", 404, "/openapi.json"),
    ];
    for (line, heads, body, status, expected) in cases {
        let answer = server.ask(line, heads, body);
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        let message = answer.error();
        assert!(message.contains(expected), "{line}: {message}");
    }
}

#[test]
fn rows_in_another_encoding_than_utf8_are_refused_by_their_line() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let latin = b"area,town,floor\n30,Bern,1\n31,Z\xfcrich,1\n";
    let answer = server.ask("POST /predict", &[CSV], latin);
    assert_eq!(answer.status, 400, "{}", answer.body);
    let rule = "line 3 holds bytes that are no UTF-8: send the rows in UTF-8";
    assert_eq!(answer.error(), format!("the request: {rule}"));
}

#[test]
fn a_body_that_is_too_large_is_refused_however_it_is_sent() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &["--body-mib-max", "1"]);
    let large = vec![b' '; (1 << 20) + 1];
    let answer = server.ask("POST /predict", &[JSON], &large);
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("1048576 bytes are allowed"));
    // Without saying how much will come, and asking before sending.
    let chunked = [JSON, ("Transfer-Encoding", "chunked")];
    let size = format!("{:x}\r\n", large.len());
    let body = [size.as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(server.ask("POST /predict", &chunked, &body).status, 413);
    let asking = [
        JSON,
        ("Expect", "100-continue"),
        ("Content-Length", "999999999"),
    ];
    assert_eq!(server.ask("POST /predict", &asking, b"").status, 413);
    let mut client = server.client();
    client.send(b"no http at all\r\n\r\n");
    assert!(client.rest().starts_with(b"HTTP/1.1 400"));
    assert_eq!(server.predict("{\"rows\": [{\"area\": 1}]}").status, 200);
}

#[test]
fn a_name_that_is_not_this_machine_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    for (host, status) in [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
    ] {
        let answer = server.ask("GET /healthz", &[("Host", host)], b"");
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
    }
}

#[test]
fn where_others_can_reach_it_a_token_is_needed() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let mut server = Server::start_on("0.0.0.0:0", &model, &[]);
    let said = server.said();
    let shown = said.split('`').nth(1).unwrap();
    let (_, token) = shown.split_once(": Bearer ").unwrap();
    check_token(&server, token);
    let file = place.path().join("token");
    fs::write(&file, "not-a-very-good-secret\n").unwrap();
    let server = Server::start(&model, &["--token-file", file.to_str().unwrap()]);
    check_token(&server, "not-a-very-good-secret");
}

fn check_token(server: &Server, token: &str) {
    let rows = br#"{"rows": [{"area": 1}]}"#;
    let ask = |authorization: &str| {
        let heads = [JSON, ("Authorization", authorization)];
        server.ask("POST /predict", &heads, rows)
    };
    assert_eq!(ask(&format!("Bearer {token}")).status, 200);
    let wrong = ask(&format!("Bearer {token}x"));
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.value_of("www-authenticate").unwrap(), "Bearer");
    for (path, status) in [
        ("/metrics", 401),
        ("/", 401),
        ("/healthz", 200),
        ("/readyz", 200),
    ] {
        assert_eq!(server.ask(&format!("GET {path}"), &[], b"").status, status);
    }
}

#[test]
fn a_hundred_requests_at_once_are_all_answered_and_counted() {
    let place = tempfile::tempdir().unwrap();
    let (model, pixels) = models::digits(place.path());
    let server = Server::start(&model, &["--threads", "2"]);
    let all = json_lines(&predicted(&model, &models::digits_file(), &["--json"]));
    let asking = |index: usize| {
        let mut client = server.client();
        // Several on one connection, each with rows of its own.
        for image in [index, index + 100, index + 200] {
            let rows = format!("{{\"rows\": [{:?}]}}", pixels[image]);
            let answer = client.ask("POST /predict", &[JSON], rows.as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.body);
            let mut expected = all[image].clone();
            expected["row"] = 1.into();
            assert_same_shares(&answer.json()["rows"], &[expected]);
        }
    };
    thread::scope(|scope| {
        let asking = &asking;
        (0..100).for_each(|index| {
            scope.spawn(move || asking(index));
        });
    });
    let metrics = server.ask("GET /metrics", &[], b"").body;
    let batches: u64 = metrics
        .lines()
        .find_map(|line| line.strip_prefix("lehr_batch_requests_count "))
        .and_then(|count| count.parse().ok())
        .unwrap();
    assert!((1..=300).contains(&batches), "{metrics}");
    for expected in [
        "lehr_requests_total{route=\"/predict\",status=\"200\"} 300\n",
        "lehr_request_seconds_count{route=\"/predict\"} 300\n",
        "lehr_rows_total{outcome=\"answered\"} 300\n",
        "lehr_batch_requests_sum 300\n",
        "lehr_batch_rows_sum 300\n",
        "lehr_queue_requests 0\n",
    ] {
        assert!(
            metrics.contains(expected),
            "{expected} is not in\n{metrics}"
        );
    }
}

#[test]
fn more_than_can_wait_is_told_to_come_again() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::digits(place.path());
    let server = Server::start(&model, &["--threads", "1"]);
    let image = format!("[{}0]", "0,".repeat(63));
    let large = format!(
        "{{\"rows\": [{}{image}]}}",
        format!("{image},").repeat(9_999)
    );
    let small = format!("{{\"rows\": [{image}]}}");
    let question = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{small}",
        small.len()
    );
    let is_refused = |answer: &Response| {
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        let retry = answer.value_of("retry-after");
        assert_eq!(retry.is_some(), answer.status == 503, "{answer:?}");
        answer.status == 503
    };
    let enough = AtomicBool::new(false);
    let began = Instant::now();
    let is_over = || enough.load(Ordering::Relaxed) || began.elapsed() > Duration::from_secs(60);
    thread::scope(|scope| {
        // These keep the one thread busy while the others arrive.
        for _ in 0..16 {
            scope.spawn(|| {
                while !is_over() {
                    is_refused(&server.predict(&large));
                }
            });
        }
        let mut clients: Vec<_> = (0..400).map(|_| server.client()).collect();
        // How fast either side is differs: they ask until more wait than there is room for.
        let was_refused = (0..100).any(|_| {
            clients
                .iter_mut()
                .for_each(|client| client.send(question.as_bytes()));
            let answers: Vec<_> = clients.iter_mut().map(Client::response).collect();
            let refused = answers.iter().filter(|answer| is_refused(answer)).count();
            assert!(refused <= 400 - 200, "{refused} of 400 were refused");
            refused > 0
        });
        enough.store(true, Ordering::Relaxed);
        assert!(was_refused, "40,000 requests never met a full queue");
    });
    assert_eq!(server.predict(&small).status, 200);
}

#[test]
fn clients_that_stall_are_cut_off_and_cost_no_other() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let began = Instant::now();
    let mut in_the_head = server.client();
    in_the_head.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-");
    let mut in_the_body = server.client();
    in_the_body.send(
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Content-Length: 100\r\n\r\n{\"rows\"",
    );
    assert_eq!(server.predict("{\"rows\": [{\"area\": 1}]}").status, 200);
    assert_eq!(in_the_body.response().status, 408);
    in_the_head.rest();
    assert!(in_the_body.rest().is_empty());
    let seconds = began.elapsed().as_secs();
    assert!(
        (9..30).contains(&seconds),
        "they were cut after {seconds} s"
    );
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let mut idle = server.client();
    assert_eq!(idle.ask("GET /readyz", &[], b"").status, 200);
    let body = b"{\"rows\": [{\"area\": 1}]}";
    let mut busy = server.client();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    busy.send(head.as_bytes());
    busy.send(&body[..5]);
    // The head has to be there before the signal.
    thread::sleep(Duration::from_millis(300));
    server.tell_to_stop();
    assert!(
        idle.rest().is_empty(),
        "a connection without a question is closed"
    );
    assert!(std::net::TcpStream::connect(server.address).is_err());
    busy.send(&body[5..]);
    let answer = busy.response();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (status, said) = server.ended();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("stopping"), "{said}");
}

#[test]
fn a_server_describes_its_own_model() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let document = server.ask("GET /openapi.json", &[], b"").json();
    let schemas = &document["components"]["schemas"];
    let columns = schemas["Row"]["properties"].as_object().unwrap();
    let names: Vec<&String> = columns.keys().collect();
    assert_eq!(names, ["area", "floor", "town"]);
    assert_eq!(
        columns["town"]["examples"],
        serde_json::json!(["Basel", "Bern"])
    );
    assert!(document.get("security").is_none());
    // The example of the description is one.
    let content = &document["paths"]["/predict"]["post"]["requestBody"]["content"];
    let example = content["application/json"]["example"].to_string();
    assert_eq!(server.predict(&example).status, 200);

    let card = server.ask("GET /", &[], b"").json();
    assert_eq!(card["model"]["trial"], "7");
    assert_eq!(card["predicts"]["value"], "rent");
    let page = server.ask("GET /", &[("Accept", "text/html,*/*;q=0.8")], b"");
    assert!(
        page.value_of("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.body.contains("in 5 | dense 16"), "{}", page.body);

    let (digits, _) = models::digits(place.path());
    let server = Server::start(&digits, &[]);
    let document = server.ask("GET /openapi.json", &[], b"").json();
    let label = &document["components"]["schemas"]["Prediction"]["properties"]["label"];
    assert_eq!(label["enum"].as_array().unwrap().len(), 10);
    let content = &document["paths"]["/predict"]["post"]["requestBody"]["content"];
    let example = content["application/json"]["example"].to_string();
    assert_eq!(server.predict(&example).status, 200);
    assert!(content.get("image/png").is_some() && content.get("text/csv").is_none());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let server = Server::start(&model, &[]);
    let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
        .arg("serve")
        .arg(&model)
        .args(["--listen", &server.address.to_string()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("could not listen on {}", server.address)),
        "{said}"
    );
}
