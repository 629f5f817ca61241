//! Acts on one file: a pack: written as it comes, then every object in it found, made whole and named by its SHA-1
//! (gitformat-pack). What a pack may cost is bounded before anything is believed.

mod delta;
mod input;
mod scan;

use crate::oid::{Oid, Sha1};
use bytes::{Buf, Bytes};
use input::{Inflater, Input};
use naru_errdefs::{Failure, Fault, Kind, ResultExt};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a pack may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the pack.
    pub pack: u64,
    /// Objects in it.
    pub objects: usize,
    /// Bytes of an object that is, or is made from, a difference to another one: it has to be in memory.
    pub delta: u64,
    /// Bytes of one object.
    pub object: u64,
    /// Bytes that may be inflated and put together for each byte of the pack…
    pub ratio: u64,
    /// …and bytes that always may.
    pub ratio_from: u64,
    /// Entries of a commit's trees.
    pub entries: usize,
    /// Bytes of a commit's files.
    pub files: u64,
}

impl Limits {
    /// What is enough for the largest repositories.
    pub fn standard() -> Limits {
        Limits {
            pack: 16 << 30,
            objects: 20_000_000,
            delta: 256 << 20,
            object: 64 << 30,
            ratio: 400,
            ratio_from: 8 << 30,
            entries: 2_000_000,
            files: 256 << 30,
        }
    }
}

/// What is wrong with a pack or with objects in it.
#[derive(Debug)]
pub enum PackError {
    /// It cannot be read.
    Read(io::Error),
    /// It is not what the format says.
    Damaged(&'static str),
    /// It is larger than is taken.
    TooLarge(&'static str),
    /// An object is not in it.
    Missing(Oid),
    /// Nobody wants it any more.
    Cancelled,
}

impl std::fmt::Display for PackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PackError::Read(error) => {
                write!(f, "cannot read the pack of a git repository: {error}")
            }
            PackError::Damaged(what) => {
                write!(f, "the pack of a git repository is damaged: {what}")
            }
            PackError::TooLarge(what) => write!(f, "a git repository is too large: {what}"),
            PackError::Missing(oid) => write!(f, "the git repository lacks the object {oid}"),
            PackError::Cancelled => f.write_str("the build was cancelled"),
        }
    }
}

impl std::error::Error for PackError {}

impl Failure for PackError {
    fn kind(&self) -> Kind {
        match self {
            PackError::Read(_) => Kind::Internal,
            PackError::Damaged(_) => Kind::DataLoss,
            PackError::TooLarge(_) => Kind::ResourceExhausted,
            PackError::Missing(_) => Kind::NotFound,
            PackError::Cancelled => Kind::Cancelled,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PackError::Read(_) | PackError::Cancelled => None,
            PackError::Damaged(_) | PackError::Missing(_) => Some(
                "build again; if it stays so, look after the repository with `git fsck`".to_owned(),
            ),
            PackError::TooLarge(_) => Some(
                "fetch it in a stage of its own with `RUN git clone`, and `COPY --from` that stage"
                    .to_owned(),
            ),
        }
    }
}

/// Writes a pack as it comes, and checks its sum.
pub struct PackWriter {
    file: File,
    sha1: Sha1,
    /// The last bytes: the sum, when nothing more comes.
    tail: Vec<u8>,
    size: u64,
    limits: Limits,
}

impl std::fmt::Debug for PackWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackWriter").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Bytes of a SHA-1.
const SUM: usize = 20;

impl PackWriter {
    /// Writes into an empty file that can be read, too.
    pub fn new(file: File, limits: Limits) -> PackWriter {
        PackWriter { file, sha1: Sha1::new(), tail: Vec::new(), size: 0, limits }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.size += bytes.len() as u64;
        if self.size > self.limits.pack {
            return Err(PackError::TooLarge("its pack has too many bytes").into());
        }
        self.file
            .write_all(bytes)
            .during(|| "cannot write the pack of a git repository".to_owned())?;
        self.tail.extend_from_slice(bytes);
        let summed = self.tail.len().saturating_sub(SUM);
        self.sha1.update(self.tail.get(..summed).unwrap_or_default());
        self.tail.drain(..summed);
        Ok(())
    }

