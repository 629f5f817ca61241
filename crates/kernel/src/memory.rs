//! Keeps the process's footprint small. Acts: process-wide settings.

use std::io;

/// Lets the allocator use at most this many arenas; more threads then share them instead of keeping memory each.
pub fn limit_arenas(arenas: u8) {
    // SAFETY: `mallopt` only changes a tunable of the allocator; it takes two integers and is safe to call at any time.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, i32::from(arenas));
    }
}

/// Lets go of the pages of files that this process has mapped and cannot write: the program's code and constants. They stay in
/// the page cache, from which each is mapped again when it is needed; so a process at rest does not count what it used once.
/// Takes less than a millisecond.
pub fn let_go_of_code() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    for (start, end) in clean(&maps) {
        // SAFETY: the range is a whole mapping of this process that the kernel has just named: private, of a file, not
        // writable, and without a page that differs from the file (`clean`), so none is lost. What is executed or read there
        // next, by any thread, is mapped from the same file again, which the mapping keeps whatever becomes of its name.
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

/// Pure: the mappings in the text of `/proc/PID/smaps` that are of a file, not writable, and hold no page of the process's
/// own, in memory or in swap. Relocated constants are such pages: written at the start, and read-only ever since.
fn clean(maps: &str) -> Vec<(usize, usize)> {
    let mut list = Vec::new();
    let mut mapping = None;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        match (fields.next(), fields.next()) {
            (Some("Anonymous:" | "Swap:"), Some(size)) if size != "0" => mapping = None,
            (Some("VmFlags:"), _) => list.extend(mapping.take()),
            (Some(range), Some(rights)) if !range.ends_with(':') => {
                let address = |text: &str| usize::from_str_radix(text, 16).ok();
                let bounds = range
                    .split_once('-')
                    .and_then(|(start, end)| Some((address(start)?, address(end)?)));
                let file = fields.nth(2).is_some_and(|inode| inode != "0");
                mapping = bounds.filter(|(start, end)| {
                    start < end && file && matches!(rights, "r-xp" | "r--p")
                });
            }
            _ => {}
        }
    }
    list
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

    const MAPS: &str = "\
1000-3000 r--p 00000000 fd:00 77 /usr/bin/naru
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr
3000-9000 r-xp 00002000 fd:00 77 /usr/bin/naru
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex
9000-a000 r--p 00008000 fd:00 77 /usr/bin/naru
Anonymous:             4 kB
Swap:                  0 kB
VmFlags: rd
a000-b000 r--p 00009000 fd:00 77 /usr/bin/naru
Anonymous:             0 kB
Swap:                  4 kB
VmFlags: rd
b000-c000 rw-p 0000a000 fd:00 77 /usr/bin/naru
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd wr
c000-d000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd
d000-e000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex
e000-f000 r--s 00000000 fd:00 78 /data
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd sh
";

    #[test]
    fn only_pages_that_equal_their_file_are_let_go_of() {
        assert_eq!(clean(MAPS), [(0x1000, 0x3000), (0x3000, 0x9000)]);
        // A text that breaks off says nothing about its last mapping.
        let (cut, _) = MAPS.split_at(MAPS.find("VmFlags").unwrap());
        assert!(clean(cut).is_empty());
        assert!(clean("\n:\n- -\nx-y r--p 0 0 1\nVmFlags:").is_empty());
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
