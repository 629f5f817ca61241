//! Acts: what the files of a context contain. A digest that was computed once is kept, together with what shows that the
//! file is still the same, so that a context that has not changed is not read again.
//!
//! ```text
//! <cache directory of the user>/naru/contexts/<name of the directory, hashed>     one a context
//!    "naru-digests-1\n", then for each file: hex device inode size modified changed path NUL
//! ```
//!
//! It is a cache: one that is damaged or gone costs time only. A file that was changed a moment before it was read is not
//! kept: it may change again within the same tick of the clock.

use super::walk::{Found, Kind, Stamp, nanoseconds};
use naru_errdefs::{Fault, ResultExt};
use naru_oci::{Algorithm, Digest, Digester};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const HEAD: &[u8] = b"naru-digests-1\n";
/// The largest file of digests that is read.
const LARGEST: u64 = 256 << 20;
/// Contexts whose digests are kept.
const MOST_CONTEXTS: usize = 64;
/// A file that was changed less than this before it was read may change again unseen.
const TICK: i64 = 2_000_000_000;
/// Threads that hash at most.
const MOST_THREADS: usize = 16;

/// The digest of every regular file, in their order.
pub fn of(root: &Path, files: &[Found]) -> Result<Vec<Option<Digest>>, Fault> {
    of_with(root, files, place(root).as_deref())
}

fn of_with(
    root: &Path,
    files: &[Found],
    cache: Option<&Path>,
) -> Result<Vec<Option<Digest>>, Fault> {
    let text = cache.and_then(read).unwrap_or_default();
    let known = parse(&text);
    let mut digests: Vec<Option<Digest>> = files
        .iter()
        .map(|found| {
            let (row, digest) = known.get(found.path.as_os_str().as_bytes())?;
            (*row == Row::of(found)).then_some(*digest)
        })
        .collect();
    let unknown: Vec<usize> = files
        .iter()
        .zip(&digests)
        .enumerate()
        .filter(|(_, (found, digest))| found.kind == Kind::File && digest.is_none())
        .map(|(index, _)| index)
        .collect();
    if unknown.is_empty() && known.len() == files.iter().filter(|f| f.kind == Kind::File).count() {
        return Ok(digests);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    for (index, digest) in hash_all(root, files, &unknown)? {
        if let Some(slot) = digests.get_mut(index) {
            *slot = Some(digest);
        }
    }
    if let Some(cache) = cache {
        let settled = |found: &Found| found.stamp.changed < now.saturating_sub(TICK);
        let rows = files.iter().zip(&digests).filter(|(found, _)| settled(found));
        // A cache that cannot be kept is none.
        write(cache, &format(rows)).ok();
    }
    Ok(digests)
}

/// What shows that a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    stamp: Stamp,
    size: u64,
    modified: i64,
}

impl Row {
    fn of(found: &Found) -> Row {
        Row { stamp: found.stamp, size: found.size, modified: found.modified }
    }
}

/// Pure: the rows of a file of digests; what is not understood is left out.
fn parse(text: &[u8]) -> HashMap<&[u8], (Row, Digest)> {
    let Some(rows) = text.strip_prefix(HEAD) else { return HashMap::new() };
    let row = |line: &'_ [u8]| -> Option<(Row, Digest)> {
        let line = std::str::from_utf8(line).ok()?;
        let mut words = line.split(' ');
        let digest: Digest = format!("sha256:{}", words.next()?).parse().ok()?;
        let mut number = || words.next()?.parse::<i128>().ok();
        let (device, inode, size, modified, changed) =
            (number()?, number()?, number()?, number()?, number()?);
        let stamp = Stamp {
            device: device.try_into().ok()?,
            inode: inode.try_into().ok()?,
            changed: changed.try_into().ok()?,
        };
        let row = Row { stamp, size: size.try_into().ok()?, modified: modified.try_into().ok()? };
        Some((row, digest))
    };
    let mut known = HashMap::new();
    for line in rows.split(|byte| *byte == 0) {
        let mut spaces = line.iter().enumerate().filter(|(_, byte)| **byte == b' ');
        let Some((at, _)) = spaces.nth(5) else { continue };
        if let (Some(head), Some(path)) = (line.get(..at), line.get(at + 1..))
            && let Some(row) = row(head)
        {
            known.insert(path, row);
        }
    }
    known
}

/// Pure: a file of digests.
fn format<'a>(rows: impl Iterator<Item = (&'a Found, &'a Option<Digest>)>) -> Vec<u8> {
    let mut text = HEAD.to_vec();
    for (found, digest) in rows {
        let Some(digest) = digest else { continue };
        let Row { stamp, size, modified } = Row::of(found);
        let Stamp { device, inode, changed } = stamp;
        let head = format!("{} {device} {inode} {size} {modified} {changed} ", digest.hex());
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(found.path.as_os_str().as_bytes());
        text.push(0);
    }
    text
}

fn hash_all(root: &Path, files: &[Found], wanted: &[usize]) -> Result<Vec<(usize, Digest)>, Fault> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(wanted.len()));
    let failed: Mutex<Option<Fault>> = Mutex::new(None);
    let work = || {
        let mut buffer = vec![0; 256 << 10];
        while let Some(index) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(found) = files.get(*index) else { continue };
            match hash(&root.join(&found.path), found, &mut buffer) {
                Ok(digest) => {
                    if let Ok(mut done) = done.lock() {
                        done.push((*index, digest));
                    }
                }
                Err(fault) => {
                    next.store(wanted.len(), Ordering::Relaxed);
                    if let Ok(mut failed) = failed.lock() {
                        failed.get_or_insert(fault);
                    }
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MOST_THREADS).min(wanted.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Without a further thread this one does all.
            std::thread::Builder::new().name("digest".to_owned()).spawn_scoped(scope, work).ok();
        }
        work();
    });
    match failed.into_inner() {
        Ok(Some(fault)) => Err(fault),
        _ => Ok(done.into_inner().unwrap_or_default()),
    }
}

