//! Acts on a pack: the directory that git keeps of a repository at one commit (gitrepository-layout), as after a fetch without
//! history. The same commit under the same name gives the same bytes: objects go whole and in order into a pack of their own,
//! and the index says nothing of the files' times and places, as after `git read-tree`; whoever asks compares contents.

use crate::checkout::{Checkout, DEEPEST, Mode, entries, peel, tree_of};
use crate::oid::{Oid, Sha1};
use crate::pack::{ObjectKind, Pack, PackError};
use crate::wire::Tip;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use naru_errdefs::{Fault, ResultExt};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest list of files that is made.
const LONGEST_INDEX: usize = 256 << 20;
/// Offsets from here on stand in a list of long ones.
const LONG: u64 = 1 << 31;

/// What a directory of git's says beside the objects.
#[derive(Debug, Clone)]
pub struct Kept<'a> {
    /// What was asked for.
    pub tip: &'a Tip,
    /// Where it came from, without credentials.
    pub url: String,
    /// Its submodules: names and addresses.
    pub modules: Vec<(String, String)>,
    /// The way to its files from there, where it is not the directory above.
    pub worktree: Option<String>,
}

/// Writes the directory; paths are those in it. `room` is an empty file that can be read and written.
pub fn git_directory<C: Checkout>(
    pack: &mut Pack,
    kept: &Kept<'_>,
    mut room: File,
    into: &mut C,
    cancelled: &AtomicBool,
) -> Result<(), Fault> {
    let start = if pack.has(&kept.tip.object) { kept.tip.object } else { kept.tip.commit };
    let (commit, tags) = peel(pack, start)?;
    let mut all = Closure { objects: BTreeMap::new(), index: Vec::new(), count: 0 };
    all.objects.extend(tags.into_iter().map(|tag| (tag, ObjectKind::Tag)));
    all.objects.insert(commit, ObjectKind::Commit);
    let (tree, is_shallow) = tree_of(pack, commit)?;
    all.objects.insert(tree, ObjectKind::Tree);
    all.walk(pack, &tree, (&mut Vec::new(), 0), cancelled)?;

    let failed = || "cannot write the objects of a git repository".to_owned();
    let (name, index) = write_pack(pack, &all.objects, &room, cancelled)?;
    room.rewind().during(failed)?;
    for directory in ["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"]
    {
        into.directory(directory.as_bytes())?;
    }
    put(into, &format!("objects/pack/pack-{name}.pack"), &mut room)?;
    put(into, &format!("objects/pack/pack-{name}.idx"), &mut index.as_slice())?;
    put(into, "index", &mut all.finish().as_slice())?;
    put(into, "config", &mut config(kept).as_bytes())?;
    let line = format!("{commit}\n");
    put(into, "HEAD", &mut line.as_bytes())?;
    if is_shallow {
        put(into, "shallow", &mut line.as_bytes())?;
    }
    if is_file_of_refs(&kept.tip.name) {
        put(into, &kept.tip.name, &mut format!("{start}\n").as_bytes())?;
    }
    Ok(())
}

fn put<C: Checkout>(into: &mut C, path: &str, content: &mut dyn Read) -> Result<(), Fault> {
    let kept = into.keep(content, false)?;
    into.file(path.as_bytes(), &kept, false)
}

/// Whether the name of a reference, which may come from a server, leads to a file below `refs` and nowhere else.
fn is_file_of_refs(name: &str) -> bool {
    let good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.len() < 200;
    name.starts_with("refs/")
        && name.len() < 1000
        && name.split('/').count() > 2
        && name.split('/').all(good)
        && !name.contains(char::is_control)
}

/// A value of a configuration.
fn quoted(value: &str) -> String {
    let plain = value.replace(char::is_control, "").replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{plain}\"")
}

