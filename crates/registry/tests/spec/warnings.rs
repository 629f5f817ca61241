//! "Warnings". The one thing that is warned of is content of another registry that may be old, since that one is away.

use crate::listening::{How, Listening, image};
use futures_util::stream;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Digest, media_type};
use naru_registry::cache::{Cache, CacheConfig, UpstreamConfig};
use naru_registry::upstream::{Answer, Upstream, UpstreamBlob, UpstreamManifest};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A registry with one manifest, that goes away.
#[derive(Default)]
struct Other {
    is_away: AtomicBool,
}

impl Other {
    fn there<T: Send + 'static>(&self, answer: T) -> Answer<'_, T> {
        let away = self.is_away.load(Ordering::SeqCst);
        let answer = if away { Err(Fault::new(Kind::Unavailable, "away")) } else { Ok(answer) };
        Box::pin(async { answer })
    }
}

impl Upstream for Other {
    fn manifest<'a>(&'a self, _: &'a str, _: &'a str, head: bool) -> Answer<'a, UpstreamManifest> {
        let bytes = image(json!({}));
        self.there(UpstreamManifest {
            media_type: media_type::OCI_MANIFEST.to_owned(),
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
            bytes: (!head).then(|| bytes.into()),
        })
    }

    fn blob<'a>(&'a self, _: &'a str, _: &'a Digest, _: u64) -> Answer<'a, UpstreamBlob> {
        self.there((None, Box::pin(stream::empty()) as _))
    }

    fn tags<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<String>> {
        self.there(vec!["v1".to_owned()])
    }
}

#[test]
fn warnings_have_code_299_agent_and_no_date_and_are_short() {
    let dir = tempfile::tempdir().unwrap();
    let other = Arc::new(Other::default());
    let config = CacheConfig {
        upstreams: vec![UpstreamConfig {
            prefix: Some("there".to_owned()),
            ttl: 0,
            ..UpstreamConfig::new("registry.example")
        }],
        local: vec![],
        names: vec![],
        max_size: None,
        max_age: None,
    };
    let port = Arc::clone(&other);
    let how = How {
        change: &|registry, store| {
            let connect = |_: &UpstreamConfig| Ok(Arc::clone(&port) as Arc<dyn Upstream>);
            registry.caching(Cache::new(store, &config, connect).unwrap())
        },
        ..How::default()
    };
    let registry = Listening::at(dir.path(), how);
    let paths = ["/v2/there/a/manifests/v1", "/v2/there/a/tags/list"];
    for path in paths {
        assert_eq!(registry.get(path).with(200).all("warning"), [""; 0]);
    }
    other.is_away.store(true, Ordering::SeqCst);
    for path in paths {
        let answer = registry.get(path).with(200);
        let warnings = answer.all("warning");
        assert!(!warnings.is_empty(), "{path}");
        for warning in &warnings {
            // The text is quoted and the last thing: a date would follow it.
            let text = warning.strip_prefix("299 - \"").unwrap().strip_suffix('"').unwrap();
            assert!(!text.contains('"'), "{warning}");
        }
        assert!(warnings.iter().map(|warning| warning.len()).sum::<usize>() <= 4096);
    }
}
