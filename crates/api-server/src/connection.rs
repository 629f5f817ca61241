//! Acts: one connection: requests and answers in turn, until it is closed or becomes a byte stream.
//!
//! The HTTP library is driven by hand here, so that a hijack can take the socket away from it in the middle of a
//! request: the answer to an attach is `101` or, for clients that ask for no upgrade, `200` without length and
//! encoding, which no HTTP library writes.

use crate::hijack::{Asked, Hijack};
use crate::reply::{self, Reply};
use crate::serve::ServeOptions;
use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

/// Answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer to one request. Dropping the future cancels the request.
    fn call(&self, request: Request<Incoming>) -> BoxFuture<'static, Reply>;
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Serves one connection until its end.
pub(crate) async fn run(
    stream: UnixStream,
    handler: Arc<dyn Handler>,
    options: ServeOptions,
    mut stopping: watch::Receiver<bool>,
) {
    let (taken, mut take) = mpsc::channel::<(Hijack, Asked)>(1);
    let service = service_fn(move |request: Request<Incoming>| -> Answer {
        let asked = Asked::of(request.headers());
        let (answer, taken) = (handler.call(request), taken.clone());
        Box::pin(async move {
            match answer.await {
                Reply::Response(mut response) => {
                    reply::common_headers(response.headers_mut());
                    Ok(response)
                }
                Reply::Hijack(hijack) => {
                    // The receiver lives as long as this future; it takes the socket and drops us.
                    drop(taken.send((hijack, asked)).await);
                    std::future::pending().await
                }
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.patience)
        .serve_connection(TokioIo::new(stream), service);
    let mut told = false;
    let hijacked = loop {
        tokio::select! {
            biased;
            Some(hijacked) = take.recv() => break hijacked,
            result = poll_fn(|context| connection.poll_without_shutdown(context)) => {
                if let Err(error) = result {
                    // Clients go away as they like.
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let (hijack, asked) = hijacked;
    let carry = hijack.run(parts.io.into_inner(), parts.read_buf, asked);
    tokio::select! {
        result = carry => {
            if let Err(error) = result {
                tracing::debug!(%error, "attached client is gone");
            }
        }
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}
