//! Acts: accepts clients until it is told to stop, then lets requests under way finish.

use crate::connection::{self, Handler};
use crate::dispatch::Api;
use crate::listener::Listening;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How clients are served.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// How long a client may take for the head of a request, and for each further piece of a body that is read whole.
    pub patience: Duration,
    /// How many connections are served at once; further clients wait in the sockets' queues.
    pub connections: usize,
    /// How long requests under way may go on after the shutdown began.
    pub farewell: Duration,
}

impl ServeOptions {
    /// The options for a daemon on this host: a quarter of the descriptors is kept for the containers.
    pub fn for_this_host() -> ServeOptions {
        let descriptors = std::fs::read_to_string("/proc/self/limits").ok().and_then(|limits| {
            let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
            line.split_ascii_whitespace().nth(3)?.parse::<usize>().ok()
        });
        ServeOptions {
            patience: Duration::from_secs(60),
            connections: (descriptors.unwrap_or(1024) / 4 * 3).clamp(16, 8192),
            farewell: Duration::from_secs(3),
        }
    }
}

/// Serves the API on every listener until `shutdown` is ready. Connections that are streams by then are cut: their
/// containers go on.
pub async fn serve(
    listeners: Vec<Listening>,
    api: Api,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let (busy, system) = api.rest();
    let resting = tokio::spawn(Api::rest_when_quiet(busy, system));
    serve_with(listeners, Arc::new(api), options, shutdown).await;
    resting.abort();
}

pub(crate) async fn serve_with(
    listeners: Vec<Listening>,
    handler: Arc<dyn Handler>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.connections));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (handler, places, stopping) =
            (Arc::clone(&handler), Arc::clone(&places), stopping.clone());
        accepting.spawn(accept(listener, handler, options, places, stopping));
    }
    shutdown.await;
    // Everybody who would have to be told is told by the value itself.
    stop.send_replace(true);
    accepting.join_all().await;
}

async fn accept(
    listener: Listening,
    handler: Arc<dyn Handler>,
    options: ServeOptions,
    places: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let for_each = stopping.clone();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            // Those that ended are forgotten, so that the set does not grow.
            Some(_ended) = connections.join_next() => {}
            (place, stream) = next => {
                let (handler, stopping) = (Arc::clone(&handler), for_each.clone());
                connections.spawn(async move {
                    connection::run(stream, handler, options, stopping).await;
                    drop(place);
                });
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(options.farewell, all).await);
}
