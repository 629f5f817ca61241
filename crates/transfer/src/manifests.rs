//! Acts: single manifests and indexes at registries, byte for byte: what images of several platforms are put together from.

use crate::copy::AtRegistry;
use crate::push::{Document, put_document};
use crate::remote::{MANIFEST_LIMIT, RawManifest, Writer};
use naru_errdefs::{Fault, Kind};
use naru_oci::{Algorithm, Config, Descriptor, Digest, ManifestOrIndex, Platform, media_type};

/// What a name means at its registry. The bytes have the digest that the name asks for.
pub async fn fetch_manifest(there: &AtRegistry) -> Result<RawManifest, Fault> {
    there.repository().manifest(&there.reference()).await
}

/// The platform of a single image, as its configuration says; none of an index or an artifact.
pub async fn platform_of(
    there: &AtRegistry,
    manifest: &RawManifest,
) -> Result<Option<Platform>, Fault> {
    let ManifestOrIndex::Manifest(parsed) = ManifestOrIndex::parse(&manifest.bytes)? else {
        return Ok(None);
    };
    if !media_type::is_config(&parsed.config.media_type) {
        return Ok(None);
    }
    let bytes = there.repository().small_blob(&parsed.config).await?;
    Ok(serde_json::from_slice::<Config>(&bytes).ok().map(|config| config.platform()))
}

/// Puts a manifest or index under a name. What it refers to has to be in the repository, which the registry checks.
pub async fn put_manifest(
    there: &AtRegistry,
    kind: &str,
    bytes: Vec<u8>,
) -> Result<Descriptor, Fault> {
    let document = check(there.reference.digest(), kind, bytes)?;
    let wire = Writer::new(there.repository(), None);
    put_document(&wire, there.registries.attempts(), &there.reference(), &document).await?;
    Ok(document.descriptor)
}

/// Pure: whether bytes are what they are said to be.
fn check(digest: Option<Digest>, kind: &str, bytes: Vec<u8>) -> Result<Document, Fault> {
    if bytes.len() > MANIFEST_LIMIT {
        return Err(Fault::new(
            Kind::ResourceExhausted,
            format!("the manifest is larger than {MANIFEST_LIMIT} bytes"),
        ));
    }
    let inside = match ManifestOrIndex::parse(&bytes)? {
        ManifestOrIndex::Manifest(manifest) if media_type::is_manifest(kind) => manifest.media_type,
        ManifestOrIndex::Index(index) if media_type::is_index(kind) => index.media_type,
        ManifestOrIndex::Manifest(_) | ManifestOrIndex::Index(_) => {
            return Err(Fault::invalid(format!("the manifest is not of the type `{kind}`")));
        }
    };
    if let Some(inside) = inside.filter(|inside| inside != kind) {
        return Err(Fault::invalid(format!(
            "the manifest says that it is `{inside}`, and was sent as `{kind}`"
        )));
    }
    let algorithm = digest.map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let found = Digest::of_as(algorithm, &bytes);
    if let Some(wanted) = digest.filter(|wanted| *wanted != found) {
        return Err(Fault::invalid(format!(
            "the manifest has the digest `{found}` instead of `{wanted}`"
        )));
    }
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    Ok(Document { descriptor: Descriptor::new(kind, found, size), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_it_says_it_is() {
        let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        let own = Digest::of(&index);
        let check = |digest, kind: &str, bytes: &[u8]| {
            check(digest, kind, bytes.to_vec()).map(|document| document.descriptor.digest)
        };
        assert_eq!(check(None, media_type::OCI_INDEX, &index).unwrap(), own);
        assert_eq!(check(Some(own), media_type::DOCKER_LIST, &index).unwrap(), own);
        assert!(check(Some(Digest::of(b"x")), media_type::OCI_INDEX, &index).is_err());
        assert!(check(None, media_type::OCI_MANIFEST, &index).is_err());
        assert!(check(None, "text/html", &index).is_err());
        assert!(check(None, media_type::OCI_INDEX, b"<html>").is_err());
        let docker = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
            media_type::DOCKER_LIST
        );
        assert!(check(None, media_type::OCI_INDEX, docker.as_bytes()).is_err());
        assert!(check(None, media_type::DOCKER_LIST, docker.as_bytes()).is_ok());
        let large = vec![b' '; MANIFEST_LIMIT + 1];
        assert_eq!(
            check(None, media_type::OCI_INDEX, &large).unwrap_err().kind(),
            Kind::ResourceExhausted
        );
    }
}
