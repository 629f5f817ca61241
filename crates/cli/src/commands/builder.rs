//! Pure: the commands about the build cache, and what they take. `buildx` is docker's other name for the same.

mod disk_usage;
mod prune;

use super::{Action, Arguments, BASE, Command, build};
use crate::flags::{Flag, list, switch, value};

pub(super) static BUILDER: Command = Command {
    name: "builder",
    usage: "COMMAND",
    about: "Manage builds",
    action: Action::Group(&[&build::BUILD, &DU, &PRUNE]),
    ..BASE
};

const ONE: &str = "there is one builder: the daemon's own; name the daemon with `-H`";

macro_rules! absent {
    ($($id:ident $name:literal $instead:expr;)*) => {
        $(static $id: Command = Command { name: $name, action: Action::Absent($instead), ..BASE };)*
    };
}

absent! {
    BAKE "bake" "build the images one by one with `naru build`";
    CREATE "create" ONE;
    IMAGETOOLS "imagetools" "use `naru manifest` and `naru copy`";
    INSPECT "inspect" "see what the daemon is with `naru info`";
    LS "ls" ONE;
    RM "rm" ONE;
    STOP "stop" ONE;
    USE "use" ONE;
    VERSION "version" "use `naru version`";
}

pub(super) static BUILDX: Command = Command {
    name: "buildx",
    usage: "COMMAND",
    about: "Manage builds (docker's other name for `builder`)",
    action: Action::Group(&[
        &build::BUILD,
        &DU,
        &PRUNE,
        &BAKE,
        &CREATE,
        &IMAGETOOLS,
        &INSPECT,
        &LS,
        &RM,
        &STOP,
        &USE,
        &VERSION,
    ]),
    ..BASE
};

const BUILDER_FLAG: Flag =
    value("builder", "string", "Override the configured builder instance").refused(ONE);

static DU: Command = Command {
    name: "du",
    spellings: &["builder du", "buildx du"],
    usage: "[OPTIONS]",
    about: "Disk usage of the build cache",
    flags: &[&[
        BUILDER_FLAG,
        list("filter", "filter", "Provide filter values"),
        value("format", "string", "Format output using `json` or a Go template"),
        switch("verbose", "Provide a more verbose output"),
    ]],
    arguments: Arguments::Exactly(0),
    action: Action::Run(disk_usage::usage),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    spellings: &["builder prune", "buildx prune"],
    usage: "[OPTIONS]",
    about: "Remove build cache",
    flags: &[&[
        switch("all", "Remove all unused build cache, not just dangling ones").short('a'),
        BUILDER_FLAG,
        list("filter", "filter", "Provide filter values (e.g., \"until=24h\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
        value("keep-storage", "bytes", "Amount of disk space to keep for cache"),
        value("max-used-space", "bytes", "Maximum amount of disk space allowed to keep for cache"),
        value("min-free-space", "bytes", "Target amount of free disk space after pruning")
            .refused("say how much may stay with `--max-used-space`"),
        value("reserved-space", "bytes", "Amount of disk space always allowed to keep for cache"),
        switch("verbose", "Provide a more verbose output"),
    ]],
    arguments: Arguments::Exactly(0),
    action: Action::Run(prune::prune),
    ..BASE
};
