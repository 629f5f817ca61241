use super::{Patterns, clean};
use proptest::prelude::*;
use std::fmt::Write as _;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn patterns(list: &[&str]) -> Patterns {
    Patterns::of(list.iter().copied()).unwrap()
}

/// The verdict of a walk from the root down to a path.
fn walked(patterns: &Patterns, path: &str) -> bool {
    let mut verdict = patterns.root();
    for (at, _) in path.char_indices().filter(|(_, c)| *c == '/') {
        verdict = patterns.below(&verdict, &path[..at]);
    }
    patterns.below(&verdict, path).ignored
}

#[test]
fn every_case_of_patternmatcher_is_decided_as_there() {
    let text = String::from_utf8(data("ignore-matches")).unwrap();
    let mut cases = 0;
    for line in text.lines() {
        let (list, path, expected): (Vec<String>, String, serde_json::Value) =
            serde_json::from_str(line).unwrap();
        let result = Patterns::of(list.iter().map(String::as_str));
        match expected.as_bool() {
            None => assert!(result.is_err(), "{line}"),
            Some(expected) => {
                let patterns = result.unwrap();
                assert_eq!(patterns.is_ignored(&path), expected, "{line}");
                if path != "." {
                    assert_eq!(walked(&patterns, &path), expected, "walked: {line}");
                }
            }
        }
        cases += 1;
    }
    assert!(cases >= 138, "{cases}");
}

#[test]
fn every_pattern_of_patternmatcher_is_compiled_to_the_kind_it_is_there() {
    let text = String::from_utf8(data("ignore-shapes")).unwrap();
    let mut cases = 0;
    for line in text.lines() {
        let (pattern, expected): (String, String) = serde_json::from_str(line).unwrap();
        let glob = super::Glob::new(&clean(&pattern)).unwrap();
        assert_eq!(glob.shape(), expected, "{line}");
        cases += 1;
    }
    assert!(cases >= 21, "{cases}");
}

#[test]
fn empty_patterns_are_none_and_blanks_around_are_nothing() {
    assert_eq!(patterns(&["docs", "config"]).rules.len(), 2);
    assert_eq!(patterns(&["docs", "config", ""]).rules.len(), 2);
    assert!(patterns(&["docs", "!docs/README.md"]).has_exceptions());
    assert!(patterns(&["docs", "  !docs/README.md"]).has_exceptions());
    assert!(patterns(&["docs", "!docs/README.md  "]).has_exceptions());
}

#[test]
fn a_file_is_read_line_by_line() {
    let error = Patterns::parse(&data("ignore-file")).unwrap_err();
    assert_eq!(error.to_string(), "line 8: illegal exclusion pattern: \"!\"");
    let file = String::from_utf8(data("ignore-file")).unwrap();
    let without = file.lines().take(7).collect::<Vec<_>>().join("\n");
    let patterns = Patterns::parse(without.as_bytes()).unwrap();
    let rules: Vec<(&str, bool)> =
        patterns.rules.iter().map(|rule| (rule.text.as_str(), rule.exception)).collect();
    assert_eq!(
        rules,
        [
            ("test1", false),
            ("/test2", false),
            ("/a/file/here", false),
            ("lastfile", false),
            ("! /inverted/abs/path", true)
        ]
    );
    for (path, ignored) in [
        ("test1", true),
        ("test2", true),
        ("a/file/here", true),
        ("a/file", false),
        ("here", false),
    ] {
        assert_eq!(patterns.is_ignored(path), ignored, "{path}");
    }
}

#[test]
fn byte_order_marks_comments_blanks_and_line_ends_are_no_rules() {
    let text = b"\xef\xbb\xbf# comment\r\n  *.o  \r\n\r\n # not a comment\n!keep.o\t\n";
    let patterns = Patterns::parse(text).unwrap();
    assert!(patterns.is_ignored("a.o"));
    assert!(!patterns.is_ignored("keep.o"));
    assert!(patterns.is_ignored("# not a comment"));
    assert_eq!(patterns.rules.len(), 3);
    assert!(patterns.has_exceptions());
    assert!(Patterns::parse(b"# only\n\n").unwrap().is_empty());
}

#[test]
fn a_rule_for_a_directory_holds_for_everything_below_it_and_slashes_around_mean_nothing() {
    for rule in
        ["node_modules", "node_modules/", "/node_modules", "./node_modules", "x/../node_modules"]
    {
        let patterns = Patterns::parse(rule.as_bytes()).unwrap();
        for (path, ignored) in [
            ("node_modules", true),
            ("node_modules/a/b.js", true),
            ("src/node_modules/a", false),
            ("node_modules2", false),
        ] {
            assert_eq!(patterns.is_ignored(path), ignored, "{rule} {path}");
            assert_eq!(walked(&patterns, path), ignored, "walked {rule} {path}");
        }
    }
}

#[test]
fn the_last_rule_decides() {
    let patterns = patterns(&["*.md", "!README*.md", "README-secret.md"]);
    for (path, ignored) in [
        ("a.md", true),
        ("README.md", false),
        ("README-2.md", false),
        ("README-secret.md", true),
        ("a.txt", false),
    ] {
        assert_eq!(patterns.is_ignored(path), ignored, "{path}");
    }
    assert_eq!(patterns.rule_for("a.md"), Some("*.md"));
    assert_eq!(patterns.rule_for("README-secret.md"), Some("README-secret.md"));
    assert_eq!(patterns.rule_for("README.md"), None);
}

