//! Layers, honest and hostile, unpacked.

mod hostile;

use crate::{ApplyError, ArchiveMode, Changes, Compression, Limits, apply, archive_tree, settle};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::times::FileTime;
use naru_kernel::xattr;
use naru_oci::Digest;
use naru_test_support::{Item, Seen, TarFile, list};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

type Tree = BTreeMap<PathBuf, Seen>;

/// A directory for a layer, with something beside it that must stay as it is.
struct Place {
    outer: TempDir,
}

impl Place {
    fn new() -> Place {
        let outer = tempfile::tempdir().unwrap();
        std::fs::create_dir(outer.path().join("layer")).unwrap();
        std::fs::create_dir(outer.path().join("outside")).unwrap();
        std::fs::File::create(outer.path().join("outside/secret"))
            .unwrap()
            .write_all(b"secret")
            .unwrap();
        Place { outer }
    }

    fn layer(&self) -> PathBuf {
        self.outer.path().join("layer")
    }

    fn apply(&self, tar: &[u8]) -> Result<Changes, ApplyError> {
        self.apply_with(tar, &Limits::standard())
    }

    fn apply_with(&self, tar: &[u8], limits: &Limits) -> Result<Changes, ApplyError> {
        let before = list(&self.outer.path().join("outside")).unwrap();
        let result = apply(tar, &self.layer(), limits);
        assert_eq!(
            list(&self.outer.path().join("outside")).unwrap(),
            before,
            "something outside was touched"
        );
        let names: Vec<_> = std::fs::read_dir(self.outer.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "something was made outside: {names:?}");
        if let Ok(applied) = &result {
            let (compression, mut input) = Compression::peek(tar).unwrap();
            let mut plain = Vec::new();
            input.read_to_end(&mut plain).unwrap();
            if compression == Compression::None {
                assert_eq!(applied.diff_id.0, Digest::of(&plain));
            }
        }
        result.map(|applied| applied.changes)
    }

    fn list(&self) -> Tree {
        list(&self.layer()).unwrap()
    }
}

fn applied(items: impl IntoIterator<Item = Item>) -> (Place, Changes) {
    let place = Place::new();
    let changes = place.apply(&TarFile::of(items).finish()).unwrap();
    (place, changes)
}

fn refused(items: impl IntoIterator<Item = Item>) -> ApplyError {
    Place::new().apply(&TarFile::of(items).finish()).unwrap_err()
}

fn opaque(path: &Path) -> bool {
    let dir = naru_kernel::path::open_directory(path).unwrap();
    xattr::get(&dir, b"trusted.overlay.opaque").is_ok_and(|value| value == b"y")
}

