//! A running `lehr serve` or `lehr dashboard` for the tests, and just enough of a client to ask it, also wrongly.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any limit of the server: a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(40);

/// A server that runs until it is dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    talk: BufReader<std::process::ChildStderr>,
}

impl Server {
    /// Starts one on a free port of this machine.
    pub(crate) fn start(model: &Path, arguments: &[&str]) -> Server {
        Server::start_on("127.0.0.1:0", model, arguments)
    }

    pub(crate) fn start_on(listen: &str, model: &Path, arguments: &[&str]) -> Server {
        Server::started("serve", listen, model, arguments)
    }

    /// Shows a study on a free port of this machine.
    pub(crate) fn dashboard(study: &Path, arguments: &[&str]) -> Server {
        Server::started("dashboard", "127.0.0.1:0", study, arguments)
    }

    pub(crate) fn started(command: &str, listen: &str, place: &Path, arguments: &[&str]) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .arg(command)
            .arg(place)
            .args(["--listen", listen])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let talk = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("the program says where it listens");
        let address: SocketAddr = line
            .trim()
            .strip_prefix("http://")
            .unwrap_or_else(|| panic!("`{line}` is no address"))
            .parse()
            .expect("it is an address");
        let reachable = SocketAddr::new([127, 0, 0, 1].into(), address.port());
        Server {
            process,
            address: reachable,
            talk,
        }
    }

    /// The next line of talk.
    pub(crate) fn said(&mut self) -> String {
        let mut line = String::new();
        self.talk.read_line(&mut line).expect("it talks in text");
        line
    }

    pub(crate) fn tell_to_stop(&self) {
        let id = Pid::from_child(&self.process);
        kill_process(id, Signal::TERM).expect("it runs");
    }

    /// How it ended, and what it said at last.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.process.wait().expect("it can be waited for");
        let mut said = String::new();
        self.talk
            .read_to_string(&mut said)
            .expect("it talks in text");
        (status, said)
    }

    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("this is a time");
        Client {
            stream: BufReader::new(stream),
        }
    }

    /// Asks on a connection of its own.
    pub(crate) fn ask(&self, line: &str, heads: &[(&str, &str)], body: &[u8]) -> Response {
        self.client().ask(line, heads, body)
    }

    /// A page or a file, asked for as a browser does.
    pub(crate) fn get(&self, address: &str) -> Response {
        self.ask(&format!("GET {address}"), &[], b"")
    }

    /// A page, asked for until it says this.
    pub(crate) fn until(&self, address: &str, words: &str) -> Response {
        let began = Instant::now();
        loop {
            let page = self.get(address);
            if page.body.contains(words) {
                return page;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "`{words}` is not in {}",
                page.body
            );
            thread::sleep(Duration::from_millis(300));
        }
    }

    /// Sends rows as JSON.
    pub(crate) fn predict(&self, json: &str) -> Response {
        let heads = [("Content-Type", "application/json")];
        self.ask("POST /predict", &heads, json.as_bytes())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .get_mut()
            .write_all(bytes)
            .expect("the server takes it");
    }

    /// A whole question and its answer; `Host` and the length are added if they are not given.
    pub(crate) fn ask(&mut self, line: &str, heads: &[(&str, &str)], body: &[u8]) -> Response {
        let mut head = format!("{line} HTTP/1.1\r\n");
        for (name, value) in heads {
            head += &format!("{name}: {value}\r\n");
        }
        let has = |name: &str| {
            heads
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            head += "Host: localhost\r\n";
        }
        if !has("content-length") && !has("transfer-encoding") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat());
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.stream.read_line(&mut head).expect("an answer comes");
            assert!(read > 0, "the answer broke off behind `{head}`");
        }
        let length = value_of(&head, "content-length").and_then(|value| value.parse().ok());
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.expect("an answer begins with its status");
        let length = match status {
            // What has not changed is not sent.
            304 => 0,
            _ => length.expect("the answer says how long it is"),
        };
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .expect("the answer is whole");
        Response {
            status,
            head,
            body: String::from_utf8(body).expect("answers are text"),
        }
    }

    /// Everything that still comes until the server closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn value_of(&self, name: &str) -> Option<String> {
        value_of(&self.head, name)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("`{}` is no JSON", self.body))
    }

    /// The message of an answer that is none.
    pub(crate) fn error(&self) -> String {
        self.json()["error"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }
}

fn value_of(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_string())
}