#[test]
fn everything_but_some_can_be_left_out() {
    let patterns = patterns(&["**", "!src", "!Cargo.*"]);
    for (path, ignored) in
        [("a", true), ("src", false), ("src/a/b.rs", false), ("Cargo.toml", false), ("x/src", true)]
    {
        assert_eq!(patterns.is_ignored(path), ignored, "{path}");
        assert_eq!(walked(&patterns, path), ignored, "walked {path}");
    }
    assert!(patterns.leaves_all_out());
    assert!(!patterns.is_ignored("."));
}

#[test]
fn an_ignored_directory_is_walked_only_where_an_exception_may_lie_below() {
    let patterns = patterns(&["*", "!docs/api/*.md", "!a*/x", "!exact/file"]);
    for (directory, walked) in [
        ("docs", true),
        ("docs/api", true),
        ("docs/img", false),
        ("abc", true),
        ("b", false),
        ("exact", true),
        ("exact/file2", false),
    ] {
        assert_eq!(patterns.may_except_below(directory), walked, "{directory}");
    }
    assert!(Patterns::of(["*", "!**/x"]).unwrap().may_except_below("any"));
    assert!(!Patterns::of(["*"]).unwrap().may_except_below("any"));
}

#[test]
fn malformed_rules_are_refused_with_their_line() {
    for (text, line, reason) in [
        ("a\n[", 2, "the class has no `]`"),
        ("[a-]", 1, "`]` needs a `\\` before it in a class"),
        ("x\\", 1, "nothing follows the `\\` at its end"),
        ("ok\n\n!", 3, "illegal exclusion pattern"),
        ("[z-a]", 1, "the range z-a is backwards"),
    ] {
        let error = Patterns::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.reason.contains(reason), "{error}");
    }
    assert!(Patterns::parse(b"caf\xe9").is_err());
    assert!(Patterns::parse(&vec![b'a'; 70_000]).is_err());
}

#[test]
fn paths_are_cleaned_as_go_cleans_them() {
    for (path, expected) in [
        ("a//b/./c", "a/b/c"),
        ("a/../b", "b"),
        ("../a", "../a"),
        ("a/../../b", "../b"),
        ("/../a", "/a"),
        ("/", "/"),
        ("./", "."),
        ("a/", "a"),
    ] {
        assert_eq!(clean(path), expected, "{path}");
    }
}

#[test]
fn fifty_thousand_files_are_sorted_out_at_once() {
    let patterns = Patterns::parse(
        b"**/*.o\n**/target\nnode_modules\n.git\n*.log\n**/__pycache__\n**/*.py[co]\ndist/*.whl\n!dist/keep*.whl\ndocs/**/img\n\
          **/.DS_Store\nbuild*/**\n!build-keep/**\ntmp/?\n",
    )
    .unwrap();
    let mut path = String::new();
    let mut ignored = 0;
    for number in 0..50_000 {
        path.clear();
        write!(
            path,
            "src/module{}/part{}/deeper/file{number}.{}",
            number % 97,
            number % 13,
            ["c", "o", "pyc", "rs"][number % 4]
        )
        .unwrap();
        ignored += usize::from(patterns.is_ignored(&path));
    }
    assert_eq!(ignored, 25_000);
}

#[test]
fn patterns_made_to_be_slow_are_not() {
    let stars = "*a".repeat(5_000);
    let patterns = patterns(&[&stars, &"**/a".repeat(1_000), &"?".repeat(4_000)]);
    let path = "a".repeat(4_000) + "b";
    assert!(!patterns.is_ignored(&path));
    let deep = "a/".repeat(500) + "b";
    assert!(!patterns.is_ignored(&deep));
}

proptest! {
    #[test]
    fn nothing_panics(rules in proptest::collection::vec("[!/a-c*?\\[\\]\\\\^. -]{0,12}", 0..6), path in "[a-c./]{0,20}") {
        if let Ok(patterns) = Patterns::of(rules.iter().map(String::as_str)) {
            prop_assert_eq!(patterns.is_ignored(&path), patterns.rule_for(&path).is_some());
            walked(&patterns, &path);
        }
        drop(Patterns::parse(rules.join("\n").as_bytes()));
    }

    #[test]
    fn a_rule_holds_for_a_path_when_it_matches_it_or_a_directory_above(
        rule in "[a-c*/?]{1,7}", path in "[a-c]{1,3}(/[a-c]{1,3}){0,4}") {
        let glob = super::Glob::new(&clean(&rule)).unwrap();
        let mut scratch = super::Scratch::default();
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        let expected = above.chain([path.as_str()]).any(|part| glob.matches(part, &mut scratch));
        prop_assert_eq!(glob.holds(&path, &mut scratch), expected, "{}", rule);
    }

    #[test]
    fn without_exceptions_a_walk_decides_as_the_whole_path_does(
        rules in proptest::collection::vec("[a-c*/?]{1,6}", 1..5), path in "[a-c]{1,3}(/[a-c]{1,3}){0,3}") {
        let patterns = Patterns::of(rules.iter().map(String::as_str)).unwrap();
        prop_assert_eq!(walked(&patterns, &path), patterns.is_ignored(&path));
    }

    #[test]
    fn an_ignored_directory_that_is_skipped_hides_nothing(
        rules in proptest::collection::vec("!?[a-c*/?]{1,6}", 1..5), path in "[a-c]{1,3}(/[a-c]{1,3}){1,3}") {
        let Ok(patterns) = Patterns::of(rules.iter().map(String::as_str)) else { return Ok(()) };
        let mut verdict = patterns.root();
        for (at, _) in path.char_indices().filter(|(_, c)| *c == '/') {
            let directory = &path[..at];
            verdict = patterns.below(&verdict, directory);
            if verdict.ignored && !patterns.may_except_below(directory) {
                prop_assert!(walked(&patterns, &path), "{} hides {}", directory, path);
            }
        }
    }
}
