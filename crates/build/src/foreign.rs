//! Acts: reads which programs of other platforms the kernel of this host starts.

use naru_errdefs::Fault;
use naru_oci::Platform;

/// Where the kernel shows by what it starts programs of other kinds.
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";

/// That a step of a build for another platform cannot be run here; nothing when it can.
pub(crate) fn refusal(platform: &Platform, step: &str, place: &str) -> Option<Fault> {
    let host = Platform::host();
    if platform.os.is_empty() || runs(&host, platform) {
        return None;
    }
    let fault = Fault::unsupported(format!(
        "{place}: `{step}` is for {platform}, and this host runs {host}"
    ));
    Some(fault.with_hint(
        "do it in a stage for this host (`FROM --platform=$BUILDPLATFORM ...`) and COPY what it makes; or build on a host of that platform; or let the kernel start such programs by an interpreter (qemu-user-static in binfmt_misc, with the flag F)",
    ))
}

fn runs(host: &Platform, platform: &Platform) -> bool {
    if platform.os != host.os {
        return false;
    }
    let pair = (host.architecture.as_str(), platform.architecture.as_str());
    // Processors that run their older kin.
    pair.0 == pair.1
        || matches!(pair, ("amd64", "386") | ("arm64", "arm"))
        || machine(pair.1).is_some_and(has_interpreter)
}

/// The number of an architecture in the head of its programs, as their bytes in hexadecimal digits.
fn machine(architecture: &str) -> Option<&'static str> {
    Some(match architecture {
        "amd64" => "3e00",
        "386" => "0300",
        "arm64" => "b700",
        "arm" => "2800",
        "ppc64le" => "1500",
        "s390x" => "0016",
        "riscv64" => "f300",
        "loong64" => "0201",
        "mips64le" => "0800",
        _ => return None,
    })
}

fn has_interpreter(machine: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(FORMATS) else { return false };
    entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .any(|text| is_for(&text, machine))
}

/// Pure: whether an entry starts programs of a machine, also inside other mount namespaces.
fn is_for(entry: &str, machine: &str) -> bool {
    let field = |name: &str| entry.lines().find_map(|line| line.strip_prefix(name));
    let is_on = entry.lines().next() == Some("enabled");
    // The flag F: the interpreter was opened when it was registered.
    let is_open = field("flags:").is_some_and(|flags| flags.contains('F'));
    let magic = field("magic ").unwrap_or_default();
    let is_program = field("offset ").is_some_and(|offset| offset.trim() == "0")
        && magic.starts_with("7f454c46")
        && magic.get(36..40) == Some(machine);
    is_on && is_open && is_program
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_told_from_other_entries() {
        let entry = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
            magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        assert!(is_for(entry, "b700"));
        assert!(!is_for(entry, "f300"));
        assert!(!is_for(&entry.replace("OCF", "OC"), "b700"));
        assert!(!is_for(&entry.replace("enabled", "disabled"), "b700"));
        assert!(!is_for("enabled\n", "b700"));
        assert!(!is_for("", "b700"));
    }

    #[test]
    fn only_what_cannot_run_is_refused() {
        assert!(refusal(&Platform::host(), "RUN x", "Dockerfile:1").is_none());
        let fault = refusal(&Platform::new("plan9", "amd64"), "RUN x", "Dockerfile:1").unwrap();
        assert!(fault.message().contains("Dockerfile:1: `RUN x` is for plan9/amd64"), "{fault:?}");
    }
}
