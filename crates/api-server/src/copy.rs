//! Acts: the calls of ours that copy images and put manifests together.

use crate::convert::registry as convert;
use crate::dispatch::Call;
use crate::error::Refusal;
use crate::images::{progress, reader};
use crate::reply::{self, Reply};
use axum::body::Body;
use http::StatusCode;
use http::header::HeaderValue;
use naru_api_types::copy::{CONTENT_DIGEST, CONTENT_PLATFORM, Place, SOURCE_AUTH};
use naru_api_types::progress::IdResponse;
use naru_api_types::registry::AuthConfig;
use naru_engine::Images;
use naru_engine::images::{
    CopyAnswer, CopyFrom, CopyRequest, CopyTo, Credentials, RegistryPlace, SaveFormat,
};
use naru_errdefs::{Fault, one_line};
use naru_oci::Reference;
use std::io;

pub(crate) async fn copy(images: &Images, call: Call) -> Result<Reply, Refusal> {
    let request = request(&call)?;
    // A failure of a registry must not be taken for one of the daemon.
    let answer = images.copy(request, reader(call)).await;
    match answer.map_err(|fault| Refusal::from(fault).of_registry())? {
        CopyAnswer::Progress(stream) => progress(stream, false).await.map_err(Refusal::of_registry),
        CopyAnswer::Archive(digest, archive) => {
            let pieces = futures_util::stream::unfold(archive, |mut archive| async move {
                let piece = archive.next().await?.map_err(|fault: Fault| {
                    tracing::warn!(error = %one_line(&fault), "copying to an archive broke off");
                    io::Error::other(one_line(&fault))
                });
                Some((piece, archive))
            });
            let body = Body::from_stream(pieces);
            let answer = reply::with_type(StatusCode::OK, "application/x-tar", body);
            Ok(with_digest(answer, &digest.to_string()))
        }
    }
}

fn request(call: &Call) -> Result<CopyRequest, Fault> {
    let place = |name: &str| -> Result<Place, Fault> {
        let text = call.query.text(name);
        let text = text.ok_or_else(|| Fault::invalid(format!("`{name}` is missing")))?;
        Ok(text.parse()?)
    };
    let source = call.header(SOURCE_AUTH).and_then(AuthConfig::decode).map(convert::credentials);
    let from = match place("source")? {
        Place::Registry(name) => CopyFrom::Registry(RegistryPlace {
            reference: reference(&name)?,
            credentials: source.unwrap_or_default(),
            insecure: call.query.flag("source-insecure"),
        }),
        Place::Store(name) => CopyFrom::Store(name),
        Place::DockerArchive(name) | Place::OciArchive(name) => CopyFrom::Archive(name),
        Place::Content(digest) => CopyFrom::Content(digest.unwrap_or_default().parse()?),
    };
    let to = match place("destination")? {
        Place::Registry(name) => CopyTo::Registry(RegistryPlace {
            reference: reference(&name)?,
            credentials: call.credentials().unwrap_or_default(),
            insecure: call.query.flag("destination-insecure"),
        }),
        Place::Store(name) => {
            let reference = reference(&name)?;
            if reference.digest().is_some() {
                return Err(Fault::invalid("an image is kept under a tag, not under a digest")
                    .with_hint("write `store:NAME:TAG`"));
            }
            CopyTo::Store(reference)
        }
        Place::DockerArchive(name) => {
            if let Some(name) = &name {
                // Before anything is fetched.
                reference(name)?;
            }
            CopyTo::Archive(SaveFormat::Docker, name)
        }
        Place::OciArchive(name) => CopyTo::Archive(SaveFormat::Oci, name),
        Place::Content(_) => CopyTo::Content,
    };
    Ok(CopyRequest {
        from,
        to,
        all: call.query.flag("all"),
        platform: convert::platform(call.query.text("platform"))?,
        limit_rate: convert::limit_rate(&call.query)?,
    })
}

fn reference(text: &str) -> Result<Reference, Fault> {
    Ok(text.parse::<Reference>()?.or_latest())
}

fn there(name: &str, call: &Call) -> Result<RegistryPlace, Fault> {
    let credentials: Credentials = call.credentials().unwrap_or_default();
    let insecure = call.query.flag("insecure");
    Ok(RegistryPlace { reference: reference(name)?, credentials, insecure })
}

pub(crate) async fn get_manifest(
    images: &Images,
    name: &str,
    call: &Call,
) -> Result<Reply, Refusal> {
    let found = images.manifest(there(name, call)?).await;
    let (found, platform) = found.map_err(|fault| Refusal::from(fault).of_registry())?;
    let answer =
        reply::with_type(StatusCode::OK, "application/octet-stream", Body::from(found.bytes));
    let Reply::Response(mut answer) = with_digest(answer, &found.digest.to_string()) else {
        return Err(Fault::internal("a manifest cannot be answered").into());
    };
    if let Ok(kind) = HeaderValue::from_str(&found.media_type) {
        answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    }
    let platform = platform.and_then(|platform| serde_json::to_string(&platform).ok());
    if let Some(Ok(platform)) = platform.map(|text| HeaderValue::from_str(&text)) {
        answer.headers_mut().insert(CONTENT_PLATFORM, platform);
    }
    Ok(Reply::Response(answer))
}

pub(crate) async fn put_manifest(
    images: &Images,
    name: &str,
    call: Call,
) -> Result<Reply, Refusal> {
    let place = there(name, &call)?;
    let kind = call.query.text("type").map(str::to_owned).ok_or_else(|| {
        Fault::invalid("`type` is missing").with_hint("give the media type of the manifest")
    })?;
    let bytes = call.bytes().await?;
    let put = images.put_manifest(place, &kind, bytes.to_vec()).await;
    let put = put.map_err(|fault| Refusal::from(fault).of_registry())?;
    Ok(reply::json(StatusCode::CREATED, &IdResponse { id: put.digest.to_string() }))
}

fn with_digest(answer: Reply, digest: &str) -> Reply {
    match answer {
        Reply::Response(mut response) => {
            if let Ok(value) = HeaderValue::from_str(digest) {
                response.headers_mut().insert(CONTENT_DIGEST, value);
            }
            Reply::Response(response)
        }
        other @ Reply::Hijack(_) => other,
    }
}
