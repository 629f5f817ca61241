//! Acts: the result of a build as files or archives on this side.

use super::output::Output;
use super::request::Asked;
use crate::commands::image::archive::Target;
use crate::exit::Failed;
use crate::unpacking::{Unpacking, extract, join};
use naru_api_types::build::BuiltImage;
use naru_api_types::container::{ContainerConfig, ContainerCreateRequest};
use naru_api_types::{Query, Route, StrSlice};
use naru_client::{Client, Content};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::path::open_directory;
use naru_layer::{Owners, Rename};
use naru_oci::Reference;
use std::io::{self, Write};

/// Writes all outputs. A result that is wanted elsewhere only does not stay here.
pub(super) async fn export(
    client: &Client,
    asked: &Asked,
    built: &BuiltImage,
) -> Result<(), Failed> {
    let mut written = Ok(());
    for output in &asked.outputs {
        written = match output {
            Output::Image(_) | Output::Docker(None) | Output::Nowhere => Ok(()),
            Output::Oci(place) => archive(client, (asked, built), "oci", place.as_deref()).await,
            Output::Docker(Some(place)) => {
                archive(client, (asked, built), "docker", Some(place)).await
            }
            Output::Tar(place) => files(client, built, Place::Archive(place.as_deref())).await,
            Output::Local(place) => files(client, built, Place::Directory(place)).await,
        };
        if written.is_err() {
            break;
        }
    }
    let stays =
        asked.outputs.is_empty() || asked.push || asked.outputs.iter().any(Output::keeps_image);
    if !stays && built.is_new {
        let names = client.inspect_image(&built.id).await.map(|image| image.repo_tags);
        if names.is_ok_and(|names| names.is_empty()) {
            // In use, or gone: either is fine.
            client.remove_image(&built.id, &Query::new()).await.ok();
        }
    }
    written
}

async fn archive(
    client: &Client,
    (asked, built): (&Asked, &BuiltImage),
    form: &str,
    place: Option<&str>,
) -> Result<(), Failed> {
    let target = Target::choose(place)?;
    // The archive has the names that were asked for, whether or not the image stays here under them.
    let names: Vec<String> = asked.names.iter().map(Reference::familiar).collect();
    let answer = client.save_images(std::slice::from_ref(&built.id), &names, Some(form)).await?;
    target.fill(answer).await
}

enum Place<'a> {
    Archive(Option<&'a str>),
    Directory(&'a str),
}

/// The files of the result, out of a container that never runs.
async fn files(client: &Client, built: &BuiltImage, place: Place<'_>) -> Result<(), Failed> {
    let request = ContainerCreateRequest {
        config: ContainerConfig {
            image: built.id.clone(),
            // An image of files may have none of its own.
            cmd: StrSlice(Some(vec!["/".to_owned()])),
            entrypoint: StrSlice(Some(Vec::new())),
            network_disabled: true,
            ..ContainerConfig::default()
        },
        ..ContainerCreateRequest::default()
    };
    let container = client.create_container(None, None, &request).await?.id;
    let written = files_of(client, &container, place).await;
    let query = Query::new().with("force", "1").with("v", "1");
    let removed = client.act(Route::ContainerRemove { name: container }, &query).await;
    written?;
    Ok(removed?)
}

async fn files_of(client: &Client, container: &str, place: Place<'_>) -> Result<(), Failed> {
    let route = Route::ContainerExport { name: container.to_owned() };
    match place {
        Place::Archive(path) => {
            let target = Target::choose(path)?;
            let answer = client.open(route, &Query::new(), Content::None).await?;
            target.fill(answer).await
        }
        Place::Directory(path) => {
            let mut answer = client.open(route, &Query::new(), Content::None).await?;
            let (writer, thread) = unpack(path)?;
            let mut writer = Some(writer);
            while let Some(piece) = answer.piece().await? {
                let Some(pipe) = &mut writer else { continue };
                // A closed pipe: whoever reads has failed, and says why.
                if pipe.write_all(&piece).is_err() {
                    writer = None;
                }
            }
            drop(writer);
            Ok(join(thread)?)
        }
    }
}

/// Unpacks an archive into a directory, which is made if it is not there. Everything becomes the user's.
fn unpack(path: &str) -> Result<(io::PipeWriter, Unpacking), Fault> {
    let during = || format!("cannot write to `{path}`");
    std::fs::create_dir_all(path).during(during)?;
    let root = open_directory(path).during(during)?;
    let (reader, writer) = io::pipe().during(during)?;
    let work = move || extract(reader, &root, (Owners::Own, Rename::No));
    let thread =
        std::thread::Builder::new().name("unpack".to_owned()).spawn(work).during(during)?;
    Ok((writer, thread))
}
