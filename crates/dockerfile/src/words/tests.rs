use super::{Json, json, pairs, split_blanks, split_first, split_quoted};
use crate::Escape;

#[test]
fn quotes_and_escapes_keep_blanks_together() {
    for (text, expected) in [
        ("foo", vec!["foo"]),
        ("foo bar", vec!["foo", "bar"]),
        ("foo\\ bar", vec!["foo\\ bar"]),
        ("foo=bar", vec!["foo=bar"]),
        ("foo bar 'abc xyz'", vec!["foo", "bar", "'abc xyz'"]),
        ("foo bar \"abc xyz\"", vec!["foo", "bar", "\"abc xyz\""]),
        ("àöû", vec!["àöû"]),
        ("föo bàr \"âbc xÿz\"", vec!["föo", "bàr", "\"âbc xÿz\""]),
        ("a=\"b\\\" c\" d", vec!["a=\"b\\\" c\"", "d"]),
        ("a='b\\' c", vec!["a='b\\'", "c"]),
        ("a=\\'b c", vec!["a=\\'b", "c"]),
        ("''", vec!["''"]),
        ("a\\", vec!["a"]),
        ("  ", vec![]),
    ] {
        assert_eq!(split_quoted(text, Escape::Backslash), expected, "{text}");
    }
    assert_eq!(split_quoted("a` b c\\ d", Escape::Backtick), ["a` b", "c\\", "d"]);
}

#[test]
fn blanks_part_words_and_line_ends_do_not() {
    assert_eq!(split_blanks("a \t b\u{b}c"), ["a", "b", "c"]);
    assert!(split_blanks("").is_empty());
    assert_eq!(split_first("RUN  a b"), ("RUN", Some("a b")));
    assert_eq!(split_first("RUN"), ("RUN", None));
}

#[test]
fn pairs_have_an_equals_sign_or_are_one_old_pair() {
    let read = |text| pairs(text, "ENV", Escape::Backslash);
    let pair = |k: &str, v: &str, d| (k.to_owned(), v.to_owned(), d);
    assert_eq!(read("foo bar"), Ok(vec![pair("foo", "bar", false)]));
    assert_eq!(read("foo bar  baz=1"), Ok(vec![pair("foo", "bar  baz=1", false)]));
    assert_eq!(
        read("foo=bar thing=\"a b\""),
        Ok(vec![pair("foo", "bar", true), pair("thing", "\"a b\"", true)])
    );
    assert_eq!(read("a=b=c"), Ok(vec![pair("a", "b=c", true)]));
    assert_eq!(read(""), Ok(vec![]));
    assert_eq!(read("foo"), Err("ENV must have two arguments".to_owned()));
    assert!(read("a=b c").unwrap_err().starts_with("Syntax error - can't find = in \"c\""));
}

#[test]
fn arrays_of_strings_are_arrays_of_strings() {
    for (text, expected) in [
        ("[]", vec![]),
        ("[\"\"]", vec![""]),
        ("[\"a\"]", vec!["a"]),
        ("[\"a\",\"b\"]", vec!["a", "b"]),
        ("[ \"a\", \"b\" ]", vec!["a", "b"]),
        ("\t[\t\"a\",\t\"b\"\t]\t", vec!["a", "b"]),
        (
            "[\"abc 123\", \"♥\", \"☃\", \"\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u0000\"]",
            vec!["abc 123", "♥", "☃", "\" \\ / \u{8} \u{c} \n \r \t \0"],
        ),
    ] {
        let Json::Strings(strings) = json(text) else { panic!("{text}") };
        assert_eq!(strings, expected, "{text}");
    }
    for inner in ["42", "123.456", "{}", "{\"c\": \"d\"}", "[\"c\"]", "true", "false", "null"] {
        let text = format!("[\"a\",{inner},\"b\"]");
        assert!(matches!(json(&text), Json::Mixed), "{text}");
    }
    for text in ["", "a", "{\"a\":1}", "['a']", "[\"a\"", "[\"a]", "[\"a\"] b"] {
        assert!(matches!(json(text), Json::None), "{text}");
    }
}
