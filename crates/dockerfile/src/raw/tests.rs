//! The corpora of BuildKit's parser, each directory a case.

use super::{Arguments, File, Raw, read};
use crate::Heredoc;
use crate::problem::Source;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

fn corpus(name: &str) -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn parsed(text: impl AsRef<[u8]>) -> File {
    read(&Source::new(text.as_ref()))
}

fn good(text: impl AsRef<[u8]>) -> Vec<Raw> {
    let file = parsed(text);
    assert_eq!(file.problems, []);
    file.statements
}

/// A string as Go's `strconv.Quote` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\u{7}' => out.push_str("\\a"),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)).unwrap(),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A statement as BuildKit dumps its node.
fn dump(raw: &Raw) -> String {
    let mut out = raw.keyword.to_lowercase();
    if !raw.flags.is_empty() {
        let flags: Vec<String> = raw.flags.iter().map(|flag| quoted(flag)).collect();
        write!(out, " [{}]", flags.join(" ")).unwrap();
    }
    dump_arguments(&raw.arguments, &mut out);
    out.trim().to_owned()
}

fn dump_arguments(arguments: &Arguments, out: &mut String) {
    match arguments {
        Arguments::Words(words) | Arguments::Json(words) => {
            for word in words {
                write!(out, " {}", quoted(word)).unwrap();
            }
        }
        Arguments::Pairs(pairs) => {
            for (key, value, delimited) in pairs {
                let equals = if *delimited { "=" } else { "" };
                write!(out, " {} {} {}", quoted(key), quoted(value), quoted(equals)).unwrap();
            }
        }
        Arguments::Kind(kind, rest) => {
            write!(out, " {}", quoted(kind)).unwrap();
            dump_arguments(rest, out);
        }
        Arguments::Statement(inner) => write!(out, " ({})", dump(inner)).unwrap(),
    }
}

#[test]
fn every_test_file_of_buildkits_parser_gives_its_result() {
    let cases = corpus("testfiles");
    assert!(cases.len() >= 33, "{}", cases.len());
    for case in cases {
        let expected = fs::read_to_string(case.join("result")).unwrap();
        let statements = good(fs::read(case.join("Dockerfile")).unwrap());
        let lines: String = statements.iter().map(|raw| format!("({})\n", dump(raw))).collect();
        assert_eq!(lines.trim(), expected.trim_end_matches('\n'), "{}", case.display());
    }
}

#[test]
fn every_negative_test_file_of_buildkits_parser_is_refused() {
    let cases = corpus("testfiles-negative");
    assert!(cases.len() >= 4, "{}", cases.len());
    for case in cases {
        let file = parsed(fs::read(case.join("Dockerfile")).unwrap());
        assert!(!file.problems.is_empty(), "{}", case.display());
    }
}

#[test]
fn statements_know_their_lines() {
    let [file] = corpus("testfile-line").try_into().unwrap();
    let spans: Vec<(usize, usize)> =
        good(fs::read(file).unwrap()).iter().map(|raw| (raw.span.start, raw.span.end)).collect();
    assert_eq!(spans, [(5, 5), (11, 12), (17, 31)]);
}

#[test]
fn empty_lines_inside_a_continuation_are_warned_of_and_comments_are_not() {
    let file = parsed(
        "\nFROM alpine:3.6\n\nRUN valid \\\n    continuation\n\nRUN something \\\n\n    following \\\n\n    more\n\n\
         RUN another \\\n\n    thing\n\nRUN non-indented \\\n# this is a comment\n   after-comment\n\nRUN indented \\\n    \
         # this is an indented comment\n    comment\n\t",
    );
    let warnings: Vec<&str> = file.warnings.iter().map(|w| w.message.as_str()).collect();
    assert_eq!(
        warnings,
        [
            "Empty continuation line found in: RUN something     following     more",
            "Empty continuation line found in: RUN another     thing"
        ]
    );
    assert_eq!(file.statements[4].text, "RUN non-indented    after-comment");
    assert_eq!(file.statements[5].text, "RUN indented     comment");
}

#[test]
fn a_line_longer_than_docker_allows_is_refused() {
    let file = parsed(format!("\n\t\tFROM image\n\t\tLABEL test={}\n", "a".repeat(65_536)));
    assert_eq!(file.problems[0].message, "dockerfile line greater than max allowed size of 65535");
    assert_eq!(file.problems[0].span.start, 3);
    let fits = format!("LABEL a={}", "a".repeat(65_535 - 8));
    assert_eq!(good(format!("FROM a\n{fits}\n")).len(), 2);
}

fn heredoc(name: &str, content: &str) -> Heredoc {
    Heredoc {
        name: name.to_owned(),
        descriptor: 0,
        expand: true,
        chomp: false,
        content: content.to_owned(),
    }
}

