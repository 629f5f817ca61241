use super::*;
use crate::archive::{Subject, archive_live};
use naru_errdefs::{Failure, Kind};
use naru_kernel::path::open_directory;
use naru_test_support::{Item, TarFile};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

/// A root with a directory to unpack into, beside something that must stay as it is.
struct House {
    dir: tempfile::TempDir,
}

impl House {
    fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("root/place")).unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        put(&dir.path().join("outside/file"), b"untouched");
        House { dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    fn extract(
        &self,
        archive: &[u8],
        change: impl Fn(&mut Destination<'_>),
    ) -> Result<Extracted, ExtractError> {
        let root = open_directory(self.at("")).unwrap();
        let limits = Limits::standard();
        let mut destination = Destination {
            root: root.as_fd(),
            place: Path::new("/place"),
            owners: Owners::Archive,
            keep_kinds: false,
            rename: Rename::No,
            limits: &limits,
        };
        change(&mut destination);
        let done = extract(archive, &destination);
        // Whatever happened, it happened inside.
        let outside = self.dir.path().join("outside");
        let names: Vec<_> =
            std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["file"]);
        assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"untouched");
        let root: Vec<_> = std::fs::read_dir(self.dir.path()).unwrap().collect();
        assert_eq!(root.len(), 2);
        done
    }

    fn plain(&self, items: impl IntoIterator<Item = Item>) -> Result<Extracted, ExtractError> {
        self.extract(&TarFile::of(items).finish(), |_| {})
    }
}

