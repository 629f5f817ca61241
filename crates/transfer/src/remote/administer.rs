//! Acts: a registry as a whole: what it holds, and what its administrators ask of it.

use super::Registries;
use super::config::Credentials;
use super::refusal;
use super::transport::collect_body;
use super::wire::{Answer, Call, Payload, Repository};
use naru_errdefs::{Fault, Kind};
use reqwest::Method;
use serde::Deserialize;
use std::collections::BTreeSet;

/// An administrator's answer is no longer.
const ANSWER_LIMIT: usize = 64 << 20;
/// No registry has more repositories.
const MOST_REPOSITORIES: usize = 1_000_000;

/// A registry, as somebody known or unknown.
#[derive(Debug, Clone)]
pub struct RegistryHost {
    /// No repository of it: names come with each request.
    whole: Repository,
}

impl RegistryHost {
    /// A registry by its host, as in references.
    pub fn new(registries: &Registries, host: &str, who: &Credentials) -> RegistryHost {
        RegistryHost { whole: Repository::new(registries, host, "", who).without_mirrors() }
    }

    async fn ask(
        &self,
        attempt: &str,
        method: Method,
        target: &str,
        scope: &str,
    ) -> Result<Answer, Fault> {
        // What is asked for twice is done once more, at worst; a collection is not waited for twice.
        let attempts = if method == Method::GET { self.whole.shared().attempts() } else { 1 };
        let call = Call {
            attempt,
            method,
            target,
            headers: Vec::new(),
            payload: Payload::None,
            scopes: BTreeSet::from([scope.to_owned()]),
            attempts,
            follow: true,
        };
        let endpoints = self.whole.endpoints(false)?;
        let endpoint = endpoints.first().ok_or_else(|| Fault::internal("no server to ask"))?;
        self.whole.send(endpoint, &call).await
    }

    /// The names of all repositories that whoever asks may see, page by page.
    pub async fn repositories(&self) -> Result<Vec<String>, Fault> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            repositories: Option<Vec<String>>,
        }
        let attempt = "list the repositories";
        let mut target = "/v2/_catalog".to_owned();
        let (mut names, mut asked) = (Vec::new(), BTreeSet::new());
        loop {
            if !asked.insert(target.clone()) {
                let said = format!("the catalog of `{}` leads in a circle", self.whole.registry());
                return Err(Fault::new(Kind::Unavailable, said));
            }
            let answer = self.ask(attempt, Method::GET, &target, "registry:catalog:*").await?;
            if answer.status() != 200 {
                return Err(answer.refuse(attempt, self.whole.patience()).await);
            }
            let (body, next) = self.whole.take_page(answer).await?;
            let page: Page = serde_json::from_slice(&body).map_err(|error| {
                let said = format!("`{}` gave no list of repositories", self.whole.registry());
                Fault::new(Kind::Unavailable, said).with_source(error)
            })?;
            let page = page.repositories.unwrap_or_default();
            let is_last = page.is_empty();
            names.extend(page);
            match next.filter(|_| !is_last && names.len() < MOST_REPOSITORIES) {
                Some(next) => target = next,
                None => return Ok(names),
            }
        }
    }

    /// How much its repositories hold, as JSON; none when it is a registry that does not tell.
    pub async fn usage(&self) -> Result<Option<String>, Fault> {
        let attempt = "ask what the repositories hold";
        let answer = self.ask(attempt, Method::GET, "/admin/usage", "registry:admin:*").await?;
        self.told(attempt, answer).await
    }

    /// Has it collect now, and waits until it has; the report is JSON. `query` says how. None when it cannot be asked to.
    pub async fn collect(&self, query: &str) -> Result<Option<String>, Fault> {
        let attempt = "ask for a collection";
        let target = format!("/admin/gc{query}");
        let answer = self.ask(attempt, Method::POST, &target, "registry:admin:*").await?;
        self.told(attempt, answer).await
    }

    /// Has it drop a repository as a whole. None when it cannot be asked to.
    pub async fn remove_repository(&self, name: &str) -> Result<Option<String>, Fault> {
        let attempt = format!("remove the repository `{name}`");
        let target = format!("/admin/repositories/{name}");
        let scope = format!("repository:{name}:delete");
        let answer = self.ask(&attempt, Method::DELETE, &target, &scope).await?;
        self.told(&attempt, answer).await
    }

    async fn told(&self, attempt: &str, answer: Answer) -> Result<Option<String>, Fault> {
        let (status, host) = (answer.status(), answer.host.clone());
        if status != 200 && status != 404 {
            return Err(answer.refuse(attempt, self.whole.patience()).await);
        }
        let stall = self.whole.patience().stall;
        let body = collect_body(answer.response, ANSWER_LIMIT, stall, &host).await?;
        if status == 200 {
            return Ok(Some(String::from_utf8_lossy(&body).into_owned()));
        }
        // A registry that knows what was asked for says what is unknown; others know no such path.
        match refusal::words(&body) {
            Some(said) if said.starts_with("name unknown") => {
                Err(Fault::not_found(said).context(format!("cannot {attempt} at `{host}`")))
            }
            _ => Ok(None),
        }
    }
}

impl Repository {
    /// Takes a tag, or a manifest by its digest with all its tags, away.
    pub async fn remove(&self, reference: &str) -> Result<(), Fault> {
        let attempt = format!("remove `{reference}` of `{}`", self.name);
        let target = format!("/v2/{}/manifests/{reference}", self.name);
        let call = Call {
            attempt: &attempt,
            method: Method::DELETE,
            target: &target,
            headers: Vec::new(),
            payload: Payload::None,
            scopes: self.scope("delete"),
            attempts: self.shared.attempts(),
            follow: true,
        };
        let endpoints = self.endpoints(false)?;
        let endpoint = endpoints.first().ok_or_else(|| Fault::internal("no server to ask"))?;
        let answer = self.send(endpoint, &call).await?;
        match answer.status() {
            200 | 202 | 204 => Ok(()),
            // Debian's says 400 to a tag.
            400 | 405 => Err(answer.refuse(&attempt, self.patience()).await.with_hint(
                "some registries remove by digest only, and some only when they are configured to",
            )),
            _ => Err(answer.refuse(&attempt, self.patience()).await),
        }
    }
}
