//! Acts: `manifest`: images of several platforms under one name, put together from images at registries, as docker's client
//! does it: a list is kept in the user's configuration until it is pushed.

mod entry;
mod fetch;
mod lists;

use super::registry::Registries;
use super::{Action, Arguments, BASE, Command};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::{Flag, Flags, list as many, switch, value};
use crate::printer;
use crate::render::json;
use entry::Entry;
use lists::Lists;
use naru_api_types::Query;
use naru_api_types::copy::{Place, SOURCE_AUTH};
use naru_api_types::registry::REGISTRY_AUTH;
use naru_client::{Client, Content};
use naru_errdefs::{Fault, Kind};
use naru_oci::Reference;

const INSECURE: Flag = switch("insecure", "Allow communication with an insecure registry");

pub(super) static MANIFEST: Command = Command {
    name: "manifest",
    usage: "COMMAND",
    about: "Manage image manifests and manifest lists",
    action: Action::Group(&[&ANNOTATE, &CREATE, &INSPECT, &PUSH, &RM]),
    ..BASE
};

static ANNOTATE: Command = Command {
    name: "annotate",
    usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
    about: "Add additional information to a local image manifest",
    flags: &[&[
        value("arch", "string", "Set architecture"),
        value("os", "string", "Set operating system"),
        many("os-features", "strings", "Set operating system feature"),
        value("os-version", "string", "Set operating system version"),
        value("variant", "string", "Set architecture variant"),
    ]],
    arguments: Arguments::Exactly(2),
    action: Action::Run(annotate),
    ..BASE
};

static CREATE: Command = Command {
    name: "create",
    usage: "MANIFEST_LIST MANIFEST [MANIFEST...]",
    about: "Create a local manifest list for annotating and pushing to a registry",
    flags: &[&[switch("amend", "Amend an existing manifest list").short('a'), INSECURE]],
    arguments: Arguments::AtLeast(2),
    action: Action::Run(create),
    ..BASE
};

static INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    about: "Display an image manifest, or manifest list",
    flags: &[&[
        INSECURE,
        switch("verbose", "Output additional info including layers and platform").short('v'),
    ]],
    arguments: Arguments::Between(1, 2),
    action: Action::Run(inspect),
    ..BASE
};

static PUSH: Command = Command {
    name: "push",
    usage: "[OPTIONS] MANIFEST_LIST",
    about: "Push a manifest list to a repository",
    flags: &[&[INSECURE, switch("purge", "Remove the local manifest list after push").short('p')]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(push),
    ..BASE
};

static RM: Command = Command {
    name: "rm",
    usage: "MANIFEST_LIST [MANIFEST_LIST...]",
    about: "Delete one or more manifest lists from local storage",
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove),
    ..BASE
};

fn named(text: &str, what: &str) -> Result<Reference, Failed> {
    let parsed: Result<Reference, _> = text.parse();
    parsed.map(Reference::or_latest).map_err(|error| {
        Fault::from(error).context(format!("error parsing name for {what} {text}")).into()
    })
}

fn create(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let list = named(flags.arg(0), "manifest list")?;
    let lists = Lists::of(app)?;
    let mut entries = lists.get(&list)?.unwrap_or_default();
    if !entries.is_empty() && !flags.switch("amend") {
        return Err(Fault::conflict(
            "refusing to amend an existing manifest list with no --amend flag",
        )
        .with_hint(format!(
            "add to it with `--amend`, or remove it with `{} manifest rm {}`",
            app.program(),
            list.familiar()
        ))
        .into());
    }
    let registries = Registries::of(app)?;
    app.talk(async |client| {
        for text in flags.args().iter().skip(1) {
            let image = named(text, "manifest")?;
            if entries.iter().any(|known| known.reference == image) {
                continue;
            }
            let insecure = flags.switch("insecure");
            entries.push(fetch::image(client, &registries, &image, insecure).await?);
        }
        entry::check_platforms(&entries)?;
        lists.put(&list, &entries)?;
        printer::out(&format!("Created manifest list {list}\n"))?;
        Ok(ExitStatus::SUCCESS)
    })
}