#[test]
fn everything_an_entry_says_is_kept() {
    let (place, changes) = applied([
        Item::dir("./").mode(0o711).mtime(1000),
        Item::dir("dir/").mode(0o2750).owner(1, 2).mtime(2000),
        Item::file("dir/setuid", "x").mode(0o6755).owner(3, 4).pax("mtime", "1234567890.123456789"),
        Item::file("dir/capable", "y").mode(0o755).pax(
            "SCHILY.xattr.security.capability",
            b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ),
        Item::hard_link("dir/second", "dir/setuid"),
        Item::link("dir/link", "../../../odd//./target").owner(5, 6).mtime(99),
        Item::char_device("dir/null", 1, 3).mode(0o666),
        Item::new(b'4', "dir/disk").mode(0o660).owner(0, 6),
        Item::new(b'6', "dir/fifo").mode(0o622),
        Item::file("before-1970", "").pax("mtime", "-1.5"),
        Item::file("big-owner", "").pax("uid", "4000000000").pax("gid", "3000000000"),
        Item::file(b"not-\xff-utf8", "").pax("SCHILY.xattr.user.note", b"\x00\xff"),
    ]);
    let tree = place.list();
    let at = |path: &str| tree.get(Path::new(path)).unwrap_or_else(|| panic!("{path} is missing"));
    assert_eq!((at("").mode, at("").modified.seconds), (0o711, 1000));
    assert_eq!(
        (at("dir").mode, at("dir").owner, at("dir").modified.seconds),
        (0o2750, (1, 2), 2000)
    );
    assert_eq!((at("dir/setuid").mode, at("dir/setuid").owner), (0o6755, (3, 4)));
    assert_eq!(
        at("dir/setuid").modified,
        FileTime { seconds: 1_234_567_890, nanoseconds: 123_456_789 }
    );
    assert_eq!(at("dir/second").shared_with, Some("dir/second".into()));
    assert_eq!(at("dir/setuid").shared_with, Some("dir/second".into()));
    assert_eq!(at("dir/capable").attributes[0].0, "security.capability");
    assert_eq!(at("dir/link").target, Some("../../../odd//./target".into()));
    assert_eq!((at("dir/link").owner, at("dir/link").modified.seconds), ((5, 6), 99));
    assert_eq!(
        (at("dir/null").kind, at("dir/null").rdev, at("dir/null").mode),
        (NodeKind::CharDevice, (1, 3), 0o666)
    );
    assert_eq!((at("dir/disk").kind, at("dir/disk").owner), (NodeKind::BlockDevice, (0, 6)));
    assert_eq!((at("dir/fifo").kind, at("dir/fifo").mode), (NodeKind::Fifo, 0o622));
    assert_eq!(at("before-1970").modified, FileTime { seconds: -2, nanoseconds: 500_000_000 });
    assert_eq!(at("big-owner").owner, (4_000_000_000, 3_000_000_000));
    assert!(changes.implicit_dirs.is_empty() && changes.notes.is_empty(), "{changes:?}");
    assert!(tree.keys().any(|path| path.as_os_str().as_encoded_bytes() == b"not-\xff-utf8"));
}

#[test]
fn an_odd_owner_of_a_default_acl_is_not_inherited_by_its_own_entries() {
    // user::rwx, group::r-x, group:5:rwx, mask::rwx, other::---: what `setfacl -d` stores.
    let acl = [
        2u32.to_le_bytes().to_vec(),
        entry(1, 7, u32::MAX),
        entry(4, 5, u32::MAX),
        entry(8, 7, 5),
        entry(16, 7, u32::MAX),
        entry(32, 0, u32::MAX),
    ]
    .concat();
    fn entry(tag: u16, permissions: u16, id: u32) -> Vec<u8> {
        [tag.to_le_bytes().to_vec(), permissions.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()]
            .concat()
    }
    let (place, _) = applied([
        Item::dir("./"),
        Item::dir("d/").pax("SCHILY.xattr.system.posix_acl_default", &acl),
        Item::file("d/file", "").mode(0o640),
    ]);
    let tree = place.list();
    assert_eq!(tree[Path::new("d")].attributes, [("system.posix_acl_default".to_owned(), acl)]);
    assert_eq!(tree[Path::new("d/file")].attributes, []);
    assert_eq!(tree[Path::new("d/file")].mode, 0o640);
}

#[test]
fn whiteouts_hide_only_what_is_below_in_any_order() {
    for whiteout_first in [true, false] {
        let mut items = [
            vec![Item::file("a/.wh.gone", "")],
            vec![Item::file("a/.wh.dir", ""), Item::dir("a/dir/"), Item::file("a/dir/new", "")],
            vec![Item::file("a/.wh.file", ""), Item::file("a/file", "new")],
            vec![Item::file("a/.wh.implied", ""), Item::file("a/implied/sub/new", "")],
            vec![Item::file("o/.wh..wh..opq", ""), Item::file("o/new", "")],
        ];
        if !whiteout_first {
            items.iter_mut().for_each(|group| group.reverse());
        }
        let (place, _) = applied(items.concat());
        let at = |path: &str| place.layer().join(path);
        let dir = naru_kernel::path::open_directory(at("a")).unwrap();
        assert!(node::status_at(&dir, "gone").unwrap().is_whiteout());
        assert_eq!(std::fs::read(at("a/file")).unwrap(), b"new");
        assert!(
            at("a/dir/new").exists() && opaque(&at("a/dir")),
            "whiteout first: {whiteout_first}"
        );
        assert!(at("a/implied/sub/new").exists() && opaque(&at("a/implied")));
        assert!(at("o/new").exists() && opaque(&at("o")));
    }
}

