//! The OCI runtime command line as a program of its own, for tests. Acts.

fn main() -> std::process::ExitCode {
    naru_runtime::oci_command(std::env::args_os().skip(1).collect())
}
