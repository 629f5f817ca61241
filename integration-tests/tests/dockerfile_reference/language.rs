//! The language itself, as far as a builder shows it: format, parser directives, variables, forms of commands, heredocs.

use crate::sentence::{Sentence, says};
use serde_json::json;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// "Format".
pub fn format() -> Vec<Sentence> {
    vec![
        says("an instruction is written in any case", "from box\nenv A=b\nrun echo x > /x\n")
            .file("x", "x\n"),
        says("instructions run in order", "FROM box\nRUN echo 1 > /x\nRUN echo 2 >> /x\n")
            .file("x", "1\n2\n"),
        says("a file must begin with FROM", "RUN true\n").fails("no build stage"),
        says(
            "directives, comments and ARG may stand before FROM",
            "# escape=\\\n\n# about\nARG A=1\n\n# and\nFROM box\nENV A=b\n",
        )
        .history(&["(no layer) ENV A=b"]),
        says("only ARG stands before FROM", "ENV A=b\nFROM box\n").fails("no build stage"),
        says(
            "a line that begins with # is a comment",
            "# one\nFROM box\n# RUN false\nRUN echo x > /x\n",
        )
        .file("x", "x\n"),
        says("a # elsewhere is an argument", "FROM box\nRUN echo 'some # of it' > /x\n")
            .file("x", "some # of it\n"),
        says(
            "comments go before the shell sees the line",
            "FROM box\nRUN echo hello \\\n# comment\nworld > /x\n",
        )
        .file("x", "hello world\n"),
        says("a comment is not continued", "FROM box\n# comment \\\nRUN echo x > /x\n")
            .file("x", "x\n"),
        says(
            "blanks before an instruction are ignored",
            "  FROM box\n    # c\n\tRUN echo x > /x\n",
        )
        .file("x", "x\n"),
        says(
            "blanks in arguments stay",
            "FROM box\nRUN echo \"\\\n     hello\\\n     world\" > /x\n",
        )
        .file("x", "     hello     world\n"),
    ]
}

/// "Parser directives".
pub fn directives() -> Vec<Sentence> {
    vec![
        says("a directive is no step", "# escape=\\\nFROM box\nENV A=b\n")
            .layers(0)
            .history(&["(no layer) ENV A=b"]),
        says("a directive is given once", "# escape=\\\n# escape=`\nFROM box\n")
            .fails("only one escape parser directive can be used"),
        says(
            "after a comment nothing is a directive",
            "# about\n# escape=`\nFROM box\nRUN echo a \\\n b > /x\n",
        )
        .file("x", "a b\n"),
        says(
            "after an empty line nothing is a directive",
            "\n# escape=`\nFROM box\nRUN echo a \\\n b > /x\n",
        )
        .file("x", "a b\n"),
        says(
            "after an instruction nothing is a directive",
            "FROM box\n# escape=`\nRUN echo a \\\n b > /x\n",
        )
        .file("x", "a b\n"),
        says(
            "an unknown directive is a comment",
            "# unknown=x\n# escape=`\nFROM box\nRUN echo a \\\n b > /x\n",
        )
        .file("x", "a b\n"),
        says(
            "names of directives have any case and blanks around",
            "#\t  eScApE = `\nFROM box\nRUN echo a `\n b > /x\n",
        )
        .file("x", "a b\n"),
        says(
            "a directive is not continued",
            "# esc\\\n# ape=`\nFROM box\nRUN echo a \\\n b > /x\n",
        )
        .file("x", "a b\n"),
        says("escape is a backslash or a backtick", "# escape=x\nFROM box\n").fails("escape"),
        says(
            "escape escapes variables and blanks",
            "# escape=`\nFROM box\nENV A=x B=`$A C=a` b D=\\$A\n",
        )
        .default("Env", json!([PATH, "A=x", "B=$A", "C=a b", "D=\\"])),
        says(
            "syntax names the version of the language",
            "# syntax=docker/dockerfile:1\nFROM box\nENV A=b\n",
        )
        .newer()
        .history(&["(no layer) ENV A=b"]),
        says("escape frees the backslash", "# escape=`\nFROM scratch\nCOPY a c\\\n")
            .with("a", "a")
            .file("c\\", "a"),
        says(
            "escape escapes only line ends in RUN",
            "# escape=`\nFROM box\nRUN echo 'a`tb\\c' `\n > /x\n",
        )
        .file("x", "a`tb\\c\n"),
        says(
            "a syntax of somebody else's is said not to be used",
            "# syntax=somebody/else:1\nFROM box\nENV A=b\n",
        )
        .newer()
        .shows("the syntax somebody/else:1 is not used"),
        says(
            "docker's own syntax is no matter",
            "# syntax=docker/dockerfile:1.7-labs\nFROM box\nENV A=b\n",
        )
        .newer()
        .silent("syntax"),
        says(
            "BUILDKIT_SYNTAX goes before the directive",
            "# syntax=somebody/else:1\nFROM box\nENV A=b\n",
        )
        .newer()
        .flags(&["--build-arg", "BUILDKIT_SYNTAX=dockerfile.v0"])
        .silent("is not used")
        .silent("changes nothing"),
        says("BUILDKIT_SYNTAX of somebody else's is said not to be used", "FROM box\nENV A=b\n")
            .newer()
            .flags(&["--build-arg", "BUILDKIT_SYNTAX=somebody/else:1"])
            .shows("the syntax somebody/else:1 is not used"),
        says("checks warn and fail nothing", "FROM box as b\nENV A=b\n").shows("FromAsCasing"),
        says("check=error=true makes warnings fail", "# check=error=true\nFROM box as b\n")
            .newer()
            .fails("FromAsCasing"),
        says(
            "check=skip and error go together",
            "# check=skip=FromAsCasing;error=true\nFROM box as b\nENV A=b\n",
        )
        .newer()
        .history(&["(no layer) ENV A=b"]),
        says("check is given once", "# check=skip=all\n# check=error=true\nFROM box\n")
            .newer()
            .fails("only one check parser directive can be used"),
        says(
            "names of checks have their case",
            "# check=skip=fromascasing;error=true\nFROM box as b\n",
        )
        .newer()
        .fails("FromAsCasing"),
        says(
            "check=skip takes several, with commas",
            "# check=skip=FromAsCasing,StageNameCasing;error=true\nFROM box as B\nENV A=b\n",
        )
        .newer()
        .history(&["(no layer) ENV A=b"]),
        says(
            "check=skip skips no others",
            "# check=skip=StageNameCasing;error=true\nFROM box as B\n",
        )
        .newer()
        .fails("FromAsCasing"),
        says("check=error=false only warns", "# check=error=false\nFROM box as b\nENV A=b\n")
            .shows("FromAsCasing"),
        says("an option that check has not is refused", "# check=nope=x\nFROM box\n")
            .newer()
            .fails("nope"),
        says("check=skip=all skips all", "# check=error=true;skip=all\nFROM box as b\nENV A=b\n")
            .newer()
            .history(&["(no layer) ENV A=b"]),
    ]
}

