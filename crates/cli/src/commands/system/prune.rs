//! Acts: `system prune`, and the question that all prunes ask.

use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use crate::render::units;
use naru_api_types::build::BuildPruneResponse;
use naru_api_types::volume::VolumePruneResponse;
use naru_api_types::{Filters, Query};
use naru_errdefs::{Fault, Kind};
use std::io::BufRead;

/// The filters of a prune.
pub(crate) fn filters(flags: &Flags) -> Result<Filters, Failed> {
    let mut filters = Filters::new();
    for (key, value) in flags.parsed_list("filter", crate::opts::filter::parse)? {
        filters.add(key, value);
    }
    Ok(filters)
}

/// Asks unless `--force` was given.
pub(crate) fn confirm(flags: &Flags, warning: &str) -> Result<(), Failed> {
    if flags.switch("force") {
        return Ok(());
    }
    printer::out(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Fault::io("cannot read the answer", error))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    printer::out("\n")?;
    Err(Fault::new(Kind::Cancelled, "the removal was not confirmed")
        .with_hint("answer `y`, or use `--force`")
        .into())
}

/// Pure: what of a kind was removed; nothing when nothing was.
pub(crate) fn deleted(kind: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: String = names.iter().map(|name| format!("{name}\n")).collect();
    format!("Deleted {kind}:\n{names}\n")
}

/// Pure: what all prunes end with.
pub(crate) fn reclaimed(bytes: u64) -> String {
    let space = i64::try_from(bytes).unwrap_or(i64::MAX);
    format!("Total reclaimed space: {}\n", units::human_size(space))
}

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let filters = filters(flags)?;
    let all = flags.switch("all");
    let with_volumes = flags.switch("volumes");
    if with_volumes && filters.has("until") {
        return Err(
            Fault::invalid("The \"until\" filter is not supported with \"--volumes\"").into()
        );
    }
    confirm(
        flags,
        &format!(
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{}  - all {}\n  - {}\n",
            if with_volumes {
                "  - all anonymous volumes not used by at least one container\n"
            } else {
                ""
            },
            if all {
                "images without at least one container associated to them"
            } else {
                "dangling images"
            },
            if all { "all build cache" } else { "unused build cache" }
        ),
    )?;
    let mut image_filters = filters.clone();
    image_filters.add("dangling", if all { "false" } else { "true" });
    // What a build left has no labels to go by.
    let with_builds = !filters.has("label") && !filters.has("label!");
    let builds_query = Query::new().with_flag("all", all).with_filters(&filters);
    let (containers, networks, volumes, images, builds) = app.talk(async |client| {
        let containers = client.prune_containers(&filters).await?;
        let networks = client.prune_networks(&filters).await?;
        let volumes = match with_volumes {
            true => client.prune_volumes(&filters).await?,
            false => VolumePruneResponse::default(),
        };
        let images = client.prune_images(&image_filters).await?;
        let builds = match with_builds {
            true => client.prune_builds(&builds_query).await?,
            false => BuildPruneResponse::default(),
        };
        Ok((containers, networks, volumes, images, builds))
    })?;
    let mut text = deleted("Containers", &containers.containers_deleted.unwrap_or_default());
    text.push_str(&deleted("Networks", &networks.networks_deleted.unwrap_or_default()));
    text.push_str(&deleted("Volumes", &volumes.volumes_deleted.unwrap_or_default()));
    let gone = images.images_deleted.unwrap_or_default();
    if !gone.is_empty() {
        text.push_str("Deleted Images:\n");
        for item in &gone {
            text.extend(item.untagged.iter().map(|name| format!("untagged: {name}\n")));
            text.extend(item.deleted.iter().map(|id| format!("deleted: {id}\n")));
        }
        text.push('\n');
    }
    text.push_str(&deleted("build cache objects", &builds.caches_deleted.unwrap_or_default()));
    let space = containers
        .space_reclaimed
        .saturating_add(builds.space_reclaimed)
        .saturating_add(images.space_reclaimed)
        .saturating_add(volumes.space_reclaimed);
    text.push_str(&reclaimed(space));
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_prune_removed_is_told() {
        assert_eq!(deleted("Networks", &[]), "");
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(deleted("Networks", &names), "Deleted Networks:\na\nb\n\n");
    }
}
