//! The role `naru daemon`: configuration, wiring, signals, the end. Acts.

use crate::config::{Config, Flags};
use crate::pidfile::Pidfile;
use crate::sockets::Sockets;
use crate::{background, logging, registry};
use clap::Parser as _;
use naru_api_server::{Api, ServeOptions};
use naru_engine::images::Registries;
use naru_engine::{Engine, EngineConfig};
use naru_errdefs::{Fault, Report, ResultExt};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the daemon until it is told to end. Containers go on.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("naru daemon")).chain(args);
    let flags = match Flags::try_parse_from(words) {
        Ok(flags) => flags,
        Err(error) => {
            // clap chooses the stream: help goes to standard output.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(125) } else { ExitCode::SUCCESS };
        }
    };
    match Config::load(flags).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("error: {}", Report(&fault)));
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error.
#[expect(
    clippy::print_stderr,
    reason = "the daemon's last words, also when logging is not set up yet"
)]
pub fn say(line: &str) {
    eprintln!("{line}");
}

fn run(config: Config) -> Result<(), Fault> {
    if config.background {
        rustix::process::setsid()
            .map_err(std::io::Error::from)
            .during(|| "cannot leave the caller's session".to_owned())?;
    }
    logging::install(&config.log_level);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(4))
        .max_blocking_threads(32)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .during(|| "cannot start the async runtime".to_owned())?;
    let done = runtime.block_on(serve(config));
    // Whatever still runs (a stuck file system, say) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

async fn serve(config: Config) -> Result<(), Fault> {
    let exe = std::env::current_exe().during(|| "cannot find our own binary".to_owned())?;
    std::fs::create_dir_all(&config.exec_root)
        .during(|| format!("cannot make the exec root `{}`", config.exec_root.display()))?;
    let pidfile = Pidfile::write(&config.pidfile)?;
    let registries = Registries::new(config.registries.clone());
    let engine = Engine::open(EngineConfig {
        data_root: config.data_root.clone(),
        exec_root: config.exec_root.clone(),
        exe,
        debug: config.log_level == "debug",
        networks: config.networks,
        registries: registries.clone(),
    })
    .await?;
    // Signals are taken before anybody is told that we are ready.
    let mut term = signal(SignalKind::terminate()).during(|| "cannot take SIGTERM".to_owned())?;
    let mut interrupt =
        signal(SignalKind::interrupt()).during(|| "cannot take SIGINT".to_owned())?;
    let registry = match &config.registry {
        Some(own) => Some(registry::start(own, engine.store(), &registries).await?),
        None => None,
    };
    if let Some(registry) = &registry {
        registries.attach_own(registry.own());
    }
    let (sockets, listeners) = Sockets::bind(&config.sockets, config.group.as_deref())?;
    for path in &config.sockets {
        tracing::info!(socket = %path.display(), "listening");
    }
    if config.background {
        let mut out = std::io::stdout();
        out.write_all(background::READY).and_then(|()| out.flush()).ok();
    }
    let shutdown = async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: the daemon ends, containers go on"),
            _ = interrupt.recv() => tracing::info!("SIGINT: the daemon ends, containers go on"),
        }
    };
    let closing = engine.closing();
    let options = ServeOptions::for_this_host();
    naru_api_server::serve(listeners, Api::new(engine, options.patience), options, shutdown).await;
    if let Some(registry) = registry {
        registry.end().await;
    }
    drop(sockets);
    closing.close();
    drop(pidfile);
    Ok(())
}
