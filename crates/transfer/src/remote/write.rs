//! Acts: the way to a repository that is written to: what pushes ask goes over the wire that pulls use.

use super::Registries;
use super::limit::Limiter;
use super::wire::{Call, Payload as Outgoing, Repository};
use crate::push::{Ask, Exchange, PIECE, Part, Payload, Target};
use crate::turns::Turn;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use naru_errdefs::{Fault, Kind};
use naru_oci::Digest;
use reqwest::Response;
use reqwest::header::HeaderName;
use std::sync::{Arc, Mutex};

impl Registries {
    /// The same registries, with unverified TLS and plain HTTP fine for one more of them. What is known of them is not
    /// shared; the bound on bytes a second is.
    #[must_use]
    pub fn trusting(&self, registry: &str) -> Registries {
        let mut config = self.config().clone();
        config.insecure.push(registry.to_owned());
        self.beside(config)
    }

    /// Blobs that one push uploads side by side.
    pub(crate) fn uploads(&self) -> usize {
        match self.config().uploads {
            0 => 5,
            uploads => uploads,
        }
    }

    /// Attempts in a row that may fail.
    pub(crate) fn attempts(&self) -> u32 {
        self.shared.attempts()
    }
}

impl Repository {
    /// Blobs that are fetched side by side.
    pub(crate) fn downloads(&self) -> usize {
        match self.shared.config.downloads {
            0 => 3,
            downloads => downloads,
        }
    }

    /// The turn to fetch a blob.
    pub(crate) fn turn(&self, digest: &Digest) -> Arc<Turn> {
        self.shared.turn(digest)
    }
}

/// A repository to be written.
#[derive(Debug)]
pub(crate) struct Writer {
    repository: Repository,
    /// The bound of this transfer alone.
    limiter: Option<Arc<Limiter>>,
}

impl Writer {
    /// A repository, and how many bytes a second may go there.
    pub(crate) fn new(repository: Repository, limit_rate: Option<u64>) -> Writer {
        Writer { repository, limiter: limit_rate.map(|rate| Arc::new(Limiter::new(rate))) }
    }

    async fn once(&self, ask: &Ask) -> Result<Response, Fault> {
        let target = match &ask.target {
            Target::Path(path) => format!("/v2/{}/{path}", self.repository.name()),
            Target::At(url) => url.to_string(),
        };
        let mut scopes = self.repository.scope("pull,push");
        scopes.extend(ask.also.iter().map(|from| format!("repository:{from}:pull")));
        let payload = match &ask.payload {
            Payload::Empty => Outgoing::None,
            Payload::Bytes(bytes) => Outgoing::Bytes(bytes.clone()),
            Payload::Part(part) => Outgoing::Once(Mutex::new(Some(self.body(part)))),
        };
        let headers = ask.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes());
            name.map(|name| (name, value.clone()))
        });
        let call = Call {
            attempt: "push",
            method: ask.method.clone(),
            target: &target,
            headers: headers.collect::<Result<_, _>>().map_err(|error| {
                Fault::internal("a header of a push has no valid name").with_source(error)
            })?,
            payload,
            scopes,
            // Whoever asks counts.
            attempts: 1,
            follow: false,
        };
        // Mirrors are never written to.
        let endpoints = self.repository.endpoints(false)?;
        let Some(endpoint) = endpoints.last() else {
            return Err(Fault::internal("a registry has no server"));
        };
        self.repository.send(endpoint, &call).await.map(|answer| answer.response)
    }

    /// How much of a blob is sent at once. Whoever may send little a second sends little at a time: neither we nor the registry take it
    /// for a connection that stands still.
    fn piece(&self) -> u64 {
        let limiters = self.repository.shared.limiter.iter().chain(&self.limiter);
        limiters.map(|limiter| limiter.piece()).min().map_or(PIECE, |piece| piece.min(PIECE))
    }

    /// The bytes of a blob as fast as they may go.
    fn body(&self, part: &Part) -> reqwest::Body {
        let (shared, own) = (Arc::clone(&self.repository.shared), self.limiter.clone());
        let paced = part.stream(self.piece()).then(move |piece| {
            let (shared, own) = (Arc::clone(&shared), own.clone());
            async move {
                let length = piece.as_ref().map_or(0, bytes::Bytes::len);
                for limiter in shared.limiter.iter().chain(&own) {
                    limiter.pass(length).await;
                }
                piece
            }
        });
        reqwest::Body::wrap_stream(paced)
    }
}

impl Exchange for Writer {
    fn registry(&self) -> &str {
        self.repository.registry()
    }

    fn repository(&self) -> &str {
        self.repository.name()
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Response, Fault>> {
        Box::pin(async move {
            let answer = self.once(&ask).await?;
            // A token may end while a blob is on its way; the wire has learnt from the refusal, and bytes can be read again.
            if answer.status().as_u16() == 401 && matches!(ask.payload, Payload::Part(_)) {
                return self.once(&ask).await;
            }
            if answer.status().is_redirection() && ask.method != reqwest::Method::HEAD {
                return Err(Fault::new(
                    Kind::Unavailable,
                    format!("`{}` sends a push elsewhere", self.repository.registry()),
                )
                .with_hint("name the registry that takes pushes itself"));
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RegistriesConfig;

    #[test]
    fn whoever_trusts_one_more_pays_for_bytes_where_the_others_do() {
        let config = RegistriesConfig { limit_rate: Some(1000), ..RegistriesConfig::default() };
        let registries = Registries::new(config);
        let trusting = registries.trusting("r.example");
        let limiter = |of: &Registries| of.shared.limiter.clone().unwrap();
        assert!(Arc::ptr_eq(&limiter(&registries), &limiter(&trusting)));
        assert_eq!(trusting.config().insecure, ["r.example"]);
    }

    #[test]
    fn who_may_send_little_a_second_sends_little_at_a_time() {
        for (all, own, expected) in [
            (None, None, PIECE),
            (None, Some(20_000), 2000),
            (Some(5000), Some(20_000), 500),
            (Some(1 << 40), None, PIECE),
            (None, Some(3), 1),
        ] {
            let config = RegistriesConfig { limit_rate: all, ..RegistriesConfig::default() };
            let who = crate::remote::Credentials::Anonymous;
            let repository = Repository::new(&Registries::new(config), "r.example", "a", &who);
            assert_eq!(Writer::new(repository, own).piece(), expected, "{all:?} {own:?}");
        }
    }
}
