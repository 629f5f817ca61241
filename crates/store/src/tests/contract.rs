//! Acts: what each handle promises.

use super::*;
use naru_oci::Algorithm;
use proptest::prelude::*;

#[test]
fn a_blob_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let mut ingest = store.content.ingest(lease.id()).unwrap();
    ingest.write_all(b"hello").unwrap();
    let blob = ingest.commit(Some(Digest::of(b"hello"))).unwrap();
    drop((lease, store));
    let store = open(dir.path());
    assert_eq!(store.content.read(&blob.digest, 100).unwrap(), b"hello");
    assert!(matches!(store.content.read(&blob.digest, 4), Err(StoreError::TooLarge { .. })));
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert_whole(&store);
}

#[test]
fn bytes_with_another_digest_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let mut ingest = store.content.ingest(lease.id()).unwrap();
    ingest.write_all(b"other").unwrap();
    let error = ingest.commit(Some(Digest::of(b"hello"))).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    drop(store.content.ingest(lease.id()).unwrap());
    assert!(!store.content.has(&Digest::of(b"other")));
    assert_eq!(leftovers(dir.path()), [""; 0]);
    assert_whole(&store);
}

#[test]
fn a_blob_that_comes_twice_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (store, lease) = (store.clone(), *lease.id());
            std::thread::spawn(move || store.content.put(&lease, b"same").unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap().digest, Digest::of(b"same"));
    }
    assert_eq!(store.content.list().unwrap().len(), 1);
    assert_whole(&store);
}

#[test]
fn an_interrupted_blob_goes_on_where_it_stopped_even_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let digest = Digest::of(b"hello world");
    let store = open(dir.path());
    let kept = store.leases.keep("pull-1", MINUTE).unwrap();
    let mut ingest = store.content.resume(&kept, &digest).unwrap();
    ingest.write_all(b"hello ").unwrap();
    assert!(matches!(store.content.resume(&kept, &digest), Err(StoreError::Busy { .. })));
    drop(ingest);
    drop(store);
    let store = open(dir.path());
    let kept = store.leases.keep("pull-1", MINUTE).unwrap();
    let mut ingest = store.content.resume(&kept, &digest).unwrap();
    assert_eq!(ingest.offset(), 6);
    ingest.write_all(b"world").unwrap();
    ingest.commit(None).unwrap();
    store.collect().unwrap();
    assert!(store.content.has(&digest), "the kept lease holds it");
    store.leases.release("pull-1").unwrap();
    store.collect().unwrap();
    assert!(!store.content.has(&digest));
    assert_whole(&store);
}

#[test]
fn bytes_of_a_resumed_blob_that_are_wrong_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let digest = Digest::of(b"right");
    let mut ingest = store.content.resume(lease.id(), &digest).unwrap();
    ingest.write_all(b"wrong").unwrap();
    assert!(matches!(ingest.commit(None), Err(StoreError::Mismatch { .. })));
    assert_eq!(store.content.resume(lease.id(), &digest).unwrap().offset(), 0);
}

#[test]
fn a_blob_by_sha512_is_hashed_as_promised() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let mut digester = naru_oci::Digester::new(Algorithm::Sha512);
    digester.update(b"long");
    let digest = digester.finish();
    let mut ingest = store.content.ingest(lease.id()).unwrap();
    ingest.write_all(b"long").unwrap();
    assert_eq!(ingest.commit(Some(digest)).unwrap().digest, digest);
    assert_whole(&store);
}

#[test]
fn layers_are_stacked_top_first_and_an_empty_image_has_a_layer_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1", "b=2"]);
    let mount = store.snapshots.prepare("c", record.chain).unwrap();
    assert_eq!(mount.lower.len(), 2);
    let files = |index: usize| mount.base.join(&mount.lower[index]);
    assert!(files(0).join("b").exists() && files(1).join("a").exists());
    assert!(mount.base.join(&mount.upper).is_dir() && mount.base.join(&mount.work).is_dir());
    assert_eq!(store.snapshots.mount("c").unwrap(), mount);
    let empty = store.snapshots.prepare("d", None).unwrap();
    assert_eq!(empty.lower.len(), 1);
    assert!(empty.base.join(&empty.lower[0]).is_dir());
    assert!(matches!(store.snapshots.prepare("c", None), Err(StoreError::Taken { .. })));
    let unknown = ChainId(Digest::of(b"?"));
    assert!(matches!(
        store.snapshots.prepare("e", Some(unknown)),
        Err(StoreError::NoSnapshot { .. })
    ));
    store.snapshots.remove("c").unwrap();
    store.snapshots.remove("d").unwrap();
    store.settle();
    assert_eq!(leftovers(dir.path()), [""; 0]);
    assert_whole(&store);
}

