//! Acts: takes connections in and lets the service answer on them.

use crate::access::Peer;
use crate::service::Registry;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections at once; further ones wait to be taken in.
const MOST_CONNECTIONS: usize = 4096;
/// How long a client may take for the head of a request, and how long it may be idle between two.
const HEAD: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long answers that are on their way may take when the service ends.
const FAREWELL: Duration = Duration::from_secs(10);

/// How a connection over TLS says who is at its other end.
pub type PeerOf = Arc<dyn Fn(SocketAddr, &rustls::ServerConnection) -> Peer + Send + Sync>;

/// Serves until `shutdown` is ready; answers that are being given are finished then.
pub async fn serve(
    registry: Registry,
    listener: TcpListener,
    tls: Option<(TlsAcceptor, PeerOf)>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let limit = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many files are open, say; those of others close.
                tracing::warn!(%error, "cannot take a connection in");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let (registry, tls, ended) = (registry.clone(), tls.clone(), ended.clone());
        connections.spawn(async move {
            connection(registry, stream, address, tls, ended).await;
            drop(permit);
        });
    }
    ending.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, finish).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(
    registry: Registry,
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<(TlsAcceptor, PeerOf)>,
    ended: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot send small answers at once");
    }
    match tls {
        None => {
            let peer = Peer::plain(address.ip().to_canonical());
            requests(registry, stream, peer, ended).await;
        }
        Some((acceptor, peer_of)) => {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let peer = peer_of(address, stream.get_ref().1);
                    requests(registry, stream, peer, ended).await;
                }
                Ok(Err(error)) => tracing::debug!(%address, %error, "no TLS handshake"),
                Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
            }
        }
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    registry: Registry,
    stream: S,
    peer: Peer,
    mut ended: watch::Receiver<bool>,
) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let registry = registry.clone();
        request.extensions_mut().insert(peer.clone());
        async move {
            Ok::<_, std::convert::Infallible>(
                registry.answer(request.map(axum::body::Body::new)).await,
            )
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let end = async move { drop(ended.wait_for(|ended| *ended).await) };
    let done = tokio::select! {
        done = connection.as_mut() => done,
        () = end => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection broke off");
    }
}
