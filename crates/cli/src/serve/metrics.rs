//! What has happened since the start, as Prometheus reads it (text format 0.0.4).

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::StatusCode;

use super::routes::Route;

/// Bounds of the times of requests, in seconds: from a small model at once to a long wait.
const SECONDS: [f64; 14] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Bounds of how much is computed together.
const COUNTS: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0,
];

/// A histogram with cumulative counts, as Prometheus wants it.
struct Histogram {
    bounds: &'static [f64],
    /// Of each bound alone, and behind them of what is beyond the last.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn add(&mut self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum += value;
    }

    /// Its lines; `labels` is what stands before `le`, with a comma behind it, or empty.
    fn write(&self, text: &mut String, name: &str, labels: &str) {
        let mut so_far = 0;
        let bounds = self.bounds.iter().map(f64::to_string);
        for (bound, count) in bounds.chain(["+Inf".to_string()]).zip(&self.counts) {
            so_far += count;
            line(
                text,
                &format!("{name}_bucket{{{labels}le=\"{bound}\"}}"),
                so_far,
            );
        }
        let alone = labels.trim_end_matches(',');
        let braces = match alone.is_empty() {
            true => String::new(),
            false => format!("{{{alone}}}"),
        };
        line(text, &format!("{name}_sum{braces}"), self.sum);
        line(text, &format!("{name}_count{braces}"), so_far);
    }
}

struct Counts {
    requests: BTreeMap<(&'static str, u16), u64>,
    seconds: BTreeMap<&'static str, Histogram>,
    rows_answered: u64,
    rows_bad: u64,
    batch_requests: Histogram,
    batch_rows: Histogram,
}

/// What has happened since the start.
pub(super) struct Metrics {
    counts: Mutex<Counts>,
    connections: AtomicUsize,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        Metrics {
            counts: Mutex::new(Counts {
                requests: BTreeMap::new(),
                seconds: BTreeMap::new(),
                rows_answered: 0,
                rows_bad: 0,
                batch_requests: Histogram::new(&COUNTS),
                batch_rows: Histogram::new(&COUNTS),
            }),
            connections: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no lock holder panics")
    }

    /// A request was answered.
    pub(super) fn request(&self, route: Option<Route>, status: StatusCode, took: Duration) {
        // What is no route is counted together: a client must not be able to make up labels.
        let path = route.map_or("other", Route::path);
        let mut counts = self.lock();
        *counts.requests.entry((path, status.as_u16())).or_default() += 1;
        let seconds = counts.seconds.entry(path);
        seconds
            .or_insert_with(|| Histogram::new(&SECONDS))
            .add(took.as_secs_f64());
    }

    /// Requests were computed together.
    pub(super) fn batch(&self, requests: usize, rows: usize) {
        let mut counts = self.lock();
        counts.batch_requests.add(requests as f64);
        counts.batch_rows.add(rows as f64);
    }

    /// Rows of a request were answered, and others could not be used.
    pub(super) fn rows(&self, answered: usize, bad: usize) {
        let mut counts = self.lock();
        counts.rows_answered += answered as u64;
        counts.rows_bad += bad as u64;
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Everything as text.
    pub(super) fn text(&self, queued: usize) -> String {
        let counts = self.lock();
        let mut text = String::new();
        family(
            &mut text,
            "lehr_requests_total",
            "counter",
            "Requests by route and status.",
        );
        for ((route, status), count) in &counts.requests {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            line(&mut text, &format!("lehr_requests_total{labels}"), count);
        }
        let name = "lehr_request_seconds";
        let what = "Time from a request's head to its answer.";
        family(&mut text, name, "histogram", what);
        for (route, seconds) in &counts.seconds {
            seconds.write(&mut text, name, &format!("route=\"{route}\","));
        }
        let what = "Rows by what became of them.";
        family(&mut text, "lehr_rows_total", "counter", what);
        line(
            &mut text,
            "lehr_rows_total{outcome=\"answered\"}",
            counts.rows_answered,
        );
        line(
            &mut text,
            "lehr_rows_total{outcome=\"bad\"}",
            counts.rows_bad,
        );
        let what = "Requests that were computed together.";
        family(&mut text, "lehr_batch_requests", "histogram", what);
        counts
            .batch_requests
            .write(&mut text, "lehr_batch_requests", "");
        let what = "Rows that were computed together.";
        family(&mut text, "lehr_batch_rows", "histogram", what);
        counts.batch_rows.write(&mut text, "lehr_batch_rows", "");
        family(
            &mut text,
            "lehr_queue_requests",
            "gauge",
            "Requests that wait.",
        );
        line(&mut text, "lehr_queue_requests", queued);
        family(&mut text, "lehr_connections", "gauge", "Open connections.");
        let connections = self.connections.load(Ordering::Relaxed);
        line(&mut text, "lehr_connections", connections);
        text
    }
}

fn family(text: &mut String, name: &str, kind: &str, what: &str) {
    writeln!(text, "# HELP {name} {what}\n# TYPE {name} {kind}").expect("a string can always grow");
}

fn line(text: &mut String, name: &str, value: impl Display) {
    writeln!(text, "{name} {value}").expect("a string can always grow");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut histogram = Histogram::new(&COUNTS);
        for value in [1.0, 2.0, 3.0, 9999.0] {
            histogram.add(value);
        }
        let mut text = String::new();
        histogram.write(&mut text, "x", "");
        assert!(
            text.starts_with("x_bucket{le=\"1\"} 1\nx_bucket{le=\"2\"} 2\nx_bucket{le=\"4\"} 3\n"),
            "{text}"
        );
        assert!(
            text.ends_with("x_bucket{le=\"+Inf\"} 4\nx_sum 10005\nx_count 4\n"),
            "{text}"
        );
    }

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(2);
        metrics.request(Some(Route::Predict), StatusCode::OK, took);
        metrics.request(Some(Route::Predict), StatusCode::OK, took);
        metrics.request(None, StatusCode::NOT_FOUND, took);
        metrics.rows(5, 1);
        let text = metrics.text(7);
        for expected in [
            "lehr_requests_total{route=\"/predict\",status=\"200\"} 2\n",
            "lehr_requests_total{route=\"other\",status=\"404\"} 1\n",
            "lehr_request_seconds_bucket{route=\"/predict\",le=\"0.001\"} 0\n",
            "lehr_request_seconds_bucket{route=\"/predict\",le=\"0.0025\"} 2\n",
            "lehr_request_seconds_count{route=\"/predict\"} 2\n",
            "lehr_rows_total{outcome=\"answered\"} 5\n",
            "lehr_rows_total{outcome=\"bad\"} 1\n",
            "lehr_queue_requests 7\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
