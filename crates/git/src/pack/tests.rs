use super::*;
use crate::checkout::{Checkout, check_out, commit_time};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::path::Path;
use std::process::Command;

/// One of ours, for bytes that are a pack already.
fn opened_with(bytes: &[u8], limits: Limits) -> Result<Pack, Fault> {
    let mut writer = PackWriter::new(tempfile::tempfile().unwrap(), limits);
    for piece in bytes.chunks(1000) {
        writer.write(piece)?;
    }
    Ok(writer.finish(&AtomicBool::new(false))?)
}

fn opened(bytes: &[u8]) -> Result<Pack, Fault> {
    opened_with(bytes, Limits::standard())
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The lowest eight bits.
fn byte(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

/// An object in a pack: its head, what stands between, its content.
fn object(kind: u8, size: usize, between: &[u8], content: &[u8]) -> Vec<u8> {
    let mut size = size;
    let mut head = vec![kind << 4 | byte(size & 15)];
    size >>= 4;
    while size > 0 {
        *head.last_mut().unwrap() |= 0x80;
        head.push(byte(size & 0x7f));
        size >>= 7;
    }
    [&head, between, &deflated(content)].concat()
}

fn whole(kind: u8, content: &[u8]) -> Vec<u8> {
    object(kind, content.len(), b"", content)
}

fn packed(objects: &[Vec<u8>]) -> Vec<u8> {
    packed_as(u32::try_from(objects.len()).unwrap(), &objects.concat())
}

fn packed_as(count: u32, objects: &[u8]) -> Vec<u8> {
    let bytes = [b"PACK\0\0\0\x02", &count.to_be_bytes()[..], objects].concat();
    let mut sha1 = Sha1::new();
    sha1.update(&bytes);
    [&bytes[..], &sha1.finish().0].concat()
}

fn oid_of(kind: &str, content: &[u8]) -> Oid {
    let mut sha1 = Sha1::of_object(kind, content.len() as u64);
    sha1.update(content);
    sha1.finish()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = vec![byte(value & 0x7f)];
    value >>= 7;
    while value > 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(byte(value & 0x7f));
        value >>= 7;
    }
    bytes
}

/// The distance to an entry that is so many bytes before.
fn back(mut distance: usize) -> Vec<u8> {
    let mut bytes = vec![byte(distance & 0x7f)];
    distance >>= 7;
    while distance > 0 {
        distance -= 1;
        bytes.insert(0, 0x80 | byte(distance & 0x7f));
        distance >>= 7;
    }
    bytes
}

/// A difference that repeats its base so often.
fn repeated(base: usize, times: usize) -> Vec<u8> {
    let copy = [0xf0, byte(base), byte(base >> 8), byte(base >> 16)];
    [varint(base), varint(base * times), copy.repeat(times)].concat()
}

#[derive(Default)]
struct Listed {
    lines: Vec<String>,
    bytes: u64,
}

impl Checkout for Listed {
    type Kept = String;

    fn keep(&mut self, content: &mut dyn Read, _: bool) -> Result<String, Fault> {
        let mut text = Vec::new();
        content.read_to_end(&mut text).during(|| "reading".to_owned())?;
        self.bytes += text.len() as u64;
        Ok(oid_of("blob", &text).to_string())
    }

    fn file(&mut self, path: &[u8], kept: &String, is_executable: bool) -> Result<(), Fault> {
        let mode = if is_executable { "100755" } else { "100644" };
        self.lines.push(format!("{mode} blob {kept}\t{}", String::from_utf8_lossy(path)));
        Ok(())
    }

    fn directory(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault> {
        let oid = oid_of("blob", target);
        self.lines.push(format!("120000 blob {oid}\t{}", String::from_utf8_lossy(path)));
        Ok(())
    }

    fn submodule(&mut self, path: &[u8], commit: Oid) -> Result<(), Fault> {
        self.lines.push(format!("160000 commit {commit}\t{}", String::from_utf8_lossy(path)));
        Ok(())
    }

    fn elsewhere(&mut self, path: &str, _: Oid, rest: &str) -> Result<(), Fault> {
        Err(Fault::invalid(format!("`{rest}` of `{path}`")))
    }
}

fn files_of(pack: &mut Pack, commit: Oid, directory: &str) -> Result<Vec<String>, Fault> {
    let mut listed = Listed::default();
    check_out(pack, commit, directory, &mut listed, &AtomicBool::new(false))?;
    listed.lines.sort_by(|a, b| a.split('\t').nth(1).cmp(&b.split('\t').nth(1)));
    Ok(listed.lines)
}

/// `git`, which nobody's settings change.
pub(crate) fn git(dir: &Path, args: &[&str]) -> Vec<u8> {
    let done = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "user.name=n",
            "-c",
            "user.email=n@example.org",
        ])
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_COMMITTER_DATE", "1700000000 +0100")
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap().trim().to_owned()
}

