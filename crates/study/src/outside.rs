//! Commands of other programs: run one, for a limited time, and say what went wrong with it. Whatever lehr starts
//! that is not lehr is started here, and ends with all that it has started itself.
//!
//! Engines that lehr does not bring along are used through their own commands. Nothing secret may be an
//! argument here: arguments are shown by the system to everybody, and by [`OutsideError`] to the user.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;

/// How long a command may take, if nothing else is said.
pub const LIMIT: Duration = Duration::from_secs(10);

/// No more is kept of what a command answers: the list of a million artifacts is shorter.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// So much of what it complains is kept, the last of it.
const COMPLAINT_BYTES_MAX: usize = 64 << 10;

/// So much of a command's last words is shown.
const WORDS_CHARS_MAX: usize = 1000;

/// How often a running command is looked at; it doubles up to the second figure.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// How long the pipes of an ended command may stay open: somebody it started may hold them.
const PIPES: Duration = Duration::from_millis(500);

/// Why a command of another program did not do what it should.
#[derive(Debug, Error)]
pub enum OutsideError {
    /// The program is not installed, or not where this process looks.
    #[error("there is no program `{program}` on the PATH")]
    Missing {
        /// Its name.
        program: String,
    },
    /// The system would not start it.
    #[error("`{line}` could not be started")]
    NotStarted {
        /// What was to be run.
        line: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It took too long, and was killed.
    #[error("`{line}` gave no answer within {seconds:.0} s, and was stopped{}", after(.words))]
    TooSlow {
        /// What was run.
        line: String,
        /// How long it was waited for.
        seconds: f64,
        /// What it said until then.
        words: String,
    },
    /// It was killed, because its caller stops.
    #[error("`{line}` was stopped, because lehr ends")]
    Stopped {
        /// What was run.
        line: String,
    },
    /// It said that it failed.
    #[error("`{line}` {}{}", how(.status), after(.words))]
    Failed {
        /// What was run.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said last on standard error, or else on standard output.
        words: String,
    },
}

impl OutsideError {
    /// What the command said, if it was started at all.
    pub fn words(&self) -> &str {
        match self {
            OutsideError::Missing { .. }
            | OutsideError::NotStarted { .. }
            | OutsideError::Stopped { .. } => "",
            OutsideError::TooSlow { words, .. } | OutsideError::Failed { words, .. } => words,
        }
    }
}

fn after(words: &str) -> String {
    match words.is_empty() {
        true => String::new(),
        false => format!(": {words}"),
    }
}

/// How a program ended, for people.
pub(crate) fn how(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_string(),
    }
}

/// A command that will be run once.
#[derive(Debug)]
pub struct Outside {
    program: OsString,
    command: Command,
    input: Vec<u8>,
    limit: Duration,
}

impl Outside {
    /// A command without arguments, with the environment of this process.
    pub fn new(program: impl AsRef<OsStr>) -> Outside {
        Outside {
            program: program.as_ref().to_os_string(),
            command: Command::new(program),
            input: Vec::new(),
            limit: LIMIT,
        }
    }

