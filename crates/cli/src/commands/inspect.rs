//! Acts: `inspect`, for everything that can be inspected.

use super::{Action, Arguments, BASE, Command};
use crate::context::App;
use crate::exit::{ExitStatus, Failed};
use crate::flags::{Flag, Flags, switch, value};
use crate::render::{json, template};
use crate::{commands, printer};
use naru_api_types::{Query, Route};
use naru_client::{Client, Content};
use naru_errdefs::{Fault, Kind};

const FORMAT: Flag = value("format", "string", commands::container::FORMAT_ONE).short('f');
const SIZE: Flag = switch("size", "Display total file sizes if the type is container").short('s');

pub(super) static INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Return low-level information on Docker objects",
    flags: &[&[FORMAT, SIZE, value("type", "string", "Only inspect objects of the given type")]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(any),
    ..BASE
};

pub(super) static CONTAINER_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Display detailed information on one or more containers",
    flags: &[&[FORMAT, SIZE]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(container),
    ..BASE
};

pub(super) static IMAGE_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    flags: &[&[
        FORMAT,
        value("platform", "string", "Inspect a specific platform")
            .refused("an image has one platform here; leave it out"),
    ]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(image),
    ..BASE
};

pub(super) static NETWORK_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Display detailed information on one or more networks",
    flags: &[&[FORMAT, switch("verbose", "Verbose output for diagnostics").short('v')]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(network),
    ..BASE
};

pub(super) static VOLUME_INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Display detailed information on one or more volumes",
    flags: &[&[FORMAT]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(volume),
    ..BASE
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Container,
    Image,
    Network,
    Volume,
}

fn any(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    match flags.text("type") {
        None | Some("") => {
            run(app, flags, &[Sort::Container, Sort::Image, Sort::Network, Sort::Volume])
        }
        Some("container") => run(app, flags, &[Sort::Container]),
        Some("image") => run(app, flags, &[Sort::Image]),
        Some("network") => run(app, flags, &[Sort::Network]),
        Some("volume") => run(app, flags, &[Sort::Volume]),
        Some(other) => Err(Fault::invalid(format!("\"{other}\" is not a valid value for --type"))
            .with_hint("the types are `container`, `image`, `network` and `volume`")
            .into()),
    }
}

fn container(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    run(app, flags, &[Sort::Container])
}

fn image(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    run(app, flags, &[Sort::Image])
}

fn network(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    run(app, flags, &[Sort::Network])
}

fn volume(app: &App<'_>, flags: &Flags) -> Result<ExitStatus, Failed> {
    run(app, flags, &[Sort::Volume])
}

fn run(app: &App<'_>, flags: &Flags, sorts: &[Sort]) -> Result<ExitStatus, Failed> {
    let format = flags.text("format").filter(|format| !format.is_empty());
    let template = match format {
        None | Some("json") => None,
        Some(source) => {
            Some(template::compile(source).map_err(|error| Fault::invalid(error.message))?)
        }
    };
    let more = flags.switch("size") || flags.switch("verbose");
    let (found, faults) = app.talk(async |client| {
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for name in flags.args() {
            match one(client, name, sorts, more).await {
                Ok(text) => found.push(text),
                Err(fault) => faults.push(fault),
            }
        }
        Ok((found, faults))
    })?;
    let mut text = String::new();
    match (&template, format) {
        (Some(template), _) => {
            for item in &found {
                let value: serde_json::Value = serde_json::from_str(item).map_err(|error| {
                    Fault::internal("the daemon's answer is not understood").with_source(error)
                })?;
                let line = template::render(template, &value)
                    .map_err(|error| Fault::invalid(error.message))?;
                text.push_str(&line);
                text.push('\n');
            }
        }
        (None, Some(_)) => text = format!("[{}]\n", found.join(",")),
        (None, None) => text = json::indent(&format!("[{}]", found.join(","))) + "\n",
    }
    printer::out(&text)?;
    for fault in &faults {
        printer::report(fault);
    }
    Ok(if faults.is_empty() { ExitStatus::SUCCESS } else { ExitStatus::FAILURE })
}

/// The JSON of the first sort of thing that has this name; `more` asks for sizes or details.
async fn one(client: &Client, name: &str, sorts: &[Sort], more: bool) -> Result<String, Fault> {
    let mut last = None;
    for sort in sorts {
        let (route, query) = match sort {
            Sort::Container => (
                Route::ContainerInspect { name: name.to_owned() },
                Query::new().with_flag("size", more),
            ),
            Sort::Image => (Route::ImageInspect { name: name.to_owned() }, Query::new()),
            Sort::Network => (
                Route::NetworkInspect { name: name.to_owned() },
                Query::new().with_flag("verbose", more),
            ),
            Sort::Volume => (Route::VolumeInspect { name: name.to_owned() }, Query::new()),
        };
        match client.bytes(route, &query, Content::None).await {
            Ok(bytes) => return Ok(String::from_utf8_lossy(&bytes).trim().to_owned()),
            Err(fault) if fault.kind() == Kind::NotFound => last = Some(fault),
            Err(fault) => return Err(fault),
        }
    }
    Err(match (sorts, last) {
        ([_], Some(fault)) => fault,
        _ => Fault::not_found(format!("No such object: {name}"))
            .with_hint("see `naru ps -a` for containers, `naru images` for images, `naru network ls` for networks and `naru volume ls` for volumes"),
    })
}
