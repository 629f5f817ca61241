//! Acts: `kill`, `pause` and `resume`.

use super::Global;
use super::arguments::Parsed;
use super::state::{State, Status, cgroup};
use naru_errdefs::Fault;
use naru_kernel::reap;

/// The signals by name, in the order of their numbers from 1 on.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal by name, with or without `SIG`, or by number.
fn signal(text: &str) -> Result<i32, Fault> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = name.parse::<i32>().ok().filter(|number| (1..=64).contains(number));
    let by_name = || {
        let at = SIGNALS.iter().position(|known| *known == name)?;
        i32::try_from(at + 1).ok()
    };
    number.or_else(by_name).ok_or_else(|| {
        Fault::invalid(format!("`{text}` is not a signal"))
            .with_hint("use a name as `TERM` or a number")
    })
}

/// `kill [--all] ID [SIGNAL]`.
pub(super) fn kill(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let id = parsed.id()?;
    let word = parsed.words.pop().unwrap_or_else(|| "TERM".to_owned());
    parsed.end()?;
    let signal = signal(&word)?;
    let state = global.read(&id)?;
    if parsed.options.has("all") {
        if let Some(cgroup) = cgroup(&state)? {
            cgroup.signal_all(signal)?;
        }
        return Ok(0);
    }
    if matches!(global.status(&state), Status::Stopped | Status::Creating) {
        return Err(not_running(&id));
    }
    reap::signal(state.pid, signal)
        .map_err(super::io(format!("cannot send `{word}` to container `{id}`")))?;
    Ok(0)
}

fn not_running(id: &str) -> Fault {
    Fault::conflict(format!("container `{id}` is not running"))
}

/// `pause ID`.
pub(super) fn pause(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let state = running(global, parsed)?;
    if let Some(cgroup) = cgroup(&state)? {
        cgroup.freeze()?;
    }
    Ok(0)
}

/// `resume ID`.
pub(super) fn resume(global: &Global, parsed: &mut Parsed) -> Result<u8, Fault> {
    let state = running(global, parsed)?;
    if let Some(cgroup) = cgroup(&state)? {
        cgroup.thaw()?;
    }
    Ok(0)
}

fn running(global: &Global, parsed: &mut Parsed) -> Result<State, Fault> {
    let id = parsed.id()?;
    parsed.end()?;
    let state = global.read(&id)?;
    match global.status(&state) {
        Status::Stopped | Status::Creating => Err(not_running(&id)),
        Status::Created | Status::Running | Status::Paused => Ok(state),
    }
}

#[cfg(test)]
mod tests {
    use super::signal;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for (text, number) in [("TERM", 15), ("sigkill", 9), ("9", 9), ("SIGWINCH", 28), ("64", 64)]
        {
            assert_eq!(signal(text).unwrap(), number, "{text}");
        }
        for bad in ["TEA", "0", "65", "-1", ""] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }
}