    /// With one more argument; never a secret.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Outside {
        self.command.arg(argument);
        self
    }

    /// With more arguments; never a secret.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outside {
        self.command.args(arguments);
        self
    }

    /// With a variable of the environment.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Outside {
        self.command.env(name, value);
        self
    }

    /// Without the variables that begin like this, except for some.
    pub fn without(mut self, prefix: &str, except: &[&str]) -> Outside {
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            if known.starts_with(prefix) && !except.contains(&known.as_ref()) {
                self.command.env_remove(&name);
            }
        }
        self
    }

    /// In this folder.
    pub fn folder(mut self, folder: &Path) -> Outside {
        self.command.current_dir(folder);
        self
    }

    /// With this on its standard input.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Outside {
        self.input = input.into();
        self
    }

    /// With another time limit.
    pub fn limit(mut self, limit: Duration) -> Outside {
        self.limit = limit;
        self
    }

    /// The command as one could type it.
    pub fn line(&self) -> String {
        let words = [self.program.as_os_str()].into_iter();
        let words = words.chain(self.command.get_args());
        let quoted: Vec<String> = words
            .map(|word| shell_word(&word.to_string_lossy()))
            .collect();
        quoted.join(" ")
    }

    /// Runs it and gives back what it printed.
    ///
    /// # Errors
    /// If it cannot be started, takes too long, or says that it failed.
    pub fn run(self) -> Result<String, OutsideError> {
        let line = self.line();
        let heard = self.heard(&AtomicBool::new(false))?;
        if heard.status.success() {
            return Ok(String::from_utf8_lossy(&heard.answer).into_owned());
        }
        let words = match heard.complaints.is_empty() {
            true => last_words(&heard.answer),
            false => last_words(&heard.complaints),
        };
        Err(OutsideError::Failed {
            line,
            status: heard.status,
            words,
        })
    }

    /// Runs it to its end, good or bad, unless its time is over before or its caller sets `stop`.
    ///
    /// # Errors
    /// If it cannot be started, takes too long, or is stopped.
    pub(crate) fn heard(mut self, stop: &AtomicBool) -> Result<Heard, OutsideError> {
        let (limit, input) = (self.limit, std::mem::take(&mut self.input));
        let mut running = self.start()?;
        let (stdin, stdout) = running.pipes();
        write_behind(stdin, input);
        let answer = read_behind(stdout, |bytes| bytes.truncate(ANSWER_BYTES_MAX));
        let status = running.wait(limit, stop)?;
        Ok(Heard {
            status,
            answer: answer.received(),
            complaints: running.complaints.received(),
        })
    }

    /// Starts it, for whoever talks with it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(mut self) -> Result<Running, OutsideError> {
        let line = self.line();
        let spawned = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that all of it can be stopped, and Ctrl-C is for lehr alone.
            .process_group(0)
            .spawn();
        let mut child = spawned.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OutsideError::Missing {
                program: self.program.to_string_lossy().into_owned(),
            },
            _ => OutsideError::NotStarted {
                line: line.clone(),
                source,
            },
        })?;
        let stderr = child.stderr.take().expect("its standard error is piped");
        let complaints = read_behind(stderr, |bytes| {
            let surplus = bytes.len().saturating_sub(COMPLAINT_BYTES_MAX);
            bytes.drain(..surplus);
        });
        Ok(Running {
            child,
            line,
            complaints,
        })
    }
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: ExitStatus,
    pub(crate) answer: Vec<u8>,
    pub(crate) complaints: Vec<u8>,
}

/// A command that was started; it is killed with all that it started when nobody has it any more.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    line: String,
    complaints: Reading,
}

impl Running {
    /// Its standard input and output, for the one who talks with it.
    pub(crate) fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        let stdin = self.child.stdin.take();
        let stdout = self.child.stdout.take();
        stdin
            .zip(stdout)
            .expect("both are piped, and one alone takes them")
    }

    /// Kills it, and gives what it said last on standard error.
    pub(crate) fn end(&mut self) -> String {
        self.kill();
        last_words(&self.complaints.received())
    }

    fn wait(&mut self, limit: Duration, stop: &AtomicBool) -> Result<ExitStatus, OutsideError> {
        let line = self.line.clone();
        let start = Instant::now();
        let (mut pause, pause_max) = LOOKS;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Err(source) => return Err(OutsideError::NotStarted { line, source }),
                Ok(None) if stop.load(Ordering::Relaxed) => {
                    return Err(OutsideError::Stopped { line });
                }
                Ok(None) if start.elapsed() >= limit => {
                    return Err(OutsideError::TooSlow {
                        line,
                        seconds: limit.as_secs_f64(),
                        words: self.end(),
                    });
                }
                Ok(None) => thread::sleep(pause),
            }
            pause = (pause * 2).min(pause_max);
        }
    }

    fn kill(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It has not been waited for, so its number is still its own.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // It may have ended just now; either way it is gone after this.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.line())
    }
}

/// A word as a shell reads it back.
pub fn shell_word(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=+/.,:@%".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn write_behind(mut pipe: ChildStdin, input: Vec<u8>) {
    thread::spawn(move || {
        // One that does not read to the end says why, or does not need to.
        let _ = pipe.write_all(&input);
    });
}