/// The digest of a file. It must be the one that was found, and as long.
fn hash(path: &Path, found: &Found, buffer: &mut [u8]) -> Result<Digest, Fault> {
    let reading = || format!("cannot read `{}` of the build context", found.path.display());
    let mut file = open(path).during(reading)?;
    let facts = file.metadata().during(reading)?;
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut length = 0;
    loop {
        let count = file.read(buffer).during(reading)?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { break };
        digester.update(piece);
        length += count as u64;
    }
    let is_same = facts.ino() == found.stamp.inode
        && facts.dev() == found.stamp.device
        && nanoseconds(facts.ctime(), facts.ctime_nsec()) == found.stamp.changed
        && length == found.size;
    if !is_same {
        return Err(changed(&found.path));
    }
    Ok(digester.finish())
}

/// Opens a file that was one a moment ago, without waiting for anybody.
pub(super) fn open(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    File::options().read(true).custom_flags(flags).open(path)
}

/// What is said of a file that did not stay as it was.
pub(super) fn changed(path: &Path) -> Fault {
    Fault::new(
        naru_errdefs::Kind::Conflict,
        format!("`{}` changed while the build context was sent", path.display()),
    )
    .with_hint("build again once it is at rest, or leave it out with a line in `.dockerignore`")
}

/// Where the digests of a context are kept; nowhere without a home.
fn place(root: &Path) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CACHE_HOME") {
        Some(directory) => PathBuf::from(directory),
        None => Path::new(&set("HOME")?).join(".cache"),
    };
    if !base.is_absolute() {
        return None;
    }
    let name: String = Digest::of(root.as_os_str().as_bytes()).hex().chars().take(32).collect();
    Some(base.join("naru/contexts").join(name))
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Writes the file as a whole, and lets the oldest of too many go.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let part = path.with_extension(format!("part-{}", std::process::id()));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(text).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        fs::remove_file(&part).ok();
        return written;
    }
    let mut all: Vec<(SystemTime, PathBuf)> = fs::read_dir(directory)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if all.len() > MOST_CONTEXTS {
        all.sort();
        for (_, old) in all.iter().take(all.len() - MOST_CONTEXTS) {
            fs::remove_file(old).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::walk::{Verdict, walk};
    use super::*;

    fn put(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn found(root: &Path) -> Vec<Found> {
        walk(root, &|_, _| Verdict::Keep).unwrap().files
    }

    /// As if the file had been at rest for long.
    fn aged(mut files: Vec<Found>) -> Vec<Found> {
        for file in &mut files {
            file.stamp.changed -= 10 * TICK;
        }
        files
    }

    #[test]
    fn digests_are_those_of_the_contents() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..50 {
            put(&dir.path().join(format!("f{n:02}")), &format!("text {n}"));
        }
        fs::create_dir(dir.path().join("z")).unwrap();
        let digests = of_with(dir.path(), &found(dir.path()), None).unwrap();
        for (n, digest) in digests.iter().take(50).enumerate() {
            assert_eq!(digest.unwrap(), Digest::of(format!("text {n}").as_bytes()));
        }
        assert_eq!(digests.last().unwrap(), &None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("with space\nand line"), "x");
        put(&dir.path().join("b"), "y");
        let files = found(dir.path());
        let digests = [Some(Digest::of(b"y")), Some(Digest::of(b"x"))];
        let text = format(files.iter().zip(&digests));
        let known = parse(&text);
        for (file, digest) in files.iter().zip(digests) {
            let row = known.get(file.path.as_os_str().as_bytes()).unwrap();
            assert_eq!(*row, (Row::of(file), digest.unwrap()));
        }
        for cut in 0..text.len() {
            parse(&text[..cut]);
        }
    }

    #[test]
    fn a_file_that_stays_is_not_read_again_and_one_that_changes_is() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let cache = dir.path().join("cache/x");
        put(&root.join("a"), "one");
        put(&root.join("b"), "two");
        let files = found(&root);
        // Nothing is kept of a file that was changed just now.
        of_with(&root, &files, Some(&cache)).unwrap();
        assert!(parse(&fs::read(&cache).unwrap()).is_empty());
        // What is kept is believed, which shows by keeping a lie.
        let lie = Some(Digest::of(b"lie"));
        let rows = [(&files[0], &lie)];
        write(&cache, &format(rows.into_iter())).unwrap();
        let digests = of_with(&root, &files, Some(&cache)).unwrap();
        assert_eq!(digests, [lie, Some(Digest::of(b"two"))]);
        // Another inode time, another content.
        let stale = aged(files.clone());
        write(&cache, &format([(&stale[0], &lie)].into_iter())).unwrap();
        let digests = of_with(&root, &files, Some(&cache)).unwrap();
        assert_eq!(digests[0], Some(Digest::of(b"one")));
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_named() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("log"), "one");
        let files = found(dir.path());
        put(&dir.path().join("log"), "another");
        let fault = of_with(dir.path(), &files, None).unwrap_err();
        assert!(fault.message().contains("`log` changed while"), "{}", fault.message());
    }
}
