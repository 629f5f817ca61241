//! Acts: requests and answers over connections of our own.

use crate::endpoint::Endpoint;
use crate::hijack::{self, Hijacked};
use crate::ndjson::Lines;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use naru_api_types::error_body::PLAIN_REFUSALS;
use naru_api_types::registry::REGISTRY_AUTH;
use naru_api_types::{ErrorBody, Method, Query, Route};
use naru_errdefs::{Fault, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncRead;
use tokio::net::UnixStream;

/// A body on its way to the daemon.
pub type Upload = UnsyncBoxBody<Bytes, io::Error>;

/// The largest answer that is read as a whole.
const MOST_ANSWER: usize = 256 << 20;

/// How long a daemon that was killed may take to let go of its socket.
const DYING: Duration = Duration::from_secs(2);

/// Starts the daemon that is absent.
pub type Revive = Rc<dyn Fn() -> Result<(), Fault>>;

/// A daemon to talk to.
pub struct Client {
    endpoint: Endpoint,
    idle: RefCell<Option<SendRequest<Upload>>>,
    revive: Option<Revive>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Client {
        Client { endpoint, idle: RefCell::new(None), revive: None }
    }

    /// The same client, which starts the daemon when there is none.
    #[must_use]
    pub fn reviving(mut self, revive: Option<Revive>) -> Client {
        self.revive = revive;
        self
    }

    /// Where the daemon listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Connects ahead of the first call, which will use the connection. Starts the daemon if it is absent and may be started.
    pub async fn connect(&self) -> Result<(), Fault> {
        let until = Instant::now() + DYING;
        let opened = loop {
            match open(&self.endpoint).await {
                // The daemon dies in this very instant; the next look tells whether another one is there.
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionReset && Instant::now() < until =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                opened => break opened,
            }
        };
        let sender = match opened {
            Ok(sender) => sender,
            Err(error) => match self.revive.as_ref().filter(|_| is_absent(&error)) {
                Some(revive) => {
                    revive()?;
                    open(&self.endpoint)
                        .await
                        .map_err(|error| unreachable(&self.endpoint, error))?
                }
                None => return Err(unreachable(&self.endpoint, error)),
            },
        };
        self.idle.replace(Some(sender));
        Ok(())
    }

    async fn sender(&self) -> Result<SendRequest<Upload>, Fault> {
        // A connection that ended meanwhile is not used again.
        if let Some(sender) = self.idle.take().filter(|sender| !sender.is_closed()) {
            return Ok(sender);
        }
        self.connect().await?;
        self.idle.take().ok_or_else(|| {
            Fault::new(Kind::Unavailable, format!("the connection to {} was lost", self.endpoint))
        })
    }

    async fn send(
        &self,
        route: &Route,
        query: &Query,
        content: Content,
    ) -> Result<(http::Response<Incoming>, SendRequest<Upload>), Fault> {
        let asks_only = matches!(content, Content::None)
            && matches!(route.method(), Method::Get | Method::Head);
        let sender = self.sender().await?;
        let fault = match self.send_on(sender, request(route, query, content)?).await {
            Ok(sent) => return Ok(sent),
            Err(fault) => fault,
        };
        if !asks_only {
            return Err(fault);
        }
        // Who connects to a daemon in the instant of its death loses the connection. To ask again changes nothing.
        let until = Instant::now() + DYING;
        while Instant::now() < until {
            let sender = self.sender().await?;
            let request = request(route, query, Content::None)?;
            if let Ok(sent) = self.send_on(sender, request).await {
                return Ok(sent);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(fault)
    }

    async fn send_on(
        &self,
        mut sender: SendRequest<Upload>,
        request: http::Request<Upload>,
    ) -> Result<(http::Response<Incoming>, SendRequest<Upload>), Fault> {
        sender.ready().await.map_err(|error| lost(&self.endpoint, error))?;
        let response =
            sender.send_request(request).await.map_err(|error| lost(&self.endpoint, error))?;
        Ok((response, sender))
    }

    /// Sends a request and gives the answer as it arrives, once its status says that all is well.
    pub async fn open(
        &self,
        route: Route,
        query: &Query,
        content: Content,
    ) -> Result<Answer, Fault> {
        let (response, sender) = self.send(&route, query, content).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Answer { response, sender: Some(sender) });
        }
        Err(refusal(response).await)
    }

    /// Sends a request whose answer is read as a whole; the connection is kept for the next call.
    pub async fn bytes(
        &self,
        route: Route,
        query: &Query,
        content: Content,
    ) -> Result<Bytes, Fault> {
        let mut answer = self.open(route, query, content).await?;
        let bytes = answer.whole().await?;
        if let Some(sender) = answer.sender.take() {
            self.idle.replace(Some(sender));
        }
        Ok(bytes)
    }

    /// Sends a request and reads the answer as JSON.
    pub async fn json<T: DeserializeOwned>(
        &self,
        route: Route,
        query: &Query,
        content: Content,
    ) -> Result<T, Fault> {
        let path = route.path();
        let bytes = self.bytes(route, query, content).await?;
        parse(&path, &bytes)
    }

    /// Reads JSON.
    pub async fn get<T: DeserializeOwned>(&self, route: Route, query: &Query) -> Result<T, Fault> {
        self.json(route, query, Content::None).await
    }

    /// Asks for something to be done; the answer says nothing but that it was.
    pub async fn act(&self, route: Route, query: &Query) -> Result<(), Fault> {
        self.bytes(route, query, Content::None).await.map(drop)
    }

    /// Turns a connection into a raw stream.
    pub async fn hijack(
        &self,
        route: Route,
        query: &Query,
        content: Content,
    ) -> Result<Hijacked, Fault> {
        let mut request = request(&route, query, content)?;
        let headers = request.headers_mut();
        headers.insert(http::header::CONNECTION, http::HeaderValue::from_static("Upgrade"));
        headers.insert(http::header::UPGRADE, http::HeaderValue::from_static("tcp"));
        headers.insert(PLAIN_REFUSALS, http::HeaderValue::from_static("1"));
        let mut sender = self.sender().await?;
        sender.ready().await.map_err(|error| lost(&self.endpoint, error))?;
        let response =
            sender.send_request(request).await.map_err(|error| lost(&self.endpoint, error))?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return hijack::take(response).await;
        }
        Err(refusal(response).await)
    }
}

