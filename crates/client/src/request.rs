//! Requests and their answers. Acts.

use crate::connection::{Connection, RequestBody, full};
use crate::{Endpoint, Hijacked, Lines};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use naru_api_types::{ApiVersion, ErrorBody, Query, Route};
use naru_errdefs::{Fault, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// The longest refusal that is read; more is cut.
const LONGEST_REFUSAL: usize = 1 << 20;
/// The longest answer that is read as one document.
const LONGEST_DOCUMENT: usize = 256 << 20;

/// A client of one daemon. Calls may run side by side; each busy one has a connection of its own.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    version: ApiVersion,
    idle: Mutex<Option<Connection>>,
}

/// What goes with a request.
pub enum Upload {
    /// Nothing.
    None,
    /// A JSON document.
    Json(Vec<u8>),
    /// An archive, sent as it is read.
    Archive(Box<dyn AsyncRead + Send + Sync + Unpin>),
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Upload::None => "None",
            Upload::Json(_) => "Json",
            Upload::Archive(_) => "Archive",
        })
    }
}

impl Upload {
    /// A value as a JSON document.
    pub fn json(value: &impl Serialize) -> Result<Upload, Fault> {
        serde_json::to_vec(value)
            .map(Upload::Json)
            .map_err(|error| Fault::internal("cannot write the request as JSON").with_source(error))
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Reply {
    response: http::Response<hyper::body::Incoming>,
}

impl Client {
    /// A client that will connect when it is first used.
    pub fn new(endpoint: Endpoint) -> Client {
        Client { endpoint, version: ApiVersion::MAX, idle: Mutex::new(None) }
    }

    /// Where the daemon is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The version that requests name.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Sends a request and reads the answer as JSON.
    pub async fn call<T: DeserializeOwned>(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
    ) -> Result<T, Fault> {
        let bytes = self.bytes(route, query, upload).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Fault::internal(format!(
                "the daemon's answer to `{}` is not what it should be",
                route.path()
            ))
            .with_source(error)
        })
    }

    /// Sends a request whose answer carries nothing of interest.
    pub async fn command(&self, route: &Route, query: &Query, upload: Upload) -> Result<(), Fault> {
        self.bytes(route, query, upload).await.map(drop)
    }

    /// Sends a request and reads the whole answer; the connection is kept for the next one.
    pub async fn bytes(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
    ) -> Result<Bytes, Fault> {
        let (connection, reply) = self.begin(route, query, upload).await?;
        let bytes = reply.whole().await?;
        if let Ok(mut idle) = self.idle.lock() {
            *idle = Some(connection);
        }
        Ok(bytes)
    }

    /// Sends a request whose answer is read as it comes.
    pub async fn stream(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
    ) -> Result<Reply, Fault> {
        self.begin(route, query, upload).await.map(|(_, reply)| reply)
    }

    /// Sends a request that turns its connection into a stream in both directions.
    pub async fn hijack(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
    ) -> Result<Hijacked, Fault> {
        let mut connection = self.connection().await?;
        let request = self.request(route, query, upload, true)?;
        let response = connection.send(request).await?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return Hijacked::new(response).await;
        }
        let reply = check(response).await?;
        Err(Fault::internal(format!(
            "the daemon answered `{}` without a stream (status {})",
            route.path(),
            reply.status()
        )))
    }

    async fn begin(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
    ) -> Result<(Connection, Reply), Fault> {
        let mut connection = self.connection().await?;
        let request = self.request(route, query, upload, false)?;
        let response = connection.send(request).await?;
        Ok((connection, check(response).await?))
    }

    /// The idle connection, if it is still good, else a new one.
    async fn connection(&self) -> Result<Connection, Fault> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.take());
        if let Some(mut connection) = idle
            && connection.is_ready().await
        {
            return Ok(connection);
        }
        Connection::open(&self.endpoint).await
    }

    fn request(
        &self,
        route: &Route,
        query: &Query,
        upload: Upload,
        upgrade: bool,
    ) -> Result<http::Request<RequestBody>, Fault> {
        let mut target = route.versioned_path(self.version);
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query.encode());
        }
        let mut builder = http::Request::builder()
            .method(route.method().as_str())
            .uri(target)
            .header("Host", "naru")
            .header("User-Agent", concat!("Naru-Client/", env!("CARGO_PKG_VERSION"), " (linux)"));
        if upgrade {
            builder = builder.header("Connection", "Upgrade").header("Upgrade", "tcp");
        }
        let body = match upload {
            Upload::None => full(Vec::new()),
            Upload::Json(bytes) => {
                builder = builder.header("Content-Type", "application/json");
                full(bytes)
            }
            Upload::Archive(reader) => {
                builder = builder.header("Content-Type", "application/x-tar");
                let stream = tokio_util::io::ReaderStream::with_capacity(reader, 256 << 10);
                BodyExt::boxed(StreamBody::new(stream.map_ok(http_body::Frame::data)))
            }
        };
        builder.body(body).map_err(|error| {
            Fault::invalid(format!("cannot build the request for `{}`", route.path()))
                .with_source(error)
        })
    }
}

/// Turns refusals into failures.
async fn check(response: http::Response<hyper::body::Incoming>) -> Result<Reply, Fault> {
    let status = response.status();
    let reply = Reply { response };
    if status.is_success() || status == http::StatusCode::NOT_MODIFIED {
        return Ok(reply);
    }
    let kind = kind_of(status.as_u16());
    let bytes =
        http_body_util::Limited::new(reply.response.into_body(), LONGEST_REFUSAL).collect().await;
    let bytes = bytes.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body = match serde_json::from_slice::<ErrorBody>(&bytes) {
        Ok(body) if !body.message.is_empty() => body,
        _ => ErrorBody {
            message: format!("the daemon refused with status {status}"),
            ..ErrorBody::default()
        },
    };
    Err(body.into_fault(kind))
}

/// Pure: what a status stands for when the body does not say.
fn kind_of(status: u16) -> Kind {
    match status {
        400 => Kind::InvalidInput,
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        507 => Kind::ResourceExhausted,
        _ => Kind::Internal,
    }
}

impl Reply {
    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The media type of the body.
    pub fn media_type(&self) -> &str {
        self.response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The next piece of the body; `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(broken)?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    pub async fn whole(self) -> Result<Bytes, Fault> {
        let body = http_body_util::Limited::new(self.response.into_body(), LONGEST_DOCUMENT);
        let collected = body.collect().await.map_err(|error| {
            Fault::new(Kind::Unavailable, "the daemon's answer broke off").with_source(error)
        })?;
        Ok(collected.to_bytes())
    }

    /// The body as JSON values, one a line.
    pub fn lines(self) -> Lines {
        Lines::new(self)
    }

    /// Writes the body to `out` as it comes.
    pub async fn copy_to(mut self, out: &mut (impl AsyncWrite + Unpin)) -> Result<u64, Fault> {
        let mut count = 0;
        while let Some(data) = self.chunk().await? {
            out.write_all(&data)
                .await
                .map_err(|error| Fault::io("cannot write the daemon's answer", error))?;
            count += u64::try_from(data.len()).unwrap_or(0);
        }
        out.flush().await.map_err(|error| Fault::io("cannot write the daemon's answer", error))?;
        Ok(count)
    }
}

fn broken(error: hyper::Error) -> Fault {
    Fault::new(Kind::Unavailable, "the daemon's answer broke off").with_source(error)
}
