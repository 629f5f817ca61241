//! Pure: one entry of an archive with all extensions taken in.

use super::error::{TarError, shown};
use super::header::{Numbers, link_name, name, numbers};
use super::pax::{Records, parse_time};
use super::sparse_map::SparseMap;
use ::tar::Header;
use naru_kernel::times::FileTime;

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A second name of another entry's file.
    HardLink(Vec<u8>),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as it is in the archive.
    pub name: Vec<u8>,
    /// What it makes.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When the content was last changed.
    pub modified: FileTime,
    /// When it was last read, where the archive says so.
    pub accessed: Option<FileTime>,
    /// Extended attributes.
    pub attributes: Records,
    /// Bytes of data that the archive holds (without a sparse map in front).
    pub stored: u64,
    /// The pieces of a sparse file.
    pub sparse: Option<SparseMap>,
    /// Things the archive says that cannot be kept.
    pub dropped: Vec<&'static str>,
}

impl Entry {
    /// An entry that belongs to root, without data, times or attributes.
    pub fn new(name: impl Into<Vec<u8>>, kind: EntryKind, mode: u32) -> Entry {
        Entry {
            name: name.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            modified: FileTime::default(),
            accessed: None,
            attributes: Records::new(),
            stored: 0,
            sparse: None,
            dropped: Vec::new(),
        }
    }

    /// The length of the file that it makes.
    pub fn size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.stored, |map| map.size)
    }

    /// The name for messages.
    pub fn shown(&self) -> String {
        shown(&self.name)
    }
}

/// What came before a header and changes it.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// PAX records: the global ones first, so that later ones win.
    pub(super) records: Records,
    /// GNU's long name.
    pub(super) long_name: Option<Vec<u8>>,
    /// GNU's long link target.
    pub(super) long_link: Option<Vec<u8>>,
}

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// What an entry's type flag asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    File,
    GnuSparse,
    HardLink,
    Link,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// The meaning of a type flag, for the entries that make something.
pub(super) fn flag(byte: u8, old_name_is_directory: bool) -> Option<Flag> {
    Some(match byte {
        b'0' | 0 if old_name_is_directory => Flag::Directory,
        b'0' | 0 | b'7' => Flag::File,
        b'S' => Flag::GnuSparse,
        b'1' => Flag::HardLink,
        b'2' => Flag::Link,
        b'3' => Flag::CharDevice,
        b'4' => Flag::BlockDevice,
        b'5' => Flag::Directory,
        b'6' => Flag::Fifo,
        _ => return None,
    })
}

/// Puts header and extensions together. The sparse map is added by the reader.
pub(super) fn build(header: &Header, extensions: Extensions) -> Result<Entry, TarError> {
    let Extensions { records, long_name, long_link } = extensions;
    let mut draft = Draft {
        name: long_name.unwrap_or_else(|| name(header)),
        sparse_name: None,
        target: long_link.unwrap_or_else(|| link_name(header)),
        numbers: numbers(header),
        modified: None,
        accessed: None,
        attributes: Records::new(),
        dropped: Vec::new(),
    };
    for (key, value) in records {
        draft.take(&key, value)?;
    }
    draft.finish(header.as_old().linkflag[0])
}

/// An entry on which the PAX records have not all had their say.
struct Draft {
    name: Vec<u8>,
    sparse_name: Option<Vec<u8>>,
    target: Vec<u8>,
    numbers: Numbers,
    modified: Option<FileTime>,
    accessed: Option<FileTime>,
    attributes: Records,
    dropped: Vec<&'static str>,
}

