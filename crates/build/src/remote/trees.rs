//! Acts: which files a commit has is noted beside the contents of contexts, so that the same commit is not fetched again. Like
//! those, a note does not outlive the boot; one that is lost, or of which contents have gone, costs a transfer.

use crate::context::{BuildContext, Content, Files, Node, Tree};
use naru_kernel::times::FileTime;
use naru_oci::Digest;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// The longest note; commits with more files are fetched each time.
const LONGEST: usize = 16 << 20;
/// So many commits are remembered.
const MOST: usize = 64;
const ENDING: &str = "tree";
/// Digits of the sum behind a note.
const SUM: usize = 64;

fn place(files: &Files, key: &str) -> PathBuf {
    files.notes().join(Digest::of(key.as_bytes()).hex()).with_extension(ENDING)
}

/// The files of a key, when all of them are here.
pub(super) fn read(files: &Files, key: &str) -> Option<BuildContext> {
    let mut bytes = Vec::new();
    let file = File::open(place(files, key)).ok()?;
    file.take(2 * LONGEST as u64).read_to_end(&mut bytes).ok()?;
    files.assemble(decoded(&bytes)?).ok()
}

/// Notes the files of a key. Who cannot note them fetches them again.
pub(super) fn write(files: &Files, key: &str, tree: &Tree) {
    let Some(bytes) = encoded(tree) else { return };
    let entries = std::fs::read_dir(files.notes()).into_iter().flatten().flatten();
    let all: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
        .collect();
    if all.len() >= MOST {
        for path in all {
            std::fs::remove_file(path).ok();
        }
    }
    if let Err(error) = naru_kernel::fs::write_replace(&place(files, key), &bytes, 0o600) {
        tracing::debug!(%error, "the files of a commit were not noted");
    }
}

/// Pure: entries one after the other, with a sum behind them: kind, mode, time, path, and what is there.
fn encoded(tree: &Tree) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (path, node) in tree.iter() {
        let (kind, what, size) = match &node.content {
            Content::Directory => (0, Vec::new(), 0),
            Content::File { digest, size } => (1, digest.to_string().into_bytes(), *size),
            Content::Link(target) => (2, target.clone(), 0),
        };
        bytes.push(kind);
        bytes.extend(node.mode.to_le_bytes());
        bytes.extend(node.modified.seconds.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        for text in [path, what.as_slice()] {
            bytes.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
            bytes.extend(text);
        }
        if bytes.len() > LONGEST {
            return None;
        }
    }
    let sum = Digest::of(&bytes).hex();
    bytes.extend(sum.as_bytes());
    Some(bytes)
}

/// Pure: reads that again.
fn decoded(bytes: &[u8]) -> Option<Tree> {
    let (mut rest, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if Digest::of(rest).hex().as_bytes() != sum {
        return None;
    }
    let mut tree = Tree::default();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let mode = u32::from_le_bytes(taken(&mut rest)?);
        let seconds = i64::from_le_bytes(taken(&mut rest)?);
        let size = u64::from_le_bytes(taken(&mut rest)?);
        let mut text = || {
            let length = usize::try_from(u32::from_le_bytes(taken(&mut rest)?)).ok()?;
            let (text, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(text.to_vec())
        };
        let (path, what) = (text()?, text()?);
        let content = match kind {
            0 => Content::Directory,
            1 => Content::File { digest: std::str::from_utf8(&what).ok()?.parse().ok()?, size },
            _ => Content::Link(what),
        };
        let modified = FileTime { seconds, nanoseconds: 0 };
        tree.insert(path, Node { content, mode, modified, attributes: Vec::new() });
    }
    Some(tree)
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_as_it_was_written_and_nothing_else_is() {
        let mut tree = Tree::default();
        for (path, content) in [
            (&b"a/\xff"[..], Content::File { digest: Digest::of(b"x"), size: 7 }),
            (b"d", Content::Directory),
            (b"l", Content::Link(b"../x\xfe".to_vec())),
        ] {
            let modified = FileTime { seconds: -3, nanoseconds: 0 };
            tree.insert(
                path.to_vec(),
                Node { content, mode: 0o755, modified, attributes: Vec::new() },
            );
        }
        let bytes = encoded(&tree).unwrap();
        assert_eq!(decoded(&bytes).unwrap(), tree);
        assert_eq!(decoded(&encoded(&Tree::default()).unwrap()).unwrap(), Tree::default());
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(decoded(&other).is_none() && decoded(&bytes[..at]).is_none(), "{at}");
        }
    }
}
