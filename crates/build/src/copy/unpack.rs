//! Acts: ADD of an archive: what is in it goes where the archive would.

use super::put::{read_failed, write_failed};
use super::view::{Sort, View, os};
use super::{Copying, Piece, Target};
use crate::context::{Content, Node};
use naru_errdefs::{Fault, ResultExt};
use naru_kernel::path::{OFlags, open_in_root};
use naru_layer::{Compression, Destination, Limits, Owners, Rename, extract};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};

/// Unpacks a piece when it is an archive; says whether it was one. `mount` makes a view of target and below that can be
/// written to, because an archive may lead through links of what is below.
pub(super) fn unpack(
    piece: &Piece,
    how: &Copying<'_>,
    target: &mut Target,
    mount: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<bool, Fault> {
    if !matches!(piece.found.sort, Sort::File { .. }) {
        return Ok(false);
    }
    let failed = |error| read_failed(&piece.path, error);
    let mut file = open(piece).map_err(failed)?;
    if !is_archive(&mut file).map_err(|fault| {
        fault.context(format!("cannot unpack `{}`", String::from_utf8_lossy(&piece.asked)))
    })? {
        return Ok(false);
    }
    file.rewind().map_err(failed)?;
    let written = |error| write_failed(how.destination.as_bytes(), error);
    let to = target.resolve(how.destination.as_bytes()).map_err(written)?;
    target.directory(&to, how.owner.unwrap_or((0, 0))).map_err(written)?;
    let root = mount()?;
    let destination = Destination {
        root: root.as_fd(),
        place: os(&to),
        owners: match how.owner {
            Some((uid, gid)) => Owners::Fixed(uid, gid),
            None => Owners::Archive,
        },
        keep_kinds: false,
        rename: Rename::No,
        limits: &Limits::standard(),
    };
    extract(file, &destination)?;
    Ok(true)
}

fn open(piece: &Piece) -> std::io::Result<File> {
    match &piece.view {
        View::Root(root) => {
            open_in_root(root.as_fd(), os(&piece.path), OFlags::RDONLY | OFlags::NOFOLLOW)
                .map(File::from)
        }
        View::Context(context) => match context.tree.get(&piece.path) {
            Some(Node { content: Content::File { digest, .. }, mode, .. }) => {
                File::open(context.files.path(digest, *mode))
            }
            Some(_) | None => Err(std::io::ErrorKind::NotFound.into()),
        },
    }
}

/// Whether a file is a tar archive, compressed or not: its first block is a header whose sum is right.
fn is_archive(file: &mut File) -> Result<bool, Fault> {
    let reading = || "cannot read the archive".to_owned();
    let (compression, input) = Compression::peek(&mut *file)?;
    let mut all = Vec::new();
    // Enough of any stream for its first block; those of bzip2 are the largest.
    input.take(2 << 20).read_to_end(&mut all).during(reading)?;
    let mut decoder =
        compression.decoder(std::io::Cursor::new(all), &Limits::standard()).during(reading)?;
    let mut block = [0u8; 512];
    if decoder.read_exact(&mut block).is_err() {
        return Ok(false);
    }
    Ok(is_header(&block))
}

fn is_header(block: &[u8; 512]) -> bool {
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    let field = block.get(148..156).unwrap_or_default();
    let digits: Vec<u8> = field.iter().copied().filter(u8::is_ascii_digit).collect();
    let stated =
        std::str::from_utf8(&digits).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    stated == Some(sum) && sum > 256
}
