//! Asks an HTTP server as fast as it answers, from a fixed number of connections, and says how fast that
//! was and how long the slowest waited. Compiled by `run.py` with `rustc -O`, without any library.
//!
//!     load ADDRESS CONNECTIONS SECONDS BODIES
//!
//! BODIES is a file with one JSON body per line; each connection goes round through them. A connection
//! sends its next request when it has the whole answer to the one before (a closed loop), so what is
//! measured is never faster than the server, and no request waits in the client. The first second is not
//! counted. An answer that is not 200 is an error, and so is a connection that ends.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// What is not counted at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);

/// Longer than any answer of a server that works.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Seen {
    micros: Vec<u32>,
    errors: u64,
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, address, connections, seconds, bodies] = &arguments[..] else {
        eprintln!("load ADDRESS CONNECTIONS SECONDS BODIES");
        std::process::exit(2);
    };
    let connections: usize = connections.parse().expect("a number of connections");
    let seconds = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let bodies = fs::read_to_string(bodies).expect("a file with bodies");
    let requests: Vec<Vec<u8>> = bodies.lines().map(|body| request(address, body)).collect();
    let start = Instant::now();
    let (counted_from, end) = (start + WARM_UP, start + WARM_UP + seconds);
    let mut all = Seen::default();
    thread::scope(|scope| {
        let asking = |first: usize| {
            let requests = &requests;
            scope.spawn(move || ask(address, requests, first, counted_from, end))
        };
        let threads: Vec<_> = (0..connections).map(|index| asking(index * 7)).collect();
        for thread in threads {
            let seen = thread.join().expect("an asking thread ends");
            all.micros.extend(seen.micros);
            all.errors += seen.errors;
        }
    });
    all.micros.sort_unstable();
    let count = all.micros.len();
    let at = |share: f64| match count {
        0 => 0,
        _ => all.micros[((count as f64 * share).ceil() as usize).clamp(1, count) - 1],
    };
    println!(
        "{{\"requests\": {count}, \"errors\": {}, \"requests_per_second\": {:.1}, \"p50_us\": {}, \
         \"p99_us\": {}, \"max_us\": {}, \"load_cpu\": {:.2}}}",
        all.errors,
        count as f64 / seconds.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        own_cpu_seconds() / start.elapsed().as_secs_f64(),
    );
}

fn request(address: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /predict HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks until the end; what was asked before `counted_from` is not counted.
fn ask(
    address: &str,
    requests: &[Vec<u8>],
    first: usize,
    counted_from: Instant,
    end: Instant,
) -> Seen {
    let mut seen = Seen::default();
    let mut connection = connect(address);
    for index in first.. {
        let asked = Instant::now();
        if asked >= end {
            return seen;
        }
        let outcome = exchange(&mut connection, &requests[index % requests.len()]);
        let is_counted = asked >= counted_from;
        match outcome {
            Some(200) if is_counted => seen.micros.push(asked.elapsed().as_micros() as u32),
            Some(200) => {}
            _ => {
                seen.errors += 1;
                connection = connect(address);
            }
        }
    }
    seen
}

fn connect(address: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("a connection can be set up");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a connection can be set up");
    BufReader::with_capacity(64 << 10, stream)
}

/// The status of the answer, when all of it is there.
fn exchange(connection: &mut BufReader<TcpStream>, request: &[u8]) -> Option<u16> {
    connection.get_mut().write_all(request).ok()?;
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = 0;
    loop {
        line.clear();
        connection.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    Some(status)
}

/// Seconds of processor time of this process, from Linux' own account.
fn own_cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