impl Draft {
    /// Takes one record in.
    fn take(&mut self, key: &[u8], value: Vec<u8>) -> Result<(), TarError> {
        if let Some(name) = key.strip_prefix(ATTRIBUTE) {
            self.attributes.retain(|(known, _)| known != name);
            self.attributes.push((name.to_vec(), value));
            return Ok(());
        }
        // A record without a value takes back what an earlier one said.
        if value.is_empty() {
            return Ok(());
        }
        let bad = |field| TarError::BadNumber { entry: shown(&self.name), field };
        let number = |field| {
            let text = std::str::from_utf8(&value).ok();
            text.and_then(|text| text.parse::<i64>().ok()).map(Some).ok_or_else(|| bad(field))
        };
        match key {
            b"size" => self.numbers.size = number("size")?,
            b"uid" => self.numbers.uid = number("owner")?,
            b"gid" => self.numbers.gid = number("group")?,
            b"mtime" => self.modified = Some(parse_time(&value).ok_or_else(|| bad("time"))?),
            b"atime" => self.accessed = Some(parse_time(&value).ok_or_else(|| bad("access time"))?),
            b"path" => self.name = value,
            b"GNU.sparse.name" => self.sparse_name = Some(value),
            b"linkpath" => self.target = value,
            b"RHT.security.selinux" => self.dropped.push("the SELinux label"),
            _ if key.starts_with(b"SCHILY.acl.") => {
                self.dropped.push("the textual access control list")
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, flag_byte: u8) -> Result<Entry, TarError> {
        // The `path` of a sparse file is only a stand-in.
        let name = self.sparse_name.unwrap_or(self.name);
        let text = shown(&name);
        let bad = |field| TarError::BadNumber { entry: text.clone(), field };
        if name.is_empty() || name.contains(&0) {
            return Err(TarError::BadName { name: text });
        }
        let flag = flag(flag_byte, name.ends_with(b"/")).ok_or_else(|| {
            TarError::UnsupportedType { entry: text.clone(), flag: char::from(flag_byte) }
        })?;
        let link = |target: Vec<u8>| match target.is_empty() || target.contains(&0) {
            true => Err(TarError::BadName { name: format!("{text} -> {}", shown(&target)) }),
            false => Ok(target),
        };
        let device = self.numbers.device;
        let device = || device_numbers(device).ok_or_else(|| bad("device number"));
        let kind = match flag {
            Flag::File | Flag::GnuSparse => EntryKind::File,
            Flag::HardLink => EntryKind::HardLink(link(self.target)?),
            Flag::Link => EntryKind::Link(link(self.target)?),
            Flag::CharDevice => {
                device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?
            }
            Flag::BlockDevice => {
                device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?
            }
            Flag::Directory => EntryKind::Directory,
            Flag::Fifo => EntryKind::Fifo,
        };
        // The largest number means "leave it" to chown, so no file can have it.
        let id = |number: Option<i64>| {
            number.and_then(|number| u32::try_from(number).ok()).filter(|id| *id != u32::MAX)
        };
        let unsigned = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let mode = self
            .numbers
            .mode
            .and_then(|mode| u32::try_from(mode).ok())
            .ok_or_else(|| bad("mode"))?;
        Ok(Entry {
            mode: mode & 0o7777,
            uid: id(self.numbers.uid).ok_or_else(|| bad("owner"))?,
            gid: id(self.numbers.gid).ok_or_else(|| bad("group"))?,
            modified: match (self.modified, self.numbers.mtime) {
                (Some(time), _) => time,
                (None, Some(seconds)) => FileTime { seconds, nanoseconds: 0 },
                (None, None) => return Err(bad("time")),
            },
            accessed: self.accessed,
            attributes: self.attributes,
            // Links, devices and directories have no data, whatever their header says.
            stored: match kind {
                EntryKind::File => unsigned(self.numbers.size).ok_or_else(|| bad("size"))?,
                _ => 0,
            },
            sparse: None,
            dropped: self.dropped,
            name,
            kind,
        })
    }
}

/// Device numbers that the kernel can hold: 12 and 20 bits.
fn device_numbers(numbers: (Option<i64>, Option<i64>)) -> Option<(u32, u32)> {
    let part = |number: Option<i64>, most: u32| {
        u32::try_from(number?).ok().filter(|number| *number <= most)
    };
    part(numbers.0, 0xfff).zip(part(numbers.1, 0xf_ffff))
}
