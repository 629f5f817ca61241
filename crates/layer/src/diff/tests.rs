//! Random trees: archived and unpacked they are the same; the difference of two, unpacked over the first, is the
//! second. The kernel's overlay file system is the judge.

use crate::{ArchiveMode, Limits, apply, archive_tree, diff_trees, settle};
use naru_kernel::node::{self, NodeKind};
use naru_kernel::path::open_directory;
use naru_kernel::times::{self, FileTime};
use naru_kernel::xattr;
use naru_test_support::list;
use naru_test_support::listing::differences;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One random act on a tree. Acts that make no sense there do nothing.
#[derive(Debug, Clone)]
enum Act {
    File(usize, u8, u64),
    Sparse(usize, u64),
    Directory(usize),
    Link(usize, String),
    HardLink(usize, usize),
    Node(usize, NodeKind),
    Remove(usize),
    Owner(usize, u32, u32),
    Mode(usize, u32),
    Time(usize, i64, u32),
    Attribute(usize, u8),
}

const NAMES: [&[u8]; 6] = [
    b"a",
    b"b",
    b"with space",
    b"\xff\xfe",
    b"a-name-that-is-longer-than-others-so-that-paths-need-extended-headers-soon",
    b"c",
];

/// A path of one to three names.
fn path(number: usize) -> PathBuf {
    let depth = 1 + (number / 216) % 3;
    let digits = [number, number / 6, number / 36];
    digits.iter().take(depth).map(|digit| OsStr::from_bytes(NAMES[digit % 6])).collect()
}

