//! Keeps the process's footprint small. Acts: process-wide settings.

use std::io;

/// Lets the allocator use at most this many arenas; more threads then share them instead of keeping memory each.
pub fn limit_arenas(arenas: u8) {
    // SAFETY: `mallopt` only changes a tunable of the allocator; it takes two integers and is safe to call at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, i32::from(arenas));
    }
}

/// Lets go of the pages of the program's code that this process has mapped. They stay in the page cache, from which each
/// is mapped again when it is needed; so a process at rest does not count what it used once. Takes microseconds.
pub fn let_go_of_code() -> io::Result<()> {
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some("r-xp"), Some(inode)) =
            (fields.next(), fields.next(), fields.nth(2))
        else {
            continue;
        };
        let address = |text: &str| usize::from_str_radix(text, 16).ok();
        let bounds = range.split_once('-').and_then(|(a, b)| Some((address(a)?, address(b)?)));
        let Some((start, end)) = bounds.filter(|(start, end)| inode != "0" && start < end) else {
            continue;
        };
        // SAFETY: the range is a whole mapping of this process that the kernel has just named: private, of a file, and not
        // writable, so no page of it is our own and none is lost. What is executed there next, by any thread, is mapped
        // from the same file again, which the mapping keeps whatever becomes of its name.
        let done = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                libc::MADV_DONTNEED,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives memory that was freed back to the kernel. Takes up to some milliseconds after a burst, so it is for idle moments.
pub fn trim() {
    // SAFETY: `malloc_trim` only touches the allocator's own free lists, under its locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    #[test]
    fn code_is_let_go_of_and_runs_on() {
        let before = mapped();
        let others: Vec<_> = (0..4)
            .map(|number| std::thread::spawn(move || (0..1000).fold(number, |sum, n| sum + n)))
            .collect();
        for _ in 0..100 {
            let_go_of_code().unwrap();
        }
        let sums: Vec<i32> = others.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(sums, [499_500, 499_501, 499_502, 499_503]);
        let_go_of_code().unwrap();
        assert!(mapped() < before, "{} KiB before", before);
    }
}
