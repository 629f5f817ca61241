//! Pure: how an image was made, as a predicate of SLSA provenance 0.2, with the fields that BuildKit fills in.
//!
//! The minimum says when, for what and from what. Values of build arguments, labels, names of secrets and the text of the
//! Dockerfile are in the maximum only; what a secret *is* is known to nobody here.

use super::About;
use crate::assemble::rfc3339;
use crate::build::Shared;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use naru_dockerfile::PREDEFINED;
use naru_oci::{Digest, Platform};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The type of the predicate.
pub(super) const PREDICATE: &str = "https://slsa.dev/provenance/v0.2";
/// What says how the fields of the invocation are to be read.
const BUILD_TYPE: &str = "urn:naru:build:dockerfile:v1";

/// What a build was made from: addresses and digests.
#[derive(Debug, Default)]
pub(crate) struct Materials(Mutex<BTreeMap<String, Digest>>);

impl Materials {
    /// An image that a stage starts from or copies from.
    pub(crate) fn image(&self, name: &str, platform: &Platform, digest: Digest) {
        self.add(image_url(name, platform), digest);
    }

    /// Anything with an address.
    pub(crate) fn add(&self, address: String, digest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address, digest);
    }

    fn list(&self) -> Vec<Value> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(uri, digest): (&String, &Digest)| {
            let digest = BTreeMap::from([(digest.algorithm().as_str(), digest.hex())]);
            json!({"uri": uri, "digest": digest})
        };
        known.iter().map(one).collect()
    }
}

/// The package URL of an image.
pub(super) fn image_url(name: &str, platform: &Platform) -> String {
    let name = name.split('@').next().unwrap_or(name);
    let (path, tag) = match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (name, "latest"),
    };
    let platform = platform.to_string().replace('/', "%2F");
    format!("pkg:docker/{}@{tag}?platform={platform}", path.replace(':', "%3A"))
}

/// The predicate.
pub(super) fn predicate(shared: &Shared, about: &About<'_>, max: bool) -> Value {
    let options = &shared.options;
    let mut args = Map::new();
    if let Some(target) = &options.target {
        args.insert("target".to_owned(), target.clone().into());
    }
    let mut parameters = json!({
        "frontend": "dockerfile.v0",
        "locals": [{"name": "context"}, {"name": "dockerfile"}],
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // The same build once more says the same, where that is asked for.
    let (start, end) = match options.source_date_epoch {
        Some(epoch) => (epoch, epoch),
        None => (shared.now, now),
    };
    let invocation = match options.source_date_epoch {
        Some(_) => about.manifest.digest.hex(),
        None => crate::layer::random().unwrap_or_else(|_| about.manifest.digest.hex()),
    };
    let mut metadata = json!({
        "buildInvocationID": invocation.chars().take(24).collect::<String>(),
        "buildStartedOn": rfc3339(start),
        "buildFinishedOn": rfc3339(end),
        "completeness": {"parameters": max, "environment": true, "materials": false},
        "reproducible": false,
    });
    let mut predicate = Map::new();
    if max {
        // Proxies may have passwords in their addresses, and decide nothing.
        let told =
            options.build_args.iter().filter(|(name, _)| !PREDEFINED.contains(&name.as_str()));
        for (name, value) in told {
            if let Some(value) = value {
                args.insert(format!("build-arg:{name}"), value.clone().into());
            }
        }
        for (name, value) in &options.labels {
            args.insert(format!("label:{name}"), value.clone().into());
        }
        let ids = |ids: Vec<&String>| -> Vec<Value> {
            ids.into_iter().map(|id| json!({"id": id, "optional": true})).collect()
        };
        set(&mut parameters, "secrets", ids(options.secrets.keys().collect()).into());
        set(
            &mut parameters,
            "ssh",
            ids(options.ssh.iter().flat_map(|lent| &lent.ids).collect()).into(),
        );
        let source = json!({"source": {"infos": [{
            "filename": shared.file_name,
            "data": STANDARD.encode(shared.text.as_slice()),
        }]}});
        set(&mut metadata, "urn:naru:build:dockerfile:v1#metadata", source);
        let steps = shared.file.stages.iter().flat_map(|stage| {
            std::iter::once(stage.from.text.as_str())
                .chain(stage.steps.iter().map(|step| step.text.as_str()))
        });
        let steps: Vec<Value> = steps.map(|text| json!({"instruction": text})).collect();
        predicate.insert("buildConfig".to_owned(), json!({"steps": steps}));
    }
    set(&mut parameters, "args", args.into());
    let invocation = json!({
        "configSource": {"entryPoint": shared.file_name},
        "parameters": parameters,
        "environment": {"platform": Platform::host().to_string()},
    });
    predicate.insert("builder".to_owned(), json!({"id": ""}));
    predicate.insert("buildType".to_owned(), BUILD_TYPE.into());
    predicate.insert("materials".to_owned(), shared.materials.list().into());
    predicate.insert("invocation".to_owned(), invocation);
    predicate.insert("metadata".to_owned(), metadata);
    predicate.into()
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_package_urls() {
        let platform = Platform::new("linux", "amd64");
        for (name, url) in [
            ("box", "pkg:docker/box@latest?platform=linux%2Famd64"),
            ("a/b:1", "pkg:docker/a/b@1?platform=linux%2Famd64"),
            ("h:5000/b", "pkg:docker/h%3A5000/b@latest?platform=linux%2Famd64"),
            ("h:5000/b:2@sha256:0", "pkg:docker/h%3A5000/b@2?platform=linux%2Famd64"),
        ] {
            assert_eq!(image_url(name, &platform), url);
        }
    }
}