#[test]
fn directories_wait_for_the_next_containers_and_go_with_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let there = || {
        let entries = std::fs::read_dir(dir.path().join("snapshots")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.parse::<u64>().is_ok()).collect::<std::collections::BTreeSet<_>>()
    };
    store.snapshots.prepare_volatile("a", None).unwrap();
    store.settle();
    let waiting = there();
    assert_eq!(waiting.len(), 3, "one that is used, two that wait: {waiting:?}");
    assert_whole(&store);
    let mount = store.snapshots.prepare("b", None).unwrap();
    let place = mount.upper.parent().unwrap().display().to_string();
    assert!(waiting.contains(&place), "{place} is one of {waiting:?}");
    assert!(mount.base.join(&mount.upper).is_dir() && mount.base.join(&mount.work).is_dir());
    // What cannot be made takes none away.
    assert!(store.snapshots.prepare("b", None).is_err());
    assert!(store.snapshots.prepare("c", Some(ChainId(Digest::of(b"?")))).is_err());
    store.settle();
    assert_eq!(there().len(), 3, "one is enough for the next");
    store.snapshots.prepare("d", None).unwrap();
    store.settle();
    assert_eq!(there().len(), 5);
    store.snapshots.prepare("e", None).unwrap();
    store.snapshots.remove("d").unwrap();
    store.settle();
    assert_eq!(there().len(), 5, "what goes makes room for the next");
    store.snapshots.remove("e").unwrap();
    drop(store);
    assert_eq!(there().len(), 2, "only those that are used are left");
    let store = open(dir.path());
    assert_eq!(store.snapshots.mount("b").unwrap(), mount);
    assert_whole(&store);
}

#[test]
fn the_root_of_a_container_looks_like_the_root_of_the_image() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let chain = ChainId(Digest::of(b"layer"));
    let Begin::Pending(pending) = store.snapshots.begin(chain, None, lease.id()).unwrap() else {
        panic!("it is there already");
    };
    std::os::unix::fs::chown(pending.dir(), Some(7), Some(8)).unwrap();
    std::fs::set_permissions(pending.dir(), PermissionsExt::from_mode(0o1770)).unwrap();
    pending.commit(0).unwrap();
    // The first is made, the second has waited.
    for key in ["c", "d"] {
        let mount = store.snapshots.prepare(key, Some(chain)).unwrap();
        let root = std::fs::metadata(mount.base.join(mount.upper)).unwrap();
        assert_eq!((root.mode() & 0o7777, root.uid(), root.gid()), (0o1770, 7, 8), "{key}");
        store.settle();
    }
}

#[test]
fn a_layer_that_two_unpack_at_once_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let chain = ChainId(Digest::of(b"layer"));
    let pending: Vec<Pending> = (0..2)
        .map(|_| match store.snapshots.begin(chain, None, lease.id()).unwrap() {
            Begin::Pending(pending) => pending,
            Begin::AlreadyThere => panic!("it is there already"),
        })
        .collect();
    let threads: Vec<_> = pending
        .into_iter()
        .map(|pending| std::thread::spawn(|| pending.commit(1).unwrap()))
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(matches!(store.snapshots.begin(chain, None, lease.id()).unwrap(), Begin::AlreadyThere));
    assert_eq!(store.snapshots.list().unwrap().len(), 1);
    store.settle();
    assert_eq!(leftovers(dir.path()), [""; 0]);
    assert_whole(&store);
}

