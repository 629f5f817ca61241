//! The daemon's own log, on standard error. Acts: installs the process-wide subscriber.

/// Logs from this level on; systemd adds the time itself when it reads our standard error.
pub fn install(level: &str) {
    let level = match level {
        "debug" => "debug",
        "warn" => "warn",
        "error" | "fatal" => "error",
        _ => "info",
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse_lossy(format!("{level},sled=warn,hyper=warn"));
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