    /// Everything came: checks the sum and looks at every object. That takes time; `cancelled` ends it early.
    pub fn finish(self, cancelled: &AtomicBool) -> Result<Pack, PackError> {
        if Oid::from_slice(&self.tail).is_none_or(|sum| sum != self.sha1.finish()) {
            return Err(PackError::Damaged("its sum is another one"));
        }
        let mut pack = Pack {
            file: self.file,
            end: self.size - SUM as u64,
            limits: self.limits,
            entries: Vec::new(),
            named: Vec::new(),
            cache: Cache::default(),
            spent: 0,
            inflater: Inflater::new(),
        };
        pack.scan(cancelled)?;
        Ok(pack)
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl ObjectKind {
    fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }

    /// The number that stands for it in a pack (gitformat-pack).
    pub(crate) fn number(self) -> u8 {
        match self {
            ObjectKind::Commit => 1,
            ObjectKind::Tree => 2,
            ObjectKind::Blob => 3,
            ObjectKind::Tag => 4,
        }
    }

    fn of_number(number: u8) -> Option<ObjectKind> {
        let all = [ObjectKind::Commit, ObjectKind::Tree, ObjectKind::Blob, ObjectKind::Tag];
        all.into_iter().find(|kind| kind.number() == number)
    }
}

/// How an object is kept.
#[derive(Debug, Clone, Copy)]
enum Form {
    Whole(ObjectKind),
    /// As a difference to another entry.
    Delta(u32),
    /// As a difference to an object that was not found yet.
    DeltaOf(Oid),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where its compressed bytes begin.
    data: u64,
    /// Bytes of those when inflated.
    size: u64,
    form: Form,
    /// Its name, once it is known.
    oid: Option<Oid>,
    /// Differences below it.
    depth: u16,
}

/// Objects that were put together, the newest ones.
#[derive(Debug, Default)]
struct Cache {
    objects: BTreeMap<u32, (ObjectKind, Bytes)>,
    order: VecDeque<u32>,
    bytes: usize,
}

/// Bytes that are kept for differences to them.
const CACHED: usize = 96 << 20;

impl Cache {
    fn put(&mut self, number: u32, kind: ObjectKind, bytes: &Bytes) {
        if bytes.len() > CACHED || self.objects.contains_key(&number) {
            return;
        }
        while self.bytes + bytes.len() > CACHED {
            let Some(oldest) = self.order.pop_front() else { break };
            let gone = self.objects.remove(&oldest);
            self.bytes -= gone.map_or(0, |(_, bytes)| bytes.len());
        }
        self.bytes += bytes.len();
        self.order.push_back(number);
        self.objects.insert(number, (kind, bytes.clone()));
    }
}

/// A pack of which every object is known.
pub struct Pack {
    file: File,
    /// Where the objects end.
    end: u64,
    limits: Limits,
    entries: Vec<Entry>,
    /// Names and numbers of entries, in order.
    named: Vec<(Oid, u32)>,
    cache: Cache,
    /// Bytes that were inflated and put together.
    spent: u64,
    inflater: Inflater,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("objects", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Pack {
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    fn number(&self, oid: &Oid) -> Result<u32, PackError> {
        let found = self.named.binary_search_by_key(oid, |(name, _)| *name).ok();
        found.and_then(|at| self.named.get(at)).map(|(_, n)| *n).ok_or(PackError::Missing(*oid))
    }

    /// Whether an object is in it.
    pub fn has(&self, oid: &Oid) -> bool {
        self.number(oid).is_ok()
    }

    fn entry(&self, number: u32) -> Result<Entry, PackError> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.entries.get(at).copied().ok_or(PackError::Damaged("an object without a place"))
    }

    /// Counts what is done, which is bounded by what was sent.
    fn spend(&mut self, bytes: u64) -> Result<(), PackError> {
        self.spent = self.spent.saturating_add(bytes);
        let most = self.end.saturating_mul(self.limits.ratio).max(self.limits.ratio_from);
        if self.spent > most {
            return Err(PackError::TooLarge(
                "its pack unpacks to far more than it has; it looks like a bomb",
            ));
        }
        Ok(())
    }

    /// An object's kind and bytes.
    pub(crate) fn object(&mut self, oid: &Oid) -> Result<(ObjectKind, Bytes), PackError> {
        let number = self.number(oid)?;
        self.whole(number)
    }

    /// The bytes of a file: as they are inflated, when they do not have to be put together.
    pub(crate) fn blob(&mut self, oid: &Oid) -> Result<(u64, Box<dyn Read + '_>), PackError> {
        let number = self.number(oid)?;
        let entry = self.entry(number)?;
        match entry.form {
            Form::Whole(ObjectKind::Blob) => {
                let input = Input::new(&self.file, entry.data, self.end);
                Ok((entry.size, Box::new(input::Inflated::new(input, entry.size))))
            }
            Form::Whole(_) => Err(PackError::Damaged("a file that is none")),
            Form::Delta(_) | Form::DeltaOf(_) => {
                let (kind, bytes) = self.whole(number)?;
                if kind != ObjectKind::Blob {
                    return Err(PackError::Damaged("a file that is none"));
                }
                Ok((bytes.len() as u64, Box::new(bytes.reader())))
            }
        }
    }

    fn inflate(&mut self, entry: &Entry) -> Result<Vec<u8>, PackError> {
        if entry.size > self.limits.delta {
            return Err(PackError::TooLarge("a difference to a file that is too large for memory"));
        }
        self.spend(entry.size)?;
        let mut bytes = Vec::new();
        let mut input = Input::new(&self.file, entry.data, self.end);
        self.inflater.run(&mut input, entry.size, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// An object of an entry, put together from what it is a difference to.
    fn whole(&mut self, number: u32) -> Result<(ObjectKind, Bytes), PackError> {
        let mut chain = Vec::new();
        let mut at = number;
        let (kind, mut bytes) = loop {
            if let Some((kind, bytes)) = self.cache.objects.get(&at) {
                break (*kind, bytes.clone());
            }
            let entry = self.entry(at)?;
            match entry.form {
                Form::Whole(kind) => {
                    let bytes = Bytes::from(self.inflate(&entry)?);
                    self.cache.put(at, kind, &bytes);
                    break (kind, bytes);
                }
                Form::Delta(base) => {
                    chain.push((at, entry));
                    at = base;
                }
                Form::DeltaOf(oid) => return Err(PackError::Missing(oid)),
            }
            if chain.len() > usize::from(scan::DEEPEST) {
                return Err(PackError::TooLarge("its differences are too deep"));
            }
        };
        for (number, entry) in chain.into_iter().rev() {
            let delta = self.inflate(&entry)?;
            let size = delta::target_size(&delta)?;
            if size > self.limits.delta {
                return Err(PackError::TooLarge(
                    "a difference to a file that is too large for memory",
                ));
            }
            self.spend(size)?;
            bytes = Bytes::from(delta::apply(&bytes, &delta)?);
            self.cache.put(number, kind, &bytes);
        }
        Ok((kind, bytes))
    }
}

fn cancelled(flag: &AtomicBool) -> Result<(), PackError> {
    if flag.load(Ordering::Relaxed) { Err(PackError::Cancelled) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests;
