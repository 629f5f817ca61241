//! Acts: what docker's classic builder calls the content of COPY and ADD in the history of an image: the first version of its
//! "tarsum", of the entries that clients send: owned by root, and, by older ones, with the kind among the bits of the mode.

use super::Piece;
use super::put::read_failed;
use super::view::{Sort, View};
use crate::context::{BuildContext, Content};
use naru_errdefs::Fault;
use naru_kernel::xattr::CAPABILITY;
use naru_oci::{Algorithm, Digest, Digester};
use std::fs::File;
use std::io;

/// The word for pieces of the context; none for others, whose owners only docker's host can name.
pub(super) fn word(pieces: &[Piece], with_kind: bool) -> Result<Option<String>, Fault> {
    let mut words = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let View::Context(context) = &piece.view else { return Ok(None) };
        let failed = |error| read_failed(&piece.path, error);
        if piece.found.sort != Sort::Directory {
            words.push(format!("file:{}", sum(context, &piece.path, with_kind).map_err(failed)?));
            continue;
        }
        let itself = std::iter::once(piece.path.as_slice()).filter(|path| !path.is_empty());
        let below = context.tree.below(&piece.path).map(|(path, _)| path);
        let mut sums = Vec::new();
        for path in itself.chain(below) {
            // A link counts as what it leads to, or else as its name.
            let real = context.tree.resolve(path).filter(|real| !real.is_empty());
            sums.push(match real {
                Some(real) => sum(context, &real, with_kind).map_err(failed)?,
                None => String::from_utf8_lossy(path).into_owned(),
            });
        }
        sums.sort();
        words.push(all("dir", &sums));
    }
    Ok(match words.as_slice() {
        [] => None,
        [word] => Some(word.clone()),
        several => Some(all("multi", several)),
    })
}

fn all(kind: &str, words: &[String]) -> String {
    format!("{kind}:{}", Digest::of(words.join(",").as_bytes()).hex())
}

/// The sum of one entry: its header without times, and its bytes.
fn sum(context: &BuildContext, path: &[u8], with_kind: bool) -> io::Result<String> {
    let Some(node) = context.tree.get(path) else { return Ok(String::new()) };
    let (kind, letter, size, slash): (u64, _, _, &[u8]) = match &node.content {
        Content::Directory => (0o040_000, '5', 0, b"/"),
        Content::File { size, .. } => (0o100_000, '0', *size, b""),
        Content::Link(_) => (0o120_000, '2', 0, b""),
    };
    let link = match &node.content {
        Content::Link(target) => target.as_slice(),
        Content::Directory | Content::File { .. } => b"",
    };
    let mut digester = Digester::new(Algorithm::Sha256);
    for part in [b"name", path, slash] {
        digester.update(part);
    }
    let mode = u64::from(node.mode & 0o7777);
    let mode = if with_kind { mode | kind } else { mode };
    digester.update(format!("mode{mode}uid0gid0size{size}typeflag{letter}").as_bytes());
    for part in [b"linkname", link, b"unamegnamedevmajor0devminor0"] {
        digester.update(part);
    }
    for (name, value) in node.attributes.iter().filter(|(name, _)| name == CAPABILITY) {
        digester.update(name);
        digester.update(value);
    }
    if let Content::File { digest, .. } = &node.content {
        digester.read(&mut File::open(context.files.path(digest, node.mode))?)?;
    }
    Ok(digester.finish().hex())
}