/// What goes with a request.
#[derive(Debug)]
pub enum Content {
    /// Nothing.
    None,
    /// Nothing but who the user is to a registry, for a header.
    Auth(String),
    /// A JSON value.
    Json(Vec<u8>),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// The same with further headers.
    Headed(Vec<(&'static str, String)>, Box<Content>),
    /// An archive or other bytes.
    Stream(Upload),
    /// The same with a media type of its own.
    Typed(&'static str, Upload),
}

impl Content {
    /// A value as JSON.
    pub fn json(value: &impl Serialize) -> Result<Content, Fault> {
        serde_json::to_vec(value).map(Content::Json).map_err(|error| {
            Fault::new(Kind::Internal, "cannot write the request").with_source(error)
        })
    }

    /// The bytes of a reader.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Content {
        let frames = tokio_util::io::ReaderStream::with_capacity(reader, 256 << 10)
            .map(|piece| piece.map(Frame::data));
        Content::Stream(StreamBody::new(frames).boxed_unsync())
    }

    /// The bytes of a reader with a media type of their own.
    pub fn typed(media_type: &'static str, reader: impl AsyncRead + Send + 'static) -> Content {
        match Content::reader(reader) {
            Content::Stream(body) => Content::Typed(media_type, body),
            other => other,
        }
    }
}

fn request(route: &Route, query: &Query, content: Content) -> Result<http::Request<Upload>, Fault> {
    let mut path = route.path();
    if !query.is_empty() {
        path.push('?');
        path.push_str(&query.encode());
    }
    let mut builder = http::Request::builder()
        .method(route.method().as_str())
        .uri(path)
        .header(http::header::HOST, "naru");
    let mut content = content;
    while let Content::Headed(headers, inner) = content {
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        content = *inner;
    }
    let full = |bytes: Vec<u8>| {
        Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed_unsync()
    };
    let request = match content {
        Content::None | Content::Headed(..) => builder.body(full(Vec::new())),
        Content::Bytes(bytes) => {
            builder.header(http::header::CONTENT_TYPE, "application/octet-stream").body(full(bytes))
        }
        Content::Auth(auth) => builder.header(REGISTRY_AUTH, auth).body(full(Vec::new())),
        Content::Json(bytes) => {
            builder.header(http::header::CONTENT_TYPE, "application/json").body(full(bytes))
        }
        Content::Stream(body) => {
            builder.header(http::header::CONTENT_TYPE, "application/x-tar").body(body)
        }
        Content::Typed(media_type, body) => {
            builder.header(http::header::CONTENT_TYPE, media_type).body(body)
        }
    };
    request.map_err(|error| Fault::invalid("cannot form the request").with_source(error))
}

async fn open(endpoint: &Endpoint) -> io::Result<SendRequest<Upload>> {
    let stream = match endpoint {
        Endpoint::Unix(path) => UnixStream::connect(path).await?,
    };
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // The task ends with the connection; what fails in it is seen by whoever waits for an answer.
    tokio::spawn(async move { connection.with_upgrades().await.ok() });
    Ok(sender)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn unreachable(endpoint: &Endpoint, error: io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "run it as root, or as a user who may use the socket",
        _ => "start it with `naru daemon`, or name another one with `-H unix://PATH`",
    };
    Fault::new(
        Kind::Unavailable,
        format!("Cannot connect to the Naru daemon at {endpoint}. Is the daemon running?"),
    )
    .with_source(error)
    .with_hint(hint)
}

fn lost(endpoint: &Endpoint, error: hyper::Error) -> Fault {
    Fault::new(Kind::Unavailable, format!("the connection to the daemon at {endpoint} was lost"))
        .with_source(Arc::new(error))
        .with_hint("see whether the daemon still runs, and what it logged")
}

/// Pure but for the body: what an answer that refuses says.
async fn refusal(response: http::Response<Incoming>) -> Fault {
    let status = response.status();
    let body = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    fault_of(status.as_u16(), &body)
}

/// The failure that a status and a body tell of.
pub(crate) fn fault_of(status: u16, body: &[u8]) -> Fault {
    let kind = match status {
        304 => Kind::NotModified,
        400 => Kind::InvalidInput,
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::Unsupported,
        503 => Kind::Unavailable,
        507 => Kind::ResourceExhausted,
        _ => Kind::Internal,
    };
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) if !body.message.is_empty() => body.into_fault(kind),
        _ => {
            let text = String::from_utf8_lossy(body);
            let text = text.trim();
            if text.is_empty() {
                Fault::new(kind, format!("the daemon answered with status {status} and no reason"))
            } else {
                Fault::new(kind, text.chars().take(2000).collect::<String>())
            }
        }
    }
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        Fault::new(Kind::Internal, format!("the daemon's answer to `{path}` is not understood"))
            .with_source(error)
    })
}

/// An answer whose body is still on its way.
#[derive(Debug)]
pub struct Answer {
    response: http::Response<Incoming>,
    sender: Option<SendRequest<Upload>>,
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The next piece of the body, nothing at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            match self.response.body_mut().frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(Fault::new(Kind::Unavailable, "the daemon's answer broke off")
                        .with_source(Arc::new(error)));
                }
            }
        }
    }

    /// The whole body.
    pub async fn whole(&mut self) -> Result<Bytes, Fault> {
        let Some(first) = self.piece().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.piece().await? else { return Ok(first) };
        let mut all = bytes::BytesMut::from(first.as_ref());
        all.extend_from_slice(&second);
        while let Some(piece) = self.piece().await? {
            all.extend_from_slice(&piece);
            if all.len() > MOST_ANSWER {
                return Err(Fault::new(
                    Kind::ResourceExhausted,
                    "the daemon's answer is too large",
                ));
            }
        }
        Ok(all.freeze())
    }

    /// The body as JSON.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        let bytes = self.whole().await?;
        parse("the request", &bytes)
    }

    /// The body as JSON values, one after the other.
    pub fn lines(self) -> Lines {
        Lines::new(self)
    }
}
