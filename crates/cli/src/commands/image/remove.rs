//! Acts: `rmi`, `tag` and `image prune`.

use crate::commands::each::each;
use crate::commands::system::prune::{confirm, filters, reclaimed};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::Flags;
use crate::printer;
use naru_api_types::Query;
use naru_api_types::image::ImageDeleteItem;
use naru_errdefs::{Fault, Kind};
use naru_oci::Reference;

pub(super) fn remove(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let force = flags.switch("force");
    let query =
        Query::new().with_flag("force", force).with_flag("noprune", flags.switch("no-prune"));
    let query = &query;
    app.talk(async |client| {
        each(flags.args(), |name| async move {
            match client.remove_image(name, query).await {
                Ok(deleted) => Ok(lines(&deleted).trim_end().to_owned()),
                Err(fault) if force && fault.kind() == Kind::NotFound => {
                    printer::report(&fault);
                    Ok(String::new())
                }
                Err(fault) => Err(fault),
            }
        })
        .await
    })
}

/// Pure: what was taken away, a line each.
pub(super) fn lines(deleted: &[ImageDeleteItem]) -> String {
    let mut text = String::new();
    for item in deleted {
        if let Some(name) = &item.untagged {
            text.push_str(&format!("Untagged: {name}\n"));
        }
        if let Some(id) = &item.deleted {
            text.push_str(&format!("Deleted: {id}\n"));
        }
    }
    text
}

pub(super) fn tag(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let target = flags.arg(1);
    let reference: Reference = target.parse().map_err(|error: naru_oci::ParseReferenceError| {
        Fault::invalid(format!("invalid target `{target}`")).with_source(error)
    })?;
    if reference.digest().is_some() {
        return Err(Fault::invalid("refusing to create a tag with a digest reference")
            .with_hint("leave out what follows the `@`")
            .into());
    }
    let tag = reference.tag().unwrap_or("latest").to_owned();
    app.talk(async |client| {
        client.tag_image(flags.arg(0), &reference.familiar_name(), &tag).await?;
        Ok(ExitStatus::SUCCESS)
    })
}

pub(super) fn prune(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let mut filters = filters(flags)?;
    let all = flags.switch("all");
    filters.add("dangling", if all { "false" } else { "true" });
    confirm(
        flags,
        if all {
            "WARNING! This will remove all images without at least one container associated to them."
        } else {
            "WARNING! This will remove all dangling images."
        },
    )?;
    let answer = app.talk(async |client| Ok(client.prune_images(&filters).await?))?;
    let deleted = answer.images_deleted.unwrap_or_default();
    let mut text = String::new();
    if !deleted.is_empty() {
        text.push_str("Deleted Images:\n");
        text.push_str(
            &lines(&deleted).replace("Untagged: ", "untagged: ").replace("Deleted: ", "deleted: "),
        );
        text.push('\n');
    }
    text.push_str(&reclaimed(answer.space_reclaimed));
    printer::out(&text)?;
    Ok(ExitStatus::SUCCESS)
}
