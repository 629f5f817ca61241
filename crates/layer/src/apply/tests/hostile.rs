//! Layers that mean harm.

use super::*;

#[test]
fn forged_whiteouts_are_refused() {
    for name in [".wh.", "a/.wh..", "a/.wh...", ".wh.dir/file"] {
        assert!(
            matches!(refused([Item::file(name, "")]), ApplyError::BadWhiteout { .. }),
            "{name}"
        );
    }
    assert!(matches!(refused([Item::char_device("x", 0, 0)]), ApplyError::WhiteoutDevice { .. }));
    let (place, changes) = applied([
        Item::file(".wh..wh.plnk", ""),
        Item::dir("d/")
            .pax("SCHILY.xattr.trusted.overlay.opaque", "y")
            .pax("SCHILY.xattr.user.overlay.opaque", "y"),
        Item::file("f", "").pax("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
    ]);
    assert!(!opaque(&place.layer().join("d")));
    assert_eq!(changes.notes.len(), 4, "{:?}", changes.notes);
    assert!(!place.layer().join(".wh..wh.plnk").exists());
}

#[test]
fn nothing_leaves_the_layer() {
    for name in ["../outside/x", "a/../../outside/x", "/../outside/x", ".."] {
        assert!(matches!(refused([Item::file(name, "x")]), ApplyError::Escapes { .. }), "{name}");
        assert!(
            matches!(
                refused([Item::file("a", ""), Item::hard_link("b", name)]),
                ApplyError::Escapes { .. }
            ),
            "{name}"
        );
    }
    // An absolute name means the same name in the layer, as it does for everybody else.
    let (place, _) = applied([
        Item::file("/outside/secret", "mine"),
        Item::hard_link("/outside/second", "/outside/secret"),
    ]);
    assert_eq!(std::fs::read(place.layer().join("outside/second")).unwrap(), b"mine");
}

#[test]
fn what_is_written_through_a_link_stays_inside() {
    let outside = Place::new();
    let target = outside.outer.path().join("outside");
    let target = target.to_str().unwrap();
    for link in [target, "../outside", "../../../../../../../../etc", "/etc"] {
        // The same name may exist in the layer; then it is meant.
        let error = refused([Item::link("l", link), Item::file("l/secret", "overwritten")]);
        assert!(matches!(error, ApplyError::DanglingParent { .. }), "{link}: {error}");
        let error = refused([Item::link("l", link), Item::dir("l/sub/dir/")]);
        assert!(matches!(error, ApplyError::DanglingParent { .. }), "{link}: {error}");
        let (place, _) = applied([Item::link("l", link), Item::file("l", "replaces the link")]);
        assert_eq!(std::fs::read(place.layer().join("l")).unwrap(), b"replaces the link");
    }
    assert_eq!(std::fs::read(outside.outer.path().join("outside/secret")).unwrap(), b"secret");
    let (place, changes) = applied([
        Item::dir("usr/lib/"),
        Item::link("lib", "/usr/lib"),
        Item::file("lib/a", "a"),
        Item::dir("lib/made/").mtime(77),
        Item::file("lib/implied/b", "b"),
        Item::link("up", "../../usr"),
        Item::hard_link("lib/c", "up/lib/a"),
    ]);
    for path in ["usr/lib/a", "usr/lib/c", "usr/lib/implied/b"] {
        assert!(place.layer().join(path).symlink_metadata().unwrap().is_file(), "{path}");
    }
    assert_eq!(place.list()[Path::new("usr/lib/made")].modified.seconds, 77);
    assert!(changes.implicit_dirs.contains(Path::new("usr/lib/implied")));
    let circle = refused([Item::link("a", "b"), Item::link("b", "a"), Item::file("a/x", "")]);
    assert!(matches!(circle, ApplyError::DanglingParent { .. }), "{circle}");
}

#[test]
fn hard_links_never_reach_outside_or_directories() {
    let place = Place::new();
    let secret = place.outer.path().join("outside/secret");
    let tar = TarFile::of([
        Item::link("l", place.outer.path().to_str().unwrap()),
        Item::hard_link("x", "l/outside/secret"),
    ]);
    let changes = place.apply(&tar.finish()).unwrap();
    assert_eq!(changes.deferred_links.len(), 1);
    assert!(matches!(settle(&place.layer(), &[], &changes), Err(ApplyError::MissingTarget { .. })));
    assert_eq!(secret.metadata().unwrap().nlink(), 1);
    assert!(matches!(
        refused([Item::dir("d/"), Item::hard_link("x", "d")]),
        ApplyError::LinkToDirectory { .. }
    ));
    assert!(matches!(refused([Item::hard_link("x", "/")]), ApplyError::LinkToDirectory { .. }));
    let whiteout = refused([Item::file(".wh.gone", ""), Item::hard_link("x", "gone")]);
    assert!(matches!(whiteout, ApplyError::MissingTarget { .. }));
    // A link to a symbolic link shares the link, not what it points to.
    let (place, _) = applied([
        Item::link("l", "/etc/passwd"),
        Item::hard_link("m", "l"),
        Item::hard_link("l", "l"),
    ]);
    assert_eq!(place.list()[Path::new("m")].target, Some("/etc/passwd".into()));
    // The target may come later.
    let (place, changes) = applied([Item::hard_link("early", "late"), Item::file("late", "x")]);
    assert_eq!(std::fs::read(place.layer().join("early")).unwrap(), b"x");
    assert!(changes.deferred_links.is_empty());
}

#[test]
fn paths_have_bounds() {
    let deep = "d/".repeat(513);
    assert!(matches!(
        refused([Item::file("x", "").pax("path", &deep)]),
        ApplyError::TooDeep { .. }
    ));
    let (place, _) = applied([Item::dir("x").pax("path", "d/".repeat(512))]);
    assert!(place.layer().join("d/".repeat(512)).is_dir());
    let long = refused([Item::file("x", "").pax("path", "n".repeat(256))]);
    assert_eq!(naru_errdefs::Failure::kind(&long), naru_errdefs::Kind::InvalidInput);
    let limits = Limits { entries: 10, ..Limits::standard() };
    let tar = TarFile::of((0..11).map(|n| Item::file(format!("{n}"), ""))).finish();
    assert!(matches!(
        Place::new().apply_with(&tar, &limits),
        Err(ApplyError::TooManyEntries { .. })
    ));
}

#[test]
fn numbers_that_lie_are_refused() {
    for item in [
        Item::file("x", "").claimed_size(b"-0000000001"),
        Item::file("x", "").claimed_size([0xff; 12]),
        Item::file("x", "").claimed_size(b"99999999999"),
        Item::file("x", "")
            .claimed_size([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Item::file("x", "").claimed_size(b"77777777777"),
        Item::file("x", "").pax("size", "18446744073709551615"),
        Item::file("x", "").pax("size", "-1"),
        Item::file("x", "").pax("uid", "4294967295"),
        Item::file("x", "").pax("uid", "-1"),
        Item::file("x", "").pax("gid", "4294967296"),
        Item::file("x", "").pax("mtime", "yesterday"),
        Item::file("x", "").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "0,20"),
        Item::file("x", "")
            .pax("GNU.sparse.major", "1")
            .pax("GNU.sparse.minor", "0")
            .pax("GNU.sparse.realsize", "10"),
        Item::file("x", "").pax("path", "a\0b"),
        Item::char_device("x", 4096, 0),
        Item::char_device("x", 1, 0o7777777),
        Item::new(b'M', "x"),
        Item::new(b'D', "x"),
    ] {
        let shown = format!("{item:?}");
        assert!(matches!(refused([item]), ApplyError::Tar(_)), "{shown}");
    }
}

#[test]
fn truncated_and_corrupt_archives_are_refused() {
    let whole =
        TarFile::of([Item::file("a", [7u8; 5000]), Item::dir("d/"), Item::file("d/b", "b")])
            .finish();
    for cut in [1, 100, 511, 513, 3000, 5500, 6143] {
        let error = Place::new().apply(&whole[..cut]).unwrap_err();
        assert!(
            matches!(error, ApplyError::Tar(crate::tar::TarError::Truncated)),
            "cut at {cut}: {error}"
        );
    }
    // The data is whole; the zeros after it are nobody's loss.
    for cut in [5512, 5600, 5632] {
        Place::new().apply(&whole[..cut]).unwrap();
    }
    for at in [0, 3, 150, 300, 5632 + 130] {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        let error = Place::new().apply(&broken).unwrap_err();
        assert!(
            matches!(error, ApplyError::Tar(crate::tar::TarError::BadHeader { .. })),
            "byte {at}: {error}"
        );
    }
    let mut encoder = Compression::Gzip.encoder(Vec::new()).unwrap();
    encoder.write_all(&whole).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(Place::new().apply(&packed).is_ok());
    assert!(Place::new().apply(&packed[..packed.len() / 2]).is_err());
    assert!(Place::new().apply(&packed[..packed.len() - 4]).is_err());
    assert!(
        !Place::new().apply(&TarFile::of([Item::file("a", "")]).unfinished()).unwrap().has_end_mark
    );
    assert!(Place::new().apply(&vec![b'x'; 4096]).is_err());
    assert!(Place::new().apply(b"\x04\x22\x4d\x18rest").unwrap_err().to_string().contains("lz4"));
    assert!(Place::new().apply(b"\xfd7zXZ\0rest").is_err());
}

#[test]
fn an_endless_header_is_refused_before_it_fills_the_memory() {
    let mut file = TarFile::default();
    file.add(&Item::new(b'L', "././@LongLink").claimed_size(b"77777777777"));
    assert!(matches!(
        Place::new().apply(&file.finish()),
        Err(ApplyError::Tar(crate::tar::TarError::HeaderTooLarge { .. }))
    ));
    let mut file = TarFile::default();
    file.add(&Item::new(b'x', "pax").claimed_size(b"77777777777"));
    assert!(matches!(
        Place::new().apply(&file.finish()),
        Err(ApplyError::Tar(crate::tar::TarError::HeaderTooLarge { .. }))
    ));
}

#[test]
fn a_bomb_is_bounded() {
    let limits = Limits { ratio_from: 1 << 20, ratio: 50, ..Limits::standard() };
    let tar = TarFile::of([Item::file("zeros", vec![0u8; 8 << 20])]).finish();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut encoder = compression.encoder(Vec::new()).unwrap();
        encoder.write_all(&tar).unwrap();
        let bomb = encoder.finish().unwrap();
        let error = Place::new().apply_with(&bomb, &limits).unwrap_err();
        assert!(format!("{error:?}").contains("Bomb"), "{error:?}");
        // Zeros that are let through become a hole.
        let place = Place::new();
        place.apply(&bomb).unwrap();
        let zeros = place.layer().join("zeros").metadata().unwrap();
        assert!(zeros.len() == 8 << 20 && zeros.blocks() <= 64, "{} blocks", zeros.blocks());
    }
    let limits = Limits { unpacked: 1 << 20, ..Limits::standard() };
    assert!(Place::new().apply_with(&tar, &limits).is_err());
}

/// Enough to see that memory does not grow with them; a million take a minute here and need no more.
const MANY: u32 = 200_000;

/// An archive of many empty files that is made while it is read.
struct Endless {
    next: u32,
    most: u32,
    block: std::io::Cursor<Vec<u8>>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 && self.next < self.most {
            // One header serves all: only the digits of the name change, and with them the sum.
            let empty = TarFile::of([Item::file("d00/f000000", "")]).unfinished();
            let sum: u64 =
                empty[..148].iter().chain(&empty[156..]).map(|byte| u64::from(*byte)).sum();
            let mut blocks = Vec::with_capacity(512 * 1000);
            for number in self.next..(self.next + 1000).min(self.most) {
                let name = format!("d{:02}/f{number:06}", number / 10_000);
                let digits: u64 = name
                    .bytes()
                    .filter(u8::is_ascii_digit)
                    .map(|digit| u64::from(digit - b'0'))
                    .sum();
                blocks.extend_from_slice(name.as_bytes());
                blocks.extend_from_slice(&empty[name.len()..148]);
                blocks.extend_from_slice(format!("{:06o}\0 ", sum + 8 * 32 + digits).as_bytes());
                blocks.extend_from_slice(&empty[156..]);
            }
            self.next = (self.next + 1000).min(self.most);
            self.block = std::io::Cursor::new(blocks);
        }
        self.block.read(buffer)
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_flood_of_empty_files_needs_no_memory() {
    // Where there is one, a file system in memory: this test is about us, not about the disk.
    let place = Path::new("/dev/shm");
    let place =
        if place.is_dir() { tempfile::tempdir_in(place) } else { tempfile::tempdir() }.unwrap();
    let archive = Endless { next: 0, most: MANY, block: std::io::Cursor::default() };
    let before = resident();
    let applied = apply(archive, place.path(), &Limits::standard()).unwrap();
    let grown = resident().saturating_sub(before);
    assert_eq!(applied.changes.entries, u64::from(MANY));
    assert!(grown < 32 << 10, "{grown} KiB were needed");
    assert!(place.path().join("d19/f199999").exists());
}
