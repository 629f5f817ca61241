//! ADD and COPY.

use crate::sentence::{Sentence, says};
use std::io::Write;

pub fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_400_000_000);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).expect("a tar in memory");
    };
    put("d/", tar::EntryType::Directory, 0o750, b"");
    put("d/in", tar::EntryType::Regular, 0o640, b"inside");
    put("top", tar::EntryType::Regular, 0o4755, b"top");
    integration_tests::image::link(&mut tar, "l", "d/in");
    tar.into_inner().expect("a tar in memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A context with something of everything.
fn tree(sentence: Sentence) -> Sentence {
    sentence
        .with("d/a.txt", "a")
        .with_mode("d/run.sh", b"run", 0o755)
        .with("d/e/deep.md", "deep")
        .with_dir("d/empty", 0o750)
        .with_dir("d/e", 0o700)
        .with_link("d/l", "e/deep.md")
        .with_mode("d/suid", b"s", 0o4711)
}

/// What COPY and ADD have in common, said of one of them.
fn both(keyword: &str) -> Vec<Sentence> {
    let file = |text: &str| text.replace("COPY", keyword);
    vec![
        says("several sources go into a directory", &file("FROM scratch\nCOPY a b /usr/src/things/\n"))
            .with("a", "a")
            .with("b", "b")
            .file("usr/src/things/a", "a")
            .file("usr/src/things/b", "b")
            .holds("usr/src/things", "755 0:0 /")
            .history(&[&file("COPY a b /usr/src/things/ # buildkit")]),
        says("several sources need a slash at the end", &file("FROM scratch\nCOPY a b /x\n"))
            .with("a", "a")
            .with("b", "b")
            .but(&["fails"])
            .fails("must be a directory and end with a /"),
        says("a wildcard for several needs it too", &file("FROM scratch\nCOPY *.t /x\n"))
            .with("a.t", "a")
            .with("b.t", "b")
            .but(&["fails"])
            .fails("must be a directory and end with a /"),
        says("JSON takes blanks", &file("FROM scratch\nCOPY [\"a b\", \"c d\", \"/e f/\"]\n"))
            .with("a b", "ab")
            .with("c d", "cd")
            .file("e f/a b", "ab")
            .file("e f/c d", "cd"),
        says("a source is relative to the context", &file("FROM scratch\nCOPY d/f /\nCOPY /d/f /g\n"))
            .with("d/f", "f")
            .file("f", "f")
            .file("g", "f"),
        says("a source does not lead out of the context", &file("FROM scratch\nCOPY ../../d/../d/f /\n"))
            .with("d/f", "f")
            .file("f", "f"),
        says("a slash at the end of a source means nothing", &file("FROM scratch\nCOPY d/ /x\nCOPY d /y\n"))
            .with("d/f", "f")
            .file("x/f", "f")
            .file("y/f", "f"),
        tree(says("the content of a directory is copied, not itself", &file("FROM scratch\nCOPY d /x\n")))
            .lacks("x/d")
            .file("x/a.txt", "a")
            .holds("x/run.sh", "755 0:0 \"run\"")
            .holds("x/suid", "4711 0:0 \"s\"")
            .holds("x/e", "700 0:0 /")
            .holds("x/empty", "750 0:0 /")
            .holds("x/l", "777 0:0 -> e/deep.md")
            .time_of_context("x/a.txt")
            .time_of_context("x/e"),
        tree(says("directories are merged, file by file", &file("FROM scratch\nCOPY old /x\nCOPY d /x\n")))
            .with("old/a.txt", "old")
            .with("old/e/kept", "kept")
            .with("old/other", "other")
            .file("x/a.txt", "a")
            .file("x/e/kept", "kept")
            .file("x/e/deep.md", "deep")
            .file("x/other", "other"),
        says("a directory does not replace a file", &file("FROM scratch\nCOPY f /x\nCOPY d /x/\n"))
            .with("f", "f")
            .with("d/g", "g")
            .fails("cannot copy to non-directory"),
        says("a file keeps its mode and time", &file("FROM scratch\nCOPY f /x\n"))
            .with_mode("f", b"f", 0o4750)
            .holds("x", "4750 0:0 \"f\"")
            .time_of_context("x"),
        says("a file does not replace a directory", &file("FROM scratch\nCOPY d /x/y/\nCOPY y /x/\n"))
            .with("d/g", "g")
            .with("y", "y")
            .fails("y"),
        says("wildcards match names", &file("FROM scratch\nCOPY *.png /dest/\nCOPY index.?s /i/\nCOPY n[a-c] n[^a-c] /n/\n"))
            .with("a.png", "a")
            .with("b.png", "b")
            .with("c.txt", "c")
            .with("index.js", "js")
            .with("index.ts", "ts")
            .with("index.css", "css")
            .with("na", "na")
            .with("nz", "nz")
            .file("dest/a.png", "a")
            .file("dest/b.png", "b")
            .lacks("dest/c.txt")
            .file("i/index.js", "js")
            .file("i/index.ts", "ts")
            .lacks("i/index.css")
            .file("n/na", "na")
            .file("n/nz", "nz"),
        says("wildcards match directories and go through them", &file("FROM scratch\nCOPY d*/f /x/\nCOPY d? /y/\n"))
            .with("d1/f", "1")
            .with("d1/g", "g")
            .with("d2/h", "h")
            .file("x/f", "1")
            .file("y/f", "1")
            .file("y/h", "h"),
        says("brackets are escaped by brackets", &file("FROM scratch\nCOPY arr[[]0].txt /dest/\n"))
            .with("arr[0].txt", "it")
            .with("arr0.txt", "other")
            .file("dest/arr[0].txt", "it")
            .lacks("dest/arr0.txt"),
        says("a pattern may match nothing", &file("FROM scratch\nCOPY a *.nope /x/\nCOPY *.nope /y/\n"))
            .with("a", "a")
            // Our layers have an entry for the root, so none is empty.
            .but(&["layers"])
            .file("x/a", "a")
            .lacks("y"),
        says("a source that is not there is an error", &file("FROM scratch\nCOPY nope /x\n")).fails("nope"),
        says("an absolute destination is below the root", &file("FROM scratch\nCOPY t /abs\nCOPY t /dir/\n"))
            .with("t", "t")
            .file("abs", "t")
            .file("dir/t", "t"),
        says("a relative destination is below the working directory", &file("FROM scratch\nWORKDIR /usr/src/app\nCOPY t rel/\nCOPY t .\nCOPY t ./n\n"))
            .with("t", "t")
            .file("usr/src/app/rel/t", "t")
            .file("usr/src/app/t", "t")
            .file("usr/src/app/n", "t"),
        says("directories on the way are made", &file("FROM scratch\nCOPY t /a/b/c\n"))
            .with("t", "t")
            .holds("a", "755 0:0 /")
            .holds("a/b", "755 0:0 /"),
        says("a link in the destination is followed", &file("FROM box\nRUN mkdir /real && ln -s real /link && ln -s /real/new /f\nCOPY t /link/\nCOPY t /f\n"))
            .with("t", "t")
            .file("real/t", "t")
            .file("real/new", "t")
            .holds("link", "777 0:0 -> real"),
        says("a link that is named is followed to its file", &file("FROM scratch\nCOPY l /x\nCOPY dl /y\n"))
            .with("d/t", "t")
            .with_link("l", "d/t")
            .with_link("dl", "d")
            .file("x", "t")
            .file("y/t", "t"),
        says("without --chown all is root's", &file("FROM scratch\nCOPY t /x\n")).with("t", "t").file("x", "t"),
        says("--chown takes names and numbers", &file("FROM box\nCOPY --chown=55:extra t /a/1\nCOPY --chown=user t /2\nCOPY --chown=1 t /3\nCOPY --chown=10:11 d /4\nCOPY --chown=user:extra t /5\n"))
            .with("t", "t")
            .with("d/f", "f")
            .holds("a/1", "644 55:2000 ")
            .holds("a", "755 55:2000 /")
            .holds("2", "644 1000:1000 ")
            .holds("3", "644 1:1 ")
            .holds("4", "755 10:11 /")
            .holds("4/f", "644 10:11 ")
            .holds("5", "644 1000:2000 ")
            .history(&[
                &file("COPY --chown=55:extra t /a/1 # buildkit"),
                &file("COPY --chown=user t /2 # buildkit"),
                &file("COPY --chown=1 t /3 # buildkit"),
                &file("COPY --chown=10:11 d /4 # buildkit"),
                &file("COPY --chown=user:extra t /5 # buildkit"),
            ]),
        says("--chown of an unknown name fails", &file("FROM box\nCOPY --chown=nope t /x\n")).with("t", "t")
            // It is root's there; the reference says that it fails.
            .but(&["fails"])
            .fails("nope"),
        says("--chown of a name needs the files of users", &file("FROM scratch\nCOPY --chown=user t /x\n")).with("t", "t").fails("user"),
        says("--chown of numbers needs none", &file("FROM scratch\nCOPY --chown=5:6 t /x\n")).with("t", "t").holds("x", "644 5:6 \"t\""),
        says("--chmod is octal", &file("FROM scratch\nCOPY --chmod=755 t /x\nCOPY --chmod=0400 d /y\n"))
            .with("t", "t")
            .with("d/f", "f")
            .holds("x", "755 0:0 \"t\"")
            .holds("y/f", "400 0:0 \"f\""),
        says("--chmod takes variables", &file("FROM scratch\nARG MODE=440\nCOPY --chmod=$MODE t /x\n"))
            .newer()
            .with("t", "t")
            .holds("x", "440 0:0 \"t\""),
        tree(says("--chmod is symbolic", &file("FROM scratch\nCOPY --chmod=+x t /x\nCOPY --chmod=u=rwX,go=rX d /y\nCOPY --chmod=g=u d/run.sh /z\n")))
            .newer()
            .with("t", "t")
            .holds("x", "755 0:0 \"t\"")
            .holds("y/a.txt", "644 0:0 \"a\"")
            .holds("y/run.sh", "755 0:0 \"run\"")
            .holds("y/e", "755 0:0 /")
            .holds("y/empty", "755 0:0 /")
            .holds("z", "775 0:0 \"run\""),
        says("--chmod of nonsense is refused", &file("FROM scratch\nCOPY --chmod=u+q t /x\n")).with("t", "t").newer().fails("u+q"),
        says("--link makes a layer of its own", &file("FROM box\nCOPY --link t /d/x\n"))
            .newer()
            .with("t", "t")
            .file("d/x", "t")
            .layers(1)
            .history(&[&file("COPY t /d/x # buildkit")]),
        says("--link follows no link of what is below", &file("FROM box\nRUN mkdir /real && ln -s real /link\nCOPY --link t /link/\n"))
            .newer()
            .with("t", "t")
            .holds("link", "755 0:0 /")
            .file("link/t", "t")
            .lacks("real/t"),
        says("--link overrides modes of directories", &file("FROM box\nCOPY --link d /tmp\n"))
            .newer()
            .with("d/t", "t")
            .holds("tmp", "755 0:0 /"),
        says("--link=false is as if it were not there", &file("FROM box\nRUN mkdir /real && ln -s real /link\nCOPY --link=false t /link/\n"))
            .newer()
            .with("t", "t")
            .file("real/t", "t"),
        says("--exclude leaves files out", &file("FROM scratch\nCOPY --exclude=*.txt --exclude=*.md hom* /mydir/\n"))
            .newer()
            .with("home.txt", "")
            .with("homs.md", "")
            .with("hom.c", "c")
            .file("mydir/hom.c", "c")
            .lacks("mydir/home.txt")
            .lacks("mydir/homs.md"),
        says("--exclude reaches into directories", &file("FROM scratch\nCOPY --exclude=**/*.md --exclude=e/f d /x/\n"))
            .newer()
            .with("d/a.md", "")
            .with("d/e/b.md", "")
            .with("d/e/f/g", "")
            .with("d/e/h", "h")
            .file("x/e/h", "h")
            .lacks("x/a.md")
            .lacks("x/e/b.md")
            .lacks("x/e/f"),
        says("an unknown flag is refused", &file("FROM scratch\nCOPY --nope t /x\n")).with("t", "t").fails("unknown flag"),
        says("a file of nothing is copied", &file("FROM scratch\nCOPY z.tar.gz /\n")).with("z.tar.gz", "").file("z.tar.gz", ""),
        says("what the ignore file leaves out is not there", &file("FROM scratch\nCOPY . /x\n"))
            .with(".dockerignore", "# comment\n*.md\n!README.md\ndir/*\n!dir/kept\n**/temp?\n")
            .with("a.md", "")
            .with("README.md", "r")
            .with("dir/kept", "k")
            .with("dir/gone", "")
            .with("deep/er/temp1", "")
            .with("deep/er/other", "o")
            .lacks("x/a.md")
            .file("x/README.md", "r")
            .file("x/dir/kept", "k")
            .lacks("x/dir/gone")
            .lacks("x/deep/er/temp1")
            .file("x/deep/er/other", "o"),
    ]
}

/// "COPY". Without `--chown` files of the context are root's, as the reference says; those of a stage keep their owners, which it
/// does not say and every BuildKit does.
pub fn copy() -> Vec<Sentence> {
    let mut all = both("COPY");
    all.extend([
        says("COPY unpacks nothing", "FROM scratch\nCOPY a.tar /x/\n")
            .with_mode("a.tar", &archive(), 0o644)
            .holds("x/a.tar", "644 0:0 "),
        says("--from copies from a stage", "FROM box AS build\nWORKDIR /app\nRUN echo hi > hello && chown 5:6 hello && chmod 711 hello\nFROM scratch\nCOPY --from=build /app/hello /\nCOPY --from=build app/hello /again\n")
            .holds("hello", "711 5:6 \"hi\\n\"")
            .holds("again", "711 5:6 \"hi\\n\"")
            .history(&["COPY /app/hello / # buildkit", "COPY app/hello /again # buildkit"]),
        says("--from copies from a stage by its number", "FROM box\nRUN echo 0 > /0\nFROM scratch\nCOPY --from=0 /0 /\n")
            .file("0", "0\n"),
        says("--from copies from an image", "FROM scratch\nCOPY --from=box /etc/group /g\n").holds("g", "644 0:0 \"root"),
        says("--from looks at the root, whatever the working directory is", "FROM box AS one\nWORKDIR /w\nRUN echo w > f && echo r > /f\nFROM scratch\nWORKDIR /v\nCOPY --from=one f .\n")
            .file("v/f", "r\n"),
        says("--from with an unknown number is refused", "FROM box\nCOPY --from=5 /a /\n").fails("5"),
        says("--from a stage keeps links and directories", "FROM box AS one\nRUN mkdir -m 2750 /d && touch /d/a && ln -s a /d/l && ln /d/a /d/h && chown -R 5:6 /d\nFROM scratch\nCOPY --from=one /d /d\n")
            .holds("d/l", "777 5:6 -> a")
            .holds("d/h", "644 5:6 \"\""),
        says("--parents keeps the directories above", "FROM scratch\nCOPY ./x/a.txt ./y/a.txt /no_parents/\nCOPY --parents ./x/a.txt ./y/a.txt /parents/\n")
            .newer()
            .with("x/a.txt", "x")
            .with("y/a.txt", "y")
            .file("no_parents/a.txt", "y")
            .file("parents/x/a.txt", "x")
            .file("parents/y/a.txt", "y"),
        says("--parents starts at the pivot", "FROM scratch\nCOPY --parents ./x/./y/*.txt /parents/\n")
            .newer()
            .with("x/y/a.txt", "a")
            .with("x/y/b.txt", "b")
            .file("parents/y/a.txt", "a")
            .file("parents/y/b.txt", "b")
            .lacks("parents/x"),
        says("--parents goes through all directories with **", "FROM scratch\nCOPY --parents ./src/**/*.txt /parents/\n")
            .newer()
            .with("src/a.txt", "a")
            .with("src/x/b.txt", "b")
            .with("src/x/y/c.txt", "c")
            .with("src/x/no.md", "")
            .file("parents/src/a.txt", "a")
            .file("parents/src/x/b.txt", "b")
            .file("parents/src/x/y/c.txt", "c")
            .lacks("parents/src/x/no.md"),
        says("--parents is off unless it is asked for", "FROM scratch\nCOPY --parents=false x/a.txt /p/\n")
            .newer()
            .with("x/a.txt", "x")
            .file("p/a.txt", "x"),
        says("--parents keeps the modes of directories", "FROM scratch\nCOPY --parents x/y/a.txt /p/\n")
            .newer()
            .with("x/y/a.txt", "x")
            .with_dir("x/y", 0o750)
            .with_dir("x", 0o711)
            .holds("p/x", "711 0:0 /")
            .holds("p/x/y", "750 0:0 /"),
        says("--checksum is not COPY's", "FROM scratch\nCOPY --checksum=sha256:00 t /x\n").with("t", "t").fails("unknown flag"),
    ]);
    all
}

/// "ADD", but for addresses and repositories of the network.
pub fn add() -> Vec<Sentence> {
    // What COPY does the same was compared there.
    let mut all: Vec<Sentence> = both("ADD").into_iter().map(Sentence::alone).collect();
    for (name, file, bytes) in [
        ("ADD unpacks an archive", "FROM scratch\nADD a.tar /x\n", archive()),
        ("ADD unpacks what gzip packed", "FROM scratch\nADD a.tar /x/\n", gzip(&archive())),
        ("the name of an archive means nothing", "FROM scratch\nADD a.tar /x\n", gzip(&archive())),
    ] {
        all.push(
            says(name, file)
                .with_mode("a.tar", &bytes, 0o600)
                .holds("x/d", "750 12:34 /")
                .holds("x/d/in", "640 12:34 \"inside\"")
                .holds("x/top", "4755 12:34 \"top\"")
                .holds("x/l", "777 0:0 -> d/in")
                .time("x/top", 1_400_000_000)
                .lacks("x/a.tar"),
        );
    }
    all.extend([
        says("an archive is merged with what is there", "FROM scratch\nADD old /x\nADD a.tar /x\n")
            .with_mode("a.tar", &archive(), 0o644)
            .with("old/top", "old")
            .with("old/d/kept", "kept")
            .holds("x/top", "4755 12:34 \"top\"")
            .file("x/d/kept", "kept"),
        says("what is no archive is copied", "FROM scratch\nADD no.tar.gz /x/\n").with("no.tar.gz", "text").file("x/no.tar.gz", "text"),
        says("--unpack=false copies an archive", "FROM scratch\nADD --unpack=false a.tar /x/\n")
            .newer()
            .with_mode("a.tar", &archive(), 0o644)
            .holds("x/a.tar", "644 0:0 ")
            .lacks("x/top"),
        says("--chown holds for what is unpacked", "FROM scratch\nADD --chown=7:8 a.tar /x\n")
            .with_mode("a.tar", &archive(), 0o644)
            // The peer forgets it; later BuildKits do not.
            .but(&["x"])
            .holds("x/top", "4755 7:8 ")
            .holds("x/d", "750 7:8 /"),
        says("--checksum is for addresses", "FROM scratch\nADD --checksum=sha256:0000000000000000000000000000000000000000000000000000000000000000 t /x\n")
            .newer()
            .with("t", "t")
            .fails("checksum requires HTTP(S) or Git sources"),
        says("--keep-git-dir is for repositories", "FROM scratch\nADD --keep-git-dir=true t /x\n").newer().with("t", "t").fails("keep-git-dir can only be used with git sources"),
        says("--from is not ADD's", "FROM box AS a\nFROM scratch\nADD --from=a /etc/group /x\n").fails("unknown flag"),
    ]);
    all
}
