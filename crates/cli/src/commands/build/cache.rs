//! Acts: build caches in directories on this side: brought to the daemon before the build, and taken from it afterwards.

use crate::commands::copy::layout::Layout;
use crate::commands::image::archive::Source;
use crate::commands::image::transfer::{Show, show_to_the_end};
use crate::exit::Failed;
use crate::opts::mount;
use crate::printer;
use naru_api_types::Query;
use naru_api_types::build::{BuildExtras, BuiltImage};
use naru_client::{Client, Content};
use naru_errdefs::{Fault, Kind};
use std::path::Path;

/// How a cache is called in a directory when nobody says.
const TAG: &str = "latest";

/// A cache that is written into a directory.
#[derive(Debug)]
pub(super) struct Directory {
    layout: Layout,
    path: String,
    tag: String,
}

/// Brings caches of directories to the daemon, and opens the directory that one is written to. The flags say afterwards what
/// the daemon understands.
pub(super) async fn prepare(
    client: &Client,
    extras: &mut BuildExtras,
) -> Result<Option<Directory>, Failed> {
    let mut sources = Vec::with_capacity(extras.cache_from.len());
    for text in std::mem::take(&mut extras.cache_from) {
        match local(&text, "src", &["tag", "digest"])? {
            None => sources.push(text),
            Some((path, rest)) => match bring(client, &path, &rest).await? {
                Some(digest) => sources.push(format!("type=content,digest={digest}")),
                None => {
                    printer::note(&format!(
                        "warning: nothing is taken from the cache `{path}`, which is not there"
                    ));
                }
            },
        }
    }
    extras.cache_from = sources;
    let mut directory = None;
    for text in &mut extras.cache_to {
        let Some((path, rest)) = local(text, "dest", &[])? else { continue };
        if directory.is_some() {
            return Err(Fault::unsupported(
                "one build cannot write its cache into two directories",
            )
            .with_hint("copy the directory afterwards")
            .into());
        }
        let mut sent = String::from("type=content");
        let mut tag = TAG.to_owned();
        for (key, value) in rest {
            match key.as_str() {
                "tag" => tag = value,
                _ => sent.push_str(&format!(",{key}={value}")),
            }
        }
        let layout = Layout::open(Path::new(&path))?;
        directory = Some(Directory { layout, path, tag });
        *text = sent;
    }
    Ok(directory)
}

/// The other fields of a place.
type Fields = Vec<(String, String)>;

/// The directory and the other fields of a `type=local`.
fn local(text: &str, place: &str, only: &[&str]) -> Result<Option<(String, Fields)>, Fault> {
    let failed = |error: crate::opts::OptError| Fault::invalid(error.message);
    let fields = mount::csv(text).map_err(failed)?;
    let pairs = fields.iter().filter_map(|field| field.split_once('='));
    let mut rest: Fields = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if !rest.iter().any(|(key, value)| key == "type" && value == "local") {
        return Ok(None);
    }
    let named = rest.iter().find(|(key, value)| key == place && !value.is_empty());
    let path = named.map(|(_, value)| value.clone());
    let path = path.ok_or_else(|| {
        Fault::invalid(format!("`{text}` names no directory"))
            .with_hint(format!("write `type=local,{place}=DIRECTORY`"))
    })?;
    rest.retain(|(key, _)| key != "type" && key != place);
    if let Some((key, value)) =
        rest.iter().find(|(key, _)| !only.is_empty() && !only.contains(&key.as_str()))
    {
        return Err(Fault::unsupported(format!("`{key}={value}` of `{text}` is not supported"))
            .with_hint("leave it out"));
    }
    Ok(Some((path, rest)))
}

/// Brings a directory to the daemon; answers the digest of its cache. None when there is no directory.
async fn bring(
    client: &Client,
    path: &str,
    rest: &[(String, String)],
) -> Result<Option<String>, Failed> {
    if !Path::new(path).join("index.json").is_file() {
        return Ok(None);
    }
    let field = |name: &str| rest.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let tag = field("tag").map_or(TAG, String::as_str);
    let digest = bring_layout(client, path, &format!("oci-archive:{tag}")).await?;
    match field("digest").filter(|wanted| **wanted != digest) {
        Some(wanted) => Err(Fault::invalid(format!(
            "the cache in `{path}` has the digest {digest} instead of {wanted}"
        ))
        .into()),
        None => Ok(Some(digest)),
    }
}

/// Brings an image of a layout to the daemon's store, where it has no name; answers its digest.
pub(super) async fn bring_layout(
    client: &Client,
    path: &str,
    source: &str,
) -> Result<String, Failed> {
    let query =
        Query::new().with("source", source).with("destination", "content:").with("all", "1");
    let content = Content::reader(Source::open(path)?);
    let answer = client.copy_image(&query, Vec::new(), content).await?;
    let aux = show_to_the_end(answer.lines(), Show::Nowhere).await?;
    let digest = aux.as_ref().and_then(|aux| aux.get("Digest")?.as_str());
    let lost = || Fault::new(Kind::Internal, "the daemon does not say what it took");
    Ok(digest.ok_or_else(lost)?.to_owned())
}

impl Directory {
    /// Takes the cache of a build.
    pub(super) async fn take(self, client: &Client, built: &BuiltImage) -> Result<(), Failed> {
        // Where failures are only told, there may be none.
        let Some(digest) = &built.cache else { return Ok(()) };
        let query = Query::new()
            .with("source", format!("content:{digest}"))
            .with("destination", format!("oci-archive:{}", self.tag))
            .with("all", "1");
        let taken = async {
            let answer = client.copy_image(&query, Vec::new(), Content::None).await?;
            self.layout.fill(answer).await
        };
        let path = self.path;
        taken.await.map_err(|failed: Failed| match failed.fault {
            Some(fault) => fault.context(format!("cannot write the cache into `{path}`")).into(),
            None => failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_told_from_other_places() {
        for text in ["r/a", "type=registry,ref=x", "type=inline"] {
            assert_eq!(local(text, "src", &[]).unwrap(), None, "{text}");
        }
        let (path, rest) = local("type=local,dest=d,mode=max", "dest", &[]).unwrap().unwrap();
        assert_eq!((path.as_str(), rest), ("d", vec![("mode".to_owned(), "max".to_owned())]));
        assert!(local("type=local", "src", &[]).is_err());
        assert!(local("type=local,src=d,mode=max", "src", &["tag"]).is_err());
    }
}