#[test]
fn a_name_moves_and_the_image_it_leaves_stays_without() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = image(&store, "x:1", &["a=1"]);
    let second = image(&store, "x:1", &["a=2"]);
    assert_eq!(store.images.get(&name("x:1")).unwrap().unwrap(), second);
    let left = store.images.by_id(&first.image_id).unwrap().unwrap();
    assert!(left.names.is_empty());
    store.images.tag(&name("y"), &first.image_id).unwrap();
    assert_eq!(store.images.resolve("y").unwrap().id(), first.image_id);
    store.images.remove(&name("y")).unwrap();
    assert!(matches!(store.images.remove(&name("y")), Err(StoreError::Absent { .. })));
    store.images.remove_image(&second.image_id).unwrap();
    let gone = ImageId(second.image_id.0);
    assert!(matches!(store.images.tag(&name("z"), &gone), Err(StoreError::Absent { .. })));
    drop(store);
    let store = open(dir.path());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert_eq!(store.images.list().unwrap().len(), 1);
    assert_whole(&store);
}

#[test]
fn an_image_is_found_by_name_id_and_the_first_digits_of_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let records: Vec<ImageRecord> = (0..20)
        .map(|number| image(&store, &format!("x:{number}"), &[&format!("a={number}")]))
        .collect();
    let wanted = &records[3];
    let hex = wanted.image_id.0.hex();
    for text in [
        "x:3",
        "docker.io/library/x:3",
        &hex,
        &hex[..16],
        &wanted.image_id.to_string(),
        &format!("sha256:{}", &hex[..20]),
    ] {
        assert_eq!(store.images.resolve(text).unwrap().id(), wanted.image_id, "{text}");
    }
    for text in ["x", "y", "x:99", "sha256:0000", "zzz"] {
        assert!(matches!(store.images.resolve(text), Err(ResolveError::Unknown { .. })), "{text}");
    }
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    for record in &records {
        *first.entry(record.image_id.0.hex()[..1].to_owned()).or_default() += 1;
    }
    // Twenty IDs and sixteen digits: two begin alike.
    let (digit, _) = first.iter().find(|(_, count)| **count > 1).unwrap();
    assert!(matches!(store.images.resolve(digit), Err(ResolveError::Ambiguous { .. })), "{digit}");
    assert!(matches!(store.images.resolve("X"), Err(ResolveError::Format(_))));
}

#[test]
fn records_are_typed_versioned_and_together_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let table = store.records.table::<BTreeMap<String, u32>>("things");
    let one = BTreeMap::from([("old".to_owned(), 1)]);
    table.put("a", &one).unwrap();
    assert_eq!(table.get("a").unwrap(), Some(one.clone()));
    let newer = store.records.versioned::<BTreeMap<String, u32>>("things", 2, |_, mut value| {
        if let Some(map) = value.as_object_mut()
            && let Some(old) = map.remove("old")
        {
            map.insert("new".to_owned(), old);
        }
        value
    });
    assert_eq!(newer.get("a").unwrap(), Some(BTreeMap::from([("new".to_owned(), 1)])));
    newer.put("b", &BTreeMap::new()).unwrap();
    let error = table.get("b").unwrap_err();
    assert!(matches!(error, StoreError::Row { source: RowError::Newer { .. }, .. }), "{error}");
    let mut batch = Batch::new();
    batch.put_record(&table, "c", &one);
    batch.remove_name(&name("nobody"));
    assert!(matches!(store.commit(batch), Err(StoreError::Absent { .. })));
    assert_eq!(table.get("c").unwrap(), None);
    assert!(table.remove("a").unwrap() && !table.remove("a").unwrap());
}

#[test]
fn a_value_larger_than_a_page_survives_and_its_file_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let table = store.records.table::<String>("things");
    let long = "x".repeat(300_000);
    table.put("a", &long).unwrap();
    drop((store, table));
    let store = open(dir.path());
    let table = store.records.table::<String>("things");
    assert_eq!(table.get("a").unwrap(), Some(long));
    let count = || std::fs::read_dir(dir.path().join("spill")).unwrap().count();
    assert_eq!(count(), 1);
    table.put("a", &"short".to_owned()).unwrap();
    assert_eq!(count(), 0);
    assert_eq!(std::fs::read_dir(dir.path().join("db/blobs")).unwrap().count(), 0);
}