fn annotate(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let list = named(flags.arg(0), "manifest list")?;
    let image = named(flags.arg(1), "manifest")?;
    let lists = Lists::of(app)?;
    let mut entries = lists.get(&list)?.unwrap_or_default();
    let Some(entry) = entries.iter_mut().find(|known| known.reference == image) else {
        return Err(Fault::not_found(format!(
            "manifest for image {image} does not exist in {list}"
        ))
        .with_hint(format!("add it with `{} manifest create --amend`", app.program()))
        .into());
    };
    let features: Vec<String> =
        flags.list("os-features").flat_map(|text| text.split(',')).map(str::to_owned).collect();
    entry.annotate(
        [flags.text("os"), flags.text("arch"), flags.text("variant"), flags.text("os-version")],
        features,
    )?;
    lists.put(&list, &entries)?;
    Ok(ExitStatus::SUCCESS)
}

fn inspect(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let verbose = flags.switch("verbose");
    let lists = Lists::of(app)?;
    if flags.args().len() == 2 {
        let list = named(flags.arg(0), "manifest list")?;
        let image = named(flags.arg(1), "manifest")?;
        let entries = lists.get(&list)?.unwrap_or_default();
        let Some(entry) = entries.into_iter().find(|known| known.reference == image) else {
            return Err(Fault::not_found(format!("No such manifest: {image}")).into());
        };
        return show(&if verbose { entry.verbose() } else { entry.raw });
    }
    let image = named(flags.arg(0), "manifest")?;
    if let Some(entries) = lists.get(&image)? {
        return show(&match verbose {
            true => entry::verbose(&entries),
            false => entry::index(&entries)?.1,
        });
    }
    let registries = Registries::of(app)?;
    let insecure = flags.switch("insecure");
    app.talk(async |client| {
        let text = match verbose {
            false => fetch::raw(client, &registries, &image, insecure).await?.text,
            true => entry::verbose(&fetch::every(client, &registries, &image, insecure).await?),
        };
        show(&text)
    })
}

fn show(text: &str) -> Result<ExitStatus, Failed> {
    printer::out(&format!("{}\n", json::indent_by_tabs(text)))?;
    Ok(ExitStatus::SUCCESS)
}

fn push(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let list = named(flags.arg(0), "manifest list")?;
    let lists = Lists::of(app)?;
    let Some(entries) = lists.get(&list)?.filter(|entries| !entries.is_empty()) else {
        return Err(Fault::not_found(format!("{list} not found")).into());
    };
    entry::check_platforms(&entries)?;
    let (kind, index) = entry::index(&entries)?;
    let registries = Registries::of(app)?;
    let insecure = flags.switch("insecure");
    app.talk(async |client| {
        for entry in &entries {
            let there = (entry.reference.registry(), entry.reference.repository());
            if there != (list.registry(), list.repository()) {
                bring(client, &registries, (entry, &list), insecure).await?;
            }
        }
        let query = Query::new().with("type", kind).with_flag("insecure", insecure);
        let auth = registries.header(list.registry());
        let digest =
            client.put_manifest(&list.to_string(), &query, auth, index.into_bytes()).await?;
        if flags.switch("purge") {
            lists.remove(&list)?;
        }
        printer::out(&format!("{digest}\n"))?;
        Ok(ExitStatus::SUCCESS)
    })
}

/// Brings an image of another repository to where the list is; nothing that is there is sent.
async fn bring(
    client: &Client,
    registries: &Registries,
    (entry, list): (&Entry, &Reference),
    insecure: bool,
) -> Result<(), Failed> {
    let digest = entry.descriptor.digest;
    let (from, to) = (entry.reference.with_digest(digest), list.with_digest(digest));
    let query = Query::new()
        .with("source", Place::Registry(from.to_string()).to_string())
        .with("destination", Place::Registry(to.to_string()).to_string())
        .with_flag("source-insecure", insecure)
        .with_flag("destination-insecure", insecure);
    let headers = vec![
        (SOURCE_AUTH, registries.header(from.registry())),
        (REGISTRY_AUTH, registries.header(to.registry())),
    ];
    let answer = client.copy_image(&query, headers, Content::None).await?;
    super::image::transfer::show_to_the_end(answer.lines(), super::image::transfer::Show::Nowhere)
        .await?;
    printer::out(&format!("Pushed ref {to} with digest: {digest}\n"))
}

fn remove(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    let lists = Lists::of(app)?;
    let mut missing = Vec::new();
    for text in flags.args() {
        let list = named(text, "manifest list")?;
        if !lists.remove(&list)? {
            missing.push(format!("No such manifest: {list}"));
        }
    }
    if missing.is_empty() {
        return Ok(ExitStatus::SUCCESS);
    }
    Err(Fault::new(Kind::NotFound, missing.join("\n")).into())
}