#[test]
fn entries_replace_earlier_ones_of_another_type() {
    let (place, _) = applied([
        Item::file("a", "file"),
        Item::dir("a/").mtime(5),
        Item::file("a/x", ""),
        Item::dir("b/deep/er/"),
        Item::file("b/deep/er/x", ""),
        Item::link("b", "a"),
        Item::file("b/through", ""),
        Item::dir("c/"),
        Item::file("c/x", ""),
        Item::file("c", "file"),
        Item::link("d", "nowhere"),
        Item::dir("d/").mode(0o700),
        Item::file("e", "first"),
        Item::hard_link("e2", "e"),
        Item::file("e", "second"),
    ]);
    let tree = place.list();
    assert_eq!(tree[Path::new("a")].kind, NodeKind::Directory);
    assert_eq!(tree[Path::new("b")].kind, NodeKind::Link);
    assert!(tree.contains_key(Path::new("a/through")) && tree.contains_key(Path::new("a/x")));
    assert_eq!(tree[Path::new("c")].kind, NodeKind::File);
    assert_eq!(
        (tree[Path::new("d")].kind, tree[Path::new("d")].mode),
        (NodeKind::Directory, 0o700)
    );
    assert_eq!(std::fs::read(place.layer().join("e2")).unwrap(), b"first");
    assert_eq!(std::fs::read(place.layer().join("e")).unwrap(), b"second");
    let error = refused([Item::file("a", ""), Item::file("a/b/c", "")]);
    assert!(matches!(error, ApplyError::NotADirectory { .. }), "{error}");
    assert!(matches!(refused([Item::file(".", "")]), ApplyError::RootNotDirectory));
}

#[test]
fn sparse_files_of_every_gnu_notation_come_back_with_their_holes() {
    let source = tempfile::tempdir().unwrap();
    let file = std::fs::File::create_new(source.path().join("sparse")).unwrap();
    for n in 0..60u64 {
        file.write_all_at(format!("piece {n}").as_bytes(), n * 40_960).unwrap();
    }
    file.set_len(4 << 20).unwrap();
    std::fs::File::create_new(source.path().join("hole")).unwrap().set_len(64 << 20).unwrap();
    let expected = list(source.path()).unwrap();
    for options in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let tar = Command::new("tar")
            .args(["-cS", "-C"])
            .arg(source.path())
            .args(options)
            .args(["hole", "sparse"])
            .output()
            .unwrap();
        assert!(tar.status.success());
        let place = Place::new();
        place.apply(&tar.stdout).unwrap();
        let mut found = place.list();
        for path in ["hole", "sparse"] {
            let mut seen = found.remove(Path::new(path)).unwrap();
            let original = &expected[Path::new(path)];
            if options[0] == "--format=gnu" {
                seen.modified.nanoseconds = original.modified.nanoseconds;
            }
            assert_eq!(&seen, original, "{options:?}");
        }
    }
}