fn act() -> impl Strategy<Value = Act> {
    let place = 0usize..648;
    prop_oneof![
        4 => (place.clone(), any::<u8>(), 0u64..70_000).prop_map(|(p, byte, size)| Act::File(p, byte, size)),
        1 => (place.clone(), 0u64..3).prop_map(|(p, n)| Act::Sparse(p, n)),
        4 => place.clone().prop_map(Act::Directory),
        2 => (place.clone(), "[a-z./]{1,20}").prop_map(|(p, target)| Act::Link(p, target)),
        3 => (place.clone(), place.clone()).prop_map(|(p, q)| Act::HardLink(p, q)),
        1 => (place.clone(), prop_oneof![Just(NodeKind::Fifo), Just(NodeKind::CharDevice), Just(NodeKind::BlockDevice)]).prop_map(|(p, kind)| Act::Node(p, kind)),
        3 => place.clone().prop_map(Act::Remove),
        1 => (place.clone(), 0u32..4_000_000_000, 0u32..100_000).prop_map(|(p, uid, gid)| Act::Owner(p, uid, gid)),
        1 => (place.clone(), 0u32..0o10000).prop_map(|(p, mode)| Act::Mode(p, mode)),
        2 => (place.clone(), -2_000_000_000i64..8_000_000_000, 0u32..1_000_000_000).prop_map(|(p, seconds, nanoseconds)| Act::Time(p, seconds, nanoseconds)),
        1 => (place, any::<u8>()).prop_map(|(p, byte)| Act::Attribute(p, byte)),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    proptest::collection::vec(act(), 0..40)
}

/// Parent and name of a place, when the parent is there.
fn place(root: &Path, number: usize) -> Option<(OwnedFd, PathBuf)> {
    let path = path(number);
    let parent = open_directory(root).ok()?;
    let parent = naru_kernel::path::open_beneath(
        &parent,
        path.parent()?,
        naru_kernel::path::OFlags::RDONLY | naru_kernel::path::OFlags::DIRECTORY,
    )
    .ok()?;
    Some((parent, PathBuf::from(path.file_name()?)))
}

fn perform(root: &Path, act: &Act) -> Option<()> {
    let target = match act {
        Act::File(p, ..)
        | Act::Sparse(p, _)
        | Act::Directory(p)
        | Act::Link(p, _)
        | Act::HardLink(p, _)
        | Act::Node(p, _)
        | Act::Remove(p)
        | Act::Owner(p, ..)
        | Act::Mode(p, _)
        | Act::Time(p, ..)
        | Act::Attribute(p, _) => *p,
    };
    let (dir, name) = place(root, target)?;
    let status = node::status_at(&dir, &name).ok();
    let free = || {
        if status.is_none_or(|status| status.kind != NodeKind::Directory) {
            node::remove_all(&dir, &name).ok()
        } else {
            None
        }
    };
    match act {
        Act::File(_, byte, size) => {
            free()?;
            let file = naru_kernel::path::create_new(&dir, &name, 0o644).ok()?;
            file.write_all_at(&vec![*byte | 1; usize::try_from(*size).ok()?], 0).ok()
        }
        Act::Sparse(_, pieces) => {
            free()?;
            let file = naru_kernel::path::create_new(&dir, &name, 0o600).ok()?;
            for piece in 0..*pieces {
                file.write_all_at(b"piece", piece * 200_000 + 65_536).ok()?;
            }
            file.set_len(900_000).ok()
        }
        Act::Directory(_) => node::make_directory(&dir, &name, 0o755).ok(),
        Act::Link(_, to) => {
            free()?;
            node::make_link(to, &dir, &name).ok()
        }
        Act::HardLink(_, other) => {
            let (from, from_name) = place(root, *other)?;
            if node::status_at(&from, &from_name).ok()?.kind == NodeKind::Directory
                || path(target) == path(*other)
            {
                return None;
            }
            free()?;
            node::hard_link(&from, &from_name, &dir, &name).ok()
        }
        Act::Node(_, kind) => {
            free()?;
            node::make_node(
                &dir,
                &name,
                *kind,
                0o640,
                if *kind == NodeKind::Fifo { (0, 0) } else { (5, 77) },
            )
            .ok()
        }
        Act::Remove(_) => node::remove_all(&dir, &name).ok(),
        Act::Owner(_, uid, gid) => node::set_owner_at(&dir, &name, *uid, *gid).ok(),
        Act::Mode(_, mode) if status?.kind != NodeKind::Link => {
            node::set_mode_at(&dir, &name, *mode).ok()
        }
        Act::Mode(..) => None,
        Act::Time(_, seconds, nanoseconds) => {
            let time = FileTime { seconds: *seconds, nanoseconds: *nanoseconds };
            times::set_at(&dir, &name, time, time).ok()
        }
        Act::Attribute(_, byte) => {
            let name_of_attribute: &[u8] =
                if status?.kind == NodeKind::File { b"user.note" } else { b"trusted.note" };
            xattr::set_at(&dir, &name, name_of_attribute, &[*byte; 9]).ok()
        }
    }
}

/// A read-only overlay mount that goes away with the value.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}

fn mount(layers: &[&Path], at: &Path) -> Mounted {
    let lower: Vec<&str> = layers.iter().map(|layer| layer.to_str().unwrap()).collect();
    let options = format!("lowerdir={}", lower.join(":"));
    let status = Command::new("mount")
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(at)
        .status()
        .unwrap();
    assert!(status.success());
    Mounted(at.to_owned())
}

fn check(first: &[Act], second: &[Act]) {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = world.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path
    };
    let (a, b, layer, merged) = (at("a"), at("b"), at("layer"), at("merged"));
    for act in first {
        let _ = perform(&a, act);
    }
    let mut whole = Vec::new();
    archive_tree(&a, &mut whole, ArchiveMode::Plain).unwrap();
    apply(&whole[..], &b, &Limits::standard()).unwrap();
    assert_eq!(
        differences(&list(&a).unwrap(), &list(&b).unwrap()),
        Vec::<String>::new(),
        "archived and unpacked"
    );
    for act in second {
        let _ = perform(&b, act);
    }
    let expected = list(&b).unwrap();
    let mut difference = Vec::new();
    diff_trees(&a, &b, &mut difference).unwrap();
    let applied = apply(&difference[..], &layer, &Limits::standard()).unwrap();
    settle(&layer, std::slice::from_ref(&a), &applied.changes).unwrap();
    let mounted = mount(&[&layer, &a], &merged);
    let found = list(&merged).unwrap();
    drop(mounted);
    assert_eq!(
        differences(&expected, &found),
        Vec::<String>::new(),
        "difference unpacked over the first"
    );
    // What an overlay wrote is a layer that makes the same: the layer's own directory is such an upper directory.
    let (again, mut upper) = (at("again"), Vec::new());
    archive_tree(&layer, &mut upper, ArchiveMode::OverlayUpper).unwrap();
    let applied = apply(&upper[..], &again, &Limits::standard()).unwrap();
    settle(&again, std::slice::from_ref(&a), &applied.changes).unwrap();
    // When a deletion was marked does not matter.
    let without_times = |path: &Path| {
        let mut tree = list(path).unwrap();
        for seen in tree
            .values_mut()
            .filter(|seen| (seen.kind, seen.rdev) == (NodeKind::CharDevice, (0, 0)))
        {
            seen.modified = FileTime::default();
        }
        tree
    };
    let lost = differences(&without_times(&layer), &without_times(&again));
    assert_eq!(lost, Vec::<String>::new(), "as an upper directory");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_survive(first in acts(), second in acts()) {
        check(&first, &second);
    }
}

#[test]
fn nothing_changed_makes_an_empty_layer() {
    let world = tempfile::tempdir().unwrap();
    for act in [Act::Directory(0), Act::File(216, 3, 100), Act::HardLink(1, 216)] {
        let _ = perform(world.path(), &act);
    }
    let mut layer = Vec::new();
    assert_eq!(diff_trees(world.path(), world.path(), &mut layer).unwrap().entries, 0);
}