/// A repository with some history: files that change a little, a link, a program, a submodule's place, a tag.
pub(crate) fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    git(at, &["init", "-q"]);
    std::fs::create_dir_all(at.join("sub/deep")).unwrap();
    let put = |name: &str, text: &str| {
        File::create(at.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let long: String = (0..3000).map(|n| format!("line {n} of some text\n")).collect();
    for round in 0..12 {
        put("long", &long.replace(&format!("line {round}00 "), "LINE "));
        put(&format!("sub/{round}"), &format!("file {round}\n"));
        put("sub/deep/same", "one\n");
        put("same", "one\n");
        if round == 0 {
            std::os::unix::fs::symlink("sub/0", at.join("link")).unwrap();
            put("run", "#!/bin/sh\n");
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(at.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        git(at, &["add", "-A"]);
        git(at, &["commit", "-qm", &format!("round {round}")]);
    }
    git(at, &["tag", "-a", "-m", "annotated", "v1", "HEAD~3"]);
    git(at, &["branch", "old", "HEAD~5"]);
    dir
}

#[test]
fn packs_of_git_are_read_to_the_last_object() {
    let dir = repository();
    let at = dir.path();
    let head = Oid::parse(&text(git(at, &["rev-parse", "HEAD"]))).unwrap();
    let tree = text(git(at, &["ls-tree", "-r", "HEAD"]));
    let want: Vec<&str> = tree.lines().collect();
    let listed = text(git(at, &["cat-file", "--batch-check", "--batch-all-objects"]));
    for flags in [&["--all", "--delta-base-offset"][..], &["--all"], &["--all", "--depth=1"]] {
        let bytes = git(at, &[&["pack-objects", "-q", "--stdout"], flags].concat());
        let mut pack = opened(&bytes).unwrap();
        assert_eq!(pack.entries.len(), listed.lines().count());
        let deltas = pack.entries.iter().filter(|entry| entry.depth > 0).count();
        assert!(deltas > 10, "{deltas} differences");
        for line in listed.lines() {
            let (oid, rest) = line.split_once(' ').unwrap();
            let oid = Oid::parse(oid).unwrap();
            let (kind, bytes) = pack.object(&oid).unwrap();
            assert_eq!(format!("{} {}", kind.as_str(), bytes.len()), rest);
            assert_eq!(oid_of(kind.as_str(), &bytes), oid);
        }
        assert_eq!(files_of(&mut pack, head, "").unwrap(), want);
        let sub = text(git(at, &["ls-tree", "-r", "HEAD:sub/deep"]));
        assert_eq!(files_of(&mut pack, head, "sub/deep").unwrap(), [sub]);
        assert!(files_of(&mut pack, head, "same").is_err());
        assert!(files_of(&mut pack, head, "nothing/x").is_err());
        assert_eq!(commit_time(&mut pack, head).unwrap(), 1_700_000_000);
        let tag = Oid::parse(&text(git(at, &["rev-parse", "v1"]))).unwrap();
        assert!(files_of(&mut pack, tag, "").unwrap().len() < want.len());
    }
}

#[test]
fn a_pack_that_lies_is_refused() {
    let blob = whole(3, b"some text");
    let base = blob.len();
    let to = |distance: usize, delta: &[u8]| object(6, delta.len(), &back(distance), delta);
    let mut sum = packed(std::slice::from_ref(&blob));
    *sum.last_mut().unwrap() ^= 1;
    let whole_pack = packed(std::slice::from_ref(&blob));
    for (bytes, words) in [
        (Vec::new(), "sum"),
        (sum, "sum"),
        (whole_pack[..whole_pack.len() - 1].to_vec(), "sum"),
        (packed_as(0, b"")[..12].to_vec(), "sum"),
        (packed_as(2, &blob), "too early"),
        (packed_as(1, &[&blob[..], b"more"].concat()), "follows"),
        (packed_as(1, &blob[..base - 3]), "too early"),
        (packed(&[object(3, 8, b"", b"some text")]), "longer"),
        (packed(&[object(3, 10, b"", b"some text")]), "shorter"),
        (packed(&[whole(0, b"x")]), "unknown kind"),
        (packed(&[whole(5, b"x")]), "unknown kind"),
        (packed_as(1, b"\x33not deflated at all"), "compressed wrongly"),
        (packed_as(1, &[0xbf; 30]), "impossible size"),
        (packed_as(1, &[]), "too early"),
        (packed_as(u32::MAX, &blob), "too many objects"),
        (packed(&[blob.clone(), to(0, b"\x09\x01\x01x")]), "to nothing"),
        (packed(&[blob.clone(), to(base + 1, b"\x09\x01\x01x")]), "to nothing"),
        (packed(&[blob.clone(), to(1 << 40, b"\x09\x01\x01x")]), "to nothing"),
        (packed(&[blob.clone(), to(base, b"\x08\x01\x01x")]), "something else"),
        (packed(&[blob.clone(), to(base, b"\x09\x01\x02xy")]), "more than it says"),
        (packed(&[object(7, 4, &[7; 20], b"\x09\x01\x01x")]), "not in it"),
        (b"GIF89a".to_vec(), "sum"),
        ([&b"PACK\0\0\0\x09"[..], &[0; 30]].concat(), "sum"),
    ] {
        let fault = opened(&bytes).expect_err(words);
        assert!(naru_errdefs::one_line(&fault).contains(words), "{words}: {fault:?}");
    }
    // What is right is read, whichever way the difference names its base.
    let delta = b"\x09\x01\x01x";
    for other in [to(base, delta), object(7, 4, &oid_of("blob", b"some text").0, delta)] {
        let mut pack = opened(&packed(&[blob.clone(), other])).unwrap();
        assert_eq!(*pack.object(&oid_of("blob", b"x")).unwrap().1, *b"x");
    }
    // A base may come behind what is made from it.
    let first = object(7, 4, &oid_of("blob", b"some text").0, delta);
    assert!(opened(&packed(&[first, blob])).unwrap().has(&oid_of("blob", b"x")));
}

#[test]
fn bombs_are_stopped_before_they_burst() {
    let limits = Limits {
        ratio: 50,
        ratio_from: 1 << 20,
        delta: 64 << 20,
        object: 100 << 20,
        ..Limits::standard()
    };
    // A file of zeros.
    let zeros = packed(&[whole(3, &vec![0; 8 << 20])]);
    assert!(zeros.len() < 160_000);
    let fault = opened_with(&zeros, limits).unwrap_err();
    assert!(fault.to_string().contains("bomb"), "{fault}");
    // Differences that make much from little: a thousand of 16 MiB each.
    let base = vec![7; 60_000];
    let mut objects = vec![whole(3, &base)];
    let mut distance = objects[0].len();
    for number in 0..1000u32 {
        let delta = repeated(base.len(), 280);
        // Each makes another object: some bytes of its own at the end.
        let own = number.to_le_bytes();
        let size = base.len() * 280 + own.len();
        let head = varint(base.len()).len() + varint(base.len() * 280).len();
        let own = [&[4][..], &own].concat();
        let delta = [varint(base.len()), varint(size), delta[head..].to_vec(), own].concat();
        let next = object(6, delta.len(), &back(distance), &delta);
        distance += next.len();
        objects.push(next);
    }
    let began = std::time::Instant::now();
    let fault = opened_with(&packed(&objects), limits).unwrap_err();
    assert!(fault.to_string().contains("bomb"), "{fault}");
    assert!(began.elapsed().as_secs() < 60);
    // A difference that only says that it is large.
    let says = [varint(base.len()), varint(1 << 40), vec![1, b'x']].concat();
    let first = whole(3, &base);
    let second = object(6, says.len(), &back(first.len()), &says);
    let fault = opened_with(&packed(&[first, second]), limits).unwrap_err();
    assert!(fault.to_string().contains("too large"), "{fault}");
    // A chain without end.
    let mut objects = vec![whole(3, b"a")];
    let mut last = objects[0].len();
    for number in 0..4200usize {
        let text = number.to_string();
        let before = if number == 0 { 1 } else { (number - 1).to_string().len() };
        let delta = [varint(before), varint(text.len()), vec![byte(text.len())], text.into_bytes()]
            .concat();
        let next = object(6, delta.len(), &back(last), &delta);
        last = next.len();
        objects.push(next);
    }
    let fault = opened(&packed(&objects)).unwrap_err();
    assert!(fault.to_string().contains("too deep"), "{fault}");
    objects.truncate(4000);
    assert!(opened(&packed(&objects)).is_ok());
    // More bytes than are taken.
    let limits = Limits { pack: 500, ..Limits::standard() };
    let noise: Vec<u8> =
        (0..5000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    assert!(opened_with(&packed(&[whole(3, &noise)]), limits).is_err());
    // Whoever has gone is not worked for.
    let mut writer = PackWriter::new(tempfile::tempfile().unwrap(), Limits::standard());
    writer.write(&packed(&[whole(3, b"x")])).unwrap();
    assert!(matches!(writer.finish(&AtomicBool::new(true)), Err(PackError::Cancelled)));
}

/// A tree's bytes.
fn tree(entries: &[(&str, &[u8], Oid)]) -> Vec<u8> {
    let line = |(mode, name, oid): &(&str, &[u8], Oid)| {
        [mode.as_bytes(), b" ", name, b"\0", &oid.0].concat()
    };
    entries.iter().flat_map(line).collect()
}

/// A pack of a commit with this tree and further objects.
fn commit(root: &[u8], more: &[(u8, &[u8])]) -> (Vec<u8>, Oid) {
    let text = format!(
        "tree {}\nauthor a <a> 1 +0000\ncommitter c <c> 12 +0000\n\nx\n",
        oid_of("tree", root)
    );
    let mut objects = vec![whole(1, text.as_bytes()), whole(2, root)];
    objects.extend(more.iter().map(|(kind, bytes)| whole(*kind, bytes)));
    (packed(&objects), oid_of("commit", text.as_bytes()))
}

#[test]
fn names_lead_nowhere_else() {
    let blob = oid_of("blob", b"x");
    let check = |root: &[u8]| {
        let (bytes, oid) = commit(root, &[(3, b"x"), (2, b"")]);
        files_of(&mut opened(&bytes).unwrap(), oid, "")
    };
    let empty = oid_of("tree", b"");
    assert_eq!(check(&tree(&[("100644", b"a", blob), ("40000", b"d", empty)])).unwrap().len(), 1);
    for name in ["..", ".", "", ".git", ".GIT", ".Git", "git~1", "GIT~1", "a/b", "/etc", "../x"] {
        assert!(check(&tree(&[("100644", name.as_bytes(), blob)])).is_err(), "{name}");
        assert!(check(&tree(&[("40000", name.as_bytes(), empty)])).is_err(), "{name}");
    }
    assert!(check(&tree(&[("100644", &[b'a'; 256], blob)])).is_err());
    // A link and a directory of one name would put files where the link leads.
    assert!(check(&tree(&[("120000", b"a", blob), ("40000", b"a", empty)])).is_err());
    for mode in ["100600", "0", "", "60000", "999999"] {
        assert!(check(&tree(&[(mode, b"a", blob)])).is_err(), "{mode}");
    }
    // Kinds that do not fit, and objects that are not there.
    for entry in [
        ("40000", &b"a"[..], blob),
        ("100644", b"a", empty),
        ("120000", b"a", empty),
        ("100644", b"a", Oid([9; 20])),
        ("40000", b"a", Oid([9; 20])),
    ] {
        assert!(check(&tree(&[entry])).is_err(), "{entry:?}");
    }
    for root in [&b"100644 a"[..], b"100644 a\0short", b"nonsense"] {
        assert!(check(root).is_err());
    }
    // A link to nothing.
    let (bytes, oid) = commit(&tree(&[("120000", b"a", oid_of("blob", b""))]), &[(3, b"")]);
    assert!(files_of(&mut opened(&bytes).unwrap(), oid, "").is_err());
    // What is meant is no commit.
    let (bytes, _) = commit(&tree(&[]), &[(3, b"x")]);
    assert!(files_of(&mut opened(&bytes).unwrap(), blob, "").is_err());
    assert!(files_of(&mut opened(&bytes).unwrap(), Oid([9; 20]), "").is_err());
}

#[test]
fn trees_that_unfold_without_end_are_stopped() {
    let blob = oid_of("blob", b"x");
    let mut level = tree(&[("100644", b"f", blob)]);
    let mut all = vec![level.clone()];
    for _ in 0..12 {
        let below = oid_of("tree", &level);
        let names: Vec<[u8; 1]> = (b'a'..=b'j').map(|name| [name]).collect();
        let entries: Vec<(&str, &[u8], Oid)> =
            names.iter().map(|name| ("40000", &name[..], below)).collect();
        level = tree(&entries);
        all.push(level.clone());
    }
    let more: Vec<(u8, &[u8])> =
        all[..12].iter().map(|tree| (2, tree.as_slice())).chain([(3, &b"x"[..])]).collect();
    let (bytes, oid) = commit(&level, &more);
    let limits = Limits { entries: 5000, ..Limits::standard() };
    let fault = files_of(&mut opened_with(&bytes, limits).unwrap(), oid, "").unwrap_err();
    assert!(fault.to_string().contains("too many files"), "{fault}");
    let limits = Limits { files: 100, ..Limits::standard() };
    let fault = files_of(&mut opened_with(&bytes, limits).unwrap(), oid, "").unwrap_err();
    assert!(fault.to_string().contains("too many bytes"), "{fault}");
    let mut level = tree(&[]);
    let mut all = vec![level.clone()];
    for _ in 0..200 {
        level = tree(&[("40000", b"d", oid_of("tree", &level))]);
        all.push(level.clone());
    }
    let more: Vec<(u8, &[u8])> = all[..200].iter().map(|tree| (2, tree.as_slice())).collect();
    let (bytes, oid) = commit(&level, &more);
    let fault = files_of(&mut opened(&bytes).unwrap(), oid, "").unwrap_err();
    assert!(fault.to_string().contains("too deep"), "{fault}");
}
