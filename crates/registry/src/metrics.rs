//! Figures about the registry in the text format that Prometheus reads. Pure, but for the counters.
//!
//! Labels come from fixed sets (operation, class of status, direction): nothing that a client sends becomes one, so their number is
//! bounded whatever is asked. Counting is a few additions of atomics, without a lock.

mod seen;

pub use seen::Seen;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted apart; anything else is `unknown`.
const OPERATIONS: [&str; 20] = [
    "base",
    "catalog",
    "tags.list",
    "referrers.list",
    "manifest.get",
    "manifest.head",
    "manifest.put",
    "manifest.delete",
    "blob.get",
    "blob.head",
    "blob.delete",
    "upload.begin",
    "upload.piece",
    "upload.finish",
    "upload.cancel",
    "upload.status",
    "token",
    "cache",
    "admin",
    "unknown",
];

/// Statuses that are told apart; any other one is counted under its class.
const STATUSES: [(u16, &str); 21] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (206, "206"),
    (304, "304"),
    (307, "307"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (413, "413"),
    (416, "416"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
    (507, "507"),
    (2, "2xx"),
    (4, "4xx"),
    (5, "5xx"),
];

/// Upper bounds of the buckets of durations, in microseconds.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
    (60_000_000, "60"),
    (600_000_000, "600"),
];

/// The registry's counters.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: [[AtomicU64; STATUSES.len()]; OPERATIONS.len()],
    durations: [Histogram; OPERATIONS.len()],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Metrics {
    /// One request has been answered.
    pub fn answered(&self, operation: &str, status: u16, took: Duration) {
        let at = OPERATIONS.iter().position(|it| *it == operation);
        let at = at.unwrap_or(OPERATIONS.len() - 1);
        let class = STATUSES
            .iter()
            .position(|(it, _name)| *it == status)
            .or_else(|| STATUSES.iter().position(|(it, _name)| *it == status / 100));
        if let Some(counter) =
            class.and_then(|class| self.requests.get(at).and_then(|row| row.get(class)))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(histogram) = self.durations.get(at) {
            histogram.add(took);
        }
    }

    /// Bytes of bodies came in.
    pub fn received(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of bodies went out.
    pub fn sent(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The figures as text (`text/plain; version=0.0.4`), with what others know.
    pub fn text(&self, seen: &Seen) -> String {
        let mut text = String::with_capacity(16 * 1024);
        self.write(&mut text).and_then(|()| seen.write(&mut text)).ok();
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        head(out, "requests_total", "counter", "Requests answered, by operation and status.")?;
        for (operation, row) in OPERATIONS.iter().zip(&self.requests) {
            for ((_code, status), counter) in STATUSES.iter().zip(row) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    writeln!(
                        out,
                        "{PREFIX}requests_total{{operation=\"{operation}\",status=\"{status}\"}} {count}"
                    )?;
                }
            }
        }
        head(out, "request_duration_seconds", "histogram", "Time until requests were answered.")?;
        for (operation, histogram) in OPERATIONS.iter().zip(&self.durations) {
            histogram.write(out, operation)?;
        }
        head(out, "bytes_total", "counter", "Bytes of bodies, by direction.")?;
        for (direction, counter) in [("in", &self.bytes_in), ("out", &self.bytes_out)] {
            let count = counter.load(Ordering::Relaxed);
            writeln!(out, "{PREFIX}bytes_total{{direction=\"{direction}\"}} {count}")?;
        }
        Ok(())
    }
}

const PREFIX: &str = "naru_registry_";

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}")
}

impl Histogram {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _text)| micros <= *bound);
        if let Some(bucket) = bucket.and_then(|at| self.buckets.get(at)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, operation: &str) -> std::fmt::Result {
        // Read first, so that no bucket is ever larger than the whole.
        let buckets: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count = self.count.load(Ordering::Relaxed);
        if count == 0 {
            return Ok(());
        }
        let name = "request_duration_seconds";
        let mut sum = 0u64;
        for ((_bound, bound), bucket) in BUCKETS.iter().zip(buckets) {
            sum = sum.saturating_add(bucket);
            writeln!(
                out,
                "{PREFIX}{name}_bucket{{operation=\"{operation}\",le=\"{bound}\"}} {sum}"
            )?;
        }
        writeln!(out, "{PREFIX}{name}_bucket{{operation=\"{operation}\",le=\"+Inf\"}} {count}")?;
        let micros = self.micros.load(Ordering::Relaxed);
        writeln!(
            out,
            "{PREFIX}{name}_sum{{operation=\"{operation}\"}} {}.{:06}",
            micros / 1_000_000,
            micros % 1_000_000
        )?;
        writeln!(out, "{PREFIX}{name}_count{{operation=\"{operation}\"}} {count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::default();
        metrics.answered("blob.get", 200, Duration::from_micros(600));
        metrics.answered("blob.get", 200, Duration::from_secs(2));
        metrics.answered("blob.get", 418, Duration::from_secs(1000));
        metrics.answered("token", 401, Duration::ZERO);
        metrics.answered("whatever a client sends", 999, Duration::ZERO);
        metrics.received(5);
        metrics.sent(7);
        let text = metrics.text(&Seen::default());
        for line in [
            "naru_registry_requests_total{operation=\"blob.get\",status=\"200\"} 2",
            "naru_registry_requests_total{operation=\"blob.get\",status=\"4xx\"} 1",
            "naru_registry_requests_total{operation=\"token\",status=\"401\"} 1",
            "naru_registry_request_duration_seconds_bucket{operation=\"blob.get\",le=\"0.0005\"} 0",
            "naru_registry_request_duration_seconds_bucket{operation=\"blob.get\",le=\"0.001\"} 1",
            "naru_registry_request_duration_seconds_bucket{operation=\"blob.get\",le=\"600\"} 2",
            "naru_registry_request_duration_seconds_bucket{operation=\"blob.get\",le=\"+Inf\"} 3",
            "naru_registry_request_duration_seconds_sum{operation=\"blob.get\"} 1002.000600",
            "naru_registry_request_duration_seconds_count{operation=\"blob.get\"} 3",
            "naru_registry_bytes_total{direction=\"in\"} 5",
            "naru_registry_bytes_total{direction=\"out\"} 7",
            "naru_registry_uploads_open 0",
            "# TYPE naru_registry_request_duration_seconds histogram",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn every_line_has_the_formats_shape_and_the_number_is_bounded() {
        let metrics = Metrics::default();
        for operation in OPERATIONS {
            for status in 0..1000 {
                metrics.answered(operation, status, Duration::from_micros(u64::from(status)));
            }
        }
        let text = metrics.text(&Seen::default());
        assert!(text.ends_with('\n'));
        assert!(
            text.lines().count() < OPERATIONS.len() * (STATUSES.len() + BUCKETS.len() + 3) + 60
        );
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap();
            let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
            assert!(name.starts_with(PREFIX) && labels.ends_with('}'), "{line}");
        }
    }
}
