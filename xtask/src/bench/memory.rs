//! Memory and disk writes of processes, from `/proc`. Acts: reads.

use std::collections::BTreeMap;

/// Proportional set size of a process in KiB; shared pages count in parts.
pub fn pss_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&text, "Pss:")
}

/// Bytes that a process sent to the disk so far.
pub fn written(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    field(&text, "write_bytes:")
}

/// Pure: the number after a name.
pub fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// A process and everything below it.
pub fn family(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may contain anything; the parent is the second field after it.
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1))
            .and_then(|text| text.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut list = vec![root];
    let mut index = 0;
    while let Some(pid) = list.get(index).copied() {
        list.extend(children.remove(&pid).unwrap_or_default());
        index += 1;
    }
    list
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_found() {
        assert_eq!(super::field("Rss: 12 kB\nPss:   34 kB\n", "Pss:"), 34);
        assert_eq!(super::field("x", "Pss:"), 0);
    }

    #[test]
    fn we_belong_to_our_own_family() {
        assert!(super::family(std::process::id()).contains(&std::process::id()));
        assert!(super::pss_kib(std::process::id()) > 0);
    }
}
