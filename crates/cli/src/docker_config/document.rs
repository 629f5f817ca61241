//! Pure: what `config.json` says, and how it is changed without touching what is not ours: other fields, their order and
//! their form.

use naru_api_types::registry::{AuthConfig, HUB_KEY, join_auth, split_auth};
use naru_errdefs::Fault;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The key of a registry's credentials: its host and port; for the Hub the address that docker has always written.
pub fn registry_key(server: &str) -> String {
    let host = host_of(server);
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB_KEY.to_owned(),
        host => host.to_owned(),
    }
}

/// Host and port of a server's address, in whichever form.
pub(super) fn host_of(server: &str) -> &str {
    let bare = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    bare.unwrap_or(server).split('/').next().unwrap_or_default()
}

/// An object whose values are kept as they are written.
#[derive(Debug, Default)]
struct Ordered(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Ordered {
    /// The last one counts, as for everybody who reads the file.
    fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| &**value)
    }

    fn put(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().rev().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != key);
        self.0.len() != before
    }

    fn text(&self, indent: &str) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let member = |(key, value): &(String, Box<RawValue>)| {
            let key = serde_json::Value::from(key.as_str());
            format!("{indent}\t{key}: {}", value.get())
        };
        let members: Vec<String> = self.0.iter().map(member).collect();
        format!("{{\n{}\n{indent}}}", members.join(",\n"))
    }
}

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Document {
    top: Ordered,
    auths: Ordered,
    /// Who keeps secrets: for all registries, and for single ones.
    store: String,
    helpers: BTreeMap<String, String>,
}

/// One registry's entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Document {
    pub(super) fn parse(text: &str) -> Result<Document, Fault> {
        if text.trim().is_empty() {
            return Ok(Document::default());
        }
        let bad = |what: &str| {
            let what = what.to_owned();
            move |error: serde_json::Error| {
                Fault::invalid(format!("{what}: {error}"))
                    .with_hint("correct the file, or move it away and log in again")
            }
        };
        let top: Ordered = serde_json::from_str(text).map_err(bad("it is not valid JSON"))?;
        let auths = match top.get("auths") {
            Some(auths) => serde_json::from_str::<Option<Ordered>>(auths.get())
                .map_err(bad("its `auths` is not an object"))?,
            None => None,
        };
        let store = match top.get("credsStore") {
            Some(store) => serde_json::from_str::<Option<String>>(store.get())
                .map_err(bad("its `credsStore` is not a text"))?,
            None => None,
        };
        let helpers = match top.get("credHelpers") {
            Some(helpers) => {
                serde_json::from_str::<Option<BTreeMap<String, String>>>(helpers.get())
                    .map_err(bad("its `credHelpers` are not texts by registry"))?
            }
            None => None,
        };
        Ok(Document {
            top,
            auths: auths.unwrap_or_default(),
            store: store.unwrap_or_default(),
            helpers: helpers.unwrap_or_default(),
        })
    }

    /// The name of the helper that keeps a registry's secrets.
    pub(super) fn helper(&self, key: &str) -> Option<String> {
        let own = self.helpers.get(key).or_else(|| self.helpers.get(host_of(key)));
        Some(own.unwrap_or(&self.store).clone()).filter(|name| !name.is_empty())
    }

    /// The registries that it knows, each once.
    pub(super) fn registries(&self) -> Vec<&str> {
        let known = self.auths.0.iter().map(|(key, _)| key.as_str());
        let mut all: Vec<&str> = known.chain(self.helpers.keys().map(String::as_str)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What the file itself says, with the key that it says it under; an entry that cannot be read says nothing.
    pub(super) fn credentials(&self, key: &str) -> AuthConfig {
        // Older clients wrote addresses of many forms.
        let old = || {
            let host = host_of(key);
            let (known, value) =
                self.auths.0.iter().rev().find(|(known, _)| host_of(known) == host)?;
            Some((known.as_str(), &**value))
        };
        let entry = self.auths.get(key).map(|value| (key, value)).or_else(old);
        let Some((key, value)) = entry else { return AuthConfig::default() };
        let entry = serde_json::from_str::<Option<Entry>>(value.get()).ok().flatten();
        let entry = entry.unwrap_or_default();
        let both = entry.auth.as_deref().and_then(split_auth);
        let (username, password) = both.unwrap_or_else(|| {
            (entry.username.unwrap_or_default(), entry.password.unwrap_or_default())
        });
        AuthConfig {
            username,
            password,
            serveraddress: key.to_owned(),
            identitytoken: entry.identitytoken.unwrap_or_default(),
            registrytoken: entry.registrytoken.unwrap_or_default(),
            ..AuthConfig::default()
        }
    }

    /// Sets a registry's entry; says whether that changed anything.
    pub(super) fn put(&mut self, key: &str, auth: &AuthConfig) -> Result<bool, Fault> {
        let fields = [
            ("auth", join_auth(&auth.username, &auth.password)),
            ("identitytoken", auth.identitytoken.clone()),
            ("registrytoken", auth.registrytoken.clone()),
        ];
        let entry = Ordered(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| {
                    Ok((name.to_owned(), raw(serde_json::Value::from(value).to_string())?))
                })
                .collect::<Result<_, Fault>>()?,
        );
        let text = entry.text("\t\t");
        let same = |old: &RawValue| {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            value(old.get()) == value(&text)
        };
        if self.auths.get(key).is_some_and(same) {
            return Ok(false);
        }
        self.auths.put(key, raw(text)?);
        Ok(true)
    }

    /// Takes a registry's entry away; says whether there was one.
    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.auths.remove(key)
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let Ok(auths) = raw(self.auths.text("\t")) else { return self.top.text("") };
        let mut top = Ordered(self.top.0.clone());
        top.put("auths", auths);
        top.text("")
    }
}

