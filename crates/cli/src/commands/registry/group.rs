//! Pure: the commands about a registry, and what they take.

use super::place::PLACE_FLAGS;
use super::{collect, list, remove, usage};
use crate::commands::container::FORMAT_LIST;
use crate::commands::{Action, Arguments, BASE, Command};
use crate::flags::{switch, value};

pub(in crate::commands) static REGISTRY: Command = Command {
    name: "registry",
    usage: "COMMAND",
    about: "Manage a registry (`naru registry serve` runs one)",
    action: Action::Group(&[&DU, &GC, &LS, &RM, &TAGS]),
    ..BASE
};

static LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] [HOST[:PORT]]",
    about: "List the repositories of a registry",
    flags: &[
        PLACE_FLAGS,
        &[value("format", "string", FORMAT_LIST), switch("quiet", "Only display names").short('q')],
    ],
    arguments: Arguments::AtMost(1),
    action: Action::Run(list::repositories),
    ..BASE
};

static TAGS: Command = Command {
    name: "tags",
    usage: "[OPTIONS] [HOST[:PORT]/]REPOSITORY",
    about: "List the tags of a repository",
    flags: &[
        PLACE_FLAGS,
        &[
            switch("digests", "Show digests"),
            value("format", "string", FORMAT_LIST),
            switch("quiet", "Only display tags").short('q'),
        ],
    ],
    arguments: Arguments::Exactly(1),
    action: Action::Run(list::tags),
    ..BASE
};

static RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] [HOST[:PORT]/]REPOSITORY[:TAG|@DIGEST] [...]",
    about: "Remove tags, manifests by digest (with their tags), or whole repositories",
    flags: &[
        PLACE_FLAGS,
        &[switch("force", "Do not ask before a whole repository is removed").short('f')],
    ],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove::remove),
    ..BASE
};

static GC: Command = Command {
    name: "gc",
    usage: "[OPTIONS] [HOST[:PORT]]",
    about: "Have a registry collect now what nothing leads to",
    flags: &[
        PLACE_FLAGS,
        &[
            switch("delete-untagged", "Remove manifests that no tag leads to").short('m'),
            switch("dry-run", "Only say what would be removed").short('d'),
            value("format", "string", "Format output ('json': the report as JSON)"),
            value("grace", "duration", "How long what nothing leads to stays (default 24h)"),
            switch("quiet", "Only display the space that was reclaimed").short('q'),
        ],
    ],
    arguments: Arguments::AtMost(1),
    action: Action::Run(collect::collect),
    ..BASE
};

static DU: Command = Command {
    name: "du",
    aliases: &["df"],
    usage: "[OPTIONS] [HOST[:PORT]]",
    about: "Show how much the repositories of a registry hold",
    flags: &[
        PLACE_FLAGS,
        &[
            value("format", "string", FORMAT_LIST),
            switch("quiet", "Only display bytes in all").short('q'),
        ],
    ],
    arguments: Arguments::AtMost(1),
    action: Action::Run(usage::usage),
    ..BASE
};
