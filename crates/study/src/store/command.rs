//! Another program, run to its end within a time, its words kept within a size.

use std::{
    io::{self, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a program prints is kept up to here: the list of a million artifacts is shorter.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;

/// What a program complains is kept up to here.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;

/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    pub(crate) complaint: String,
}

/// Why a program has not come to its end.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It could not be started or heard.
    Io(io::Error),
    /// It took too long and was killed.
    TooLong,
    /// It was killed because its caller stops.
    Stopped,
}

/// Runs a program; it is killed when the time is over or `stop` is set.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    stop: &AtomicBool,
) -> Result<Ran, NotRun> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for lehr, which then ends what it has begun.
        .process_group(0)
        .spawn()
        .map_err(NotRun::Io)?;
    let output = keep(child.stdout.take(), OUTPUT_BYTES_MAX);
    let complaint = keep(child.stderr.take(), COMPLAINT_BYTES_MAX);
    let waited = wait(&mut child, limit, stop);
    if waited.is_err() {
        // It may have ended just now; either way it is gone after this.
        let _ = child.kill();
        let _ = child.wait();
    }
    let status = waited?;
    let heard = |reader: JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Ran {
        status,
        output: heard(output),
        complaint: String::from_utf8_lossy(&heard(complaint)).into_owned(),
    })
}

fn wait(child: &mut Child, limit: Duration, stop: &AtomicBool) -> Result<ExitStatus, NotRun> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().map_err(NotRun::Io)? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) {
            return Err(NotRun::Stopped);
        }
        if Instant::now() >= until {
            return Err(NotRun::TooLong);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Reads a pipe to its end on a thread of its own, so that the program never waits for its reader.
fn keep(pipe: Option<impl Read + Send + 'static>, bytes_max: u64) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks has told what it had to tell.
            let _ = Read::take(&mut pipe, bytes_max).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        kept
    })
}

/// How a program ended, for people.
pub(crate) fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("status {}", status.code().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        command
    }

    #[test]
    fn a_program_that_ends_is_heard_to_its_end() {
        let stop = AtomicBool::new(false);
        let line = "head -c 300000 /dev/zero; echo no >&2; exit 3";
        let ran = run(&mut shell(line), Duration::from_secs(20), &stop).unwrap();
        assert_eq!(ran.output.len(), 300_000);
        assert_eq!(ran.complaint, "no\n");
        assert_eq!(ending(ran.status), "status 3");
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed() {
        let stop = AtomicBool::new(false);
        let ran = run(&mut shell("sleep 60"), Duration::from_millis(50), &stop);
        assert!(matches!(ran, Err(NotRun::TooLong)), "{ran:?}");
    }

    #[test]
    fn a_program_is_killed_when_its_caller_stops() {
        let stop = AtomicBool::new(true);
        let ran = run(&mut shell("sleep 60"), Duration::from_secs(60), &stop);
        assert!(matches!(ran, Err(NotRun::Stopped)), "{ran:?}");
    }
}
