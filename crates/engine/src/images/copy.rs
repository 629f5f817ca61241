//! Images from one place to another, and manifests at registries.
//!
//! Acts: what comes from or goes to a client is an archive; everything else the daemon reaches by itself.

use super::archive::{PIECES, Patient, Pieces};
use super::registry::told;
use super::{Images, ProgressStream, SaveFormat, SaveStream};
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Digest, Platform, Reference};
use naru_transfer::{AtRegistry, CopySource, Credentials, Platforms, RawManifest, begin_copy};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_util::io::SyncIoBridge;

/// How long what has no name waits for what it was brought for.
const WAITS: Duration = Duration::from_secs(600);

/// An image at a registry.
#[derive(Debug, Clone)]
pub struct RegistryPlace {
    /// The image.
    pub reference: Reference,
    /// Who the client is there.
    pub credentials: Credentials,
    /// Unverified TLS and plain HTTP are fine.
    pub insecure: bool,
}

/// Where an image is copied from.
#[derive(Debug, Clone)]
pub enum CopyFrom {
    /// A registry.
    Registry(RegistryPlace),
    /// The body, an archive; which of its images.
    Archive(Option<String>),
    /// An image that is here.
    Store(String),
    /// A manifest that is here, and is no image.
    Content(Digest),
}

/// Where it is copied to.
#[derive(Debug, Clone)]
pub enum CopyTo {
    /// A registry.
    Registry(RegistryPlace),
    /// An archive, which is the answer; its form, and how the image is called in it.
    Archive(SaveFormat, Option<String>),
    /// A name here.
    Store(Reference),
    /// This store, without a name and for a while only.
    Content,
}

/// A copy.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// From where.
    pub from: CopyFrom,
    /// To where.
    pub to: CopyTo,
    /// Everything that an index lists.
    pub all: bool,
    /// The platform that is meant.
    pub platform: Option<Platform>,
    /// Bytes a second.
    pub limit_rate: Option<u64>,
}

/// What a copy answers.
#[derive(Debug)]
pub enum CopyAnswer {
    /// Lines.
    Progress(ProgressStream),
    /// An archive with this manifest or index in it.
    Archive(Digest, SaveStream),
}

impl Images {
    /// Copies an image; the body is read if it is the source.
    pub async fn copy(
        &self,
        request: CopyRequest,
        body: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<CopyAnswer, Fault> {
        let platforms = match (request.all, request.platform.clone()) {
            (true, Some(_)) => {
                return Err(Fault::invalid(
                    "all platforms and one of them cannot be meant at once",
                )
                .with_hint("leave out `--all` or `--platform`"));
            }
            (true, None) => Platforms::All,
            (false, Some(platform)) => Platforms::One(platform),
            (false, None) => Platforms::Host,
        };
        let source = match request.from {
            CopyFrom::Registry(place) => CopySource::Registry(self.at(place)),
            CopyFrom::Archive(name) => {
                let input = SyncIoBridge::new(Patient::new(body, self.patience));
                CopySource::Archive { input: Box::new(input), name }
            }
            CopyFrom::Store(name) => {
                self.refresh(&name).await?;
                CopySource::Store(name)
            }
            CopyFrom::Content(digest) => CopySource::Content(digest),
        };
        let (images, rate) = (self.clone(), request.limit_rate);
        let stream = match request.to {
            CopyTo::Archive(format, name) => {
                return self.copy_to_archive(source, &platforms, (format, name), rate).await;
            }
            CopyTo::Registry(place) => {
                let there = self.at(place);
                told(async move |teller| {
                    let copying =
                        begin_copy(&images.store, source, &platforms, rate, &teller).await?;
                    copying.to_registry(&there, rate).await
                })
            }
            CopyTo::Content => told(async move |teller| {
                let copying = begin_copy(&images.store, source, &platforms, rate, &teller).await?;
                let root = copying.root().clone();
                copying.to_content(format!("content {}", root.digest), WAITS).await?;
                let tag = String::new();
                let pushed = naru_transfer::Pushed { tag, digest: root.digest, size: root.size };
                teller(naru_transfer::Progress { pushed: Some(pushed), ..Default::default() });
                Ok(())
            }),
            CopyTo::Store(name) => told(async move |teller| {
                let copying = begin_copy(&images.store, source, &platforms, rate, &teller).await?;
                let id = copying.to_store(&name).await?;
                images.tell("load", &id.to_string(), &name.or_latest().familiar());
                Ok(())
            }),
        };
        Ok(CopyAnswer::Progress(stream))
    }

    async fn copy_to_archive(
        &self,
        source: CopySource,
        platforms: &Platforms,
        (format, name): (SaveFormat, Option<String>),
        rate: Option<u64>,
    ) -> Result<CopyAnswer, Fault> {
        let format = match format {
            SaveFormat::Docker => naru_transfer::SaveFormat::Docker,
            SaveFormat::Oci => naru_transfer::SaveFormat::Oci,
        };
        // An archive has no room for lines.
        let teller: naru_transfer::Teller = Arc::new(|_| {});
        let copying = begin_copy(&self.store, source, platforms, rate, &teller).await?;
        let ready = copying.ready_for_archive(format).await?;
        let digest = ready.root().digest;
        let (sender, receiver) = mpsc::channel(PIECES);
        self.in_turn(move || {
            let mut output = Pieces::new(sender);
            let written = ready.write(format, name.as_deref(), &mut output).and_then(|()| {
                output.flush().map_err(|error| Fault::io("cannot send the archive", error))
            });
            if let Err(error) = written {
                // Whoever went away does not hear it.
                drop(output.sender.send(Err(error)));
            }
        });
        Ok(CopyAnswer::Archive(digest, SaveStream { receiver }))
    }

    /// A manifest or index of a registry, byte for byte, and the platform of a single image.
    pub async fn manifest(
        &self,
        place: RegistryPlace,
    ) -> Result<(RawManifest, Option<Platform>), Fault> {
        let there = self.at(place);
        let found = naru_transfer::fetch_manifest(&there).await?;
        let platform = naru_transfer::platform_of(&there, &found).await?;
        Ok((found, platform))
    }

    /// Puts a manifest or index into a registry, byte for byte.
    pub async fn put_manifest(
        &self,
        place: RegistryPlace,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<Descriptor, Fault> {
        naru_transfer::put_manifest(&self.at(place), media_type, bytes).await
    }

    fn at(&self, place: RegistryPlace) -> AtRegistry {
        let RegistryPlace { reference, credentials, insecure } = place;
        let registries = match insecure {
            true => self.registries.trusting(reference.registry()),
            false => self.registries.clone(),
        };
        AtRegistry { registries, reference, credentials }
    }
}
