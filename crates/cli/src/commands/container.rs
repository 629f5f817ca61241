//! Pure: the commands about containers, and what they take.

mod attach;
mod copy;
mod create_flags;
mod diff;
mod exec;
mod export;
mod lifecycle;
mod list;
mod logs;
mod networking;
mod port;
mod ports;
mod prune;
mod request;
mod run;
mod stats;
mod top;
mod update;

use super::{Action, Arguments, BASE, Command, absent, inspect};
use crate::flags::{Flag, Order, list as many, switch, switch_on, value};

pub(super) const FORMAT_LIST: &str = "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template";
pub(super) const FORMAT_ONE: &str = "Format output using a custom template:\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template";
const NAMES: &str = "CONTAINER [CONTAINER...]";
const NAMES_OPTIONS: &str = "[OPTIONS] CONTAINER [CONTAINER...]";
const KEYS: Flag =
    value("detach-keys", "string", "Override the key sequence for detaching a container");
const PROXY: Flag = switch_on("sig-proxy", "Proxy all received signals to the process");
const STOP_FLAGS: &[Flag] = &[
    value("signal", "string", "Signal to send to the container").short('s'),
    value("time", "int", "Seconds to wait before killing the container").short('t'),
    value("timeout", "int", "Seconds to wait before killing the container"),
];

pub(super) static CONTAINER: Command = Command {
    name: "container",
    usage: "COMMAND",
    about: "Manage containers",
    action: Action::Group(MEMBERS),
    ..BASE
};

static MEMBERS: &[&Command] = &[
    &ATTACH,
    &CP,
    &CREATE,
    &DIFF,
    &EXEC,
    &EXPORT,
    &inspect::CONTAINER_INSPECT,
    &KILL,
    &LOGS,
    &LS,
    &PAUSE,
    &PORT,
    &PRUNE,
    &RENAME,
    &RESTART,
    &RM,
    &RUN,
    &START,
    &STATS,
    &STOP,
    &TOP,
    &UNPAUSE,
    &UPDATE,
    &WAIT,
    &absent::COMMIT,
];

pub(super) static RUN: Command = Command {
    name: "run",
    spellings: &["container run", "run"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    flags: &[create_flags::CREATE, create_flags::RUN],
    arguments: Arguments::AtLeast(1),
    order: Order::FlagsFirst,
    action: Action::Run(run::run),
    ..BASE
};

pub(super) static CREATE: Command = Command {
    name: "create",
    spellings: &["container create", "create"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    flags: &[create_flags::CREATE],
    arguments: Arguments::AtLeast(1),
    order: Order::FlagsFirst,
    action: Action::Run(run::create),
    ..BASE
};

pub(super) static START: Command = Command {
    name: "start",
    spellings: &["container start", "start"],
    usage: NAMES_OPTIONS,
    about: "Start one or more stopped containers",
    flags: &[&[
        switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
        switch("interactive", "Attach container's STDIN").short('i'),
        KEYS,
        PROXY,
        value("checkpoint", "string", "Restore from this checkpoint")
            .refused("checkpoints are not supported; freeze with `pause` instead"),
        value("checkpoint-dir", "string", "Use a custom checkpoint storage directory")
            .refused("checkpoints are not supported; freeze with `pause` instead"),
    ]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(attach::start),
    ..BASE
};

pub(super) static ATTACH: Command = Command {
    name: "attach",
    spellings: &["container attach", "attach"],
    usage: "[OPTIONS] CONTAINER",
    about: "Attach local standard input, output, and error streams to a running container",
    flags: &[&[KEYS, PROXY, switch("no-stdin", "Do not attach STDIN")]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(attach::attach),
    ..BASE
};

pub(super) static CP: Command = Command {
    name: "cp",
    spellings: &["container cp", "cp"],
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files/folders between a container and the local filesystem",
    flags: &[&[
        switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
        switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
        switch(
            "quiet",
            "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
        )
        .short('q'),
    ]],
    arguments: Arguments::Exactly(2),
    action: Action::Run(copy::copy),
    ..BASE
};

pub(super) static DIFF: Command = Command {
    name: "diff",
    spellings: &["container diff", "diff"],
    usage: "CONTAINER",
    about: "Inspect changes to files or directories on a container's filesystem",
    arguments: Arguments::Exactly(1),
    action: Action::Run(diff::diff),
    ..BASE
};

pub(super) static EXEC: Command = Command {
    name: "exec",
    spellings: &["container exec", "exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    flags: &[&[
        switch("detach", "Detached mode: run command in the background").short('d'),
        KEYS,
        many("env", "list", "Set environment variables").short('e'),
        many("env-file", "list", "Read in a file of environment variables"),
        switch("interactive", "Keep STDIN open even if not attached").short('i'),
        switch("privileged", "Give extended privileges to the command"),
        switch("tty", "Allocate a pseudo-TTY").short('t'),
        value("user", "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")")
            .short('u'),
        value("workdir", "string", "Working directory inside the container").short('w'),
    ]],
    arguments: Arguments::AtLeast(2),
    order: Order::FlagsFirst,
    action: Action::Run(exec::exec),
    ..BASE
};

pub(super) static STOP: Command = Command {
    name: "stop",
    spellings: &["container stop", "stop"],
    usage: NAMES_OPTIONS,
    about: "Stop one or more running containers",
    flags: &[STOP_FLAGS],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::stop),
    ..BASE
};

pub(super) static RESTART: Command = Command {
    name: "restart",
    spellings: &["container restart", "restart"],
    usage: NAMES_OPTIONS,
    about: "Restart one or more containers",
    flags: &[STOP_FLAGS],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::restart),
    ..BASE
};

pub(super) static KILL: Command = Command {
    name: "kill",
    spellings: &["container kill", "kill"],
    usage: NAMES_OPTIONS,
    about: "Kill one or more running containers",
    flags: &[&[value("signal", "string", "Signal to send to the container").short('s')]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::kill),
    ..BASE
};

pub(super) static PAUSE: Command = Command {
    name: "pause",
    spellings: &["container pause", "pause"],
    usage: NAMES,
    about: "Pause all processes within one or more containers",
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::pause),
    ..BASE
};

