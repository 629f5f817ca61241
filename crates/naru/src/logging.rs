//! The daemon's own log, on standard error. Acts: installs the process-wide subscriber.

use tracing_subscriber::filter::LevelFilter;

/// Logs from this level on; systemd adds the time itself when it reads our standard error.
pub fn install(level: &str) {
    let level = match level {
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(level.into())
        .parse_lossy("sled=warn,hyper=warn");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let installed = if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.without_time().try_init()
    } else {
        builder.try_init()
    };
    // A subscriber can only be there already in a test that starts two daemons in one process; the first one serves both.
    installed.ok();
}
