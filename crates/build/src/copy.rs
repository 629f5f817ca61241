//! COPY and ADD: what is meant, what its content is, and how it gets into a layer.
//!
//! Acts; what can be decided from values alone is in [`pattern`] and [`mode`].

mod content;
mod mode;
mod pattern;
mod put;
mod sum;
mod target;
mod unpack;
mod view;

pub(crate) use mode::ModeChange;
pub(crate) use target::Target;
pub(crate) use view::View;

use crate::way::{joined, parts};
use naru_errdefs::{Fault, Kind};
use naru_kernel::node::NodeKind;
use naru_kernel::times::FileTime;
use put::{Putting, Rules, read_failed, write_failed};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use view::{Found, Sort};

/// One thing that is copied.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Where it comes from.
    pub(crate) view: View,
    /// Its path there, links followed.
    pub(crate) path: Vec<u8>,
    /// The path as it was asked for.
    pub(crate) asked: Vec<u8>,
    found: Found,
    /// What stands before paths that `--exclude` looks at.
    prefix: Vec<u8>,
    /// Whether it is unpacked when it is an archive.
    pub(crate) unpack: bool,
}

impl Piece {
    /// Whether `--exclude` leaves it out itself. Of a directory only what is inside can be left out.
    pub(crate) fn is_left_out(&self, excluded: put::Excluded<'_>) -> bool {
        let name = match self.prefix.is_empty() {
            true => self.asked.rsplit(|b| *b == b'/').next().unwrap_or(&self.asked),
            false => &self.prefix,
        };
        self.found.sort != Sort::Directory && excluded(name, false)
    }
}

/// What of a source's path may be a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Nothing: it is a name.
    None,
    /// Its names, each by itself.
    Plain,
    /// Its names, and `**` is any number of directories (`--parents`).
    Parents,
}

/// How pieces are copied.
pub(crate) struct Copying<'a> {
    /// The path in the image, absolute.
    pub(crate) destination: &'a str,
    /// `--chown`, resolved.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub(crate) mode: Option<ModeChange>,
    /// `--parents`.
    pub(crate) parents: bool,
    /// `--exclude`: says whether a path below a source is left out.
    pub(crate) excluded: Option<put::Excluded<'a>>,
    /// Becomes true when nobody wants the result any more.
    pub(crate) cancelled: Arc<AtomicBool>,
    /// The time of directories that are made when nothing says a better one.
    pub(crate) now: FileTime,
}

/// Finds what a source means. One without wildcards that is not there is an error in docker's words; one with wildcards may
/// mean nothing.
pub(crate) fn find(
    view: &View,
    source: &str,
    how: Pattern,
    unpack: bool,
) -> Result<Vec<Piece>, Fault> {
    let asked = source.trim_start_matches('/').as_bytes();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidInput => {
            Fault::invalid(format!("invalid pattern `{source}`: {error}"))
        }
        _ => read_failed(asked, error),
    };
    let is_pattern = how != Pattern::None && pattern::is_pattern(asked);
    let mut paths = match is_pattern {
        true => view.glob(asked, how == Pattern::Parents).map_err(failed)?,
        false => Vec::new(),
    };
    if paths.is_empty() {
        // A name may hold the characters of a pattern.
        paths.extend(view.resolve(asked).map_err(failed)?.map(|_| asked.to_vec()));
    }
    if paths.is_empty() && !is_pattern {
        return Err(Fault::not_found(format!(
            "\"/{}\": not found",
            String::from_utf8_lossy(asked)
        )));
    }
    let mut pieces = Vec::with_capacity(paths.len());
    for asked in paths {
        let Some(path) = view.resolve(&asked).map_err(failed)? else { continue };
        let Some(found) = view.look(&path).map_err(failed)? else { continue };
        let prefix = match how {
            Pattern::Parents => parents_below(&asked),
            Pattern::None | Pattern::Plain => Vec::new(),
        };
        pieces.push(Piece { view: view.clone(), path, asked, found, prefix, unpack });
    }
    Ok(pieces)
}

/// The digest of everything about pieces that can end up in a layer.
pub(crate) fn content_of(
    pieces: &[Piece],
    excluded: Option<put::Excluded<'_>>,
    with_names: bool,
) -> Result<String, Fault> {
    content::digest(pieces, excluded, with_names)
}

/// What docker's classic builder writes into the history about the content of pieces, where that can be known. `with_kind`
/// as older clients sent them.
pub(crate) fn classic_word(pieces: &[Piece], with_kind: bool) -> Result<Option<String>, Fault> {
    sum::word(pieces, with_kind)
}

