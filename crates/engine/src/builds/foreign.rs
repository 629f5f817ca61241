//! Acts: base images for other platforms than this host's. Names here go on meaning what runs here: what is for others is
//! found in the index of an image that is here, or fetched by its digest.

use super::sources::Fetcher;
use naru_build::ports::{Base, ImageRequest};
use naru_errdefs::{Fault, Kind};
use naru_oci::{
    Config, Descriptor, Digest, Index, Manifest, ManifestOrIndex, Platform, Reference, media_type,
};
use naru_store::{ImageRecord, Store};
use naru_transfer::{AtRegistry, Layer};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest document that is read.
const MAX_DOCUMENT: u64 = 8 << 20;
/// How long what was unpacked waits to be held by the build that asked for it.
const WAITS: Duration = Duration::from_secs(600);

/// Whether an image is for another kind of host.
pub(super) fn is_foreign(platform: &Platform) -> bool {
    let host = Platform::host();
    (platform.os.as_str(), platform.architecture.as_str())
        != (host.os.as_str(), host.architecture.as_str())
}

/// The image of a name for another platform.
pub(super) async fn image(
    fetcher: &Fetcher,
    request: &ImageRequest<'_>,
    progress: &mpsc::Sender<(String, u64, u64)>,
) -> Result<ImageRecord, Fault> {
    if !request.pull
        && let Some(record) = here(fetcher, request).await?
    {
        return Ok(record);
    }
    let reference = request.name.parse::<Reference>()?.or_latest();
    let there = AtRegistry {
        registries: fetcher.images.known_registries().clone(),
        credentials: fetcher.credentials(&reference, request),
        reference: reference.clone(),
    };
    let raw = naru_transfer::fetch_manifest_by(&there, None).await?;
    let digest = match ManifestOrIndex::parse(&raw.bytes)? {
        ManifestOrIndex::Manifest(_) => raw.digest,
        ManifestOrIndex::Index(index) => match index.choose(request.platform) {
            Some(entry) => entry.digest,
            None => return Err(absent(request, Some(&index))),
        },
    };
    let exact = reference.with_digest(digest);
    // By its digest alone: the tag goes on meaning what it does.
    fetcher.pull(exact.clone(), request, progress).await?;
    let found = fetcher.store.images.get(&exact)?;
    let fits = |record: &ImageRecord| {
        record.platform.as_ref().is_none_or(|known| known.serves(request.platform))
    };
    found.filter(fits).ok_or_else(|| absent(request, None))
}

/// An image that the client has brought into the store.
pub(super) async fn content(
    store: &Store,
    digest: Digest,
    platform: &Platform,
) -> Result<Base, Fault> {
    let (store, platform) = (store.clone(), platform.clone());
    super::blocking(move || {
        let lease = store.leases.keep(&format!("base {digest}"), WAITS)?;
        store.leases.hold_blob(&lease, &digest)?;
        let bytes = store.content.read(&digest, MAX_DOCUMENT)?;
        let entry = match ManifestOrIndex::parse(&bytes)? {
            ManifestOrIndex::Index(index) => index.choose(&platform).cloned().ok_or_else(|| {
                Fault::not_found(format!("the layout has no image for the platform {platform}"))
                    .with_hint("build for a platform that it has, or name another image of it: `oci-layout://DIRECTORY@DIGEST`")
            })?,
            ManifestOrIndex::Manifest(manifest) => Descriptor::new(
                manifest.media_type.as_deref().unwrap_or(media_type::OCI_MANIFEST),
                digest,
                bytes.len() as u64,
            ),
        };
        let lacks = || {
            Fault::not_found(format!("the layout lacks parts of the image {}", entry.digest))
                .with_hint("export it again; of an index for several platforms, all parts of this one have to be there")
        };
        Ok(Base { record: unpacked(&store, &lease, &entry)?.ok_or_else(lacks)? })
    })
    .await
}

fn absent(request: &ImageRequest<'_>, index: Option<&Index>) -> Fault {
    let fault = Fault::not_found(format!(
        "`{}` has no image for the platform {}",
        request.name, request.platform
    ));
    let entries = index.map(|index| index.manifests.as_slice()).unwrap_or_default();
    let platforms = entries.iter().filter_map(|entry| entry.platform.as_ref());
    let names: Vec<String> = platforms
        .filter(|platform| platform.os != "unknown")
        .take(16)
        .map(ToString::to_string)
        .collect();
    match names.is_empty() {
        true => fault.with_hint("leave `--platform` out, or start from another image"),
        false => fault.with_hint(format!("it is there for {}", names.join(", "))),
    }
}

/// The image, when all of it is here.
async fn here(fetcher: &Fetcher, request: &ImageRequest<'_>) -> Result<Option<ImageRecord>, Fault> {
    fetcher.images.look_up(request.name).await?;
    let (store, name) = (fetcher.store.clone(), request.name.to_owned());
    let platform = request.platform.clone();
    super::blocking(move || {
        let found = match store.images.resolve(&name) {
            Ok(image) => image.record,
            Err(error) => {
                let fault = Fault::from(error);
                return if fault.kind() == Kind::NotFound { Ok(None) } else { Err(fault) };
            }
        };
        if found.platform.as_ref().is_none_or(|known| known.serves(&platform)) {
            return Ok(Some(found));
        }
        let lease = store.leases.keep(&format!("base {}", found.target.digest), WAITS)?;
        store.leases.hold_blob(&lease, &found.target.digest)?;
        let ManifestOrIndex::Index(index) = read(&store, &found.target.digest)? else {
            return Ok(None);
        };
        match index.choose(&platform) {
            Some(entry) if store.content.has(&entry.digest) => unpacked(&store, &lease, entry),
            Some(_) | None => Ok(None),
        }
    })
    .await
}

fn read(store: &Store, digest: &Digest) -> Result<ManifestOrIndex, Fault> {
    Ok(ManifestOrIndex::parse(&store.content.read(digest, MAX_DOCUMENT)?)?)
}

/// An image of an index, unpacked, when all of it is here.
fn unpacked(
    store: &Store,
    lease: &naru_store::LeaseId,
    entry: &Descriptor,
) -> Result<Option<ImageRecord>, Fault> {
    let ManifestOrIndex::Manifest(manifest) = read(store, &entry.digest)? else { return Ok(None) };
    let Manifest { config: described, layers, .. } = *manifest;
    if !layers.iter().chain([&described]).all(|part| store.content.has(&part.digest)) {
        return Ok(None);
    }
    let bytes = store.content.read(&described.digest, MAX_DOCUMENT)?;
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        Fault::new(Kind::DataLoss, "the config of a base image is damaged").with_source(error)
    })?;
    let pairs = layers.into_iter().zip(&config.rootfs.diff_ids);
    let layers: Vec<Layer> =
        pairs.map(|(blob, diff_id)| Layer { blob, diff_id: *diff_id }).collect();
    let (chain, size) = naru_transfer::unpack(store, lease, &layers)?;
    Ok(Some(ImageRecord::new(
        entry.clone(),
        entry.digest,
        (described.digest, &config),
        (chain, size),
    )))
}
