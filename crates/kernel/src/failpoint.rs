//! Named places at which a crash test kills the process.
//!
//! Acts: only when `NARU_FAILPOINT=name[:n]` was set before the first hit; otherwise [`hit`] is one atomic load.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that arms a failpoint.
pub const VARIABLE: &str = "NARU_FAILPOINT";

struct Armed {
    name: String,
    at: u64,
    hits: AtomicU64,
}

static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

/// Dies by SIGKILL here when this failpoint is armed and this is the hit that was asked for.
pub fn hit(name: &str) {
    let armed = ARMED.get_or_init(|| std::env::var_os(VARIABLE).as_deref().and_then(parse));
    if let Some(armed) = armed
        && armed.name == name
        && armed.hits.fetch_add(1, Ordering::SeqCst) + 1 == armed.at
    {
        // A clean exit would run destructors, which a power cut does not.
        let killed =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        debug_assert!(killed.is_ok(), "a process may always kill itself");
    }
}

/// `name` or `name:n`; the hit counts from one.
fn parse(text: &OsStr) -> Option<Armed> {
    let text = std::str::from_utf8(text.as_bytes()).ok()?;
    let (name, at) = match text.rsplit_once(':') {
        Some((name, count)) => (name, count.parse().ok()?),
        None => (text, 1),
    };
    (!name.is_empty()).then(|| Armed { name: name.to_owned(), at, hits: AtomicU64::new(0) })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::ffi::OsStr;

    #[test]
    fn a_failpoint_has_a_name_and_a_hit() {
        let read = |text: &str| parse(OsStr::new(text)).map(|armed| (armed.name, armed.at));
        assert_eq!(read("a.b"), Some(("a.b".to_owned(), 1)));
        assert_eq!(read("a.b:3"), Some(("a.b".to_owned(), 3)));
        assert_eq!(read(""), None);
        assert_eq!(read("a:x"), None);
    }
}