/// "Environment replacement".
pub fn replacement() -> Vec<Sentence> {
    let path = PATH;
    vec![
        says("$name and ${name} are the same", "FROM scratch\nENV A=x\nENV B=$A C=${A}_y\nCOPY a /\n")
            .with("a", "")
            .default("Env", json!([path, "A=x", "B=x", "C=x_y"])),
        says(
            ":- and :+ look at set and not empty",
            "FROM scratch\nCOPY a /\nENV S=s E=\"\"\n\
             ENV A=${S:-w} B=${E:-w} C=${U:-w} D=${S:+w} F=${E:+w} G=${U:+w}\n",
        )
        .with("a", "")
        .default("Env", json!([path, "S=s", "E=", "A=s", "B=w", "C=w", "D=w", "F=", "G="])),
        says(
            "- and + look at set",
            "FROM scratch\nCOPY a /\nENV S=s E=\"\"\nENV A=${S-w} B=${E-w} C=${U-w} D=${S+w} F=${E+w} G=${U+w}\n",
        )
        .newer()
        .with("a", "")
        .default("Env", json!([path, "S=s", "E=", "A=s", "B=", "C=w", "D=w", "F=w", "G="])),
        says(
            "patterns cut and replace",
            "FROM scratch\nCOPY a /\nENV S=foobarbaz\n\
             ENV A=${S#f*b} B=${S##f*b} C=${S%b*} D=${S%%b*} E=${S/ba/fo} F=${S//ba/fo}\n",
        )
        .newer()
        .with("a", "")
        .default(
            "Env",
            json!([path, "S=foobarbaz", "A=arbaz", "B=az", "C=foobar", "D=foo", "E=fooforbaz", "F=fooforfoz"]),
        ),
        says(
            "a backslash takes a ? or a * in a pattern as it is",
            "FROM scratch\nCOPY a /\nENV S=a*b?c\nENV A=${S#a\\*} B=${S%\\?c} C=${S/\\*/-} D=${S//\\?/-}\n",
        )
        .newer()
        .with("a", "")
        .default("Env", json!([path, "S=a*b?c", "A=b?c", "B=a*b", "C=a-b?c", "D=a*b-c"])),
        says(
            "patterns and what replaces them may hold variables",
            "FROM scratch\nCOPY a /\nENV S=foobar P=foo R=new\nENV A=${S#$P} B=${S/${P}/$R} C=${U-$S} D=${S+$P}\n",
        )
        .newer()
        .with("a", "")
        .default("Env", json!([path, "S=foobar", "P=foo", "R=new", "A=bar", "B=newbar", "C=foobar", "D=foo"])),
        says("a word may hold variables", "FROM scratch\nCOPY a /\nENV S=s\nENV A=${U:-x$S}\n")
            .with("a", "")
            .default("Env", json!([path, "S=s", "A=xs"])),
        says("a backslash before a name escapes it", "FROM scratch\nCOPY a /\nENV A=\\$foo B=\\${foo}\n")
            .with("a", "")
            .default("Env", json!([path, "A=$foo", "B=${foo}"])),
        says(
            "WORKDIR, ADD and COPY replace, and escape",
            "FROM scratch\nENV FOO=/bar\nWORKDIR ${FOO}\nADD a $FOO\nCOPY \\$FOO /quux\n",
        )
        .with("a", "a")
        .with("$FOO", "it")
        .default("WorkingDir", json!("/bar"))
        .file("bar/a", "a")
        .file("quux", "it"),
        says(
            "EXPOSE, LABEL, STOPSIGNAL, USER and VOLUME replace",
            "FROM scratch\nCOPY a /\nENV P=80 L=x S=SIGUSR1 U=7:8 V=/v\nEXPOSE $P\nLABEL $L=$L\nSTOPSIGNAL $S\nUSER $U\nVOLUME $V\n",
        )
        .with("a", "")
        .default("ExposedPorts", json!({"80/tcp": {}}))
        .default("Labels", json!({"x": "x"}))
        .default("StopSignal", json!("SIGUSR1"))
        .default("User", json!("7:8"))
        .default("Volumes", json!({"/v": {}})),
        says("FROM replaces", "ARG I=box\nFROM $I\nENV A=b\n").history(&["(no layer) ENV A=b"]),
        says("ONBUILD replaces when it is carried out", "FROM BEFORE\n")
            .after("FROM box\nENV A=old\nONBUILD ENV B=$A\nENV A=new\n")
            .default("Env", json!([path, "A=new", "B=new"])),
        says(
            "RUN, CMD and ENTRYPOINT leave variables to the shell",
            "FROM box\nENV A=b\nRUN echo $A > /x\nENTRYPOINT echo $A\nCMD echo $A\n",
        )
        .file("x", "b\n")
        .default("Cmd", json!(["/bin/sh", "-c", "echo $A"]))
        .default("Entrypoint", json!(["/bin/sh", "-c", "echo $A"]))
        .history(&[
            "RUN /bin/sh -c echo $A > /x # buildkit",
            "(no layer) ENTRYPOINT [\"/bin/sh\" \"-c\" \"echo $A\"]",
            "(no layer) CMD [\"/bin/sh\" \"-c\" \"echo $A\"]",
        ]),
        says(
            "a variable has one value throughout an instruction",
            "FROM scratch\nCOPY a /\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n",
        )
        .with("a", "")
        .default("Env", json!([path, "abc=bye", "def=hello", "ghi=bye"])),
    ]
}

