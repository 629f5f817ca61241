use super::*;

fn entry(address: &str, names: &[&str]) -> Entry {
    Entry {
        address: address.parse().unwrap(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn a_whole_file() {
    let address = |text: &str| text.parse().unwrap();
    let mut entries = extra("db:10.0.0.9", &[]).unwrap();
    entries.extend(extra("six=[::5]", &[]).unwrap());
    entries
        .extend(extra("host:host-gateway", &[address("172.17.0.1"), address("fd00::1")]).unwrap());
    entries.push(Entry::link(address("172.17.0.2"), "web", "4f5e6d7c8b9a", "frontend"));
    entries.push(Entry::own(address("172.17.0.3"), "box", "lan"));
    entries.push(Entry::own(address("fd00::3"), "box", ""));
    assert_eq!(
        text(&entries),
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n\
         10.0.0.9\tdb\n\
         ::5\tsix\n\
         172.17.0.1\thost\n\
         fd00::1\thost\n\
         172.17.0.2\tweb 4f5e6d7c8b9a frontend\n\
         172.17.0.3\tbox.lan box\n\
         fd00::3\tbox\n"
    );
    assert_eq!(below("127.0.0.1 x", &[entry("::5", &["six"])]), "127.0.0.1 x\n::5\tsix\n");
}

#[test]
fn names_are_not_repeated() {
    let address = "10.0.0.1".parse().unwrap();
    assert_eq!(Entry::link(address, "db", "id", "db").names, ["db", "id"]);
    assert_eq!(Entry::own(address, "box.lan", "").names, ["box.lan", "box"]);
    assert_eq!(Entry::own(address, "box.a", "lan").names, ["box.a.lan", "box"]);
    assert_eq!(Entry::own(address, "box", "").names, ["box"]);
}

#[test]
fn bad_extras_are_refused_in_dockers_words() {
    let check = |entry: &str, message: &str| {
        assert_eq!(extra(entry, &[]).unwrap_err().to_string(), message, "{entry}");
    };
    check("db", "bad format for add-host: \"db\"");
    check(":1.2.3.4", "bad format for add-host: \":1.2.3.4\"");
    check("a b:1.2.3.4", "bad format for add-host: \"a b:1.2.3.4\"");
    check("a\nb:1.2.3.4", "bad format for add-host: \"a\nb:1.2.3.4\"");
    check("a:1.2.3.4\n5.6.7.8 b", "invalid IP address in add-host: \"1.2.3.4\n5.6.7.8 b\"");
    check("db:1.2.3", "invalid IP address in add-host: \"1.2.3\"");
    check("db:host-gateway", "unable to derive the IP value for host-gateway");
}

fn updated(current: &str, before: &[Entry], after: &[Entry], expected: &str) {
    assert_eq!(update(current, before, after), expected);
}

#[test]
fn an_update_leaves_what_is_not_ours() {
    let (a, b, c) =
        (entry("10.0.0.1", &["a"]), entry("10.0.0.2", &["b"]), entry("10.0.0.3", &["c"]));
    let all = |entries: &[&Entry]| entries.iter().copied().cloned().collect::<Vec<_>>();
    let file = "127.0.0.1\tlocalhost\n10.0.0.1\ta\n9.9.9.9 mine\n";
    updated(file, &all(&[&a]), &all(&[&b]), "127.0.0.1\tlocalhost\n10.0.0.2\tb\n9.9.9.9 mine\n");
    updated(
        file,
        &all(&[&a]),
        &all(&[&a, &b]),
        "127.0.0.1\tlocalhost\n10.0.0.1\ta\n10.0.0.2\tb\n9.9.9.9 mine\n",
    );
    updated(file, &all(&[&a]), &[], "127.0.0.1\tlocalhost\n9.9.9.9 mine\n");
    updated(
        file,
        &[],
        &all(&[&c]),
        "127.0.0.1\tlocalhost\n10.0.0.1\ta\n9.9.9.9 mine\n10.0.0.3\tc\n",
    );
    updated(file, &all(&[&a]), &all(&[&a]), file);
    // What a container has removed of ours stays removed, and its line without an end is not joined.
    updated("x", &all(&[&a]), &all(&[&a, &b]), "x\n10.0.0.2\tb\n");
    updated("", &[], &all(&[&a]), "10.0.0.1\ta\n");
    // A copy that the container made of our line is its own.
    let twice = "10.0.0.1\ta\n10.0.0.1\ta\n";
    updated(twice, &all(&[&a]), &[], "10.0.0.1\ta\n");
}

proptest::proptest! {
    #[test]
    fn there_and_back_is_where_it_was(
        before in proptest::collection::vec((0_u8..4, "[a-c]"), 0..4),
        after in proptest::collection::vec((0_u8..4, "[a-c]"), 0..4),
    ) {
        let entries = |list: &[(u8, String)]| -> Vec<Entry> {
            list.iter().map(|(last, name)| entry(&format!("10.0.0.{last}"), &[name])).collect()
        };
        let (before, after) = (entries(&before), entries(&after));
        let file = format!("# mine\n{}1.1.1.1 more\n", below("", &before));
        let changed = update(&file, &before, &after);
        let sorted = |text: &str| { let mut lines: Vec<_> = text.lines().map(str::to_owned).collect(); lines.sort(); lines };
        let expected = format!("# mine\n{}1.1.1.1 more\n", below("", &after));
        proptest::prop_assert_eq!(sorted(&changed), sorted(&expected));
        proptest::prop_assert!(changed.starts_with("# mine\n"));
        let back = update(&changed, &after, &before);
        proptest::prop_assert_eq!(sorted(&back), sorted(&file));
    }
}
