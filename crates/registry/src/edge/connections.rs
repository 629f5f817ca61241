//! Acts: accepts clients, shakes hands, and hands requests to the edge or to the protocol, until it is told to stop.

use super::Edge;
use super::patient::Patient;
use super::sent::SentBody;
use super::straight::{Mappings, Straight};
use crate::Registry;
use crate::access::tls::certificate_user;
use crate::access::{LARGEST_TOKEN_BODY, Peer};
use crate::body::{Counting, Silence};
use crate::metrics::Metrics;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long accepting rests when there is no descriptor left.
const REST: Duration = Duration::from_millis(100);
/// How long the body of a request for a token may take.
const TOKEN_BODY: Duration = Duration::from_secs(10);

/// How long what a client still sends after the last answer is taken in.
const LINGER: Duration = Duration::from_secs(5);

/// How clients are served.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// How long a client may take for the head of a request.
    pub patience: Duration,
    /// How many connections are served at once; further clients wait in the socket's queue.
    pub connections: usize,
    /// How long a client may be silent in the middle of a body, and how long it may take nothing of an answer.
    pub silence: Duration,
    /// How long requests under way may go on after the shutdown began.
    pub farewell: Duration,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            patience: Duration::from_secs(60),
            connections: 4096,
            silence: Silence::default().0,
            farewell: Duration::from_secs(10),
        }
    }
}

/// Serves a registry on a listener until `shutdown` is ready; requests under way then finish.
pub async fn serve(
    listener: TcpListener,
    edge: Edge,
    protocol: Registry,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) {
    let mappings = Mappings::default();
    accept(listener, options, shutdown, move |stream, address, stopping| {
        let (edge, protocol) = (edge.clone(), protocol.clone());
        let from = (address, mappings.clone());
        async move { greet(stream, from, edge, protocol, options, stopping).await }
    })
    .await;
}

/// Serves figures and health alone, on a listener of their own.
pub async fn serve_figures(listener: TcpListener, edge: Edge, shutdown: impl Future<Output = ()>) {
    let options = ServeOptions {
        connections: 64,
        farewell: Duration::from_secs(1),
        ..ServeOptions::default()
    };
    accept(listener, options, shutdown, move |stream, _address, stopping| {
        let edge = edge.clone();
        async move {
            let metrics = Arc::clone(&edge.metrics);
            let answer = move |request: Request<Incoming>| {
                let edge = edge.clone();
                async move {
                    let (parts, _body) = request.into_parts();
                    let response = match parts.uri.path() {
                        "/metrics" => edge.figures(&parts, false).await,
                        "/healthz" => edge.health().await,
                        _ => empty(StatusCode::NOT_FOUND),
                    };
                    response.map(Body::from)
                }
            };
            requests(stream, &metrics, options, stopping, answer).await;
        }
    })
    .await;
}

async fn accept<F>(
    listener: TcpListener,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
    run: impl Fn(TcpStream, SocketAddr, watch::Receiver<bool>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut short = false;
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            // Those that ended are forgotten, so that the set does not grow.
            Some(_ended) = connections.join_next() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, address)) => {
                    short = false;
                    let served = run(stream, address, stopping.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) if is_about_one_client(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut short, true) {
                        tracing::warn!(%error, "cannot accept a connection; trying again");
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(options.farewell, all).await);
}

fn is_about_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

async fn greet(
    stream: TcpStream,
    (address, mappings): (SocketAddr, Mappings),
    edge: Edge,
    protocol: Registry,
    options: ServeOptions,
    stopping: watch::Receiver<bool>,
) {
    // Answers are written whole; what waits for more to send only makes them late.
    stream.set_nodelay(true).ok();
    let peer = Peer::plain(address.ip().to_canonical());
    let Some(tls) = edge.tls.clone() else {
        let stream = Straight::new(stream, mappings.clone());
        registry(stream, (peer, Some(mappings)), edge, protocol, (options, stopping)).await;
        return;
    };
    match tls.accept(stream).await {
        Ok(stream) => {
            let user = certificate_user(&stream);
            let peer = Peer { certificate_user: user, tls: true, ..peer };
            registry(stream, (peer, None), edge, protocol, (options, stopping)).await;
        }
        Err(error) => tracing::debug!(%error, peer = %peer.address, "no TLS connection"),
    }
}

async fn registry<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: S,
    (peer, mappings): (Peer, Option<Mappings>),
    edge: Edge,
    protocol: Registry,
    (options, stopping): (ServeOptions, watch::Receiver<bool>),
) {
    let metrics = Arc::clone(&edge.metrics);
    let answer = move |request: Request<Incoming>| {
        let (edge, protocol, peer) = (edge.clone(), protocol.clone(), peer.clone());
        let mappings = mappings.clone();
        let received = Arc::default();
        // Noted even if the client is gone before anything begins.
        let mut noted = edge.noted(request.uri().path(), &peer, &received);
        async move {
            if edge.is_administered(request.uri().path()) {
                let (parts, body) = request.into_parts();
                // There is nothing to say but the path; a body would be taken for the next request.
                let is_empty = body.is_end_stream();
                drop(body);
                return match is_empty {
                    true => edge.administer(&parts, &peer).await,
                    false => empty(StatusCode::PAYLOAD_TOO_LARGE).map(Body::from),
                };
            }
            if !edge.is_own(request.uri().path()) {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                if let Some(mappings) = mappings {
                    request.extensions_mut().insert(mappings);
                }
                request.extensions_mut().insert(Silence(options.silence));
                return protocol.answer(request).await;
            }
            let (parts, body) = request.into_parts();
            let read = Limited::new(Counting::new(body, &received), LARGEST_TOKEN_BODY).collect();
            let response = match tokio::time::timeout(TOKEN_BODY, read).await {
                Ok(Ok(body)) => edge.answer(&parts, &body.to_bytes(), &peer).await,
                Ok(Err(error)) if error.is::<LengthLimitError>() => {
                    empty(StatusCode::PAYLOAD_TOO_LARGE)
                }
                // It broke off: nobody waits for the answer.
                Ok(Err(_gone)) => return empty(StatusCode::BAD_REQUEST).map(Body::from),
                Err(_late) => empty(StatusCode::REQUEST_TIMEOUT),
            };
            if let Some(noted) = &mut noted {
                noted.answered(&response);
            }
            response.map(Body::from)
        }
    };
    requests(stream, &metrics, options, stopping, answer).await;
}

async fn requests<S, F>(
    stream: S,
    metrics: &Arc<Metrics>,
    options: ServeOptions,
    mut stopping: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<Body>>,
{
    let mut stream = Patient::new(stream, options.silence);
    converse(&mut stream, metrics, options, &mut stopping, answer).await;
    // Closed while a client still sends, a connection is reset, and the client may lose the answer that says why.
    let rest = async {
        stream.shutdown().await?;
        let mut bytes = vec![0; 16 << 10];
        while stream.read(&mut bytes).await? > 0 {}
        io::Result::Ok(())
    };
    tokio::select! {
        _ = tokio::time::timeout(LINGER, rest) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

/// Answers requests on a connection until it ends.
async fn converse<S, F>(
    stream: &mut S,
    metrics: &Arc<Metrics>,
    options: ServeOptions,
    stopping: &mut watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| SentBody::new(body, metrics))) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(options.patience)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    // Clients go away as they like.
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