/// sled does not sync the files into which it moves large pages, so there must never be one.
#[test]
fn no_page_of_the_database_grows_into_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let table = store.records.table::<String>("things");
    let largest = "x".repeat(10_900);
    for round in 0..3 {
        for row in 0..60 {
            table.put(&format!("{row:02}"), &largest).unwrap();
        }
        for row in 0..60 {
            if row % 7 != round {
                table.remove(&format!("{row:02}")).unwrap();
            }
        }
    }
    assert_eq!(std::fs::read_dir(dir.path().join("spill")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(dir.path().join("db/blobs")).unwrap().count(), 0);
}

#[test]
fn a_volatile_row_is_seen_at_once_and_kept_after_a_clean_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let table = store.records.table::<u32>("things");
    table.put_volatile("a", &1).unwrap();
    table.put_volatile("b", &2).unwrap();
    table.remove_volatile("b").unwrap();
    assert_eq!(table.list().unwrap(), [("a".to_owned(), 1)]);
    table.put("a", &3).unwrap();
    table.put_volatile("c", &4).unwrap();
    drop((store, table));
    let store = open(dir.path());
    let table = store.records.table::<u32>("things");
    assert_eq!(table.list().unwrap(), [("a".to_owned(), 3), ("c".to_owned(), 4)]);
    table.remove_volatile("a").unwrap();
    drop((store, table));
    let store = open(dir.path());
    assert_eq!(store.records.table::<u32>("things").list().unwrap(), [("c".to_owned(), 4)]);
}

#[test]
fn the_collector_takes_what_nobody_holds_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let kept = image(&store, "kept", &["base=1", "top=1"]);
    let gone = image(&store, "gone", &["base=1", "top=2"]);
    let used = image(&store, "used", &["used=1"]);
    store.snapshots.prepare("c", used.chain).unwrap();
    store.images.remove_image(&gone.image_id).unwrap();
    store.images.remove_image(&used.image_id).unwrap();
    let lease = store.leases.create(MINUTE);
    let loose = store.content.put(lease.id(), b"loose").unwrap();
    let collected = store.collect().unwrap();
    assert_eq!(
        collected.snapshots.iter().map(|gone| gone.chain).collect::<Vec<_>>(),
        [gone.chain.unwrap()]
    );
    assert!(store.content.has(&loose.digest) && store.content.has(&kept.config));
    assert!(!store.content.has(&used.config));
    assert!(store.snapshots.has(&used.chain.unwrap()), "a container stands on it");
    drop(lease);
    assert_eq!(store.collect().unwrap().blobs, [loose]);
    store.snapshots.remove("c").unwrap();
    assert_eq!(store.collect().unwrap().snapshots.len(), 1);
    assert_eq!(store.collect().unwrap(), Collected::default());
    assert_whole(&store);
    store.settle();
    assert_eq!(leftovers(dir.path()), [""; 0]);
}

#[test]
fn the_collector_keeps_all_blobs_while_a_manifest_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1"]);
    std::fs::remove_file(store.content.path(&record.manifest).unwrap()).unwrap();
    let collected = store.collect().unwrap();
    assert_eq!(collected.unreadable, [record.manifest]);
    assert!(collected.blobs.is_empty());
}

#[test]
fn members_of_repositories_are_held() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let lease = store.leases.create(MINUTE);
    let blob = store.content.put(lease.id(), b"member").unwrap();
    let target = Descriptor::new(media_type::OCI_MANIFEST, blob.digest, blob.size);
    let mut batch = Batch::new();
    let member = Member::manifest(media_type::OCI_MANIFEST, blob.size);
    batch.put_member("a/b", &blob.digest, &member);
    batch.put_tag("a/b", "1", &target);
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    batch.put_member("a/b", &Digest::of(b"?"), &Member::blob(1));
    assert!(matches!(store.commit(batch), Err(StoreError::Absent { .. })));
    drop(lease);
    store.collect().unwrap();
    assert!(store.content.has(&blob.digest));
    assert_eq!(store.repositories.tags("a/b"), ["1"]);
    assert_eq!(store.repositories.tag("a/b", "1").unwrap(), Some(target));
    let members = store.repositories.members("a/b").unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].0, members[0].1.kind), (blob.digest, MemberKind::Manifest));
    assert!(members[0].1.added > 0);
    assert_eq!(store.repositories.member("c", &blob.digest).unwrap(), None);
}

