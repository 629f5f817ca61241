//! ".dockerignore file": which files of a context a build does not see. No two of these files have the same length: the peer takes one
//! of the same length and time for the one that it knows.

use crate::sentence::{Sentence, says};

const ALL: &str = "FROM scratch\nCOPY . /x\n";

/// A sentence with these rules.
fn rules(name: &'static str, rules: &str) -> Sentence {
    says(name, ALL).with(".dockerignore", rules)
}

/// The sentences.
pub fn all() -> Vec<Sentence> {
    vec![
        rules("comments and empty lines are no rules", "# b\n\n   \na\n#c\n")
            .with("a", "")
            .with("b", "b")
            .with("#c", "c")
            .lacks("x/a")
            .file("x/b", "b")
            .file("x/#c", "c"),
        rules("the last rule that matches decides", "*.md\n!README*.md\nREADME-secret.md\n")
            .with("a.md", "")
            .with("README.md", "r")
            .with("README-secret.md", "")
            .lacks("x/a.md")
            .file("x/README.md", "r")
            .lacks("x/README-secret.md"),
        rules(
            "an exception behind takes back what was left out before",
            "# In another order.\n*.md\nREADME-secret.md\n!README*.md\n",
        )
        .with("a.md", "")
        .with("README-secret.md", "r")
        .lacks("x/a.md")
        .file("x/README-secret.md", "r"),
        rules("** is any number of directories, and none", "**/*.go\n")
            .with("a.go", "")
            .with("d/a.go", "")
            .with("d/e/f/a.go", "")
            .with("d/e/f/b", "b")
            .lacks("x/a.go")
            .lacks("x/d/a.go")
            .lacks("x/d/e/f/a.go")
            .file("x/d/e/f/b", "b"),
        rules("* stays within a directory", "*/temp*\n*/*/gone*\n")
            .with("temp", "t")
            .with("d/temporary", "")
            .with("d/e/temp", "t")
            .with("d/e/gone1", "")
            .with("d/gone", "g")
            .file("x/temp", "t")
            .lacks("x/d/temporary")
            .file("x/d/e/temp", "t")
            .lacks("x/d/e/gone1")
            .file("x/d/gone", "g"),
        rules("a ? is one character", "temp?\n")
            .with("temp", "t")
            .with("temp1", "")
            .with("temp12", "t")
            .file("x/temp", "t")
            .lacks("x/temp1")
            .file("x/temp12", "t"),
        rules("slashes at the ends mean nothing", "/a/b\nc/\n")
            .with("a/b", "")
            .with("a/c", "c")
            .with("c/d", "")
            .with("d/a/b", "b")
            .lacks("x/a/b")
            .file("x/a/c", "c")
            .lacks("x/c")
            .file("x/d/a/b", "b"),
        rules("rules are cleaned of . and ..", "./a\nd/../b\n d/c \n")
            .with("a", "")
            .with("b", "")
            .with("d/c", "")
            .with("d/d", "d")
            .lacks("x/a")
            .lacks("x/b")
            .lacks("x/d/c")
            .file("x/d/d", "d"),
        rules("a directory that is left out may have exceptions", "d\n!d/e/kept\n")
            .with("d/gone", "")
            .with("d/e/kept", "k")
            .with("d/e/gone", "")
            .file("x/d/e/kept", "k")
            .lacks("x/d/gone")
            .lacks("x/d/e/gone"),
        rules("all but exceptions may be left out", "*\n!src\n")
            .with("Makefile", "")
            .with("src/main.c", "c")
            .lacks("x/Makefile")
            .lacks("x/Dockerfile")
            .file("x/src/main.c", "c"),
        rules(
            "the Dockerfile and the rules may be left out, and count all the same",
            "Dockerfile\n.dockerignore\na\n",
        )
        .with("a", "")
        .with("b", "b")
        .lacks("x/a")
        .lacks("x/Dockerfile")
        .lacks("x/.dockerignore")
        .file("x/b", "b"),
        says(
            "what is left out cannot be mounted",
            "FROM box\nRUN --mount=target=/c test ! -e /c/a -a -e /c/b\n",
        )
        .with(".dockerignore", "a\n")
        .with("a", "")
        .with("b", ""),
        says("what is left out cannot be copied by its name", "FROM scratch\nCOPY a /\n")
            .with(".dockerignore", "a\n")
            .with("a", "")
            .fails("a"),
        rules("a rule that is no pattern is refused", "[a\n").with("a", "").fails("[a"),
    ]
}
