//! Acts: what follows a build: files that name the result, and its push.

use super::request::Asked;
use crate::commands::image::transfer::{Show, show};
use crate::commands::registry::Registries;
use crate::exit::Failed;
use crate::flags::Flags;
use naru_api_types::Query;
use naru_api_types::build::BuiltImage;
use naru_client::Client;
use naru_errdefs::{Fault, ResultExt};
use std::io::Write;
use std::path::Path;

/// Writes `--iidfile` and `--metadata-file`.
pub(super) fn identify(flags: &Flags, asked: &Asked, built: &BuiltImage) -> Result<(), Fault> {
    if let Some(path) = flags.text("iidfile").filter(|path| !path.is_empty()) {
        write(path, built.id.as_bytes())?;
    }
    if let Some(path) = flags.text("metadata-file").filter(|path| !path.is_empty()) {
        write(path, &metadata(asked, built))?;
    }
    Ok(())
}

/// Pure: what buildx writes about a result.
fn metadata(asked: &Asked, built: &BuiltImage) -> Vec<u8> {
    let mut facts = serde_json::Map::new();
    facts.insert("containerimage.config.digest".to_owned(), built.id.clone().into());
    if !built.digest.is_empty() {
        facts.insert("containerimage.digest".to_owned(), built.digest.clone().into());
        let descriptor = serde_json::json!({
            "mediaType": built.media_type,
            "digest": built.digest,
            "size": built.size,
        });
        facts.insert("containerimage.descriptor".to_owned(), descriptor);
    }
    if !asked.names.is_empty() {
        let names: Vec<String> = asked.names.iter().map(ToString::to_string).collect();
        facts.insert("image.name".to_owned(), names.join(",").into());
    }
    let mut text = serde_json::to_vec_pretty(&facts).unwrap_or_default();
    text.push(b'\n');
    text
}

/// Writes a file as a whole: a reader sees the old one or the new one.
fn write(path: &str, bytes: &[u8]) -> Result<(), Fault> {
    let during = || format!("cannot write `{path}`");
    let path = Path::new(path);
    if path.exists() && !path.is_file() {
        // A device or a pipe is written in place.
        return std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .during(during);
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".part-{}", std::process::id()));
    let part = path.with_file_name(name);
    let mut file = std::fs::File::create(&part).during(during)?;
    let written = file.write_all(bytes).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        std::fs::remove_file(&part).ok();
    }
    written.during(during)
}

/// Pushes the result under all its names.
pub(super) async fn push(
    client: &Client,
    asked: &Asked,
    registries: &Registries,
    quiet: bool,
) -> Result<(), Failed> {
    for name in &asked.names {
        let query = Query::new().with_some("tag", name.tag());
        let auth = registries.header(name.registry());
        let lines = client.push_image(&name.name(), &query, auth).await?;
        show(lines, if quiet { Show::Nowhere } else { Show::Err }).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("iid");
        write(path.to_str().unwrap(), b"one").unwrap();
        write(path.to_str().unwrap(), b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write("/dev/null", b"x").unwrap();
        assert!(write(dir.path().join("no/x").to_str().unwrap(), b"x").is_err());
    }
}
