//! Pure: the commands about volumes, and what they take.

mod archive;
mod create;
mod list;
mod remove;

use super::container::FORMAT_LIST;
use super::{Action, Arguments, BASE, Command, inspect};
use crate::flags::{list as many, switch, value};

pub(super) static VOLUME: Command = Command {
    name: "volume",
    usage: "COMMAND",
    about: "Manage volumes",
    action: Action::Group(&[
        &BACKUP,
        &CREATE,
        &inspect::VOLUME_INSPECT,
        &LS,
        &PRUNE,
        &RESTORE,
        &RM,
        &UPDATE,
    ]),
    ..BASE
};

const CLUSTER: &str = "Naru has no cluster mode; leave it out";

static CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    flags: &[&[
        value("availability", "string", "Cluster Volume availability").refused(CLUSTER),
        value("driver", "string", "Specify volume driver name (default \"local\")").short('d'),
        value("group", "string", "Cluster Volume group").refused(CLUSTER),
        many("label", "list", "Set metadata for a volume"),
        value("limit-bytes", "bytes", "Minimum size of the Cluster Volume in bytes")
            .refused(CLUSTER),
        value("name", "string", "Specify volume name"),
        many("opt", "map", "Set driver specific options").short('o'),
        value("required-bytes", "bytes", "Maximum size of the Cluster Volume in bytes")
            .refused(CLUSTER),
        value("scope", "string", "Cluster Volume access scope").refused(CLUSTER),
        many("secret", "map", "Cluster Volume secrets").refused(CLUSTER),
        value("sharing", "string", "Cluster Volume access sharing").refused(CLUSTER),
        many(
            "topology-preferred",
            "list",
            "A topology that the Cluster Volume would be preferred in",
        )
        .refused(CLUSTER),
        many(
            "topology-required",
            "list",
            "A topology that the Cluster Volume must be accessible from",
        )
        .refused(CLUSTER),
        value("type", "string", "Cluster Volume access type").refused(CLUSTER),
    ]],
    arguments: Arguments::AtMost(1),
    action: Action::Run(create::create),
    ..BASE
};

static LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    spellings: &["volume ls", "volume list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    flags: &[&[
        switch("cluster", "Display only cluster volumes, and use cluster volume list formatting")
            .refused(CLUSTER),
        many("filter", "filter", "Provide filter values (e.g. \"dangling=true\")").short('f'),
        value("format", "string", FORMAT_LIST),
        switch("quiet", "Only display volume names").short('q'),
    ]],
    action: Action::Run(list::list),
    ..BASE
};

static RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    spellings: &["volume rm", "volume remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    flags: &[&[switch("force", "Force the removal of one or more volumes").short('f')]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove::remove),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused local volumes",
    flags: &[&[
        switch("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        many("filter", "filter", "Provide filter values (e.g. \"label=<label>\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    action: Action::Run(remove::prune),
    ..BASE
};

static UPDATE: Command = Command { name: "update", action: Action::Absent(CLUSTER), ..BASE };

static BACKUP: Command = Command {
    name: "backup",
    usage: "VOLUME [FILE|-]",
    about: "Write a volume's content to a tar archive (to STDOUT by default)",
    arguments: Arguments::Between(1, 2),
    action: Action::Run(archive::backup),
    ..BASE
};

static RESTORE: Command = Command {
    name: "restore",
    usage: "[OPTIONS] VOLUME [FILE|-]",
    about: "Replace a volume's content by that of a tar archive (from STDIN by default)",
    flags: &[&[switch("force", "Restore although containers have the volume").short('f')]],
    arguments: Arguments::Between(1, 2),
    action: Action::Run(archive::restore),
    ..BASE
};
