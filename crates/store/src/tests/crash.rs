//! Acts: the process is killed at every failpoint, every time it passes there; afterwards the store shows what was
//! acknowledged, at most the change that was under way besides, and is whole and clean.

use super::scenario::{live, visible};
use super::*;
use std::process::{Command, Stdio};

const ROOT: &str = "NARU_CRASH_ROOT";

/// The child: lives in the store of the given root and says what is acknowledged. Alone, it has nothing to do.
#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = open(Path::new(&root));
    live(&store, &mut || println!("acknowledged"));
    println!("alive");
}

/// What can be seen before the first and after every step.
fn stages() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut stages = vec![visible(&store)];
    live(&store, &mut || stages.push(visible(&store)));
    stages
}

fn check(failpoints: &[&str]) {
    let stages = stages();
    for failpoint in failpoints {
        let mut passes = 0;
        for hit in 1.. {
            let dir = tempfile::tempdir().unwrap();
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "tests::crash::child", "--nocapture", "--test-threads=1"])
                .env(ROOT, dir.path())
                .env(naru_kernel::failpoint::VARIABLE, format!("{failpoint}:{hit}"))
                .stderr(Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            if text.contains("alive") {
                break;
            }
            passes += 1;
            let acknowledged = text.matches("acknowledged").count();
            let store = open(dir.path());
            assert!(store.notices().is_empty(), "{failpoint}:{hit}: {:?}", store.notices());
            let found = visible(&store);
            // One call may make several blobs durable; they are seen one by one.
            let (before, after) = (&stages[acknowledged], stages.get(acknowledged + 1));
            let is_between = after.is_some_and(|after| {
                let lines = |text: &str| {
                    text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
                };
                let (before, found, after) = (lines(before), lines(&found), lines(after));
                before.intersection(&after).all(|line| found.contains(line))
                    && found.iter().all(|line| before.contains(line) || after.contains(line))
            });
            assert!(
                is_between,
                "{failpoint}:{hit}, {acknowledged} acknowledged:\n{found}\n--- before\n{before}\n--- after\n{after:?}"
            );
            assert_whole(&store);
            store.collect().unwrap();
            assert_whole(&store);
            store.settle();
            assert_eq!(leftovers(dir.path()), [""; 0], "{failpoint}:{hit}");
            drop(store);
            let store = open(dir.path());
            assert!(store.notices().is_empty(), "{failpoint}:{hit}: {:?}", store.notices());
        }
        assert!(passes > 0, "nothing passes `{failpoint}`");
    }
}

#[test]
fn killed_before_the_database_has_it() {
    check(&["journal.before-batch", "journal.before-flush"]);
}

#[test]
fn killed_while_the_database_is_made_durable() {
    check(&["journal.before-sync", "journal.before-copies"]);
}

#[test]
fn killed_before_the_answer() {
    check(&["journal.before-answer"]);
}

#[test]
fn killed_while_a_blob_is_committed() {
    check(&[
        "ingest.before-sync",
        "ingest.before-rename",
        "ingest.before-directory-sync",
        "ingest.before-row",
        "ingest.after-row",
    ]);
}

#[test]
fn killed_while_a_snapshot_is_committed() {
    check(&[
        "snapshot.before-sync",
        "snapshot.before-rename",
        "snapshot.before-directory-sync",
        "snapshot.before-row",
        "snapshot.after-row",
    ]);
}

#[test]
fn killed_while_a_container_gets_or_loses_its_layer_or_things_are_collected() {
    check(&[
        "snapshot.before-active-row",
        "snapshot.after-active-row",
        "snapshot.before-discard",
        "gc.before-rows",
        "gc.before-files",
    ]);
}
