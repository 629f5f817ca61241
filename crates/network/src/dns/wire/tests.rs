use super::*;

fn message(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [0x1234, flags, counts[0], counts[1], counts[2], counts[3]] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(rest);
    message
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut name = Vec::new();
    for label in labels {
        name.push(u8::try_from(label.len()).unwrap());
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    name
}

fn question(labels: &[&str]) -> Vec<u8> {
    [name(labels).as_slice(), &[0, 1, 0, 1]].concat()
}

#[test]
fn hostile_messages_are_refused() {
    let nothing = |bytes: &[u8]| assert!(matches!(receive(bytes), Received::Nothing), "{bytes:?}");
    let refused = |bytes: &[u8], code: Rcode| match receive(bytes) {
        Received::Refused(refusal) => assert_eq!((refusal.id, refusal.rcode), (0x1234, code)),
        other => panic!("{other:?} for {bytes:?}"),
    };
    let good = question(&["web"]);
    nothing(&[]);
    nothing(&message(0, [1, 0, 0, 0], &good)[..11]);
    nothing(&message(0x8000, [1, 0, 0, 0], &good));
    nothing(&message(0xa800, [1, 0, 0, 0], &good));
    for opcode in 1..16 {
        refused(&message(opcode << 11, [1, 0, 0, 0], &good), Rcode::NotImp);
    }
    refused(&message(0, [0, 0, 0, 0], &[]), Rcode::FormErr);
    refused(&message(0, [2, 0, 0, 0], &[good.clone(), good.clone()].concat()), Rcode::FormErr);
    refused(&message(0, [1, 1, 0, 0], &good), Rcode::FormErr);
    refused(&message(0, [1, 0, 0, 1], &good), Rcode::FormErr);
    refused(&message(0, [1, 0, 0, 65535], &good), Rcode::FormErr);
    refused(&message(0, [1, 0, 0, 0], &good[..good.len() - 1]), Rcode::FormErr);
    // A pointer to itself, to the header, forward; a label of an unknown sort.
    for pointer in [[0xc0, 0x0c], [0xc0, 0x00], [0xff, 0xff], [0x40, 0x01], [0x80, 0x01]] {
        refused(&message(0, [1, 0, 0, 0], &[&pointer[..], &[0, 1, 0, 1]].concat()), Rcode::FormErr);
    }
    let long = &*"a".repeat(63);
    refused(&message(0, [1, 0, 0, 0], &question(&[long; 4])), Rcode::FormErr);
    refused(
        &message(
            0,
            [1, 0, 0, 0],
            &question(&[long, long, long, long, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
        ),
        Rcode::FormErr,
    );
    let longest = question(&[long, long, long, &"a".repeat(61)]);
    assert!(matches!(receive(&message(0, [1, 0, 0, 0], &longest)), Received::Query(_)));
    // Two sets of abilities.
    let opt = [0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0];
    refused(&message(0, [1, 0, 0, 2], &[&good[..], &opt, &opt].concat()), Rcode::FormErr);
    // A name in a record whose pointers go round.
    let round = [0xc0, 21, 0xc0, 19, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    refused(&message(0, [1, 0, 0, 1], &[&good[..], &round].concat()), Rcode::FormErr);
}

#[test]
fn odd_names_are_no_names_of_ours() {
    let text = |labels: &[&str]| {
        let bytes = message(0, [1, 0, 0, 0], &question(labels));
        let Received::Query(query) = receive(&bytes) else { panic!("{labels:?}") };
        let mut text = "old".to_owned();
        query.name(&mut text).then_some(text)
    };
    assert_eq!(text(&["Web", "NET_1"]).unwrap(), "web.net_1");
    assert_eq!(text(&[]).unwrap(), "");
    for label in ["a.b", "a b", "a\0", "ä", "a\n"] {
        assert_eq!(text(&[label, "net"]), None, "{label:?}");
    }
}

#[test]
fn only_the_answer_to_the_question_counts() {
    let sent = message(0x0100, [1, 0, 0, 0], &question(&["web"]));
    let check = |flags: u16, counts: [u16; 4], rest: &[u8], expected: Match| {
        let answer = message(flags, counts, rest);
        assert_eq!(matches(&answer, &sent, 0x1234), expected, "{answer:?}");
        assert_eq!(matches(&answer, &sent, 0x1235), Match::Foreign);
    };
    let good = question(&["wEb"]);
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4];
    check(0x8180, [1, 1, 0, 0], &[&good[..], &record].concat(), Match::Answer);
    check(0x8183, [1, 0, 0, 0], &good, Match::Answer);
    check(0x8380, [1, 0, 0, 0], &good, Match::Truncated);
    check(0x8182, [1, 0, 0, 0], &good, Match::Failed);
    check(0x8185, [1, 0, 0, 0], &good, Match::Failed);
    check(0x8181, [0, 0, 0, 0], &[], Match::Failed);
    check(0x8180, [1, 1, 0, 0], &good, Match::Failed);
    check(0x8180, [1, 1, 0, 0], &[&good[..], &record[..15]].concat(), Match::Failed);
    check(0x8180, [0, 0, 0, 0], &[], Match::Foreign);
    check(0x0100, [1, 0, 0, 0], &good, Match::Foreign);
    check(0xa180, [1, 0, 0, 0], &good, Match::Foreign);
    check(0x8180, [1, 0, 0, 0], &question(&["wec"]), Match::Foreign);
    check(0x8180, [1, 0, 0, 0], &question(&["web", "x"]), Match::Foreign);
    check(0x8180, [1, 0, 0, 0], &[&name(&["web"])[..], &[0, 28, 0, 1]].concat(), Match::Foreign);
    check(0x8180, [1, 0, 0, 0], &[&name(&["web"])[..], &[0, 1, 0, 3]].concat(), Match::Foreign);
    assert_eq!(matches(&[0x12, 0x34, 0x80], &sent, 0x1234), Match::Foreign);
}
