//! Pure: `build`, and what it takes: the flags of docker's two builders.

mod after;
mod agents;
mod cache;
mod check;
mod contexts;
mod export;
mod file;
mod output;
mod request;
mod run;
mod secret;
mod send;
mod view;

use super::{Action, Arguments, BASE, Command};
use crate::flags::{Flag, list, switch, switch_on, value};

const SPELLINGS: &[&str] = &["image build", "build", "builder build", "buildx build"];
const NO_BUILDER: &str = "there is one builder: the daemon's own; name the daemon with `-H`";
const USUAL: &str = "steps run with the default profile; use `RUN --security=insecure` with `--allow security.insecure`";

pub(super) static BUILD: Command = Command {
    name: "build",
    aliases: &["b"],
    spellings: SPELLINGS,
    usage: "[OPTIONS] PATH | URL | -",
    about: "Build an image from a Dockerfile",
    flags: &[FLAGS, LIMITS, OLD],
    arguments: Arguments::Exactly(1),
    action: Action::Run(run::build),
    ..BASE
};

const FLAGS: &[Flag] = &[
    list("add-host", "strings", "Add a custom host-to-IP mapping (format: \"host:ip\")"),
    list(
        "allow",
        "strings",
        "Allow extra privileged entitlement (\"network.host\", \"security.insecure\")",
    ),
    list("annotation", "strings", "Add annotation to the image"),
    list("attest", "strings", "Attestation parameters (format: \"type=sbom\")"),
    list("build-arg", "strings", "Set build-time variables"),
    list(
        "build-context",
        "strings",
        "Additional build contexts (e.g., name=path, name=docker-image://alpine)",
    ),
    value("builder", "string", "Override the configured builder instance").refused(NO_BUILDER),
    list(
        "cache-from",
        "strings",
        "External cache sources (e.g., \"user/app:cache\", \"type=registry,ref=user/app:cache\")",
    ),
    list(
        "cache-to",
        "strings",
        "Cache export destinations (e.g., \"type=inline\", \"type=registry,ref=user/app:cache\")",
    ),
    value("call", "string", "Set method for evaluating build (\"build\", \"check\")"),
    switch("check", "Shorthand for \"--call=check\""),
    switch("debug", "Enable debug logging").short('D').no_effect(),
    value("file", "string", "Name of the Dockerfile (default: \"PATH/Dockerfile\")").short('f'),
    value("iidfile", "string", "Write the image ID to a file"),
    list("label", "strings", "Set metadata for an image"),
    switch("load", "Shorthand for \"--output=type=docker\": the result is always here").no_effect(),
    value("metadata-file", "string", "Write build result metadata to a file"),
    value(
        "network",
        "string",
        "Set the networking mode for the RUN instructions during build (default \"default\")",
    ),
    switch("no-cache", "Do not use cache when building the image"),
    list("no-cache-filter", "strings", "Do not cache specified stages"),
    list("output", "strings", "Output destination (format: \"type=local,dest=path\")").short('o'),
    list("platform", "strings", "Set target platform for build"),
    value(
        "progress",
        "string",
        "Set type of progress output (\"auto\", \"plain\", \"tty\", \"json\", \"quiet\")",
    ),
    value("provenance", "string", "Shorthand for \"--attest=type=provenance\""),
    switch("pull", "Always attempt to pull all referenced images"),
    switch("push", "Push the result to its registry once it is built"),
    switch("quiet", "Suppress the build output and print image ID on success").short('q'),
    value("sbom", "string", "Shorthand for \"--attest=type=sbom\""),
    list(
        "secret",
        "strings",
        "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret|,env=VAR]\")",
    ),
    value("shm-size", "bytes", "Shared memory size for build containers"),
    list(
        "ssh",
        "strings",
        "SSH agent socket to expose to the build (format: \"default|<id>[=<socket>]\")",
    ),
    list("tag", "strings", "Name and optionally a tag (format: \"name:tag\")").short('t'),
    value("target", "string", "Set the target build stage to build"),
    list("ulimit", "ulimit", "Ulimit options (default [])"),
];

/// Limits of `RUN`.
const LIMITS: &[Flag] = &[
    value("cgroup-parent", "string", "Set the parent cgroup for the RUN instructions during build"),
    value("cpu-period", "int", "Limit the CPU CFS (Completely Fair Scheduler) period"),
    value("cpu-quota", "int", "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    value("cpu-shares", "int", "CPU shares (relative weight)").short('c'),
    value("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
    value("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
    value("memory", "bytes", "Memory limit").short('m'),
    value(
        "memory-swap",
        "bytes",
        "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
    ),
];

/// What only docker's classic builder had.
const OLD: &[Flag] = &[
    switch("compress", "Compress the build context using gzip").no_effect(),
    switch_on("disable-content-trust", "Skip image verification").no_effect(),
    switch("force-rm", "Always remove intermediate containers").no_effect(),
    value("isolation", "string", "Container isolation technology")
        .refused("it means something on another operating system only; leave it out"),
    switch_on("rm", "Remove intermediate containers after a successful build").no_effect(),
    list("security-opt", "strings", "Security options").refused(USUAL),
    switch("squash", "Squash newly built layers into a single new layer")
        .refused("copy the result into a last stage: `FROM scratch` and `COPY --from=STAGE / /`"),
];