/// "Shell and exec form".
pub fn forms() -> Vec<Sentence> {
    vec![
        says("the exec form is a JSON array", "FROM box\nCMD [\"a\", \"b c\"]\n")
            .default("Cmd", json!(["a", "b c"])),
        says("single quotes make no JSON", "FROM box\nCMD ['a', 'b']\n")
            .default("Cmd", json!(["/bin/sh", "-c", "['a', 'b']"])),
        says("the exec form replaces no variables", "FROM box\nRUN [\"touch\", \"/$HOME\"]\n")
            .file("$HOME", ""),
        says(
            "a shell in the exec form replaces them",
            "FROM box\nENV A=b\nRUN [\"sh\", \"-c\", \"echo $A > /x\"]\n",
        )
        .file("x", "b\n"),
        says("the exec form needs backslashes escaped", "FROM box\nCMD [\"c:\\\\x\"]\n")
            .default("Cmd", json!(["c:\\x"])),
        says("a bare backslash makes a shell form", "FROM box\nCMD [\"c:\\windows\"]\n")
            .default("Cmd", json!(["/bin/sh", "-c", "[\"c:\\windows\"]"])),
        says(
            "the shell form is continued by the escape",
            "FROM box\nRUN echo a > /x && \\\necho b >> /x\n",
        )
        .file("x", "a\nb\n")
        .history(&["RUN /bin/sh -c echo a > /x && echo b >> /x # buildkit"]),
    ]
}

