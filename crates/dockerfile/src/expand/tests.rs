use super::{Expander, MAX_GROWTH};
use crate::Escape;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn data(name: &str) -> String {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn with<T>(variables: &[(&str, &str)], act: impl FnOnce(&Expander<'_>) -> T) -> T {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let lookup = |name: &str| variables.get(name).cloned();
    act(&Expander::new(Escape::Backslash, &lookup))
}

#[test]
fn words_expand_as_in_every_line_of_buildkits_env_var_test() {
    let variables = [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")];
    let mut cases = 0;
    for (number, line) in data("envVarTest").lines().enumerate() {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let parts: Vec<&str> = line.split('|').map(str::trim).collect();
        let [platform, source, expected] = parts.as_slice() else { panic!("{line}") };
        if *platform == "W" {
            continue;
        }
        cases += 1;
        let result = with(&variables, |expander| expander.word(source));
        match *expected {
            "error" => assert!(result.is_err(), "line {}: {result:?}", number + 1),
            _ => assert_eq!(result.as_deref(), Ok(*expected), "line {}", number + 1),
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn words_split_as_in_every_line_of_buildkits_words_test() {
    let mut variables: Vec<(String, String)> = Vec::new();
    let mut cases = 0;
    for (number, line) in data("wordsTest").lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(pair) = line.strip_prefix("ENV ") {
            let (key, value) = pair.split_once('=').unwrap();
            variables.push((key.to_owned(), value.to_owned()));
            continue;
        }
        let (test, expected) = line.split_once('|').unwrap();
        let expected: Vec<&str> = expected.trim_start_matches(' ').split(',').collect();
        let pairs: Vec<(&str, &str)> =
            variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let words = with(&pairs, |expander| expander.words(test.trim()))
            .unwrap_or_else(|_| vec!["error".to_owned()]);
        assert_eq!(words, expected, "line {}", number + 1);
        cases += 1;
    }
    assert!(cases > 15, "{cases}");
}

fn check(variables: &[(&str, &str)], text: &str, expected: &str) {
    let result = with(variables, |expander| expander.word(text));
    assert_eq!(result.as_deref(), Ok(expected), "{text}");
}

fn fails(variables: &[(&str, &str)], text: &str, with_words: &str) {
    let Err(error) = with(variables, |expander| expander.word(text)) else { panic!("accepted") };
    assert!(error.to_string().contains(with_words), "{error}");
}

#[test]
fn a_default_replaces_what_is_unset_or_with_a_colon_empty() {
    let set = [("FOO", "xxx"), ("BAR", "")];
    check(&set, "${FOO-aaa} ${BAR-bbb} ${BAZ-ccc}", "xxx  ccc");
    check(&set, "${FOO:-aaa} ${BAR:-bbb} ${BAZ:-ccc}", "xxx bbb ccc");
    check(&set, "${FOO+aaa} ${BAR+bbb} ${BAZ+ccc}", "aaa bbb ");
    check(&set, "${FOO:+aaa} ${BAR:+bbb} ${BAZ:+ccc}", "aaa  ");
    check(&set, "${FOO?aaa}${BAR?bbb}", "xxx");
    fails(&set, "${BAZ?ccc}", "BAZ: ccc");
    fails(&set, "${BAR:?bbb}", "BAR: bbb");
    fails(&set, "${BAR:?}", "BAR: is not allowed to be empty");
    fails(&set, "${BAZ:?}", "BAZ: is not allowed to be unset");
    fails(&set, "${BAZ:?needs ${FOO}}", "BAZ: needs xxx");
    for text in ["${FOO=aaa}", "${FOO=:aaa}", "${FOO:=aaa}", "${FOO:#aaa}", "${FOO:%aaa}"] {
        fails(&set, text, "unsupported modifier");
    }
}

#[test]
fn prefixes_and_suffixes_are_taken_off_by_the_shortest_or_the_longest_match() {
    let set = [("FOO", "xxyyzz"), ("FILE", "/a/b.c/d.tar.gz"), ("ODD", "()[]{}^$.*?|\\x")];
    check(&set, "${FOO#x}", "xyyzz");
    check(&set, "${FOO##x}", "xyyzz");
    check(&set, "${FOO#x*}", "xyyzz");
    check(&set, "${FOO##x*}", "");
    check(&set, "${FOO#*x}", "xyyzz");
    check(&set, "${FOO##*x}", "yyzz");
    check(&set, "${FOO#?}", "xyyzz");
    check(&set, "${FOO#y}", "xxyyzz");
    check(&set, "${FOO%z}", "xxyyz");
    check(&set, "${FOO%%z}", "xxyyz");
    check(&set, "${FOO%z*}", "xxyyz");
    check(&set, "${FOO%%z*}", "xxyy");
    check(&set, "${FOO%*}", "xxyyzz");
    check(&set, "${FOO%%*}", "");
    check(&set, "${FILE##*/}", "d.tar.gz");
    check(&set, "${FILE%/*}", "/a/b.c");
    check(&set, "${FILE%%.*}", "/a/b");
    check(&set, "${FILE#*.}", "c/d.tar.gz");
    check(&set, "${ODD#()[]{\\}^$.\\*\\?|\\\\}", "x");
    check(&set, "${FOO#${ABSENT:-x}}", "xyyzz");
    check(&[("P", "한국어")], "${P#한}", "국어");
    check(&[("P", "한국어")], "${P%어}", "한국");
    check(&set, "${ABSENT#x}${ABSENT%%x*}", "");
    fails(&set, "${FOO#\\x}", "invalid escape '\\x'");
}

#[test]
fn matches_are_replaced_once_or_all() {
    let set = [("FOO", "xx/yy/xx"), ("SP", "a b c")];
    check(&set, "${FOO/x/y}", "yx/yy/xx");
    check(&set, "${FOO//x/y}", "yy/yy/yy");
    check(&set, "${FOO//xx/}", "/yy/");
    check(&set, "${FOO/\\//-}", "xx-yy/xx");
    check(&set, "${FOO//\\//-}", "xx-yy-xx");
    check(&set, "${FOO/x*y/Z}", "Z/xx");
    check(&set, "${FOO//?/.}", "........");
    check(&set, "${FOO//*/all}", "all");
    check(&set, "${SP// /${FOO}}", "axx/yy/xxbxx/yy/xxc");
    check(&set, "${SP/ /\\}}", "a\\}b c");
    check(&set, "${SP//q/z}", "a b c");
    check(&set, "${ABSENT//x/y}", "");
    fails(&set, "${FOO/x}", "missing '/' in ${}");
    fails(&set, "${FOO/x/y", "missing '}'");
    fails(&set, "${FOO//\\q/y}", "invalid escape '\\q'");
}

#[test]
fn what_was_asked_for_is_told() {
    let set = [("FOO", "xxx"), ("BAR", "")];
    let expanded = with(&set, |expander| expander.traced("${FOO-a} $BAR ${BAZ:-$QUX}")).unwrap();
    assert_eq!(expanded.matched.iter().collect::<Vec<_>>(), ["BAR", "FOO"]);
    assert_eq!(expanded.unmatched.iter().collect::<Vec<_>>(), ["BAZ", "QUX"]);
}

#[test]
fn a_backtick_escapes_where_the_file_says_so() {
    let lookup = |name: &str| (name == "A").then(|| "value".to_owned());
    let expander = Expander::new(Escape::Backtick, &lookup);
    assert_eq!(expander.word("C:\\dir\\$A").unwrap(), "C:\\dir\\value");
    assert_eq!(expander.word("`$A`\"").unwrap(), "$A\"");
    assert_eq!(expander.word("\"`$A\\\"").unwrap(), "$A\\");
}

#[test]
fn in_a_body_quotes_are_only_characters() {
    let body = with(&[("A", "value")], |expander| {
        expander.body("'$A' \"${A}\" \\$A it's\n\"open").unwrap().text
    });
    assert_eq!(body, "'value' \"value\" $A it's\n\"open");
}

#[test]
fn for_the_eye_only_what_is_set_is_replaced() {
    with(&[("A", "value")], |expander| {
        assert_eq!(
            expander.display("RUN echo \"$A\" '$A' $B ${C:-d} ${A}"),
            "RUN echo \"value\" '$A' $B ${C:-d} value"
        );
        assert_eq!(expander.display("RUN echo '$A"), "RUN echo '$A");
    });
}

#[test]
fn nesting_and_growth_are_bounded() {
    let deep = "${a:-".repeat(200_000) + "x" + &"}".repeat(200_000);
    fails(&[], &deep, "nested more than");
    let quoted = "\"${a:-".repeat(50_000);
    fails(&[], &quoted, "nested more than");
    let big = "v".repeat(MAX_GROWTH / 2 + 100);
    fails(&[("A", &big)], "$A$A", "expands to more than");
    fails(&[("A", &big)], &"${A:+x}".repeat(1_000), "expands to more than");
    fails(&[("A", &big), ("B", &"x*".repeat(100))], "${A##$B}", "too long for a value");
    fails(&[("A", &"a".repeat(4_000))], &format!("${{A//a/{}}}", "b".repeat(4_000)), "too long");
}

#[test]
fn a_variable_that_doubles_with_every_line_is_stopped() {
    let mut value = "x".to_owned();
    for _ in 0..64 {
        match with(&[("A", value.as_str())], |expander| expander.word("$A$A")) {
            Ok(doubled) => value = doubled,
            Err(error) => {
                assert!(error.reason.contains("expands to more than"), "{error}");
                return;
            }
        }
    }
    panic!("{} bytes", value.len());
}

proptest! {
    #[test]
    fn nothing_panics(text in "[${}:/#%?+\\-\\\\'\"<a-cA-C 0-9*\n]{0,60}") {
        with(&[("a", "abc"), ("b", ""), ("A", "a/b*c\nd")], |expander| {
            let word = expander.word(&text);
            let words = expander.words(&text);
            prop_assert_eq!(word.is_ok(), words.is_ok());
            drop((expander.body(&text), expander.display(&text)));
            Ok(())
        })?;
    }

    #[test]
    fn text_without_special_characters_is_itself(text in "[a-z0-9 /=.,]{0,60}") {
        let word = with(&[], |expander| expander.word(&text)).unwrap();
        prop_assert_eq!(word, text);
    }

    #[test]
    fn a_single_quoted_text_is_itself(text in "[^']{0,40}") {
        let word = with(&[("a", "x")], |expander| expander.word(&format!("'{text}'"))).unwrap();
        prop_assert_eq!(word, text);
    }
}
