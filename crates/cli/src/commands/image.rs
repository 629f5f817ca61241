//! Pure: the commands about images, and what they take.

pub(crate) mod archive;
mod directory;
mod history;
mod list;
mod remove;
pub(crate) mod transfer;

use super::container::FORMAT_LIST;
use super::{Action, Arguments, BASE, Command, build, copy, inspect};
use crate::flags::{Flag, list as many, switch, switch_on, value};

const ONE_PLATFORM: &str = "an image has one platform here; leave it out";

pub(super) static IMAGE: Command = Command {
    name: "image",
    usage: "COMMAND",
    about: "Manage images",
    action: Action::Group(&[
        &build::BUILD,
        &copy::COPY,
        &HISTORY,
        &IMPORT,
        &inspect::IMAGE_INSPECT,
        &LOAD,
        &LS,
        &PRUNE,
        &PULL,
        &PUSH,
        &RM,
        &SAVE,
        &TAG,
    ]),
    ..BASE
};

const LIST_FLAGS: &[Flag] = &[
    switch("all", "Show all images (default hides intermediate images)").short('a'),
    switch("digests", "Show digests"),
    many("filter", "filter", "Filter output based on conditions provided").short('f'),
    value("format", "string", FORMAT_LIST),
    switch("no-trunc", "Don't truncate output"),
    switch("quiet", "Only show image IDs").short('q'),
    switch("tree", "List multi-platform images as a tree")
        .refused("an image has one platform here; use the plain list"),
];
const LIST_SPELLINGS: &[&str] = &["image ls", "image list", "images"];

pub(super) static IMAGES: Command = Command {
    name: "images",
    spellings: LIST_SPELLINGS,
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    flags: &[LIST_FLAGS],
    arguments: Arguments::AtMost(1),
    action: Action::Run(list::list),
    ..BASE
};

static LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    spellings: LIST_SPELLINGS,
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    flags: &[LIST_FLAGS],
    arguments: Arguments::AtMost(1),
    action: Action::Run(list::list),
    ..BASE
};

const REMOVE_FLAGS: &[Flag] = &[
    switch("force", "Force removal of the image").short('f'),
    switch("no-prune", "Do not delete untagged parents"),
    value("platform", "strings", "Remove only the given platform variant").refused(ONE_PLATFORM),
];
const REMOVE_SPELLINGS: &[&str] = &["image rm", "image remove", "rmi"];

pub(super) static RMI: Command = Command {
    name: "rmi",
    spellings: REMOVE_SPELLINGS,
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    flags: &[REMOVE_FLAGS],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove::remove),
    ..BASE
};

static RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    spellings: REMOVE_SPELLINGS,
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    flags: &[REMOVE_FLAGS],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove::remove),
    ..BASE
};

pub(super) static TAG: Command = Command {
    name: "tag",
    spellings: &["image tag", "tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    arguments: Arguments::Exactly(2),
    action: Action::Run(remove::tag),
    ..BASE
};

pub(super) static LOAD: Command = Command {
    name: "load",
    spellings: &["image load", "load"],
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    flags: &[&[
        value(
            "input",
            "string",
            "Read from tar archive file (or a directory in OCI layout), instead of STDIN",
        )
        .short('i'),
        value("platform", "string", "Load only the given platform variant").refused(ONE_PLATFORM),
        switch("quiet", "Suppress the load output").short('q'),
    ]],
    action: Action::Run(archive::load),
    ..BASE
};

pub(super) static SAVE: Command = Command {
    name: "save",
    spellings: &["image save", "save"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    flags: &[&[
        value(
            "format",
            "string",
            "Shape of the archive: `docker` (default, reads everywhere) or `oci`",
        ),
        value("output", "string", "Write to a file, instead of STDOUT").short('o'),
        value("platform", "string", "Save only the given platform variant").refused(ONE_PLATFORM),
    ]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(archive::save),
    ..BASE
};

pub(super) static IMPORT: Command = Command {
    name: "import",
    spellings: &["image import", "import"],
    usage: "[OPTIONS] file|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    flags: &[&[
        many("change", "list", "Apply Dockerfile instruction to the created image").short('c'),
        value("message", "string", "Set commit message for imported image").short('m'),
        value("platform", "string", "Set platform if server is multi-platform capable"),
    ]],
    arguments: Arguments::Between(1, 2),
    action: Action::Run(archive::import),
    ..BASE
};

pub(super) static HISTORY: Command = Command {
    name: "history",
    spellings: &["image history", "history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the history of an image",
    flags: &[&[
        value("format", "string", FORMAT_LIST),
        switch_on("human", "Print sizes and dates in human readable format").short('H'),
        switch("no-trunc", "Don't truncate output"),
        value("platform", "string", "Show history for the given platform").refused(ONE_PLATFORM),
        switch("quiet", "Only show image IDs").short('q'),
    ]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(history::history),
    ..BASE
};

const RATE: Flag =
    value("limit-rate", "bytes", "Bytes a second at most (as 500k or 10m); Naru's own");

pub(super) static PULL: Command = Command {
    name: "pull",
    spellings: &["image pull", "pull"],
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    flags: &[&[
        switch("all-tags", "Download all tagged images in the repository").short('a'),
        switch_on("disable-content-trust", "Skip image verification").no_effect(),
        RATE,
        value("platform", "string", "Set platform if server is multi-platform capable"),
        switch("quiet", "Suppress verbose output").short('q'),
    ]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(transfer::pull),
    ..BASE
};

pub(super) static PUSH: Command = Command {
    name: "push",
    spellings: &["image push", "push"],
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    flags: &[&[
        switch("all-tags", "Push all tags of an image to the repository").short('a'),
        switch_on("disable-content-trust", "Skip image signing").no_effect(),
        RATE,
        value(
            "platform",
            "string",
            "Push a platform-specific manifest as a single-platform image to the registry (as linux/amd64)",
        ),
        switch("quiet", "Suppress verbose output").short('q'),
    ]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(transfer::push),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    spellings: &["image prune"],
    usage: "[OPTIONS]",
    about: "Remove unused images",
    flags: &[&[
        switch("all", "Remove all unused images, not just dangling ones").short('a'),
        many("filter", "filter", "Provide filter values (e.g. \"until=<timestamp>\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    action: Action::Run(remove::prune),
    ..BASE
};
