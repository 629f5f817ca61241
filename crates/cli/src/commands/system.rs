//! Pure: the commands about the daemon itself, and what they take.

mod disk_usage;
mod events;
mod info;
pub(crate) mod prune;
mod verify;
mod version;

use super::container::{FORMAT_LIST, FORMAT_ONE};
use super::{Action, BASE, Command};
use crate::flags::{list as many, switch, value};

pub(super) static SYSTEM: Command = Command {
    name: "system",
    usage: "COMMAND",
    about: "Manage Naru",
    action: Action::Group(&[&DF, &EVENTS, &INFO, &PRUNE, &VERIFY]),
    ..BASE
};

pub(super) static VERSION: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    about: "Show the version information",
    flags: &[&[value("format", "string", FORMAT_ONE).short('f')]],
    action: Action::Run(version::version),
    ..BASE
};

pub(super) static INFO: Command = Command {
    name: "info",
    spellings: &["system info", "info"],
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    flags: &[&[value("format", "string", FORMAT_ONE).short('f')]],
    action: Action::Run(info::info),
    ..BASE
};

pub(super) static EVENTS: Command = Command {
    name: "events",
    spellings: &["system events", "events"],
    usage: "[OPTIONS]",
    about: "Get real time events from the server",
    flags: &[&[
        many("filter", "filter", "Filter output based on conditions provided").short('f'),
        value("format", "string", FORMAT_ONE),
        value("since", "string", "Show all events created since timestamp"),
        value("until", "string", "Stream events until this timestamp"),
    ]],
    action: Action::Run(events::events),
    ..BASE
};

static DF: Command = Command {
    name: "df",
    usage: "[OPTIONS]",
    about: "Show disk usage",
    flags: &[&[
        value("format", "string", FORMAT_LIST),
        switch("verbose", "Show detailed information on space usage").short('v'),
    ]],
    action: Action::Run(disk_usage::disk_usage),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused data",
    flags: &[&[
        switch("all", "Remove all unused images not just dangling ones").short('a'),
        many("filter", "filter", "Provide filter values (e.g. \"label=<key>=<value>\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
        switch("volumes", "Prune anonymous volumes"),
    ]],
    action: Action::Run(prune::prune),
    ..BASE
};

static VERIFY: Command = Command {
    name: "verify",
    usage: "[OPTIONS]",
    about: "Check everything that is stored, and say what is wrong",
    flags: &[&[switch("repair", "Drop or extract again what is damaged")]],
    action: Action::Run(verify::verify),
    ..BASE
};
