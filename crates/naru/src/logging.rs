//! The daemon's own log, on standard error. Acts: installs the process-wide subscriber.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Logs from this level on; systemd adds the time itself when it reads our standard error.
pub fn install(level: &str) {
    let level = match level {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let targets = Targets::new().with_default(level).with_target("hyper", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let installed = if std::env::var_os("JOURNAL_STREAM").is_some() {
        tracing_subscriber::registry().with(lines.without_time()).with(targets).try_init()
    } else {
        tracing_subscriber::registry().with(lines).with(targets).try_init()
    };
    // A subscriber can only be there already in a test that starts two daemons in one process; the first one serves both.
    installed.ok();
}
