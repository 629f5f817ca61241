//! Acts: further contexts of a build (`--build-context`) on their way to the daemon: directories by what it lacks of them,
//! layouts into its store; images and addresses are named, and fetched by the daemon itself.

use super::cache::bring_layout;
use super::file;
use super::request::CONTEXTS;
use super::send::{OWN, files, tell};
use super::view::View;
use crate::build_context::Context;
use crate::commands::image::archive::Source;
use crate::exit::Failed;
use naru_api_types::build::{BuildExtras, BuildLine, ContextAnnounced, is_address};
use naru_client::{Client, Content};
use naru_errdefs::Fault;
use std::path::Path;
use std::time::Instant;

/// Brings what is on this side. The names say afterwards what the daemon understands.
pub(super) async fn prepare(
    client: &Client,
    extras: &mut BuildExtras,
    view: &mut View,
) -> Result<(), Failed> {
    for (number, (name, place)) in (1..).zip(std::mem::take(&mut extras.named_contexts)) {
        if let Some(layout) = place.strip_prefix("oci-layout://") {
            let (path, source) = layout_of(layout);
            let about = |failed: Failed| match failed.fault {
                Some(fault) => fault.context(format!("the build context `{name}`")).into(),
                None => failed,
            };
            let digest = bring_layout(client, path, &source).await.map_err(about)?;
            extras.named_contexts.insert(name, format!("content:{digest}"));
        } else if place.starts_with("docker-image://")
            || is_address(&place) && !Path::new(&place).exists()
        {
            extras.named_contexts.insert(name, place);
        } else {
            let id = directory(client, (&name, &place, OWN - number), view).await?;
            extras.named_directories.insert(name, ContextAnnounced { id });
        }
    }
    Ok(())
}

/// Pure: the directory of a layout, and which of its images: `DIRECTORY[:TAG][@DIGEST]`.
fn layout_of(text: &str) -> (&str, String) {
    let (path, digest) = match text.rsplit_once('@') {
        Some((path, digest)) if !digest.contains('/') && digest.contains(':') => {
            (path, Some(digest))
        }
        _ => (text, None),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (path, None),
    };
    // The digest says all; with neither, there is one image, or one is the latest.
    (path, format!("oci-archive:{}", digest.or(tag).unwrap_or_default()))
}

/// Sends what the daemon lacks of a directory.
async fn directory(
    client: &Client,
    (name, place, vertex): (&str, &str, u64),
    view: &mut View,
) -> Result<String, Failed> {
    let about =
        |fault: Fault| fault.context(format!("the build context `{name}`")).with_hint(CONTEXTS);
    let root = file::directory(place).map_err(about)?;
    let began = Instant::now();
    let shown = format!("[context {name}] load from client");
    view.line(&BuildLine::Started { vertex, name: shown })?;
    let (found, _) = files(&root, None)?;
    let count = found.len();
    let context = Context::read(root, found)?;
    let files = context.announced().ok_or_else(|| {
        Fault::unsupported(format!("the build context `{name}` has names that are not UTF-8"))
            .with_hint("rename these files, or leave them out with a `.dockerignore`")
    })?;
    let answer = client.announce_context(&files).await?;
    tell(view, vertex, count, (context.size(), context.size_of(&answer.missing)))?;
    let mut id = answer.id;
    if !answer.missing.is_empty() {
        let packed = context.pack(&answer.missing)?;
        let failure = packed.failure();
        let sent = client.send_context(&id, Content::reader(Source::from_file(packed.bytes)));
        id = sent.await.map_err(|fault| failure.take().unwrap_or(fault))?;
    }
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    view.line(&BuildLine::Done { vertex, cached: false, took, error: None })?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_a_layout_is_named_by_tag_or_digest() {
        for (text, path, source) in [
            ("a/b", "a/b", "oci-archive:"),
            ("/a/b:v1", "/a/b", "oci-archive:v1"),
            ("a@sha256:12", "a", "oci-archive:sha256:12"),
            ("/a:v1@sha256:12", "/a", "oci-archive:sha256:12"),
            ("/a:b/c", "/a:b/c", "oci-archive:"),
            ("/a@b/c", "/a@b/c", "oci-archive:"),
            ("/a@b/c:v1@sha256:12", "/a@b/c", "oci-archive:sha256:12"),
        ] {
            assert_eq!(layout_of(text), (path, source.to_owned()), "{text}");
        }
    }
}