pub(super) static UNPAUSE: Command = Command {
    name: "unpause",
    spellings: &["container unpause", "unpause"],
    usage: NAMES,
    about: "Unpause all processes within one or more containers",
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::unpause),
    ..BASE
};

pub(super) static RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    spellings: &["container rm", "container remove", "rm"],
    usage: NAMES_OPTIONS,
    about: "Remove one or more containers",
    flags: &[&[
        switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
        switch("link", "Remove the specified link")
            .short('l')
            .refused("a link goes with the container that has it; remove that container"),
        switch("volumes", "Remove anonymous volumes associated with the container").short('v'),
    ]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::rm),
    ..BASE
};

pub(super) static WAIT: Command = Command {
    name: "wait",
    spellings: &["container wait", "wait"],
    usage: NAMES,
    about: "Block until one or more containers stop, then print their exit codes",
    arguments: Arguments::AtLeast(1),
    action: Action::Run(lifecycle::wait),
    ..BASE
};

pub(super) static RENAME: Command = Command {
    name: "rename",
    spellings: &["container rename", "rename"],
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    arguments: Arguments::Exactly(2),
    action: Action::Run(lifecycle::rename),
    ..BASE
};

pub(super) static PORT: Command = Command {
    name: "port",
    spellings: &["container port", "port"],
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List port mappings or a specific mapping for the container",
    arguments: Arguments::Between(1, 2),
    action: Action::Run(port::port),
    ..BASE
};

const LIST_FLAGS: &[Flag] = &[
    switch("all", "Show all containers (default shows just running)").short('a'),
    many("filter", "filter", "Filter output based on conditions provided").short('f'),
    value("format", "string", FORMAT_LIST),
    value("last", "int", "Show n last created containers (includes all states) (default -1)")
        .short('n'),
    switch("latest", "Show the latest created container (includes all states)").short('l'),
    switch("no-trunc", "Don't truncate output"),
    switch("quiet", "Only display container IDs").short('q'),
    switch("size", "Display total file sizes").short('s'),
];

pub(super) static PS: Command = Command {
    name: "ps",
    spellings: LIST_SPELLINGS,
    usage: "[OPTIONS]",
    about: "List containers",
    flags: &[LIST_FLAGS],
    action: Action::Run(list::list),
    ..BASE
};

const LIST_SPELLINGS: &[&str] = &["container ls", "container list", "container ps", "ps"];

static LS: Command = Command {
    name: "ls",
    aliases: &["list", "ps"],
    spellings: LIST_SPELLINGS,
    usage: "[OPTIONS]",
    about: "List containers",
    flags: &[LIST_FLAGS],
    action: Action::Run(list::list),
    ..BASE
};

pub(super) static LOGS: Command = Command {
    name: "logs",
    spellings: &["container logs", "logs"],
    usage: "[OPTIONS] CONTAINER",
    about: "Fetch the logs of a container",
    flags: &[&[
        switch("details", "Show extra details provided to logs"),
        switch("follow", "Follow log output").short('f'),
        value(
            "since",
            "string",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        value(
            "tail",
            "string",
            "Number of lines to show from the end of the logs (default \"all\")",
        )
        .short('n'),
        switch("timestamps", "Show timestamps").short('t'),
        value(
            "until",
            "string",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(logs::logs),
    ..BASE
};

pub(super) static TOP: Command = Command {
    name: "top",
    spellings: &["container top", "top"],
    usage: "CONTAINER [ps OPTIONS]",
    about: "Display the running processes of a container",
    arguments: Arguments::AtLeast(1),
    order: Order::FlagsFirst,
    action: Action::Run(top::top),
    ..BASE
};

pub(super) static STATS: Command = Command {
    name: "stats",
    spellings: &["container stats", "stats"],
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Display a live stream of container(s) resource usage statistics",
    flags: &[&[
        switch("all", "Show all containers (default shows just running)").short('a'),
        value("format", "string", FORMAT_LIST),
        switch("no-stream", "Disable streaming stats and only pull the first result"),
        switch("no-trunc", "Do not truncate output"),
    ]],
    arguments: Arguments::AtLeast(0),
    action: Action::Run(stats::stats),
    ..BASE
};

pub(super) static UPDATE: Command = Command {
    name: "update",
    spellings: &["container update", "update"],
    usage: NAMES_OPTIONS,
    about: "Update configuration of one or more containers",
    flags: &[update::FLAGS],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(update::update),
    ..BASE
};

pub(super) static EXPORT: Command = Command {
    name: "export",
    spellings: &["container export", "export"],
    usage: "[OPTIONS] CONTAINER",
    about: "Export a container's filesystem as a tar archive",
    flags: &[&[value("output", "string", "Write to a file, instead of STDOUT").short('o')]],
    arguments: Arguments::Exactly(1),
    action: Action::Run(export::export),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    spellings: &["container prune"],
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    flags: &[&[
        many("filter", "filter", "Provide filter values (e.g. \"until=<timestamp>\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    action: Action::Run(prune::prune),
    ..BASE
};
