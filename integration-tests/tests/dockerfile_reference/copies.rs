//! COPY and ADD: what their flags do together, and what ADD does with archives beside one.

use crate::files::archive;
use crate::sentence::{Sentence, says};

/// "COPY --parents", "COPY --exclude", "COPY --from" with each other.
pub fn together() -> Vec<Sentence> {
    let one = "FROM box AS one\nRUN mkdir -p /a/b/c/d && echo 1 > /a/b/c/f && echo 2 > /a/b/c/d/g && touch /a/b/no.md && chmod 711 /a/b/c && chown 5:6 /a/b/c\nFROM scratch\n";
    let file = |text: &str| format!("{one}{text}\n");
    let all = vec![
        says(
            "--parents keeps all of an absolute path of a stage",
            &file("COPY --parents --from=one /a/b/c/f /x/"),
        )
        .file("x/a/b/c/f", "1\n")
        .holds("x/a/b", "755 0:0 /")
        .holds("x/a/b/c", "711 5:6 /"),
        says(
            "--parents of a stage starts at the pivot",
            &file("COPY --parents --from=one /a/b/./c/f /a/./b/c/d /x/"),
        )
        .file("x/c/f", "1\n")
        .file("x/b/c/d/g", "2\n")
        .lacks("x/a"),
        says(
            "--parents with a pivot before a pattern",
            &file("COPY --parents --from=one /a/./**/g /x/"),
        )
        .file("x/b/c/d/g", "2\n")
        .lacks("x/b/c/f"),
        says(
            "--parents copies a directory with its name",
            "FROM scratch\nCOPY --parents d/e /x/\n",
        )
        .with("d/e/f", "f")
        .with("d/g", "")
        .file("x/d/e/f", "f")
        .lacks("x/d/g"),
        says("--parents needs no slash at the end", "FROM scratch\nCOPY --parents d/f /x\n")
            .with("d/f", "f")
            .file("x/d/f", "f"),
        says(
            "--parents and --exclude go together",
            "FROM scratch\nCOPY --parents --exclude=**/no* d /x/\n",
        )
        .with("d/e/f", "f")
        .with("d/e/no.md", "")
        .file("x/d/e/f", "f")
        .lacks("x/d/e/no.md"),
        says(
            "--exclude leaves out files of a stage",
            &file("COPY --from=one --exclude=c/d --exclude=*.md /a/b /x"),
        )
        .file("x/c/f", "1\n")
        .lacks("x/c/d")
        .lacks("x/no.md"),
        says("what a variable of --exclude means counts for the cache", "FROM BEFORE\n")
            .after(&format!("{one}ARG X=*.md\nCOPY --from=one --exclude=$X /a/b /x\n"))
            .after(&format!("{one}ARG X=c\nCOPY --from=one --exclude=$X /a/b /x\n"))
            .file("x/no.md", "")
            .lacks("x/c"),
        says(
            "names of --chown are those of the image, with --link too",
            "FROM box\nRUN sed -i s/1000/1234/g /etc/passwd /etc/group\nCOPY --link --chown=user t /x\n",
        )
            .after("FROM box\nCOPY --link --chown=user t /x\n")
            .with("t", "t")
            .holds("x", "644 1234:1234 "),
        says(
            "--chown and --chmod go with --parents",
            &file("COPY --from=one --parents --chown=7:8 --chmod=750 /a/b/./c/f /x/"),
        )
        .holds("x/c/f", "750 7:8 \"1\\n\""),
        says("--link takes no time of what is below", "FROM box\nWORKDIR /w\nCOPY --link t .\n")
            .with("t", "t")
            .file("w/t", "t")
            .time_of_context("w/t"),
    ];
    all.into_iter().map(Sentence::newer).collect()
}

/// "Adding local tar archives", "ADD --unpack".
pub fn archives() -> Vec<Sentence> {
    let with = |sentence: Sentence| sentence.with_mode("a.tar", &archive(), 0o644);
    vec![
        with(says(
            "every archive that a pattern names is unpacked",
            "FROM scratch\nADD *.tar /x/\n",
        ))
        .with("b.tar", "no archive")
        .holds("x/top", "4755 12:34 \"top\"")
        .file("x/b.tar", "no archive")
        .lacks("x/a.tar"),
        says("an archive in a directory stays one", "FROM scratch\nADD d /x/\n")
            .with_mode("d/a.tar", &archive(), 0o644)
            .holds("x/a.tar", "644 0:0 ")
            .lacks("x/top"),
        with(says(
            "an archive is unpacked below the working directory",
            "FROM scratch\nWORKDIR /w\nADD a.tar .\n",
        ))
        .holds("w/d/in", "640 12:34 \"inside\""),
        with(says(
            "an archive follows links of what is there",
            "FROM box\nRUN mkdir /real && ln -s real /link\nADD a.tar /link/\n",
        ))
        .holds("real/d/in", "640 12:34 \"inside\"")
        .holds("link", "777 0:0 -> real"),
        with(says(
            "an archive goes where no slash is at the end",
            "FROM scratch\nADD a.tar /x/y\n",
        ))
        .holds("x/y/d/in", "640 12:34 \"inside\"")
        .holds("x", "755 0:0 /"),
        with(says(
            "--unpack=true is the default of what is here",
            "FROM scratch\nADD --unpack=true a.tar /x/\n",
        ))
        .newer()
        .holds("x/top", "4755 12:34 \"top\""),
        says(
            "--unpack=true copies what is no archive",
            "FROM scratch\nADD --unpack=true no.tar /x/\n",
        )
        .newer()
        .with("no.tar", "text")
        .file("x/no.tar", "text"),
        with(says(
            "--unpack=false with an owner and a mode",
            "FROM scratch\nADD --unpack=false --chown=5:6 --chmod=600 a.tar /x\n",
        ))
        .newer()
        .holds("x", "600 5:6 "),
        with(says(
            "--link unpacks into a layer of its own",
            "FROM box\nRUN mkdir /real && ln -s real /link\nADD --link a.tar /link/\n",
        ))
        .newer()
        .holds("link/d/in", "640 12:34 \"inside\"")
        .lacks("real/d"),
    ]
}
