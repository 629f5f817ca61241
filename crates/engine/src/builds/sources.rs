//! Acts: what builds start from: images that are here or at their registry, files of the network.

use crate::Images;
use crate::images::{Credentials, PullRequest};
use naru_build::RegistryAuth;
use naru_build::ports::{
    Base, Fetched, FileRequest, GitRequest, ImageRequest, Promise, Sources, Validators,
};
use naru_errdefs::{Fault, Kind};
use naru_git::{Oid, PackWriter, Tip};
use naru_oci::{Digest, Platform, Reference};
use naru_store::{ImageRecord, Store};
use naru_transfer::Download;
use tokio::sync::mpsc;

/// Brings images and files.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) images: Images,
    pub(super) store: Store,
}

impl Fetcher {
    /// The image of a name, and whether it serves a platform.
    async fn here(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<(ImageRecord, bool)>, Fault> {
        // Takes up what the embedded registry has, and makes the embedded image.
        self.images.look_up(name).await?;
        let found = match self.store.images.resolve(name) {
            Ok(image) => image.record,
            Err(error) => {
                let fault = Fault::from(error);
                return if fault.kind() == Kind::NotFound { Ok(None) } else { Err(fault) };
            }
        };
        let fits = found.platform.as_ref().is_none_or(|known| known.serves(platform));
        Ok(Some((found, fits)))
    }

    /// Who the build is to a registry.
    pub(super) fn credentials(&self, name: &Reference, request: &ImageRequest<'_>) -> Credentials {
        request.auth.get(name.registry()).map(credentials).unwrap_or_default()
    }

    pub(super) async fn pull(
        &self,
        reference: Reference,
        request: &ImageRequest<'_>,
        progress: &mpsc::Sender<(String, u64, u64)>,
    ) -> Result<(), Fault> {
        let auth = request.auth.get(reference.registry());
        let mut lines = self.images.pull(PullRequest {
            reference,
            all_tags: false,
            platform: (*request.platform != Platform::host()).then(|| request.platform.clone()),
            credentials: auth.map(credentials).unwrap_or_default(),
            limit_rate: None,
        });
        while let Some(line) = lines.next().await {
            let line = line?;
            if let Some((done, total)) = line.detail {
                let what = line.id.or(line.status).unwrap_or_default();
                progress.send((what, done, total)).await.ok();
            }
        }
        Ok(())
    }
}

pub(super) fn credentials(auth: &RegistryAuth) -> Credentials {
    if !auth.registry_token.is_empty() {
        return Credentials::RegistryToken(auth.registry_token.clone());
    }
    if !auth.identity_token.is_empty() {
        return Credentials::IdentityToken(auth.identity_token.clone());
    }
    if auth.user.is_empty() {
        return Credentials::Anonymous;
    }
    Credentials::Basic { user: auth.user.clone(), password: auth.password.clone() }
}

/// An image is here, but of no use for the platform that is built for.
fn elsewhere(request: &ImageRequest<'_>, other: &Platform) -> Fault {
    let text = format!(
        "`{}` is here for {other}, and none of it could be had for {}",
        request.name, request.platform
    );
    Fault::not_found(text).with_hint(format!(
        "build for what it is made for (`--platform {other}`), or bring the other one"
    ))
}

impl Sources for Fetcher {
    fn image<'a>(
        &'a self,
        request: ImageRequest<'a>,
        progress: mpsc::Sender<(String, u64, u64)>,
    ) -> Promise<'a, Result<Base, Fault>> {
        Box::pin(async move {
            if super::foreign::is_foreign(request.platform) {
                let record = super::foreign::image(self, &request, &progress).await?;
                return Ok(Base { record });
            }
            let (found, other) = match self.here(request.name, request.platform).await? {
                Some((record, true)) => (Some(record), None),
                Some((record, false)) => (None, record.platform),
                None => (None, None),
            };
            if let Some(record) = found.clone()
                && !request.pull
            {
                return Ok(Base { record });
            }
            let reference = match request.name.parse::<Reference>() {
                Ok(reference) => reference.or_latest(),
                // An ID cannot be asked for anywhere.
                Err(error) => {
                    return match (found, other) {
                        (Some(record), _) => Ok(Base { record }),
                        (None, Some(other)) => Err(elsewhere(&request, &other)),
                        (None, None) => Err(error.into()),
                    };
                }
            };
            if let Err(fault) = self.pull(reference, &request, &progress).await {
                let Some(other) = other else { return Err(fault) };
                return Err(elsewhere(&request, &other).with_source(fault));
            }
            match self.here(request.name, request.platform).await? {
                Some((record, true)) => Ok(Base { record }),
                Some((ImageRecord { platform: Some(other), .. }, false)) => {
                    Err(elsewhere(&request, &other))
                }
                Some(_) | None => Err(Fault::not_found(format!(
                    "`{}` has no image for the platform {}",
                    request.name, request.platform
                ))),
            }
        })
    }

    fn content<'a>(
        &'a self,
        digest: Digest,
        platform: &'a Platform,
    ) -> Promise<'a, Result<Base, Fault>> {
        Box::pin(super::foreign::content(&self.store, digest, platform))
    }

    fn file<'a>(&'a self, request: FileRequest<'a>) -> Promise<'a, Result<Fetched, Fault>> {
        Box::pin(async move {
            let registries = self.images.known_registries();
            let known = naru_transfer::Validators {
                etag: request.known.etag.clone(),
                last_modified: request.known.last_modified.clone(),
            };
            let path = &request.path;
            let fetched = naru_transfer::fetch_file(
                registries,
                request.address,
                path,
                (&known, request.authorization),
            )
            .await?;
            Ok(match fetched {
                Download::Unchanged => Fetched::Unchanged,
                Download::File { name, modified, validators } => {
                    let naru_transfer::Validators { etag, last_modified } = validators;
                    let validators = Validators { etag, last_modified };
                    Fetched::File { name, modified, validators }
                }
            })
        })
    }

    fn commit<'a>(&'a self, request: GitRequest<'a>) -> Promise<'a, Result<Tip, Fault>> {
        Box::pin(super::git::commit(self.images.known_registries(), request))
    }

    fn pack<'a>(
        &'a self,
        request: GitRequest<'a>,
        commit: Oid,
        pack: PackWriter,
    ) -> Promise<'a, Result<PackWriter, Fault>> {
        Box::pin(super::git::pack(self.images.known_registries(), request, commit, pack))
    }
}
