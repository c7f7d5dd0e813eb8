//! The processes of a study and the pipes between them: where decisions become actions.
//!
//! A child speaks to its parent on its standard output, hears it on its standard input, and its last
//! words on standard error are kept for the record. A child whose parent is gone ends by itself.

pub mod baseline;
pub(crate) mod checkpoints;
pub mod generator;
pub mod trainer;
mod underway;
pub mod worker;

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{self, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, mpsc::Sender},
    thread,
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    message::{receive, send},
    worker::DeathCause,
};

/// How many of a child's last lines are kept.
const LAST_LINES: usize = 50;

/// No line of a child's standard error is kept beyond this.
const LAST_LINE_BYTES_MAX: u64 = 4096;

/// Address space that a process takes beside what it computes with: code, stacks, the allocator.
const OVERHEAD_BYTES: u64 = 512 << 20;

/// What a running child sends to its parent's loop.
#[derive(Debug)]
pub(crate) enum Said<T> {
    /// A message.
    Message(T),
    /// Its end, or something that is no message; the parent buries it.
    End,
}

/// A child process and the pipe to it.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    stdin: Option<ChildStdin>,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts `lehr ROLE`; what it says goes through `wrap` into the parent's events.
    pub(crate) fn start<T, E>(
        program: &Path,
        role: &str,
        events: Sender<E>,
        wrap: impl Fn(Said<T>) -> E + Send + 'static,
    ) -> io::Result<Child>
    where
        T: DeserializeOwned + 'static,
        E: Send + 'static,
    {
        let mut process = Command::new(program)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the master, which then tells everybody in order.
            .process_group(0)
            .spawn()?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().expect("its standard output is piped");
        let stderr = process.stderr.take().expect("its standard error is piped");
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            while let Ok(Some(message)) = receive::<T>(&mut reader) {
                if events.send(wrap(Said::Message(message))).is_err() {
                    return;
                }
            }
            // The parent may have left already; then nobody needs to know.
            let _ = events.send(wrap(Said::End));
        });
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&last_words);
        thread::spawn(move || keep_last_lines(stderr, &kept));
        Ok(Child {
            process,
            stdin,
            last_words,
        })
    }

    /// Tells it something. A child that is gone does not hear it, and its end is an event of its own.
    pub(crate) fn tell<T: Serialize>(&mut self, message: &T) {
        if let Some(pipe) = &mut self.stdin {
            let _ = send(pipe, message);
        }
    }

    /// Waits for its end and says how it died.
    pub(crate) fn bury(&mut self) -> (DeathCause, String) {
        self.stdin = None;
        // It has closed its output: it is dying, or mad. Either way it must not stay.
        thread::sleep(std::time::Duration::from_millis(20));
        let _ = self.process.kill();
        let status = match self.process.wait() {
            Ok(status) => match status.signal() {
                Some(signal) => format!("killed by signal {signal}"),
                None => format!("ended with status {}", status.code().unwrap_or_default()),
            },
            Err(error) => format!("could not be waited for: {error}"),
        };
        let words: Vec<String> = match self.last_words.lock() {
            Ok(lines) => lines.iter().cloned().collect(),
            Err(_) => Vec::new(),
        };
        let out_of_memory = words
            .iter()
            .any(|line| line.contains("memory allocation of"));
        let cause = if out_of_memory {
            DeathCause::OutOfMemory
        } else {
            DeathCause::Unknown
        };
        let message = match words.is_empty() {
            true => status,
            false => format!("{status}; its last words: {}", words.join(" / ")),
        };
        (cause, message)
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stdin = None;
        // Whoever drops a child has no more use for it; one that is dead already is no error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn keep_last_lines(stderr: impl Read, kept: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        let read = Read::take(&mut reader, LAST_LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return;
        }
        if let Ok(mut lines) = kept.lock() {
            lines.push_back(String::from_utf8_lossy(&line).trim_end().to_string());
            if lines.len() > LAST_LINES {
                lines.pop_front();
            }
        }
    }
}

/// Makes sure that this process ends when its parent does, however that ends.
pub(crate) fn end_with_parent() {
    // Linux only; elsewhere the closed standard input tells.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Limits the memory of this process: an allocation beyond it ends the process, and only it.
pub(crate) fn limit_memory(bytes: u64) {
    let limit = bytes.saturating_add(OVERHEAD_BYTES);
    let hard = getrlimit(Resource::As).maximum;
    // If it cannot be limited, the plan's own figure still refuses what is too large.
    let _ = setrlimit(
        Resource::As,
        Rlimit {
            current: Some(limit),
            maximum: hard,
        },
    );
}

/// The first line on standard input, of a child that cannot work without it.
pub(crate) fn first_line<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<T> {
    receive(input)?.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "this command is started by a worker and hears it on standard input; \
             start `lehr explore` instead",
        )
    })
}
