//! The one binary: which role it plays is decided here, before any thread exists. Acts.

mod background;
mod config;
mod daemon;
mod hello;
mod logging;
mod pidfile;
mod registry;
mod role;
mod sockets;

use role::Role;
use std::process::ExitCode;

fn main() -> ExitCode {
    naru_kernel::memory::limit_arenas(2);
    match Role::of(std::env::args_os().collect()) {
        Role::Monitor(args) => {
            // Containers descend from this process: their root must not reach our file through `/proc/PID/exe`
            // (CVE-2019-5736). Where the kernel cannot protect it, init's own copy is what remains between them.
            if let Err(error) = naru_kernel::exec::protect_self() {
                daemon::say(&format!(
                    "warning: cannot protect the binary against containers: {error}"
                ));
            }
            naru_monitor::serve(args)
        }
        Role::Oci(args) => naru_runtime::oci_command(args),
        Role::Daemon(args) => daemon::main(args),
        Role::Registry(args) => registry::main(args),
        Role::Hello => hello::main(),
        Role::Client(args) => {
            let hooks =
                naru_cli::Hooks { start_daemon: background::start, registry: registry::reach };
            naru_cli::main(args, hooks).into()
        }
    }
}
