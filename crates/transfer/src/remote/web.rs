//! Acts: exchanges with servers that are no registries, as `ADD` and contexts of builds want them: whoever the address says
//! we are and nobody else, redirects and times within bounds.

use super::Registries;
use super::transport::transport_fault;
use bytes::Bytes;
use naru_errdefs::{Fault, Kind};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use std::time::{Duration, Instant};

/// How often a request may be sent elsewhere.
const MOST_REDIRECTS: usize = 10;
/// An answer that takes longer than [`GRACE`] brings so many bytes a second on the whole, or it is given up.
const SLOWEST: u64 = 1024;
/// How long an answer may be slower than that.
const GRACE: Duration = Duration::from_secs(120);

/// What is asked of a server.
#[derive(Debug, Clone)]
pub struct WebRequest<'a> {
    /// `http://…` or `https://…`; a user and a password in it are told to that server alone.
    pub address: &'a str,
    /// Further headers. `Authorization` goes to no other server than the one that is named.
    pub headers: Vec<(&'static str, String)>,
    /// A user and a password, for that server alone, too.
    pub basic: Option<(&'a str, &'a str)>,
    /// What is sent; nothing is asked for with GET.
    pub body: Option<Bytes>,
}

/// What a server answers, whatever the status.
#[derive(Debug)]
pub struct WebAnswer {
    response: Response,
    shown: String,
    host: String,
    stall: Duration,
    began: Instant,
    taken: u64,
}

/// Pure: an address without its password, for messages.
pub fn shown_address(address: &str) -> String {
    match Url::parse(address) {
        Ok(mut url) if url.password().is_some() => {
            // Only an address that can have none refuses one.
            url.set_password(Some("xxxxx")).ok();
            url.to_string()
        }
        Ok(_) | Err(_) => address.to_owned(),
    }
}

/// Asks a server, and whoever it sends us to.
pub async fn ask_web(
    registries: &Registries,
    request: &WebRequest<'_>,
) -> Result<WebAnswer, Fault> {
    let shared = &registries.shared;
    let shown = shown_address(request.address);
    let bad = |error| Fault::invalid(format!("`{shown}` is no address")).with_source(error);
    let mut url = Url::parse(request.address).map_err(bad)?;
    let first = url.clone();
    let mut body = request.body.clone();
    for _ in 0..=MOST_REDIRECTS {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::invalid(format!(
                "`{shown}` leads to an address that is not fetched: only http and https are"
            )));
        }
        let name = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        let client = shared.clients.get(&shared.config, &host, false)?;
        let at_home = url.origin() == first.origin();
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut asking = client.request(method, url.clone());
        for (name, value) in &request.headers {
            if at_home || !AUTHORIZATION.as_str().eq_ignore_ascii_case(name) {
                asking = asking.header(*name, value);
            }
        }
        if let Some((user, password)) = request.basic.filter(|_| at_home) {
            asking = asking.basic_auth(user, Some(password));
        }
        if let Some(body) = &body {
            asking = asking.body(body.clone());
        }
        let silent = |_late| Fault::new(Kind::Unavailable, format!("`{host}` does not answer"));
        let response = tokio::time::timeout(shared.patience.headers, asking.send())
            .await
            .map_err(silent)?
            .map_err(|error| transport_fault("fetch a file", &host, error))?;
        let status = response.status();
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            let target = response.headers().get(LOCATION).and_then(|text| text.to_str().ok());
            let target = target.ok_or_else(|| {
                Fault::new(Kind::Unavailable, format!("`{host}` redirects to nowhere"))
            })?;
            url = url.join(target).map_err(bad)?;
            if status == StatusCode::SEE_OTHER {
                body = None;
            }
            continue;
        }
        let (stall, began) = (shared.patience.stall, Instant::now());
        return Ok(WebAnswer { response, shown, host, stall, began, taken: 0 });
    }
    Err(Fault::new(Kind::Unavailable, format!("`{shown}` is redirected without end")))
}

impl WebAnswer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Where the answer comes from in the end.
    pub fn address(&self) -> &str {
        self.response.url().as_str()
    }

    /// The failure that an answer is which is none of success.
    pub fn refuse(&self) -> Result<(), Fault> {
        if self.response.status().is_success() {
            return Ok(());
        }
        let kind = match self.status() {
            404 | 410 => Kind::NotFound,
            401 | 403 => Kind::Forbidden,
            400..500 => Kind::InvalidInput,
            _ => Kind::Unavailable,
        };
        let status = self.response.status();
        Err(Fault::new(kind, format!("cannot fetch `{}`: the server answers {status}", self.shown)))
    }

    /// The next bytes; nothing at the end. Whoever falls silent or brings next to nothing for long is given up.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        let stopped = |why: &str| {
            let text = format!("`{}` {why} in the middle of `{}`", self.host, self.shown);
            Fault::new(Kind::Unavailable, text)
        };
        let piece = tokio::time::timeout(self.stall, self.response.chunk())
            .await
            .map_err(|_late| stopped("stopped"))?
            .map_err(|error| transport_fault("fetch a file", &self.host, error))?;
        self.taken += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let due = self.began.elapsed().saturating_sub(GRACE).as_secs();
        if due.saturating_mul(SLOWEST) > self.taken {
            return Err(stopped("became too slow"));
        }
        Ok(piece)
    }
}
