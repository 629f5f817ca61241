//! Acts: places where a store cannot be: in use, read-only, full, of another version.

use super::*;
use naru_errdefs::{Failure, Kind};
use naru_kernel::mount as kernel_mount;

#[test]
fn a_store_in_use_names_its_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    let pid = std::process::id();
    assert_eq!(
        error.to_string(),
        format!("the data root `{}` is in use by process {pid}", dir.path().display())
    );
    assert!(error.hint().is_some());
    drop(store);
    open(dir.path());
}

#[test]
fn a_store_of_another_version_is_refused_by_name() {
    for (text, kind) in [
        ("naru-store 2\n", Kind::Unsupported),
        ("naru-store x\n", Kind::InvalidInput),
        ("something else\n", Kind::InvalidInput),
        ("", Kind::InvalidInput),
    ] {
        let dir = tempfile::tempdir().unwrap();
        naru_kernel::fs::write_atomic(&dir.path().join("version"), text.as_bytes(), 0o600).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), kind, "{text:?}: {error}");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "{text:?}: nothing is touched"
        );
    }
}

/// A tmpfs that goes away with the value.
struct Small(tempfile::TempDir);

impl Small {
    fn new(options: &str) -> Small {
        let dir = tempfile::tempdir().unwrap();
        kernel_mount::mount_at("tmpfs", "tmpfs", dir.path(), options).unwrap();
        Small(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        kernel_mount::detach(self.0.path()).unwrap();
    }
}

#[test]
fn a_read_only_root_is_refused_with_its_name() {
    let small = Small::new("size=1m,ro");
    let root = small.0.path();
    for root in [root.to_owned(), root.join("below")] {
        let error = Store::open(&root).unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
        assert_eq!(error.to_string(), format!("the data root `{}` is read-only", root.display()));
        assert!(error.hint().unwrap().contains("--data-root"));
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_half_is_left() {
    let small = Small::new("size=12m");
    let root = small.0.path();
    let store = open(root);
    let lease = store.leases.create(MINUTE);
    let table = store.records.table::<String>("things");
    table.put("before", &"kept".to_owned()).unwrap();

    let mut kept = Vec::new();
    let error = loop {
        let bytes = vec![u8::try_from(kept.len()).unwrap(); 1 << 20];
        match store.content.put(lease.id(), &bytes) {
            Ok(blob) => kept.push(blob),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
    assert!(error.hint().is_some());
    assert_eq!(store.content.list().unwrap().len(), kept.len());
    assert_eq!(leftovers(root), [""; 0]);

    // The room that is left goes to records, until there is none for them either.
    let mut rows = 0;
    let filler = root.join("filler");
    let mut file = naru_kernel::fs::create_new(&filler, 0o600).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let error = loop {
        match table.put(&format!("row{rows}"), &"x".repeat(2000)) {
            Ok(()) => rows += 1,
            Err(error) => break error,
        }
        assert!(rows < 10_000);
    };
    assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
    assert_eq!(table.get("before").unwrap().as_deref(), Some("kept"));
    assert_eq!(table.list().unwrap().len(), rows + 1);
    assert_eq!(table.get(&format!("row{rows}")).unwrap(), None);

    // With room again, everything goes on, without a restart.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    drop(lease);
    assert_eq!(store.collect().unwrap().blobs.len(), kept.len());
    store.settle();
    table.put("after", &"new".to_owned()).unwrap();
    assert_whole(&store);
    drop((store, table));
    let store = open(root);
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    let table = store.records.table::<String>("things");
    assert_eq!(table.list().unwrap().len(), rows + 2);
}

/// The database's own file cannot grow: what was refused is not there, neither now nor after a restart.
#[test]
fn a_disk_that_fills_under_the_database_takes_nothing_back() {
    let small = Small::new("size=5m");
    let root = small.0.path();
    let store = open(root);
    let table = store.records.table::<String>("things");
    let mut rows = 0;
    let error = loop {
        // Rows that cannot be squeezed and do not overwrite each other.
        match table.put(&format!("row{rows}"), &format!("{rows}").repeat(3000)) {
            Ok(()) => rows += 1,
            Err(error) => break error,
        }
        assert!(rows < 10_000);
    };
    assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
    let keys: Vec<String> = table.list().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys.len(), rows);
    for key in keys.iter().take(rows / 2) {
        // A removal may be refused as well; it is never half done.
        drop(table.remove(key));
    }
    let left = table.list().unwrap();
    drop((store, table));
    let store = open(root);
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert_eq!(store.records.table::<String>("things").list().unwrap(), left);
}