/// "Here-documents".
pub fn heredocs() -> Vec<Sentence> {
    let all = vec![
        says("a program reads a heredoc", "FROM box\nRUN <<EOT sh\n  echo a > /x\n  echo b >> /x\nEOT\n")
            .file("x", "a\nb\n"),
        says("a heredoc alone is a script of the shell", "FROM box\nRUN <<EOT\n  mkdir -p /foo/bar\nEOT\n")
            .holds("foo/bar", "755 0:0 /"),
        says(
            "a heredoc alone is a script of SHELL",
            "FROM box\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN <<EOT\nfalse\ntrue\nEOT\n",
        )
        .fails("returned a non-zero code: 1"),
        says("a heredoc names its interpreter", "FROM box\nRUN <<EOT\n#!/bin/awk -f\nBEGIN { print \"awk\" > \"/x\" }\nEOT\n")
            .file("x", "awk\n"),
        says(
            "a command has several heredocs",
            "FROM box\nRUN <<FILE1 cat > /file1 && <<FILE2 cat > /file2\nI am\nfirst\nFILE1\nI am\nsecond\nFILE2\n",
        )
        .file("file1", "I am\nfirst\n")
        .file("file2", "I am\nsecond\n"),
        says("COPY writes a heredoc into a file", "FROM scratch\nCOPY <<EOF greeting.txt\nhello world\nEOF\n")
            .file("greeting.txt", "hello world\n")
            .history(&["COPY <<EOF greeting.txt # buildkit"]),
        says(
            "COPY writes several heredocs into a directory",
            "FROM scratch\nCOPY <<one <<two /d/\n1\none\n2\ntwo\n",
        )
        .file("d/one", "1\n")
        .file("d/two", "2\n"),
        says("ADD knows heredocs too", "FROM scratch\nADD --chmod=640 <<EOF /x\ntext\nEOF\n")
            .holds("x", "640 0:0 \"text\\n\""),
        says(
            "variables are replaced in a heredoc of COPY",
            "FROM scratch\nARG FOO=bar\nCOPY <<-EOT /script.sh\n\techo \"hello ${FOO}\"\nEOT\n",
        )
        .file("script.sh", "echo \"hello bar\"\n"),
        says(
            "a quoted word keeps variables",
            "FROM scratch\nARG FOO=bar\nCOPY <<-\"EOT\" /script.sh\n\techo \"hello ${FOO}\"\nEOT\n",
        )
        .file("script.sh", "echo \"hello ${FOO}\"\n"),
        says("<<- takes leading tabs away", "FROM scratch\nCOPY <<-EOT /x\n\t\ta\n\t b\n  c\n\tEOT\n")
            .file("x", "a\n b\n  c\n"),
        says("a command reads a heredoc wherever it stands", "FROM box\nRUN cat <<EOT > /x\n# no comment\nRUN false\nEOT\n")
            .file("x", "# no comment\nRUN false\n"),
        says("variables of a script are the shell's", "FROM box\nARG A=1\nRUN <<EOT\nB=2\necho $A$B > /x\nEOT\n")
            .file("x", "12\n"),
        says("quotes around any part of the word count", "FROM scratch\nARG FOO=bar\nCOPY <<E\"O\"T /x\n$FOO\nEOT\n")
            .file("x", "$FOO\n"),
        says("a heredoc lands below the working directory", "FROM scratch\nWORKDIR /w\nCOPY <<EOF a/b\nx\nEOF\n")
            .file("w/a/b", "x\n"),
        says("a heredoc stands beside files", "FROM scratch\nCOPY a <<b /d/\nof the heredoc\nb\n")
            .with("a", "of the context")
            .file("d/a", "of the context")
            .file("d/b", "of the heredoc\n"),
        says("a heredoc has an owner and a mode", "FROM scratch\nCOPY --chown=5:6 --chmod=700 <<EOF /x\nEOF\n")
            .holds("x", "700 5:6 \"\""),
        says(
            "a script of a heredoc runs",
            "FROM box\nARG FOO=bar\nCOPY <<-EOT /script.sh\n\techo \"hello ${FOO}\"\nEOT\nENTRYPOINT sh /script.sh\n",
        )
        .runs(&[], "hello bar\n"),
        says("a heredoc without an end is refused", "FROM box\nRUN <<EOT\ntrue\n").fails("EOT"),
    ];
    all.into_iter().map(Sentence::newer).collect()
}
