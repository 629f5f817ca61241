use super::*;

#[test]
fn addresses_are_read_backwards() {
    let check = |name: &str, expected: Option<&str>| {
        assert_eq!(reversed(name), expected.map(|address| address.parse().unwrap()), "{name}");
    };
    let six = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
    check("4.3.2.1.in-addr.arpa", Some("1.2.3.4"));
    check("0.0.0.10.in-addr.arpa", Some("10.0.0.0"));
    check(&six, Some("2001:db8::1"));
    for name in [
        "3.2.1.in-addr.arpa",
        "5.4.3.2.1.in-addr.arpa",
        "256.3.2.1.in-addr.arpa",
        "04.3.2.1.in-addr.arpa",
        "+4.3.2.1.in-addr.arpa",
        "4.3.2.1.in-addr.arpa.lan",
        "in-addr.arpa",
        "0.1.ip6.arpa",
        &format!("00.{six}"),
        &six.replace('8', "g"),
    ] {
        check(name, None);
    }
}