#[test]
fn heredocs_are_taken_from_where_they_may_stand() {
    let quoted = |document: Heredoc| Heredoc { expand: false, ..document };
    let chomped = |document: Heredoc| Heredoc { chomp: true, ..document };
    let plain = heredoc;
    for (text, expected) in [
        ("ENV NAME=me", vec![]),
        ("RUN ls", vec![]),
        ("USER <<INVALID\nINVALID", vec![]),
        ("RUN <<EMPTY\nEMPTY", vec![plain("EMPTY", "")]),
        ("RUN 3<<EMPTY2\nEMPTY2", vec![Heredoc { descriptor: 3, ..plain("EMPTY2", "") }]),
        ("RUN \"<<NOHEREDOC\"", vec![]),
        ("RUN <<INDENT\n\tfoo\n\tbar\nINDENT", vec![plain("INDENT", "\tfoo\n\tbar\n")]),
        ("RUN <<-UN\n\tbaz\n\tquux\nUN", vec![chomped(plain("UN", "\tbaz\n\tquux\n"))]),
        ("RUN <<-UN\n\tbaz\n\t\tUN", vec![chomped(plain("UN", "\tbaz\n"))]),
        ("RUN <<-'NO'\n\t$NAME\nNO", vec![quoted(chomped(plain("NO", "\t$NAME\n")))]),
        (
            "RUN <<C\n# internal\necho # trailing\nC",
            vec![plain("C", "# internal\necho # trailing\n")],
        ),
        ("RUN --mount=type=cache,target=/foo <<M\necho\nM", vec![plain("M", "echo\n")]),
        (
            "COPY <<FILE1 <<FILE2 /dest\ncontent 1\nFILE1\ncontent 2\nFILE2",
            vec![plain("FILE1", "content 1\n"), plain("FILE2", "content 2\n")],
        ),
        ("COPY <<X <<Y /dest\nY\nX\nX\nY", vec![plain("X", "Y\n"), plain("Y", "X\n")]),
        ("ADD <<EOF /quotes\n\"foo\"\n'bar'\nEOF", vec![plain("EOF", "\"foo\"\n'bar'\n")]),
        ("RUN <<COMPLEX python3\nprint('hi')\nCOMPLEX", vec![plain("COMPLEX", "print('hi')\n")]),
        ("COPY <<file.txt /dest\nhello\nfile.txt", vec![plain("file.txt", "hello\n")]),
        ("RUN <<eo'f'\necho\neof", vec![quoted(plain("eof", "echo\n"))]),
        ("RUN <<eo\\'f\necho\neo'f", vec![plain("eo'f", "echo\n")]),
        ("RUN <<'e'o\\'f\necho\neo'f", vec![quoted(plain("eo'f", "echo\n"))]),
        ("RUN <<'one two'\necho\none two", vec![quoted(plain("one two", "echo\n"))]),
        ("RUN <<$EOF\n$EOF", vec![plain("$EOF", "")]),
        ("RUN <<  EOF\nEOF", vec![plain("EOF", "")]),
        ("RUN <<  EOF  > foo\nEOF", vec![plain("EOF", "")]),
        ("RUN [\"<<EOF\"]", vec![]),
        ("RUN [\"<<'EOF'\"]", vec![]),
        ("ONBUILD RUN <<EOF\nhi\nEOF", vec![plain("EOF", "hi\n")]),
        ("ONBUILD USER <<EOF", vec![]),
        ("RUN <<EOF \\\n && true\nhi\nEOF", vec![plain("EOF", "hi\n")]),
        ("RUN <<EOF\r\nhi\r\nEOF\r\n", vec![plain("EOF", "hi\r\n")]),
    ] {
        let statements = good(format!("FROM a\n{text}\nRUN after"));
        assert_eq!(statements[1].heredocs, expected, "{text}");
        assert_eq!(statements.last().unwrap().text, "RUN after", "{text}");
    }
}

#[test]
fn a_heredoc_that_never_ends_is_refused_where_it_began() {
    let file = parsed("FROM a\n\nRUN <<EOF\nhi\nEOF2\n");
    assert!(file.problems[0].message.starts_with("unterminated heredoc"));
    assert_eq!((file.problems[0].span.start, file.problems[0].span.end), (3, 5));
}