fn raw(text: String) -> Result<Box<RawValue>, Fault> {
    RawValue::from_string(text)
        .map_err(|error| Fault::internal("cannot write JSON").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(key: &str) -> AuthConfig {
        AuthConfig {
            username: "alice".to_owned(),
            password: "secret".to_owned(),
            serveraddress: key.to_owned(),
            ..AuthConfig::default()
        }
    }

    #[test]
    fn keys_of_registries() {
        for (server, key) in [
            ("", HUB_KEY),
            ("docker.io", HUB_KEY),
            ("https://index.docker.io/v1/", HUB_KEY),
            ("localhost:5000", "localhost:5000"),
            ("http://r.example", "r.example"),
            ("https://r.example/v2/", "r.example"),
        ] {
            assert_eq!(registry_key(server), key, "{server}");
        }
    }

    #[test]
    fn a_new_file_is_as_docker_writes_it() {
        let mut document = Document::parse("").unwrap();
        assert!(document.put("localhost:5000", &alice("")).unwrap());
        assert_eq!(
            document.text(),
            "{\n\t\"auths\": {\n\t\t\"localhost:5000\": {\n\t\t\t\"auth\": \"YWxpY2U6c2VjcmV0\"\n\t\t}\n\t}\n}"
        );
        assert!(!document.put("localhost:5000", &alice("")).unwrap(), "nothing changed");
        assert!(document.remove("localhost:5000") && !document.remove("localhost:5000"));
        assert_eq!(document.text(), "{\n\t\"auths\": {}\n}");
    }

    #[test]
    fn what_is_not_ours_stays() {
        let text = "{\n\t\"zeta\": { \"b\": 1,   \"a\": [2] },\n\t\"auths\": {\n\t\t\"old\": {\"auth\":\"YTpi\",\"email\":\"x\"}\n\t},\n\t\"alpha\": 1.50\n}";
        let mut document = Document::parse(text).unwrap();
        assert_eq!(document.text(), text);
        document.put("new", &alice("")).unwrap();
        document.remove("new");
        assert_eq!(document.text(), text);
    }

    #[test]
    fn entries_of_many_forms_are_read() {
        let document = Document::parse(
            r#"{"auths": {
                "https://old.example/v1/": {"auth": "YWxpY2U6c2VjcmV0"},
                "token.example": {"auth": "", "identitytoken": "t"},
                "plain.example": {"username": "a", "password": "b"},
                "broken.example": {"auth": "!"},
                "odd.example": 7,
                "null.example": null,
                "https://index.docker.io/v1/": {"auth": "aHViOnA="}
            }}"#,
        )
        .unwrap();
        let who = |key: &str| {
            let auth = document.credentials(key);
            let AuthConfig { username, password, identitytoken, serveraddress, .. } = auth;
            format!("{username}:{password}{identitytoken} {serveraddress}")
        };
        assert_eq!(who("old.example"), "alice:secret https://old.example/v1/");
        assert_eq!(who("token.example"), ":t token.example");
        assert_eq!(who("plain.example"), "a:b plain.example");
        assert_eq!(who(HUB_KEY), format!("hub:p {HUB_KEY}"));
        for key in ["broken.example", "odd.example", "null.example"] {
            assert_eq!(who(key), format!(": {key}"));
        }
        assert_eq!((who("other.example").as_str(), who("old").as_str()), (": ", ": "));
    }

    #[test]
    fn helpers_are_for_all_or_for_one() {
        let document = Document::parse(
            r#"{"credsStore": "all", "credHelpers": {"one.example": "one", "none.example": ""}}"#,
        )
        .unwrap();
        for (key, helper) in
            [("one.example", Some("one")), ("none.example", None), ("x", Some("all"))]
        {
            assert_eq!(document.helper(key).as_deref(), helper, "{key}");
        }
        assert_eq!(Document::parse("{}").unwrap().helper("x"), None);
    }

    #[test]
    fn a_broken_file_is_named() {
        for (text, message) in [
            ("{", "not valid JSON"),
            ("[]", "not valid JSON"),
            (r#"{"auths": []}"#, "`auths`"),
            (r#"{"credsStore": 1}"#, "`credsStore`"),
            (r#"{"credHelpers": {"a": 1}}"#, "`credHelpers`"),
        ] {
            let fault = Document::parse(text).unwrap_err();
            assert!(fault.message().contains(message), "{text}: {fault}");
        }
    }
}
