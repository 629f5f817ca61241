use super::*;

#[test]
fn limits_and_their_absence() {
    for (text, expected) in [
        ("1048576\n", Some(1_048_576)),
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("", None),
    ] {
        assert_eq!(limit(text), expected, "{text:?}");
    }
}

#[test]
fn rows_of_numbers() {
    let text = "anon 4096\nfile 12\nodd\nbad x\n";
    assert_eq!(
        fields(text).into_iter().collect::<Vec<_>>(),
        [("anon".into(), 4096), ("file".into(), 12)]
    );
    assert_eq!(field(text, "file"), 12);
    assert_eq!(field(text, "fil"), 0);
    assert_eq!(numbers("12 34 \n"), [12, 34]);
    assert_eq!(number("x"), 0);
}

#[test]
fn processor_time_of_the_unified_hierarchy_is_in_microseconds() {
    let stats = cpu_unified(
        "usage_usec 10\nuser_usec 6\nsystem_usec 4\nnr_periods 3\nnr_throttled 2\nthrottled_usec 7\n",
    );
    assert_eq!((stats.total, stats.user, stats.system), (10_000, 6_000, 4_000));
    assert_eq!((stats.periods, stats.throttled_periods, stats.throttled), (3, 2, 7_000));
}

#[test]
fn block_devices_of_both() {
    let v1 = blkio("8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n");
    assert_eq!(v1.len(), 3);
    assert_eq!(v1[0], BlkioEntry { major: 8, minor: 0, op: "Read".into(), value: 4096 });
    let v2 = blkio_unified("8:0 rbytes=4096 wbytes=1 rios=2 wios=3 dbytes=0 dios=0\n253:1\n\n");
    let row = |list: &[BlkioEntry]| {
        list.iter().map(|one| format!("{} {}", one.op, one.value)).collect::<Vec<_>>()
    };
    assert_eq!(row(&v2.bytes), ["read 4096", "write 1"]);
    assert_eq!(row(&v2.operations), ["read 2", "write 3"]);
}