/// Copies pieces into a target. Answers the time that new directories on the way are to have.
pub(crate) fn copy(
    pieces: &[Piece],
    target: &mut Target,
    how: &Copying<'_>,
    mount: &dyn Fn() -> Result<OwnedFd, Fault>,
) -> Result<FileTime, Fault> {
    let is_directory = how.destination.ends_with('/')
        || how.destination.ends_with("/.")
        || pieces.len() > 1
        || how.parents;
    let rules = Rules {
        owner: how.owner,
        mode: how.mode.clone(),
        excluded: how.excluded,
        cancelled: Arc::clone(&how.cancelled),
    };
    let mut linked = BTreeSet::new();
    let mut first = None;
    for piece in pieces {
        if piece.unpack && unpack::unpack(piece, how, target, mount)? {
            first.get_or_insert(piece.found.modified);
            continue;
        }
        let mut putting = Putting::new(&piece.view, target, &rules);
        putting.linked = std::mem::take(&mut linked);
        place(piece, &mut putting, how, is_directory)?;
        linked = std::mem::take(&mut putting.linked);
        first = first.or(putting.first);
    }
    Ok(first.unwrap_or(how.now))
}

fn place(
    piece: &Piece,
    putting: &mut Putting<'_>,
    how: &Copying<'_>,
    is_directory: bool,
) -> Result<(), Fault> {
    let asked = how.destination.as_bytes();
    let failed = |error| write_failed(asked, error);
    let mut to = putting.target.resolve(asked).map_err(failed)?;
    let owner = how.owner.unwrap_or((0, 0));
    if how.parents {
        return with_parents(piece, putting, &to, owner);
    }
    if piece.found.sort == Sort::Directory {
        return putting.contents(&piece.path, &piece.found, b"", &to);
    }
    let there = putting.target.status(&to).map_err(failed)?;
    if is_directory || there.is_some_and(|status| status.kind == NodeKind::Directory) {
        let name = piece.asked.rsplit(|b| *b == b'/').next().unwrap_or(&piece.asked);
        to = joined(&to, name);
    }
    file(piece, putting, &to, owner)
}

/// `--parents`: the directories above come along, as they are in the source.
fn with_parents(
    piece: &Piece,
    putting: &mut Putting<'_>,
    to: &[u8],
    owner: (u32, u32),
) -> Result<(), Fault> {
    let failed = |error| write_failed(to, error);
    let is_directory = piece.found.sort == Sort::Directory;
    let parts = piece.prefix.split(|b| *b == b'/').filter(|part| !part.is_empty());
    let parts: Vec<&[u8]> = parts.collect();
    let above = parts.len().saturating_sub(usize::from(!is_directory));
    let start = piece.asked.len().saturating_sub(piece.prefix.len());
    let before = match piece.asked.ends_with(&piece.prefix) {
        true => piece.asked.get(..start).unwrap_or_default(),
        // A path that is written in a roundabout way: its directories are looked up from the root.
        false => b"",
    };
    let (mut from, mut to) = (before.to_vec(), to.to_vec());
    for part in parts.iter().take(above) {
        from = joined(&from, part);
        to = putting.target.resolve(&joined(&to, part)).map_err(failed)?;
        let source = putting.view.resolve(&from).map_err(failed)?;
        if let Some(source) = source {
            putting.parent(&source, &to, owner).map_err(failed)?;
        }
    }
    if is_directory {
        return putting.contents(&piece.path, &piece.found, &piece.prefix, &to);
    }
    let name = parts.last().copied().unwrap_or_default();
    file(piece, putting, &joined(&to, name), owner)
}

fn file(
    piece: &Piece,
    putting: &mut Putting<'_>,
    to: &[u8],
    owner: (u32, u32),
) -> Result<(), Fault> {
    let failed = |error| write_failed(to, error);
    if to.is_empty() {
        return Err(Fault::invalid("cannot copy a file to `/` itself"));
    }
    let above = to.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let above = to.get(..above).unwrap_or_default();
    let dir = putting.target.directory(above, owner).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => Fault::new(
            Kind::InvalidInput,
            format!("cannot copy to non-directory: /{}", String::from_utf8_lossy(above)),
        ),
        _ => failed(error),
    })?;
    putting.entry(&piece.path, &piece.found, b"", (&dir, to, false))
}

/// What of a source's path is kept with `--parents`: what follows `/./`, or all of it.
fn parents_below(asked: &[u8]) -> Vec<u8> {
    let text = asked.to_vec();
    let pivot = text.windows(3).position(|three| three == b"/./");
    let kept = match pivot {
        Some(at) => text.get(at + 3..).unwrap_or_default(),
        None => &text,
    };
    parts(kept).fold(Vec::new(), |path, part| joined(&path, part))
}
