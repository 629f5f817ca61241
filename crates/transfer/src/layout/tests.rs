//! Archives as documents, and what is found in them.

use super::*;
use serde_json::{Value, json};

/// Documents that refer to one another by digest.
#[derive(Default)]
struct Layout {
    contents: Contents,
}

impl Layout {
    fn document(&mut self, media_type: &str, value: &Value) -> Value {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let descriptor =
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
        self.contents.documents.insert(blob_path(digest), bytes);
        descriptor
    }

    fn layer(&mut self, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let blob =
            StoredBlob { digest, size: bytes.len() as u64, layer_type: media_type::OCI_LAYER };
        self.contents.blobs.insert(blob_path(digest), blob);
        json!({"mediaType": media_type::OCI_LAYER, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn image(&mut self, architecture: &str) -> Value {
        let layer = self.layer(b"layer");
        let config = json!({"architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"layer").to_string()]}});
        let config = self.document(media_type::OCI_CONFIG, &config);
        self.document(
            media_type::OCI_MANIFEST,
            &json!({"schemaVersion": 2, "config": config, "layers": [layer]}),
        )
    }

    fn index(&mut self, manifests: &[Value]) -> Value {
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
        self.document(media_type::OCI_INDEX, &index)
    }

    fn plan(mut self, manifests: &[Value]) -> Result<Vec<Wanted>, LoadError> {
        let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
        self.contents.documents.insert("index.json".to_owned(), index.into_bytes());
        self.contents.plan(&Platform::new("linux", "amd64"))
    }
}

fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"] = json!({key: name});
    descriptor
}

#[test]
fn annotations_name_images() {
    const CONTAINERD: &str = "io.containerd.image.name";
    const OCI: &str = "org.opencontainers.image.ref.name";
    for (key, name, expected) in [
        (CONTAINERD, "docker.io/library/x:1", Some("docker.io/library/x:1")),
        (CONTAINERD, "x", Some("docker.io/library/x:latest")),
        (OCI, "x:1", Some("docker.io/library/x:1")),
        (OCI, "r.example/x", Some("r.example/x:latest")),
        (OCI, "x", Some("docker.io/library/x:latest")),
        (OCI, "latest", None),
        (OCI, "v1.2", None),
        (OCI, "3.18", None),
        (OCI, "not a name", None),
    ] {
        let mut layout = Layout::default();
        let image = layout.image("amd64");
        let images = layout.plan(&[named(image, key, name)]).unwrap();
        let names: Vec<String> = images[0].names.iter().map(Reference::to_string).collect();
        assert_eq!(names, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
    }
    let mut layout = Layout::default();
    let image = layout.image("amd64");
    assert!(matches!(
        layout.plan(&[named(image, CONTAINERD, "NO")]),
        Err(LoadError::BadName { .. })
    ));
    let mut layout = Layout::default();
    let image = layout.image("amd64");
    let twice = layout.plan(&[named(image.clone(), OCI, "x:1"), named(image, OCI, "x:2")]).unwrap();
    assert_eq!((twice.len(), twice[0].names.len()), (1, 2));
}

#[test]
fn an_image_for_another_platform_is_taken_when_there_is_no_other() {
    let mut layout = Layout::default();
    let (first, second) = (layout.image("s390x"), layout.image("amd64"));
    let index = layout.index(&[first, second.clone()]);
    assert_eq!(layout.plan(&[index]).unwrap()[0].manifest.digest.to_string(), second["digest"]);
    let mut layout = Layout::default();
    let only = layout.image("s390x");
    let index = layout.index(std::slice::from_ref(&only));
    assert_eq!(layout.plan(&[index]).unwrap()[0].manifest.digest.to_string(), only["digest"]);
}

#[test]
fn an_index_may_not_be_nested_without_end() {
    for (depth, fits) in [(7, true), (12, false)] {
        let mut layout = Layout::default();
        let mut next = layout.image("amd64");
        for _ in 0..depth {
            next = layout.index(&[next]);
        }
        match layout.plan(&[next]) {
            Ok(images) => assert!(fits && images.len() == 1),
            Err(error) => assert!(!fits && matches!(error, LoadError::IndexTooDeep { .. })),
        }
    }
    // No honest digest makes a circle; documents that were not checked could.
    let mut layout = Layout::default();
    let digest = Digest::of(b"circle");
    let circle = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [{"mediaType": media_type::OCI_INDEX, "digest": digest.to_string(), "size": 0}]});
    let mut bytes = circle.to_string();
    let size = bytes.len() + 2;
    bytes = bytes.replace("\"size\":0", &format!("\"size\":{size}"));
    let size = bytes.len();
    layout.contents.documents.insert(blob_path(digest), bytes.into_bytes());
    let entry =
        json!({"mediaType": media_type::OCI_INDEX, "digest": digest.to_string(), "size": size});
    assert!(matches!(layout.plan(&[entry]), Err(LoadError::IndexTooDeep { .. })));
}

#[test]
fn descriptors_that_lie_are_refused() {
    let mut layout = Layout::default();
    let mut image = layout.image("amd64");
    image["size"] = json!(5);
    assert!(matches!(layout.plan(&[image]), Err(LoadError::WrongSize { .. })));
    let absent = json!({"mediaType": media_type::OCI_MANIFEST, "digest": Digest::of(b"no").to_string(), "size": 2});
    assert!(matches!(Layout::default().plan(&[absent]), Err(LoadError::Missing { .. })));
    assert!(matches!(Layout::default().plan(&[]), Err(LoadError::NoImage)));
    let mut layout = Layout::default();
    let artifact = layout.document(media_type::OCI_MANIFEST, &json!({"schemaVersion": 2, "config":
        {"mediaType": media_type::OCI_EMPTY, "digest": Digest::of(b"{}").to_string(), "size": 2}, "layers": []}));
    layout.contents.documents.insert(blob_path(Digest::of(b"{}")), b"{}".to_vec());
    assert!(matches!(layout.plan(&[artifact]), Err(LoadError::NoImage)));
}