#[test]
fn tar_reads_what_we_write_and_we_read_what_tar_writes() {
    let (place, _) = applied([
        Item::dir("./").mode(0o755),
        Item::file("x", "long").pax(
            "path",
            format!("{}/name", "directory-with-a-long-name/".repeat(8).trim_end_matches('/')),
        ),
        Item::link("l", "x").pax("linkpath", "target/".repeat(40)),
        Item::file(b"odd-\xf0\x28", "odd")
            .owner(12, 34)
            .pax("uid", "70000000")
            .pax("mtime", "5.25"),
        Item::file("attr", "").pax("SCHILY.xattr.user.a", "b").pax("SCHILY.xattr.trusted.c", "d"),
        Item::hard_link("attr2", "attr"),
        Item::char_device("dev", 4, 300),
        Item::new(b'6', "fifo"),
    ]);
    let sparse = std::fs::File::create_new(place.layer().join("sparse")).unwrap();
    sparse.write_all_at(b"data", 1 << 20).unwrap();
    sparse.set_len(9 << 20).unwrap();
    let before = place.list();
    let mut tar = Vec::new();
    archive_tree(&place.layer(), &mut tar, ArchiveMode::Plain).unwrap();
    let mut again = Vec::new();
    archive_tree(&place.layer(), &mut again, ArchiveMode::Plain).unwrap();
    assert!(tar == again, "two archives of the same tree differ");
    let back = Place::new();
    back.apply(&tar).unwrap();
    assert_eq!(
        naru_test_support::listing::differences(&before, &back.list()),
        Vec::<String>::new()
    );
    // The foreign judge unpacks our archive, and packs its own.
    let judged = tempfile::tempdir().unwrap();
    let archive = judged.path().join("a.tar");
    std::fs::File::create_new(&archive).unwrap().write_all(&tar).unwrap();
    let root = judged.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-p"];
    let unpack = Command::new("tar")
        .args(options)
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&root)
        .output()
        .unwrap();
    assert!(unpack.status.success(), "{}", String::from_utf8_lossy(&unpack.stderr));
    assert_eq!(
        naru_test_support::listing::differences(&before, &list(&root).unwrap()),
        Vec::<String>::new()
    );
    let pack = Command::new("tar")
        .args(options)
        .args(["--format=pax", "-cSf", "-", "-C"])
        .arg(&root)
        .arg(".")
        .output()
        .unwrap();
    let theirs = Place::new();
    theirs.apply(&pack.stdout).unwrap();
    assert_eq!(
        naru_test_support::listing::differences(&before, &theirs.list()),
        Vec::<String>::new()
    );
}

#[test]
fn sockets_are_left_out_with_a_note() {
    let place = Place::new();
    let socket = std::os::unix::net::UnixListener::bind(place.layer().join("socket")).unwrap();
    let mut tar = Vec::new();
    let archived = archive_tree(&place.layer(), &mut tar, ArchiveMode::Plain).unwrap();
    assert_eq!((archived.entries, archived.notes.len()), (1, 1));
    drop(socket);
}

#[test]
fn a_layer_is_completed_from_the_layers_below() {
    let (bottom, changes) = applied([
        Item::dir("./").mode(0o711).owner(9, 9).mtime(10),
        Item::dir("etc/").mode(0o750).owner(1, 2).mtime(20).pax("SCHILY.xattr.user.a", "b"),
        Item::file("etc/shadow", "x").mode(0o600).owner(3, 4).mtime(30),
        Item::dir("gone/").mode(0o700),
        Item::file("gone/x", ""),
    ]);
    settle(&bottom.layer(), &[], &changes).unwrap();
    let (top, changes) = applied([
        Item::file("etc/new", ""),
        Item::hard_link("bin/shadow", "etc/shadow"),
        Item::file(".wh.gone", ""),
        Item::file("gone/y", ""),
    ]);
    settle(&top.layer(), &[bottom.layer()], &changes).unwrap();
    let tree = top.list();
    let at = |path: &str| &tree[Path::new(path)];
    assert_eq!((at("").mode, at("").owner, at("").modified.seconds), (0o711, (9, 9), 10));
    assert_eq!((at("etc").mode, at("etc").owner, at("etc").modified.seconds), (0o750, (1, 2), 20));
    assert_eq!(at("etc").attributes, [("user.a".to_owned(), b"b".to_vec())]);
    assert_eq!(at("bin/shadow").shared_with, at("etc/shadow").shared_with);
    assert_eq!(
        (at("etc/shadow").mode, at("etc/shadow").owner, at("etc/shadow").modified.seconds),
        (0o600, (3, 4), 30)
    );
    assert_eq!(at("gone").mode, 0o755);
    let (over, changes) = applied([Item::file(".wh..wh..opq", ""), Item::file("etc/only", "")]);
    settle(&over.layer(), &[top.layer(), bottom.layer()], &changes).unwrap();
    assert!(opaque(&over.layer().join("etc")));
    let root = naru_kernel::path::open_directory(over.layer()).unwrap();
    assert!(node::status_at(&root, "gone").unwrap().is_whiteout());
    assert!(node::status_at(&root, "bin").unwrap().is_whiteout());
}
