//! The role `naru registry serve`, and the registry inside the daemon: configuration, wiring, signals, the end. Acts.

mod flags;
mod own;
mod reach;
mod upkeep;
mod upstreams;

pub use reach::reach;

use crate::daemon::say;
use crate::logging;
use clap::Parser as _;
use flags::Flags;
use naru_errdefs::{Fault, Report, ResultExt};
use naru_registry::Registry;
use naru_registry::cache::Cache;
use naru_registry::config::{Listen, RegistryConfig};
use naru_registry::edge::{self, Edge, ServeOptions};
use naru_registry::upkeep::{Keeper, Quotas};
use naru_store::Store;
use naru_transfer::{Registries, RegistriesConfig};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

const DEFAULT_ROOT: &str = "/var/lib/naru-registry";
const DEFAULT_LISTEN: &str = "5000";

/// Serves a registry of its own root until it is told to end.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let words = std::iter::once(OsString::from("naru registry serve")).chain(args);
    let flags = match Flags::try_parse_from(words) {
        Ok(flags) => flags,
        Err(error) => {
            // clap chooses the stream: help goes to standard output.
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(125) } else { ExitCode::SUCCESS };
        }
    };
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("error: {}", Report(&fault)));
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> Result<(), Fault> {
    let log_level = flags.log_level();
    let file = flags.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
    let config = flags::merge(flags, file)?;
    logging::install(&log_level?);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(4))
        .max_blocking_threads(64)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build()
        .during(|| "cannot start the async runtime".to_owned())?;
    let done = runtime.block_on(alone(config));
    // Whatever still runs (a stuck file system, say) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

async fn alone(config: RegistryConfig) -> Result<(), Fault> {
    let root = config.root.clone().unwrap_or_else(|| DEFAULT_ROOT.into());
    let opened = tokio::task::spawn_blocking(move || Store::open(&root));
    let store = opened
        .await
        .map_err(|error| Fault::internal("opening the store was lost").with_source(error))??;
    // Signals are taken before anybody is told that we are ready.
    let mut term = signal(SignalKind::terminate()).during(|| "cannot take SIGTERM".to_owned())?;
    let mut interrupt =
        signal(SignalKind::interrupt()).during(|| "cannot take SIGINT".to_owned())?;
    let running = start(&config, store, &Registries::new(RegistriesConfig::default())).await?;
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: the registry ends"),
        _ = interrupt.recv() => tracing::info!("SIGINT: the registry ends"),
    }
    running.end().await;
    Ok(())
}

/// Reads a registry's configuration file.
pub fn read_config(path: &Path) -> Result<RegistryConfig, Fault> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .during(|| format!("cannot read the registry's configuration file `{shown}`"))?;
    RegistryConfig::parse(&text).map_err(|fault| {
        fault.context(format!("unable to configure the registry with file {shown}"))
    })
}

/// A registry that serves.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    own: Arc<own::Embedded>,
}

impl Running {
    /// Its word in what goes by rows, when it is embedded in a daemon.
    pub fn own(&self) -> Arc<dyn naru_transfer::OwnRegistry> {
        Arc::clone(&self.own) as Arc<dyn naru_transfer::OwnRegistry>
    }

    /// Lets requests under way finish, within bounds.
    pub async fn end(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

/// Starts to serve a store. `others` says how upstreams of the cache are reached.
pub async fn start(
    config: &RegistryConfig,
    store: Store,
    others: &Registries,
) -> Result<Running, Fault> {
    upkeep::check(config)?;
    let listen = Listen::parse(config.listen.as_deref().unwrap_or(DEFAULT_LISTEN))?;
    let opened = {
        let (config, store, others) = (config.clone(), store.clone(), others.clone());
        tokio::task::spawn_blocking(move || open(&config, &store, &others)).await
    };
    let (edge, keeper, cache) = opened
        .map_err(|error| Fault::internal("opening the registry was lost").with_source(error))??;
    warn_of_exposure(&edge, listen);
    let listener = bind(listen).await?;
    let figures = match &config.metrics.listen {
        Some(address) => Some(bind(Listen::parse(address)?).await?),
        None => None,
    };
    let (stop, stopping) = watch::channel(false);
    let until = || {
        let mut stopping = stopping.clone();
        async move {
            stopping.wait_for(|stop| *stop).await.ok();
        }
    };
    let mut tasks = JoinSet::new();
    if let Some(listener) = figures {
        tracing::info!(address = %shown(&listener), "metrics and health: listening");
        tasks.spawn(edge::serve_figures(listener, edge.clone(), until()));
    }
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    tracing::info!(address = %shown(&listener), scheme, "registry: listening");
    let mut registry = Registry::new(&store, edge.gate.clone())
        .watched(Arc::new(edge.clone()))
        .kept(keeper.relied());
    if let Some(cache) = &cache {
        registry = registry.caching(cache.clone());
    }
    if let Some(pulls) = keeper.pulls() {
        registry = registry.watched(pulls);
    }
    let mut quotas = None;
    if !config.quotas.is_empty() {
        let bounds = Arc::new(Quotas::new(&store, config.quotas.clone()));
        quotas = Some(Arc::clone(&bounds));
        registry = registry.bounded(bounds);
    }
    let own = Arc::new(own::Embedded { edge: edge.clone(), cache, quotas, pulls: keeper.pulls() });
    tasks.spawn(upkeep::daily(keeper, store, until()));
    tasks.spawn(edge::serve(listener, edge, registry, ServeOptions::default(), until()));
    Ok(Running { stop, tasks, own })
}

/// What stands around the protocol, who keeps it in order, and the cache.
fn open(
    config: &RegistryConfig,
    store: &Store,
    others: &Registries,
) -> Result<(Edge, Arc<Keeper>, Option<Cache>), Fault> {
    let cache = match &config.cache {
        Some(cache) => Some(upstreams::cache(store, cache, others)?),
        None => None,
    };
    let keeper = Arc::new(Keeper::new(store, config.retention.clone(), cache.clone())?);
    let mut config = config.clone();
    config.names.extend(others.config().own.iter().cloned());
    let edge = Edge::open(&config, store.clone())?.kept(Arc::clone(&keeper));
    Ok((edge, keeper, cache))
}

fn warn_of_exposure(edge: &Edge, listen: Listen) {
    if let Some(authority) = edge.tls.as_ref().and_then(naru_registry::access::tls::Tls::authority)
    {
        tracing::info!(file = %authority.display(), "clients must trust this certificate");
    }
    if listen.is_loopback() {
        return;
    }
    if edge.gate.is_open_to_all() {
        tracing::warn!(
            "ANYBODY who reaches this address may read, change and delete everything: configure users (`--htpasswd`)"
        );
    } else if edge.tls.is_none() {
        tracing::warn!(
            "passwords and tokens cross the network readable: use TLS (`--tls-cert`, `--tls-auto`), or a proxy that does"
        );
    }
}

async fn bind(listen: Listen) -> Result<TcpListener, Fault> {
    let mut bound = TcpListener::bind(listen.0).await;
    if bound.is_err() && listen.0.ip().is_unspecified() && listen.0.is_ipv6() {
        // A host without IPv6.
        bound =
            TcpListener::bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), listen.0.port())).await;
    }
    bound.map_err(|error| {
        Fault::io(format!("cannot listen on `{}`", listen.0), error)
            .with_hint("stop what listens there, or choose another address")
    })
}

fn shown(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_error| "?".to_owned(), |address| address.to_string())
}
