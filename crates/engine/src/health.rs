//! Pure: how well a container is, by what its checks say, and when the next one is due.
//!
//! ```text
//!            a success                retries failures in a row (those of the start period do not count)
//!  starting ──────────▶ healthy ◀───────────────────────────────▶ unhealthy
//!     │                                      a success                ▲ ▲
//!     └───────────────────────────────────────────────────────────────┘ └── nobody watches: it was stopped or paused
//! ```
//!
//! It is kept in memory only: a daemon that starts asks anew.

mod probe;
mod watch;

pub(crate) use watch::{Begin, Queue, run};

use crate::model::{ContainerConfig, HealthResult, HealthStatus, HealthView, Timestamp};
use naru_errdefs::Fault;
use naru_oci::{Healthcheck, go_duration};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The shortest time that may be asked for; the lowest that an image gets.
const SHORTEST: Duration = Duration::from_millis(1);
/// How many results are remembered.
const REMEMBERED: usize = 5;
/// How much of a check's output is remembered, in bytes.
const OUTPUT: usize = 4096;

/// What is asked of a container's health, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

/// A container's health in memory.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// What is shown.
    pub(crate) view: HealthView,
    /// The number of the watch whose results count, and when its next check is due if none runs.
    watch: u64,
    due: Option<Instant>,
    /// Dropped when the check that runs is of no use any more.
    running: Option<oneshot::Sender<()>>,
}

impl Rules {
    /// What a container asks for; `None` when it has no check.
    pub(crate) fn of(config: &ContainerConfig) -> Option<Rules> {
        let check = config.healthcheck.as_ref()?;
        let (kind, words) = check.test.split_first()?;
        if words.is_empty() {
            return None;
        }
        let shell = match kind.as_str() {
            "CMD" => Vec::new(),
            "CMD-SHELL" if config.shell.is_empty() => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            "CMD-SHELL" => config.shell.clone(),
            _ => return None,
        };
        let time = |asked: i64, default: u64| match u64::try_from(asked) {
            Ok(0) | Err(_) => Duration::from_secs(default),
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds).max(SHORTEST),
        };
        Some(Rules {
            command: shell.into_iter().chain(words.iter().cloned()).collect(),
            interval: time(check.interval, 30),
            timeout: time(check.timeout, 30),
            start_period: time(check.start_period, 0),
            start_interval: time(check.start_interval, 5),
            retries: if check.retries > 0 { check.retries } else { 3 },
        })
    }

    /// The time until the next check of a container that has run so long.
    fn pause(&self, status: HealthStatus, lasted: Duration) -> Duration {
        if status == HealthStatus::Starting && lasted < self.start_period {
            self.start_interval
        } else {
            self.interval
        }
    }
}

impl HealthView {
    /// Takes in a result; answers the status if it is another now.
    fn note(
        &mut self,
        rules: &Rules,
        started_at: Option<Timestamp>,
        result: HealthResult,
    ) -> Option<HealthStatus> {
        let before = self.status;
        let lasted = started_at.map_or(Duration::MAX, |at| result.start.since(at));
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || lasted >= rules.start_period {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= rules.retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        if self.log.len() == REMEMBERED {
            self.log.pop_front();
        }
        self.log.push_back(result);
        (self.status != before).then_some(self.status)
    }
}

/// Refuses times and numbers that make no sense, in Docker's words.
pub(crate) fn validate(check: &Healthcheck) -> Result<(), Fault> {
    let short = |time: i64| u64::try_from(time).is_ok_and(|time| time == 0 || time >= 1_000_000);
    for (name, time) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if !short(time) {
            return Err(Fault::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if check.retries < 0 {
        return Err(Fault::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

/// What is wrong with a check that is taken but never run.
pub(crate) fn never_run(config: &ContainerConfig) -> Option<String> {
    let kind = config.healthcheck.as_ref()?.test.first()?;
    if kind == "NONE" || Rules::of(config).is_some() {
        return None;
    }
    Some(format!(
        "The health check of the type '{kind}' is never run (expected 'CMD' or 'CMD-SHELL' and a command, or 'NONE'): the container has no health status."
    ))
}

/// The first bytes of a check's output, and whether there was more.
#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    more: bool,
}

impl Said {
    /// Takes a piece in; answers whether more is wanted.
    fn take(&mut self, piece: &[u8]) -> bool {
        let room = OUTPUT.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
        self.more = piece.len() > room;
        !self.more
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.more { text + "..." } else { text }
    }
}

fn shown(time: Duration) -> String {
    go_duration(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