fn config(kept: &Kept<'_>) -> String {
    let mut text = String::from(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n",
    );
    if let Some(place) = &kept.worktree {
        text.push_str(&format!("\tworktree = {}\n", quoted(place)));
    }
    let url = quoted(&kept.url);
    text.push_str(&format!(
        "[remote \"origin\"]\n\turl = {url}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
    ));
    for (name, url) in &kept.modules {
        let (name, url) = (quoted(name), quoted(url));
        text.push_str(&format!("[submodule {name}]\n\tactive = true\n\turl = {url}\n"));
    }
    text
}

/// The objects that a commit has, and the list of its files as they go into an index (gitformat-index).
struct Closure {
    objects: BTreeMap<Oid, ObjectKind>,
    index: Vec<(Vec<u8>, u32, Oid)>,
    count: usize,
}

impl Closure {
    fn walk(
        &mut self,
        pack: &mut Pack,
        tree: &Oid,
        (path, depth): (&mut Vec<u8>, usize),
        cancelled: &AtomicBool,
    ) -> Result<(), PackError> {
        if cancelled.load(Ordering::Relaxed) {
            return Err(PackError::Cancelled);
        }
        for line in entries(pack, tree)? {
            self.count += 1 + path.len() + line.name.len();
            if depth > DEEPEST || self.count > LONGEST_INDEX / 2 {
                return Err(PackError::TooLarge("it has too many files"));
            }
            let before = path.len();
            if before > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&line.name);
            let (mode, kind) = match line.mode {
                Mode::Directory => {
                    self.objects.insert(line.oid, ObjectKind::Tree);
                    self.walk(pack, &line.oid, (path, depth + 1), cancelled)?;
                    path.truncate(before);
                    continue;
                }
                Mode::File => (0o100_644, Some(ObjectKind::Blob)),
                Mode::Executable => (0o100_755, Some(ObjectKind::Blob)),
                Mode::Link => (0o120_000, Some(ObjectKind::Blob)),
                Mode::Module => (0o160_000, None),
            };
            self.objects.extend(kind.map(|kind| (line.oid, kind)));
            self.index.push((path.clone(), mode, line.oid));
            path.truncate(before);
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<u8> {
        self.index.sort();
        let mut bytes = b"DIRC\0\0\0\x02".to_vec();
        bytes.extend(u32::try_from(self.index.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (path, mode, oid) in self.index {
            let start = bytes.len();
            // Both times, the device and the number of the file: none of them is known.
            bytes.extend([0; 24]);
            bytes.extend(mode.to_be_bytes());
            // Nor whose it is, nor how long.
            bytes.extend([0; 12]);
            bytes.extend(oid.0);
            bytes.extend(u16::try_from(path.len()).map_or(0xfff, |n| n.min(0xfff)).to_be_bytes());
            bytes.extend(&path);
            let length = (bytes.len() - start) / 8 * 8 + 8;
            bytes.resize(start + length, 0);
        }
        summed(bytes)
    }
}

/// With the sum of all behind it.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut sha1 = Sha1::new();
    sha1.update(&bytes);
    bytes.extend(sha1.finish().0);
    bytes
}

/// A pack as it is written.
struct Output<'a> {
    file: BufWriter<&'a File>,
    sha1: Sha1,
    crc: Crc,
    place: u64,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sha1.update(bytes);
        self.crc.update(bytes);
        self.place += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes objects, none as a difference; answers the sum of the pack and its index (gitformat-pack, version 2).
fn write_pack(
    pack: &mut Pack,
    objects: &BTreeMap<Oid, ObjectKind>,
    room: &File,
    cancelled: &AtomicBool,
) -> Result<(Oid, Vec<u8>), Fault> {
    let failed = || "cannot write the objects of a git repository".to_owned();
    let most = pack.limits().pack;
    let file = BufWriter::with_capacity(128 << 10, room);
    let mut output = Output { file, sha1: Sha1::new(), crc: Crc::new(), place: 0 };
    let count = u32::try_from(objects.len()).unwrap_or(u32::MAX);
    output.write_all(b"PACK\0\0\0\x02").during(failed)?;
    output.write_all(&count.to_be_bytes()).during(failed)?;
    let (mut sums, mut places, mut long) = (Vec::new(), Vec::new(), Vec::new());
    for (oid, kind) in objects {
        if cancelled.load(Ordering::Relaxed) {
            return Err(PackError::Cancelled.into());
        }
        match u32::try_from(output.place).ok().filter(|place| u64::from(*place) < LONG) {
            Some(place) => places.extend(place.to_be_bytes()),
            None => {
                let number = u32::try_from(long.len() / 8).unwrap_or(0) | 0x8000_0000;
                places.extend(number.to_be_bytes());
                long.extend(output.place.to_be_bytes());
            }
        }
        output.crc.reset();
        match kind {
            ObjectKind::Blob => {
                let (size, mut content) = pack.blob(oid)?;
                add(&mut output, (*kind, size), &mut *content).during(failed)?;
            }
            ObjectKind::Commit | ObjectKind::Tree | ObjectKind::Tag => {
                let (_, bytes) = pack.object(oid)?;
                let size = bytes.len() as u64;
                add(&mut output, (*kind, size), &mut bytes.as_ref()).during(failed)?;
            }
        }
        sums.extend(output.crc.sum().to_be_bytes());
        if output.place > most {
            return Err(PackError::TooLarge("its pack has too many bytes").into());
        }
    }
    let Output { mut file, sha1, .. } = output;
    let sum = sha1.finish();
    file.write_all(&sum.0).and_then(|()| file.flush()).during(failed)?;

    let mut index = b"\xfftOc\0\0\0\x02".to_vec();
    let mut until = [0u32; 256];
    for oid in objects.keys() {
        let first = usize::from(oid.0.first().copied().unwrap_or_default());
        until.iter_mut().skip(first).for_each(|count| *count += 1);
    }
    until.iter().for_each(|count| index.extend(count.to_be_bytes()));
    objects.keys().for_each(|oid| index.extend(oid.0));
    for list in [&sums, &places, &long] {
        index.extend(list);
    }
    index.extend(sum.0);
    Ok((sum, summed(index)))
}

/// Adds an object: its kind and its size in pieces of 4 and 7 bits, then its bytes compressed.
fn add(
    output: &mut Output<'_>,
    (kind, size): (ObjectKind, u64),
    content: &mut dyn Read,
) -> io::Result<()> {
    let low = |bits: u64, mask: u64| u8::try_from(bits & mask).unwrap_or(0);
    let mut head = vec![kind.number() << 4 | low(size, 0x0f)];
    let mut rest = size >> 4;
    while rest > 0 {
        if let Some(last) = head.last_mut() {
            *last |= 0x80;
        }
        head.push(low(rest, 0x7f));
        rest >>= 7;
    }
    output.write_all(&head)?;
    let mut encoder = ZlibEncoder::new(output, Compression::fast());
    let written = io::copy(content, &mut encoder)?;
    encoder.finish()?;
    if written == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_references_lead_below_refs() {
        for name in ["refs/heads/main", "refs/tags/v1", "refs/pull/1/head"] {
            assert!(is_file_of_refs(name), "{name}");
        }
        for name in ["", "HEAD", "refs/heads", "refs/heads/../../config", "refs/heads/", "refs//a"]
        {
            assert!(!is_file_of_refs(name), "{name}");
        }
    }

    #[test]
    fn an_index_says_nothing_of_places_and_times() {
        let oid = Oid::parse("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391").unwrap();
        let index = vec![(b"b".to_vec(), 0o100_644, oid), (b"a/bcdefgh".to_vec(), 0o120_000, oid)];
        let all = Closure { objects: BTreeMap::new(), index, count: 0 };
        let bytes = all.finish();
        // Each entry has 62 bytes and its path, and ends with one to eight zeros.
        assert_eq!(bytes.len(), 12 + 72 + 64 + 20);
        assert_eq!(&bytes[12..36], [0; 24]);
        assert_eq!(&bytes[12 + 60..12 + 72], b"\0\x09a/bcdefgh\0");
    }

    #[test]
    fn values_are_quoted() {
        assert_eq!(quoted("a\"b\\c\n#d"), "\"a\\\"b\\\\c#d\"");
    }
}