#[test]
fn words_that_open_a_heredoc_are_told_from_those_that_do_not() {
    for word in [
        "<<EOF",
        "<<'EOF'",
        "<<\"EOF\"",
        "<<-EOF",
        "<<-'EOF'",
        "<<-\"EOF\"",
        "<<EO\"F\"",
        "<< EOF",
        "<<- EOF",
        "12<<EOF",
    ] {
        assert_eq!(crate::heredoc::opener(word).unwrap().name, "EOF", "{word}");
    }
    for word in [
        "",
        "EOF",
        "<<",
        "<<-",
        "<EOF",
        "<<<EOF",
        "<<EOF sh",
        "<<'EOF",
        "<<\"EOF",
        "<<EOF'",
        "<<EOF\"",
        "a<<EOF",
        "<<''",
        "<<EOF<<EOF",
    ] {
        assert_eq!(crate::heredoc::opener(word), None, "{word}");
    }
    for (line, names) in [
        ("RUN <<- EOF", vec![]),
        ("RUN << -EOF", vec!["-EOF"]),
        ("RUN 4<<EOF <<'EOF2'", vec!["EOF", "EOF2"]),
        ("RUN '<<EOF'", vec![]),
        ("RUN \"<<EOF\"", vec![]),
        ("RUN cat 0<<EOF >a", vec!["EOF"]),
        ("RUN echo $((1<<2))", vec![]),
    ] {
        let found = crate::heredoc::opened_by(line);
        let found: Vec<&str> = found.iter().map(|document| document.name.as_str()).collect();
        assert_eq!(found, names, "{line}");
    }
}

#[test]
fn comments_above_a_statement_are_its_own_until_an_empty_line_or_comment() {
    let statements = good(
        "# lost\n\n# one\n  # two\nFROM a\n# three\n#\n# four\nRUN b\nRUN c \\\n# inside\n d\nRUN e",
    );
    let comments: Vec<Vec<String>> = statements.into_iter().map(|raw| raw.comments).collect();
    assert_eq!(comments, [vec!["one", "two"], vec!["four"], vec![], vec![]]);
}

#[test]
fn flags_are_unquoted_words_that_start_with_two_dashes() {
    for (text, flags, rest) in [
        ("RUN --a --b=c d", vec!["--a", "--b=c"], "d"),
        ("RUN --a=\"b c\" d", vec!["--a=b c"], "d"),
        ("RUN --a='b c'\\ d e", vec!["--a=b c d"], "e"),
        ("RUN --a -- --b c", vec!["--a"], "--b c"),
        ("RUN -a --b", vec![], "-a --b"),
        ("RUN - --b", vec![], "- --b"),
        ("RUN --ä=é x", vec!["--ä=é"], "x"),
        ("RUN --a", vec!["--a"], ""),
        ("RUN --a=\\", vec!["--a="], ""),
    ] {
        let raw = good(text).remove(0);
        assert_eq!(raw.flags, flags, "{text}");
        let words: Vec<String> = if rest.is_empty() { vec![] } else { vec![rest.to_owned()] };
        assert_eq!(raw.arguments, Arguments::Words(words), "{text}");
    }
}

#[test]
fn the_escape_directive_changes_what_continues_a_line() {
    let statements = good("# escape=`\nFROM a\nCOPY c:\\ `\n d\\\nRUN e");
    let texts: Vec<&str> = statements.iter().map(|raw| raw.text.as_str()).collect();
    assert_eq!(texts, ["FROM a", "COPY c:\\  d\\", "RUN e"]);
}

#[test]
fn two_escape_characters_do_not_continue_a_line_and_blanks_after_one_do_not_matter() {
    let texts = |text: &str| -> Vec<String> { good(text).into_iter().map(|r| r.text).collect() };
    assert_eq!(texts("RUN a\\\\\nRUN b"), ["RUN a\\\\", "RUN b"]);
    assert_eq!(texts("RUN a \\ \t \n b"), ["RUN a  b"]);
    assert_eq!(texts("\\\nRUN a"), ["RUN a"]);
    assert_eq!(texts("RUN a\\"), ["RUN a"]);
    assert_eq!(texts("RUN a\\\r\nb\r\n"), ["RUN ab"]);
    assert_eq!(texts("RUN a\\\n  # no\n\n# no\nb"), ["RUN ab"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_file() {
    assert_eq!(good("\u{feff}FROM a\n")[0].keyword, "FROM");
    let file = parsed("\u{feff}# escape=`\nFROM a");
    assert_eq!(file.directives.escape, crate::Escape::Backtick);
}

#[test]
fn text_that_is_not_utf_8_is_refused_but_in_comments() {
    assert_eq!(good(b"# caf\xe9\nFROM a\nRUN a \\\n# \xff\n b").len(), 2);
    let file = parsed(b"FROM a\nRUN caf\xe9\nRUN <<EOF\n\xff\nEOF\n");
    let lines: Vec<usize> = file.problems.iter().map(|problem| problem.span.start).collect();
    assert!(lines.starts_with(&[2, 3]), "{lines:?}");
    assert!(file.problems[0].message.contains("not UTF-8"));
}
