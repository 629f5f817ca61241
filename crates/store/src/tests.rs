//! Acts: the store as a whole, on real directories.

use super::*;
use naru_oci::{ChainId, DiffId, Digest};
use std::io::Write;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn open(root: &Path) -> Store {
    Store::open(root).unwrap()
}

#[test]
fn a_blob_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let mut ingest = store.content.ingest(lease.id()).unwrap();
    ingest.write_all(b"hello").unwrap();
    let blob = ingest.commit(Some(Digest::of(b"hello"))).unwrap();
    drop(lease);
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.content.read(&blob.digest, 100).unwrap(), b"hello");
    assert!(store.notices().is_empty(), "{:?}", store.notices());
}

#[test]
fn timings() {
    let dir = tempfile::tempdir_in("/work/tmp-store").unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let chain = ChainId::first(DiffId(Digest::of(b"x")));
    let Begin::Pending(pending) = store.snapshots.begin(chain, None, lease.id()).unwrap() else {
        panic!()
    };
    let start = std::time::Instant::now();
    pending.commit(0).unwrap();
    eprintln!("commit snapshot {:?}", start.elapsed());
    let table = store.records.table::<serde_json::Value>("containers");
    let n = 200;
    let measure = |name: &str, f: &dyn Fn(u32)| {
        let mut times = Vec::new();
        for i in 0..n {
            let start = std::time::Instant::now();
            f(i);
            times.push(start.elapsed());
        }
        times.sort();
        eprintln!("{name}: p50 {:?} p90 {:?} p99 {:?}", times[100], times[180], times[198]);
    };
    let value = serde_json::json!({"a": "b".repeat(3000)});
    measure("put", &|i| table.put(&i.to_string(), &value).unwrap());
    measure("put_volatile", &|i| table.put_volatile(&i.to_string(), &value).unwrap());
    measure("prepare", &|i| drop(store.snapshots.prepare(&i.to_string(), Some(chain)).unwrap()));
    measure("remove", &|i| store.snapshots.remove(&i.to_string()).unwrap());
    measure("prepare_volatile", &|i| {
        drop(store.snapshots.prepare_volatile(&i.to_string(), Some(chain)).unwrap())
    });
    measure("remove_volatile", &|i| store.snapshots.remove_volatile(&i.to_string()).unwrap());
    measure("prepare+put one batch", &|i| {
        let mut b = Batch::new();
        let p = store.snapshots.prepare_in(&mut b, &format!("k{i}"), Some(chain)).unwrap();
        b.put_record(&table, &format!("k{i}"), &value);
        store.commit(b).unwrap();
        drop(p.keep());
    });
    let f = std::fs::File::create(dir.path().join("x")).unwrap();
    measure("bare write+fdatasync", &|_| {
        (&f).write_all(&[0; 3000]).unwrap();
        f.sync_data().unwrap();
    });
    let start = std::time::Instant::now();
    drop(lease);
    drop(table);
    drop(store);
    eprintln!("close {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let s = open(dir.path());
    eprintln!("open {:?}", start.elapsed());
    drop(s);
}
