use super::*;

const USUAL: &str = r#"{"devices": [
    {"allow": false, "access": "rwm"},
    {"allow": true, "type": "c", "access": "m"},
    {"allow": true, "type": "b", "access": "m"},
    {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}EXTRA]}"#;

fn check(guarded: &Guarded, script: &str, succeeds: bool) {
    let mut running = guarded.run(&format!("({script}) >/dev/null 2>&1"));
    assert_eq!(running.wait().success(), succeeds, "{script}");
}

#[test]
fn only_the_devices_that_are_allowed_can_be_used() {
    for host in hosts() {
        let mut guarded = Guarded::new(&host, &USUAL.replace("EXTRA", ""));
        check(&guarded, "echo > /dev/null", true);
        check(&guarded, "head -c 1 /dev/zero", false);
        let node = std::env::temp_dir().join(format!("naru-node-{}", std::process::id()));
        let node = node.display();
        check(&guarded, &format!("mknod {node} c 1 5"), true);
        check(&guarded, &format!("head -c 1 {node}"), false);
        check(&guarded, &format!("rm {node}"), true);
        // One more, while the others stay.
        let more = r#", {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"}"#;
        guarded.cgroup.update(&resources(&USUAL.replace("EXTRA", more))).unwrap();
        check(&guarded, "head -c 1 /dev/zero", true);
        check(&guarded, "echo > /dev/zero", false);
        check(&guarded, "echo > /dev/null", true);
        // And gone again.
        guarded.cgroup.update(&resources(&USUAL.replace("EXTRA", ""))).unwrap();
        check(&guarded, "head -c 1 /dev/zero", false);
        check(&guarded, "echo > /dev/null", true);
    }
}

#[test]
fn everything_is_allowed_when_the_rules_say_so() {
    for host in hosts() {
        let guarded = Guarded::new(&host, r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
        check(&guarded, "head -c 1 /dev/zero > /dev/null", true);
    }
}