/// What a pipe has brought so far, and word of its end.
#[derive(Debug)]
struct Reading {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

/// Reads a pipe to its end, so that the command never waits for its reader; `limit` shortens what is kept.
fn read_behind(mut pipe: impl Read + Send + 'static, limit: fn(&mut Vec<u8>)) -> Reading {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let (sender, end) = channel();
    let kept = Arc::clone(&bytes);
    thread::spawn(move || {
        let mut part = [0; 8192];
        while let Ok(length @ 1..) = pipe.read(&mut part) {
            let Ok(mut kept) = kept.lock() else { break };
            kept.extend_from_slice(&part[..length]);
            limit(&mut kept);
        }
        let _ = sender.send(());
    });
    Reading { bytes, end }
}

impl Reading {
    /// All of it, or what has come if somebody else still holds the pipe.
    fn received(&self) -> Vec<u8> {
        let _ = self.end.recv_timeout(PIPES);
        self.bytes
            .lock()
            .map_or(Vec::new(), |mut bytes| std::mem::take(&mut bytes))
    }
}

/// The end of what a command said, on one line.
pub(crate) fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let words = lines.join(" / ");
    let surplus = words.chars().count().saturating_sub(WORDS_CHARS_MAX);
    words.chars().skip(surplus).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Outside {
        Outside::new("sh").args(["-c", script])
    }

    #[test]
    fn a_command_answers_on_standard_output_and_hears_its_input() {
        let answer = shell("cat; echo there").input("hello ").run().unwrap();
        assert_eq!(answer, "hello there\n");
    }

    #[test]
    fn a_failed_command_is_named_with_its_status_and_last_words() {
        let error = shell("echo fine; echo 'no such partition' >&2; exit 3").run();
        let text = error.unwrap_err().to_string();
        assert!(
            text.ends_with("ended with status 3: no such partition"),
            "{text}"
        );
        let silent = shell("echo only this; exit 1").run().unwrap_err();
        assert!(
            silent.to_string().ends_with("status 1: only this"),
            "{silent}"
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Outside::new("no-such-program-of-lehr").run().unwrap_err();
        assert!(matches!(&error, OutsideError::Missing { program } if program.contains("no-such")));
    }

    #[test]
    fn a_command_beyond_its_time_is_stopped_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let script = format!(
            "echo wait >&2; (sleep 0.6; touch {}) & sleep 60",
            mark.display()
        );
        let start = Instant::now();
        let error = shell(&script)
            .limit(Duration::from_millis(200))
            .run()
            .unwrap_err();
        assert!(
            matches!(&error, OutsideError::TooSlow { words, .. } if words == "wait"),
            "{error}"
        );
        assert!(start.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(900));
        assert!(!mark.exists(), "a child of the stopped command went on");
    }

    #[test]
    fn a_command_is_killed_when_its_caller_stops() {
        let heard = shell("sleep 60").heard(&AtomicBool::new(true));
        assert!(
            matches!(heard, Err(OutsideError::Stopped { .. })),
            "{heard:?}"
        );
    }

    #[test]
    fn of_long_answers_all_is_kept_and_of_long_complaints_the_end() {
        let script = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; echo no >&2; exit 3";
        let heard = shell(script).heard(&AtomicBool::new(false)).unwrap();
        assert_eq!(heard.answer.len(), 300_000);
        assert_eq!(heard.complaints.len(), COMPLAINT_BYTES_MAX);
        assert!(heard.complaints.ends_with(b"no\n"));
        assert_eq!(how(&heard.status), "ended with status 3");
    }

    #[test]
    fn one_that_leaves_a_child_behind_is_not_waited_for() {
        let start = Instant::now();
        let answer = shell("sleep 3 & echo done").run().unwrap();
        assert_eq!(
            answer, "done\n",
            "the child holds the pipe, but what was printed is there"
        );
        assert!(start.elapsed() < Duration::from_millis(2500));
    }

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let line = shell("echo 'a  b'").line();
        let again = Outside::new("sh").args(["-c", &line]).run().unwrap();
        assert_eq!(again, "a  b\n");
    }
}
