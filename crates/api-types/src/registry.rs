//! Pure: what the calls about registries carry: credentials in a header or a body, and what a registry says of an image.

use crate::wire::wire;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The header with which a client says who it is to the registry that a call is about.
pub const REGISTRY_AUTH: &str = "X-Registry-Auth";

/// The Hub's name among credentials; what docker has written into `config.json` since its first day.
pub const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Written with padding, read with or without.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// Who somebody is to a registry.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct AuthConfig {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub username: String,
    /// Password.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub password: String,
    /// Both, as `config.json` has them.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub auth: String,
    /// The registry, as the client calls it.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub serveraddress: String,
    /// A token in place of a password.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub identitytoken: String,
    /// A token to be sent to the registry as it is.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "crate::wire::or_zero")]
    pub registrytoken: String,
}

impl fmt::Debug for AuthConfig {
    /// Never shows a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

impl AuthConfig {
    /// The value of the header.
    pub fn encode(&self) -> String {
        URL_SAFE.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a header's value says; nothing when it is not to be understood. Both alphabets are read, as clients use both.
    pub fn decode(header: &str) -> Option<AuthConfig> {
        let header = header.trim();
        let bytes = URL_SAFE.decode(header).or_else(|_| STANDARD.decode(header)).ok()?;
        serde_json::from_slice::<AuthConfig>(&bytes).ok().map(AuthConfig::completed)
    }

    /// The value of a header about several registries.
    pub fn encode_all(all: &crate::Map<AuthConfig>) -> String {
        URL_SAFE.encode(serde_json::to_vec(all).unwrap_or_default())
    }

    /// What such a header says, by the names that the client gives the registries.
    pub fn decode_all(header: &str) -> Option<crate::Map<AuthConfig>> {
        let header = header.trim();
        let bytes = URL_SAFE.decode(header).or_else(|_| STANDARD.decode(header)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The same with name and password taken out of `auth` when they stand there only.
    #[must_use]
    pub fn completed(mut self) -> AuthConfig {
        if self.username.is_empty()
            && self.password.is_empty()
            && let Some((username, password)) = split_auth(&self.auth)
        {
            self.username = username;
            self.password = password;
        }
        self
    }
}

/// Name and password in the form of `config.json`.
pub fn join_auth(username: &str, password: &str) -> String {
    if username.is_empty() && password.is_empty() {
        return String::new();
    }
    STANDARD.encode(format!("{username}:{password}"))
}

/// Name and password out of the form of `config.json`.
pub fn split_auth(auth: &str) -> Option<(String, String)> {
    if auth.is_empty() {
        return None;
    }
    let bytes = STANDARD.decode(auth.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.to_owned(), password.trim_end_matches('\0').to_owned()))
}

wire! {
    /// What a registry answered to a login.
    pub struct AuthResponse {
        /// For the person.
        pub status: String,
        /// A token to use instead of the password from now on.
        pub identity_token: String,
    }

    /// What a registry holds under a name.
    pub struct DistributionInspect {
        /// What the name means.
        pub descriptor: crate::image::Descriptor,
        /// The platforms it is there for.
        pub platforms: Vec<serde_json::Value>,
    }

    /// What a push led to, in its last line.
    pub struct PushResult {
        /// The tag.
        pub tag: String,
        /// What it points to now.
        pub digest: String,
        /// Bytes of that.
        pub size: u64,
    }

    /// How one registry is reached.
    pub struct IndexInfo {
        /// Its name.
        pub name: String,
        /// Asked before it.
        pub mirrors: Vec<String>,
        /// Whether its certificate is checked.
        pub secure: bool,
        /// Whether it is the Hub.
        pub official: bool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_survive_the_header() {
        let auth = AuthConfig {
            username: "alice".to_owned(),
            password: "p?>~".to_owned(),
            serveraddress: "localhost:5000".to_owned(),
            ..AuthConfig::default()
        };
        assert_eq!(AuthConfig::decode(&auth.encode()), Some(auth.clone()));
        assert!(!format!("{auth:?}").contains("p?>~"));
        assert_eq!(AuthConfig::default().encode(), "e30=");
    }

    #[test]
    fn headers_of_many_clients_are_read() {
        let alice =
            |header: &str| AuthConfig::decode(header).map(|auth| (auth.username, auth.password));
        let both = Some(("alice".to_owned(), "secret".to_owned()));
        // {"auth":"YWxpY2U6c2VjcmV0","email":null}
        assert_eq!(alice("eyJhdXRoIjoiWVd4cFkyVTZjMlZqY21WMCIsImVtYWlsIjpudWxsfQ=="), both);
        assert_eq!(alice("eyJhdXRoIjoiWVd4cFkyVTZjMlZqY21WMCIsImVtYWlsIjpudWxsfQ"), both);
        // {"username":"a?>","password":null}, once in either alphabet
        for header in [
            "eyJ1c2VybmFtZSI6ImE_PiIsInBhc3N3b3JkIjpudWxsfQ==",
            "eyJ1c2VybmFtZSI6ImE/PiIsInBhc3N3b3JkIjpudWxsfQ==",
        ] {
            assert_eq!(alice(header), Some(("a?>".to_owned(), String::new())), "{header}");
        }
        for header in ["!!!", "e30=e30=", "bm8="] {
            assert_eq!(alice(header), None, "{header}");
        }
    }

    #[test]
    fn the_form_of_the_configuration_file() {
        assert_eq!(join_auth("alice", "secret"), "YWxpY2U6c2VjcmV0");
        assert_eq!(join_auth("", ""), "");
        for (auth, split) in [
            ("YWxpY2U6c2VjcmV0", Some(("alice", "secret"))),
            ("YTpiOmM=", Some(("a", "b:c"))),
            ("", None),
            ("!", None),
            ("YWxpY2U=", None),
        ] {
            let split = split.map(|(name, password)| (name.to_owned(), password.to_owned()));
            assert_eq!(split_auth(auth), split, "{auth}");
        }
    }
}
