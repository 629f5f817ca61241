//! One HTTP connection over a unix socket. Acts.

use crate::Endpoint;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use naru_errdefs::{Fault, Kind, ResultExt};
use std::convert::Infallible;
use std::io;
use tokio::net::UnixStream;

/// The body of a request: nothing, JSON, or an archive as it is read.
pub(crate) type RequestBody = BoxBody<Bytes, io::Error>;

/// A connection that is ready for a request.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
}

impl Connection {
    /// Connects to a daemon.
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Connection, Fault> {
        let stream = UnixStream::connect(endpoint.path())
            .await
            .map_err(|source| unreachable_daemon(endpoint, source))?;
        let (sender, driver) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)
            .during(|| format!("cannot speak HTTP with the daemon at {endpoint}"))?;
        // The driver ends with the connection; what goes wrong on the way is told to whoever waits for the answer.
        tokio::spawn(async move { drop(driver.with_upgrades().await) });
        Ok(Connection { sender })
    }

    /// Whether another request can be sent.
    pub(crate) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> Result<http::Response<hyper::body::Incoming>, Fault> {
        self.sender.send_request(request).await.map_err(|error| {
            Fault::new(Kind::Unavailable, "the daemon closed the connection before it answered")
                .with_source(error)
        })
    }
}

/// A body of bytes that are there already.
pub(crate) fn full(bytes: Vec<u8>) -> RequestBody {
    use http_body_util::BodyExt;
    http_body_util::Full::new(Bytes::from(bytes))
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn unreachable_daemon(endpoint: &Endpoint, source: io::Error) -> Fault {
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as root, or as a member of the group that owns the socket"
        }
        _ => "start it with `naru daemon`",
    };
    Fault::new(
        Kind::Unavailable,
        format!("Cannot connect to the Docker daemon at {endpoint}. Is the docker daemon running?"),
    )
    .with_source(source)
    .with_hint(hint)
}
