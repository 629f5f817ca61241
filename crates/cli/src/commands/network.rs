//! Pure: the commands about networks, and what they take.

mod connect;
mod create;
mod list;
pub(super) mod prune;
mod remove;

use super::container::FORMAT_LIST;
use super::{Action, Arguments, BASE, Command, inspect};
use crate::flags::{Flag, list as many, switch, switch_on, value};

const SWARM: &str = "it means something in a cluster only, and Naru runs one host; leave it out";
const CONFIG: &str =
    "every network carries its own configuration; give `--subnet` and `--opt` to each";

pub(super) static NETWORK: Command = Command {
    name: "network",
    usage: "COMMAND",
    about: "Manage networks",
    action: Action::Group(&[
        &CONNECT,
        &CREATE,
        &DISCONNECT,
        &inspect::NETWORK_INSPECT,
        &LS,
        &PRUNE,
        &RM,
    ]),
    ..BASE
};

const CONNECT_FLAGS: &[Flag] = &[
    many("alias", "strings", "Add network-scoped alias for the container"),
    many("driver-opt", "strings", "driver options for the network"),
    value(
        "gw-priority",
        "int",
        "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
    ),
    value("ip", "string", "IPv4 address (e.g., \"172.30.100.104\")"),
    value("ip6", "string", "IPv6 address (e.g., \"2001:db8::33\")"),
    many("link", "list", "Add link to another container"),
    many("link-local-ip", "strings", "Add a link-local address for the container"),
];

static CONNECT: Command = Command {
    name: "connect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    flags: &[CONNECT_FLAGS],
    arguments: Arguments::Exactly(2),
    action: Action::Run(connect::connect),
    ..BASE
};

static DISCONNECT: Command = Command {
    name: "disconnect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    flags: &[&[switch("force", "Force the container to disconnect from a network").short('f')]],
    arguments: Arguments::Exactly(2),
    action: Action::Run(connect::disconnect),
    ..BASE
};

const CREATE_FLAGS: &[Flag] = &[
    switch("attachable", "Enable manual container attachment"),
    many("aux-address", "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
    value("config-from", "string", "The network from which to copy the configuration")
        .refused(CONFIG),
    switch("config-only", "Create a configuration only network").refused(CONFIG),
    value("driver", "string", "Driver to manage the Network (default \"bridge\")").short('d'),
    many("gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet"),
    switch("ingress", "Create swarm routing-mesh network").refused(SWARM),
    switch("internal", "Restrict external access to the network"),
    many("ip-range", "strings", "Allocate container ip from a sub-range"),
    value("ipam-driver", "string", "IP Address Management Driver (default \"default\")"),
    many("ipam-opt", "map", "Set IPAM driver specific options"),
    switch_on("ipv4", "Enable or disable IPv4 address assignment"),
    switch("ipv6", "Enable or disable IPv6 address assignment"),
    many("label", "list", "Set metadata on a network"),
    many("opt", "map", "Set driver specific options").short('o'),
    value("scope", "string", "Control the network's scope").refused(SWARM),
    many("subnet", "strings", "Subnet in CIDR format that represents a network segment"),
];

static CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    flags: &[CREATE_FLAGS],
    arguments: Arguments::Exactly(1),
    action: Action::Run(create::create),
    ..BASE
};

static LS: Command = Command {
    name: "ls",
    aliases: &["list"],
    spellings: &["network ls", "network list"],
    usage: "[OPTIONS]",
    about: "List networks",
    flags: &[&[
        many("filter", "filter", "Provide filter values (e.g. \"driver=bridge\")").short('f'),
        value("format", "string", FORMAT_LIST),
        switch("no-trunc", "Do not truncate the output"),
        switch("quiet", "Only display network IDs").short('q'),
    ]],
    action: Action::Run(list::list),
    ..BASE
};

static RM: Command = Command {
    name: "rm",
    aliases: &["remove"],
    spellings: &["network rm", "network remove"],
    usage: "NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    flags: &[&[switch("force", "Do not error if the network does not exist").short('f')]],
    arguments: Arguments::AtLeast(1),
    action: Action::Run(remove::remove),
    ..BASE
};

static PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    flags: &[&[
        many("filter", "filter", "Provide filter values (e.g. \"until=<timestamp>\")"),
        switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    action: Action::Run(prune::prune),
    ..BASE
};

#[cfg(test)]
mod tests;