fn put(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn everything_is_kept_as_the_archive_has_it() {
    let house = House::new();
    let done = house
        .plain([
            Item::dir("d").mode(0o500).owner(5, 6).mtime(1_000),
            Item::file("d/f", "text").mode(0o4755).owner(7, 8).mtime(2_000),
            Item::link("d/l", "/etc/passwd").owner(9, 9),
            Item::hard_link("h", "d/f"),
            Item::new(b'6', "pipe").mode(0o642).owner(3, 4),
            Item::char_device("null", 1, 3).mode(0o666),
            Item::file(".wh.x", "ordinary"),
            Item::file("made/on/the/way", ""),
        ])
        .unwrap();
    assert_eq!((done.entries, done.notes.len()), (8, 0));
    let meta = |path: &str| {
        let meta = std::fs::symlink_metadata(house.at(path)).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(meta("place/d"), (0o500, 5, 6));
    assert_eq!(std::fs::metadata(house.at("place/d")).unwrap().mtime(), 1_000);
    assert_eq!(meta("place/d/f"), (0o4755, 7, 8));
    assert_eq!(meta("place/d/l").1, 9);
    assert_eq!(meta("place/pipe"), (0o642, 3, 4));
    assert_eq!(meta("place/null"), (0o666, 0, 0));
    assert_eq!(meta("place/made/on").0 & 0o700, 0o700);
    assert_eq!(std::fs::metadata(house.at("place/h")).unwrap().nlink(), 2);
    assert_eq!(std::fs::read_link(house.at("place/d/l")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(house.text("place/.wh.x"), "ordinary");
}

#[test]
fn owners_are_whose_they_are_said_to_be() {
    let house = House::new();
    let archive = TarFile::of([Item::dir("d").owner(5, 6), Item::file("d/f", "").owner(5, 6)]);
    let archive = archive.finish();
    house.extract(&archive, |to| to.owners = Owners::Fixed(11, 12)).unwrap();
    let owner = |path: &str| {
        let meta = std::fs::metadata(house.at(path)).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!((owner("place/d"), owner("place/d/f")), ((11, 12), (11, 12)));
    house
        .extract(&archive, |to| {
            to.owners = Owners::Own;
            to.rename = Rename::First(OsStr::new("d"), OsStr::new("e"));
        })
        .unwrap();
    assert_eq!((owner("place/e"), owner("place/e/f")), ((0, 0), (0, 0)));
    house.extract(&archive, |to| to.rename = Rename::Below(OsStr::new("b"))).unwrap();
    assert_eq!(owner("place/b/d/f"), (5, 6));
}

#[test]
fn what_leads_out_is_refused_or_stays_inside() {
    let far = "../../outside/new";
    for (items, kind) in [
        (vec![Item::file(far, "x")], Some(Kind::InvalidInput)),
        (vec![Item::file("a/../../x", "x")], Some(Kind::InvalidInput)),
        (vec![Item::dir("..")], Some(Kind::InvalidInput)),
        (vec![Item::file(".", "x")], Some(Kind::InvalidInput)),
        (vec![Item::hard_link("h", "../../outside/file")], Some(Kind::InvalidInput)),
        (vec![Item::hard_link("h", "/outside/file")], Some(Kind::InvalidInput)),
        // A link is only a text; what goes through it is resolved under the root.
        (
            vec![Item::link("l", "../../outside"), Item::file("l/new", "x")],
            Some(Kind::InvalidInput),
        ),
        (
            vec![Item::link("l", "../../outside"), Item::hard_link("h", "l/file")],
            Some(Kind::InvalidInput),
        ),
        (vec![Item::link("l", far), Item::file("l", "x")], None),
        (vec![Item::link("l", far), Item::dir("l"), Item::file("l/x", "")], None),
        (vec![Item::file("/abs", "x"), Item::file("/../up", "x")], None),
    ] {
        let house = House::new();
        let done = house.plain(items.clone());
        assert_eq!(done.err().map(|error| error.kind()), kind, "{items:?}");
    }
    // Through a link inside the root, as the container would go.
    let house = House::new();
    std::fs::create_dir(house.at("etc")).unwrap();
    house.plain([Item::link("l", "/etc"), Item::file("l/new", "x")]).unwrap();
    assert_eq!(house.text("etc/new"), "x");
}

#[test]
fn kinds_are_kept_when_asked_for() {
    let house = House::new();
    std::fs::create_dir_all(house.at("place/d/sub")).unwrap();
    put(&house.at("place/f"), b"old");
    symlink("d", house.at("place/l")).unwrap();
    let try_it = |item: Item| {
        let archive = TarFile::of([item]).finish();
        house.extract(&archive, |to| to.keep_kinds = true).map_err(|error| error.to_string())
    };
    assert_eq!(
        try_it(Item::file("d", "x")).unwrap_err(),
        "cannot overwrite directory \"/place/d\" with non-directory \"/place\""
    );
    for name in ["f", "l"] {
        assert_eq!(
            try_it(Item::dir(name)).unwrap_err(),
            format!("cannot overwrite non-directory \"/place/{name}\" with directory \"/place\"")
        );
    }
    try_it(Item::dir("d")).unwrap();
    try_it(Item::file("f", "new")).unwrap();
    try_it(Item::file("l", "was a link")).unwrap();
    assert_eq!((house.text("place/f"), house.text("place/l")), ("new".into(), "was a link".into()));
    assert!(house.at("place/d/sub").is_dir());
    house.plain([Item::file("d", "x"), Item::dir("f")]).unwrap();
    assert!(house.at("place/d").is_file() && house.at("place/f").is_dir());
}

#[test]
fn streams_that_are_cut_or_foreign_fail() {
    let house = House::new();
    let whole = TarFile::of([Item::file("f", vec![b'x'; 5000])]).finish();
    assert!(house.extract(&whole[..2000], |_| {}).is_err());
    assert!(house.extract(&[b'?'; 2000], |_| {}).is_err());
    assert_eq!(house.extract(b"", |_| {}).unwrap().entries, 0);
    let error = house.extract(b"\x04\x22\x4d\x18more", |_| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("lz4"), "{error}");
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut encoder = compression.encoder(Vec::new()).unwrap();
        io::Write::write_all(&mut encoder, &whole).unwrap();
        house.extract(&encoder.finish().unwrap(), |_| {}).unwrap();
    }
}

#[test]
fn a_tree_goes_through_an_archive_and_back() {
    let house = House::new();
    std::fs::create_dir_all(house.at("from/d")).unwrap();
    put(&house.at("from/d/f"), b"text");
    std::fs::hard_link(house.at("from/d/f"), house.at("from/h")).unwrap();
    symlink("nowhere", house.at("from/l")).unwrap();
    let sparse = std::fs::File::create(house.at("from/sparse")).unwrap();
    naru_kernel::sparse::set_length(&sparse, 1 << 40).unwrap();
    let long = "n".repeat(200);
    put(&house.at("from").join(&long), b"long");
    xattr::set(std::fs::File::open(house.at("from/d/f")).unwrap(), b"user.a", b"1").unwrap();
    let from = open_directory(house.at("from")).unwrap();
    let mut archive = Vec::new();
    archive_live(Subject::Directory(from.as_fd()), Path::new("to"), Some((1, 2)), &mut archive)
        .unwrap();
    house.extract(&archive, |_| {}).unwrap();
    assert_eq!(house.text("place/to/d/f"), "text");
    assert_eq!(house.text(&format!("place/to/{long}")), "long");
    let meta = |path: &str| std::fs::symlink_metadata(house.at(path)).unwrap();
    assert_eq!((meta("place/to/h").nlink(), meta("place/to/h").uid()), (2, 1));
    assert_eq!(meta("place/to/sparse").len(), 1 << 40);
    assert_eq!(meta("place/to/sparse").blocks(), 0);
    let file = std::fs::File::open(house.at("place/to/d/f")).unwrap();
    assert_eq!(xattr::get(&file, b"user.a").unwrap(), b"1");
    for (name, first) in [("/", "/"), (".", "./"), ("x", "x/")] {
        let mut archive = Vec::new();
        archive_live(Subject::Directory(from.as_fd()), Path::new(name), None, &mut archive)
            .unwrap();
        let mut reader = Reader::new(archive.as_slice());
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!(entry.name, first.as_bytes());
    }
}

/// Somebody swaps names for links and back, as fast as they can, while archives go in and out.
#[test]
fn whoever_swaps_names_meanwhile_gets_nothing_outside() {
    let house = House::new();
    let (root, outside) = (house.at(""), house.dir.path().join("outside"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (a, b) = (root.join("place/d"), root.join("place/hidden"));
            while !stop.load(Ordering::Relaxed) {
                // Each may fail: the other side changes the same names.
                drop(std::fs::rename(&a, &b));
                drop(symlink(&outside, &a));
                drop(std::fs::remove_file(&a));
                drop(std::fs::rename(&b, &a));
                let file = root.join("place/d/file");
                drop(std::fs::remove_file(&file));
                drop(symlink(outside.join("file"), &file));
                let dir = open_directory(root.join("place")).unwrap();
                drop(node::make_node(&dir, "pipe", NodeKind::Fifo, 0o600, (0, 0)));
                drop(std::fs::rename(root.join("place/pipe"), &file));
            }
        });
        let archive = TarFile::of([
            Item::dir("d").mode(0o777).owner(1, 1),
            Item::file("d/file", "hostile").mode(0o666).owner(1, 1),
            Item::new(b'6', "d/node").mode(0o666).owner(1, 1),
            Item::hard_link("d/hard", "d/file"),
        ])
        .finish();
        let mut done = 0;
        for _ in 0..400 {
            // It may fail, as long as it stays inside and ends.
            done += usize::from(house.extract(&archive, |_| {}).is_ok());
            let from = open_directory(house.at("")).unwrap();
            let mut out = Vec::new();
            drop(archive_live(Subject::Directory(from.as_fd()), Path::new("x"), None, &mut out));
            assert!(!out.windows(9).any(|window| window == b"untouched"));
        }
        stop.store(true, Ordering::Relaxed);
        assert!(done > 0);
    });
    let meta = std::fs::metadata(house.dir.path().join("outside/file")).unwrap();
    assert_eq!((meta.uid(), meta.nlink()), (0, 1));
}

#[test]
fn a_tree_without_end_is_given_up() {
    let house = House::new();
    let mut dir = open_directory(house.at("place")).unwrap();
    for _ in 0..1000 {
        node::make_directory(&dir, "d", 0o755).unwrap();
        dir = path::open_entry(&dir, "d", OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    }
    let from = open_directory(house.at("place")).unwrap();
    let error = archive_live(Subject::Directory(from.as_fd()), Path::new("x"), None, io::sink())
        .unwrap_err();
    assert!(error.to_string().contains("nested deeper"), "{error}");
    node::remove_all(&from, "d").unwrap();
}
