//! Acts: a life of a store in small steps, and what can be seen of it after each.

use super::*;
use std::fmt::Write as _;

/// What can be seen of a store.
pub(super) fn visible(store: &Store) -> String {
    let mut text = String::new();
    for blob in store.content.list().unwrap() {
        let bytes = store.content.read(&blob.digest, 1 << 20).unwrap();
        assert_eq!(Digest::of(&bytes), blob.digest);
        writeln!(text, "blob {}", blob.digest).unwrap();
    }
    for image in store.images.list().unwrap() {
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        writeln!(text, "image {} {names:?}", image.id()).unwrap();
    }
    for snapshot in store.snapshots.list().unwrap() {
        let top = store.snapshots.lower_dirs(&snapshot.chain).unwrap().remove(0);
        let files = std::fs::read_dir(top).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            format!("{:?}={:?}", path.file_name().unwrap(), std::fs::read_to_string(&path).unwrap())
        });
        let mut files: Vec<String> = files.collect();
        files.sort();
        writeln!(text, "snapshot {} {files:?}", snapshot.chain).unwrap();
    }
    for active in store.snapshots.list_active().unwrap() {
        let mount = store.snapshots.mount(&active.key).unwrap();
        assert!(mount.base.join(mount.upper).is_dir());
        writeln!(text, "active {}", active.key).unwrap();
    }
    for (key, value) in store.records.table::<String>("things").list().unwrap() {
        writeln!(text, "record {key} {}", value.len()).unwrap();
    }
    text
}

/// Lives through all steps; `acknowledged` is called after each.
pub(super) fn live(store: &Store, acknowledged: &mut dyn FnMut()) {
    let mut lease = Some(store.leases.create(MINUTE));
    let id = *lease.as_ref().unwrap().id();
    let table = store.records.table::<String>("things");
    for bytes in [&b"loose"[..], b"a=1"] {
        store.content.put(&id, bytes).unwrap();
        acknowledged();
    }
    let base = DiffId(Digest::of(b"a=1"));
    let chain = ChainId::first(base);
    let file = store.content.open(&base.0).unwrap();
    let blob = Descriptor::new(media_type::OCI_LAYER, base.0, 3);
    let Begin::Pending(pending) = store.snapshots.begin(chain, None, &id).unwrap() else {
        panic!("it is there already");
    };
    let size = unpack(LayerSource { file, blob, diff_id: base }, &pending.dir(), &[]).unwrap();
    pending.commit(size).unwrap();
    acknowledged();
    // The layers are there, so that one step is one change of what can be seen.
    for text in ["a=1", "b=2"] {
        store.content.put(&id, text.as_bytes()).unwrap();
        acknowledged();
    }
    let upper = chain.then(DiffId(Digest::of(b"b=2")));
    let Begin::Pending(pending) = store.snapshots.begin(upper, Some(chain), &id).unwrap() else {
        panic!("it is there already");
    };
    naru_kernel::fs::create_new(&pending.dir().join("b"), 0o644)
        .and_then(|mut file| {
            file.write_all(b"2")?;
            file.set_modified(std::time::UNIX_EPOCH)
        })
        .unwrap();
    pending.commit(1).unwrap();
    acknowledged();
    let record = build(store, &id, &["a=1", "b=2"]);
    acknowledged();
    store.images.put(&name("x:1"), &record).unwrap();
    acknowledged();
    lease.take();
    store.images.tag(&name("x:2"), &record.image_id).unwrap();
    acknowledged();
    table.put("a", &"small".to_owned()).unwrap();
    acknowledged();
    table.put("b", &"large".repeat(20_000)).unwrap();
    acknowledged();
    store.snapshots.prepare("c", record.chain).unwrap();
    acknowledged();
    store.images.remove(&name("x:1")).unwrap();
    acknowledged();
    table.put("b", &"small".to_owned()).unwrap();
    acknowledged();
    store.collect().unwrap();
    acknowledged();
    store.snapshots.remove("c").unwrap();
    acknowledged();
    store.images.remove_image(&record.image_id).unwrap();
    acknowledged();
    table.remove("a").unwrap();
    acknowledged();
    store.collect().unwrap();
    acknowledged();
}
