//! The section `auth` of the registry's configuration. Pure.

use super::Action;
use crate::config::Period;
use naru_errdefs::Fault;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who is known, and what they may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AccessConfig {
    /// File of users and their bcrypt hashes, as `htpasswd -B` makes it; read again when it changes.
    pub htpasswd: Option<PathBuf>,
    /// How clients are asked who they are. Both kinds of credentials are taken whatever is asked for.
    pub challenge: Option<Challenge>,
    /// What everybody may do in every repository, known or not.
    pub anonymous: Option<Vec<Action>>,
    /// Users of each group.
    pub groups: BTreeMap<String, Vec<String>>,
    /// What users may do. Absent: everything. Present: nothing but what a rule allows.
    pub policy: Option<Vec<PolicyRule>>,
    /// The registry's own tokens.
    pub token: TokenConfig,
}

/// How clients are asked who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from `/token`, which takes user name and password.
    Token,
}

/// One rule: who may do what where. Rules only ever allow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PolicyRule {
    /// Patterns of names: `*` within a segment, `**` for any segments, `{user}` for the user's name.
    pub repositories: Vec<String>,
    /// Users; `*` is every user that is known.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Everybody, known or not.
    pub anonymous: bool,
    /// What is allowed.
    pub actions: Vec<Action>,
}

/// The registry's own tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TokenConfig {
    /// Who issues them (default `naru`).
    pub issuer: Option<String>,
    /// For whom they are (default `naru-registry`).
    pub service: Option<String>,
    /// Where clients get them, when it is not `/token` of the address that they came by (behind a proxy, say).
    pub realm: Option<String>,
    /// How long they are good for (default 5m; 60s to 24h).
    pub lifetime: Option<Period>,
    /// How long refresh tokens are good for (default 30d; at most 366d). `0s`: none are given.
    pub refresh_lifetime: Option<Period>,
}

impl AccessConfig {
    /// Whether each value may be what it is.
    pub fn validate(&self) -> Result<(), Fault> {
        let token = &self.token;
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 255
                && text.bytes().all(|it| it.is_ascii_graphic() && it != b'"' && it != b'\\')
        };
        for (name, value) in
            [("issuer", &token.issuer), ("service", &token.service), ("realm", &token.realm)]
        {
            if value.as_deref().is_some_and(|value| !plain(value)) {
                return Err(Fault::invalid(format!("invalid `auth.token.{name}`")).with_hint(
                    "write 1 to 255 ASCII characters, without spaces, quotes and backslashes",
                ));
            }
        }
        let is_url = |it: &str| it.starts_with("http://") || it.starts_with("https://");
        if token.realm.as_deref().is_some_and(|realm| !is_url(realm)) {
            return Err(Fault::invalid("invalid `auth.token.realm`: it is no URL")
                .with_hint("write https://registry.example/token"));
        }
        if !(60..=24 * 60 * 60).contains(&token.lifetime()) {
            return Err(Fault::invalid("invalid `auth.token.lifetime`: it must be 60s to 24h"));
        }
        if token.refresh_lifetime() > 366 * 24 * 60 * 60 {
            return Err(Fault::invalid("invalid `auth.token.refresh-lifetime`: at most 366d"));
        }
        Ok(())
    }
}

impl TokenConfig {
    /// Who issues tokens.
    pub fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or("naru")
    }

    /// For whom tokens are.
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or("naru-registry")
    }

    /// Seconds that tokens are good for.
    pub fn lifetime(&self) -> u64 {
        self.lifetime.map_or(5 * 60, Period::seconds)
    }

    /// Seconds that refresh tokens are good for; 0 when none are given.
    pub fn refresh_lifetime(&self) -> u64 {
        self.refresh_lifetime.map_or(30 * 24 * 60 * 60, Period::seconds)
    }
}
