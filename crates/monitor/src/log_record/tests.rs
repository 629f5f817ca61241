use super::*;
use proptest::prelude::*;

#[track_caller]
fn check_encode(text: &[u8], expected: &str) {
    let mut out = Vec::new();
    encode(&mut out, Stream::Stdout, text, "2026-01-02T03:04:05Z");
    let expected = format!(
        "{{\"log\":\"{expected}\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}}\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn records_are_dockers_byte_for_byte() {
    check_encode(b"hello\n", "hello\\n");
    check_encode(b"a\tb\r\n", "a\\u0009b\\r\\n");
    check_encode(
        b"<a href=\"x\">&\\</a>",
        "\\u003ca href=\\\"x\\\"\\u003e\\u0026\\\\\\u003c/a\\u003e",
    );
    check_encode(b"\x1b[31mred\x1b[0m\x00", "\\u001b[31mred\\u001b[0m\\u0000");
    check_encode("grüße 나루\n".as_bytes(), "grüße 나루\\n");
    check_encode("\u{2028}\u{2029}".as_bytes(), "\\u2028\\u2029");
    check_encode(b"\xff\xfeok\xc3", "\\ufffd\\ufffdok\\ufffd");
    // A truncated character of three bytes is two invalid bytes to Go.
    check_encode(b"\xeb\x82x", "\\ufffd\\ufffdx");
    check_encode(b"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd");
    check_encode(b"", "");
}

#[track_caller]
fn check_length(output: &[u8], end: bool, expected: Option<usize>) {
    assert_eq!(next_length(output, end), expected);
}

#[test]
fn output_is_cut_at_newlines_and_at_16_kib() {
    check_length(b"", false, None);
    check_length(b"", true, None);
    check_length(b"abc", false, None);
    check_length(b"abc", true, Some(3));
    check_length(b"abc\ndef", false, Some(4));
    check_length(b"\n\n", false, Some(1));
    let mut long = vec![b'x'; MAX_PIECE - 1];
    check_length(&long, false, None);
    long.push(b'x');
    check_length(&long, false, Some(MAX_PIECE));
    long.push(b'\n');
    check_length(&long, false, Some(MAX_PIECE + 1));
    long.insert(0, b'x');
    check_length(&long, false, Some(MAX_PIECE));
}

#[test]
fn a_piece_ends_between_characters() {
    let mut long = vec![b'x'; MAX_PIECE - 1];
    long.extend_from_slice("ü".repeat(10).as_bytes());
    check_length(&long, false, Some(MAX_PIECE - 1));
    let mut long = vec![b'x'; MAX_PIECE - 3];
    long.extend_from_slice("나루".as_bytes());
    check_length(&long, false, Some(MAX_PIECE));
    check_length(&vec![0x80; MAX_PIECE * 2], false, Some(MAX_PIECE));
}

#[test]
fn times_are_gos() {
    assert_eq!(format_time(0), "1970-01-01T00:00:00Z");
    assert_eq!(format_time(1_500_000_000), "1970-01-01T00:00:01.5Z");
    assert_eq!(format_time(1_000_000_001), "1970-01-01T00:00:01.000000001Z");
    assert_eq!(parse_time("1970-01-01T01:00:01.5+01:00"), Some(1_500_000_000));
    assert_eq!(parse_time("yesterday"), None);
}

#[test]
fn what_is_no_record_is_none() {
    for line in ["", "{", "null", "[]", "{\"log\":\"x\"}", "{\"log\":1,\"time\":\"x\"}"] {
        assert_eq!(decode(line.as_bytes()), None, "{line}");
    }
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(text: String, time in 0..i64::MAX / 2, error: bool) {
        let stream = if error { Stream::Stderr } else { Stream::Stdout };
        let mut out = Vec::new();
        encode(&mut out, stream, text.as_bytes(), &format_time(time));
        prop_assert_eq!(decode(&out), Some(Record { stream, text, time }));
    }

    #[test]
    fn any_bytes_make_one_line(bytes: Vec<u8>) {
        let mut out = Vec::new();
        encode(&mut out, Stream::Stdout, &bytes, &format_time(1));
        prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert!(decode(&out).is_some());
    }

    #[test]
    fn pieces_put_together_are_the_whole(
        lines in proptest::collection::vec((0usize..40_000, any::<bool>()), 0..8),
    ) {
        let mut output = Vec::new();
        for (length, newline) in lines {
            output.extend(std::iter::repeat_n("나".as_bytes(), length / 3).flatten());
            if newline { output.push(b'\n') }
        }
        let mut rest = output.as_slice();
        let mut whole = String::new();
        while let Some(length) = next_length(rest, true) {
            let (piece, after) = rest.split_at(length);
            prop_assert!(length > 0 && length <= MAX_PIECE + 1);
            whole.push_str(std::str::from_utf8(piece).unwrap());
            rest = after;
        }
        prop_assert_eq!(whole.as_bytes(), output.as_slice());
    }
}
