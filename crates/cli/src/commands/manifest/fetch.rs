//! Acts: manifests at registries, asked for through the daemon.

use super::entry::Entry;
use crate::commands::registry::Registries;
use crate::exit::Failed;
use naru_api_types::Query;
use naru_api_types::copy::{CONTENT_DIGEST, CONTENT_PLATFORM};
use naru_client::Client;
use naru_errdefs::{Fault, Kind};
use naru_oci::{Descriptor, Digest, ManifestOrIndex, Platform, Reference, media_type};

/// A manifest as the registry has it.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) text: String,
    /// With the platform of a single image.
    pub(super) descriptor: Descriptor,
}

/// Fetches what a name means.
pub(super) async fn raw(
    client: &Client,
    registries: &Registries,
    name: &Reference,
    insecure: bool,
) -> Result<Raw, Failed> {
    let query = Query::new().with_flag("insecure", insecure);
    let auth = registries.header(name.registry());
    let mut answer = client.get_manifest(&name.to_string(), &query, auth).await?;
    let said = |name: &str| answer.header(name).map(str::to_owned);
    let (digest, kind) = (said(CONTENT_DIGEST), said("content-type"));
    let platform: Option<Platform> =
        said(CONTENT_PLATFORM).and_then(|text| serde_json::from_str(&text).ok());
    let unsaid = || Fault::new(Kind::Internal, "the daemon does not say what the manifest is");
    let digest: Digest = digest.ok_or_else(unsaid)?.parse().map_err(Fault::from)?;
    let kind = kind.ok_or_else(unsaid)?;
    let bytes = answer.whole().await?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let text = String::from_utf8(bytes.to_vec()).map_err(|error| {
        Fault::invalid(format!("the manifest of {name} is not text")).with_source(error)
    })?;
    let descriptor = Descriptor { platform, ..Descriptor::new(kind, digest, size) };
    Ok(Raw { text, descriptor })
}

/// Fetches a single image.
pub(super) async fn image(
    client: &Client,
    registries: &Registries,
    name: &Reference,
    insecure: bool,
) -> Result<Entry, Failed> {
    let Raw { text, descriptor } = raw(client, registries, name, insecure).await?;
    if media_type::is_index(&descriptor.media_type) {
        return Err(Fault::invalid(format!("{} is a manifest list", name.familiar()))
            .with_hint(format!(
                "name its images by digest: see `naru manifest inspect {}`",
                name.familiar()
            ))
            .into());
    }
    Ok(Entry { reference: name.clone(), descriptor, raw: text })
}

/// Fetches an image, or every image of an index.
pub(super) async fn every(
    client: &Client,
    registries: &Registries,
    name: &Reference,
    insecure: bool,
) -> Result<Vec<Entry>, Failed> {
    let Raw { text, descriptor } = raw(client, registries, name, insecure).await?;
    let index = match ManifestOrIndex::parse(text.as_bytes()).map_err(Fault::from)? {
        ManifestOrIndex::Index(index) => index,
        ManifestOrIndex::Manifest(_) => {
            return Ok(vec![Entry { reference: name.clone(), descriptor, raw: text }]);
        }
    };
    let mut entries = Vec::with_capacity(index.manifests.len());
    for inner in index.manifests {
        let reference = name.with_digest(inner.digest);
        let fetched = raw(client, registries, &reference, insecure).await?;
        entries.push(Entry { reference, descriptor: inner, raw: fetched.text });
    }
    Ok(entries)
}