/// Transfers, removals and collections at once: whatever was acknowledged stays whole.
#[test]
fn the_collector_runs_while_images_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let store = store.clone();
            std::thread::spawn(move || {
                for round in 0..6 {
                    let text = format!("w{worker}:{round}");
                    let record = image(&store, &text, &["base=1", &format!("top={}", round % 3)]);
                    let key = format!("{worker}-{round}");
                    store.snapshots.prepare(&key, record.chain).unwrap();
                    if round % 2 == 0 {
                        store.images.remove(&name(&text)).unwrap();
                    }
                    store.snapshots.remove_volatile(&key).unwrap();
                }
            })
        })
        .collect();
    while workers.iter().any(|worker| !worker.is_finished()) {
        store.collect().unwrap();
        std::thread::yield_now();
    }
    for worker in workers {
        worker.join().unwrap();
    }
    store.collect().unwrap();
    assert_whole(&store);
    drop(store);
    let store = open(dir.path());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert_whole(&store);
}

const IDLE: &str = "NARU_IDLE_ROOT";

/// The child: has a process of its own, whose writes are counted. Alone, it has nothing to do.
#[test]
fn idle_child() {
    let Some(root) = std::env::var_os(IDLE) else { return };
    let root = Path::new(&root);
    let store = open(root);
    image(&store, "x", &["a=1"]);
    store.records.table::<u32>("things").put_volatile("a", &1).unwrap();
    store.settle();
    // Waits until the volatile row is on disk: then nothing is left to do.
    let deadline = std::time::Instant::now() + MINUTE;
    while !root.join("records/things/a.json").exists() {
        assert!(std::time::Instant::now() < deadline, "the volatile row was never written");
        std::thread::yield_now();
    }
    let written = || {
        let text = std::fs::read_to_string("/proc/self/io").unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("syscw: "));
        count.unwrap().parse::<u64>().unwrap()
    };
    let (waiting, nobody) = std::sync::mpsc::channel::<()>();
    let before = written();
    assert!(nobody.recv_timeout(Duration::from_secs(3)).is_err());
    let after = written();
    drop((waiting, store));
    assert!(after - before <= 1, "{} writes in three seconds of rest", after - before);
    println!("idle");
}

#[test]
fn an_idle_store_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::contract::idle_child", "--nocapture", "--test-threads=1"])
        .env(IDLE, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("idle\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Volatile(u8, u8),
    Remove(u8),
    RemoveVolatile(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..4, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        (0u8..4, any::<u8>()).prop_map(|(key, value)| Step::Volatile(key, value)),
        (0u8..4).prop_map(Step::Remove),
        (0u8..4).prop_map(Step::RemoveVolatile),
        Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_like_a_map(steps in proptest::collection::vec(step(), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Some(open(dir.path()));
        let mut model: BTreeMap<String, u8> = BTreeMap::new();
        for step in steps {
            let table = store.as_ref().unwrap().records.table::<u8>("things");
            match step {
                Step::Put(key, value) => {
                    table.put(&key.to_string(), &value).unwrap();
                    model.insert(key.to_string(), value);
                }
                Step::Volatile(key, value) => {
                    table.put_volatile(&key.to_string(), &value).unwrap();
                    model.insert(key.to_string(), value);
                }
                Step::Remove(key) => {
                    let there = table.remove(&key.to_string()).unwrap();
                    prop_assert_eq!(there, model.remove(&key.to_string()).is_some());
                }
                Step::RemoveVolatile(key) => {
                    table.remove_volatile(&key.to_string()).unwrap();
                    model.remove(&key.to_string());
                }
                Step::Reopen => {
                    drop((table, store.take()));
                    store = Some(open(dir.path()));
                    continue;
                }
            }
            let rows: BTreeMap<String, u8> = table.list().unwrap().into_iter().collect();
            prop_assert_eq!(&rows, &model);
        }
    }
}
