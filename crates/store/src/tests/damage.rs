//! Acts: a store damaged by hand: each damage is named, and repaired as far as it can be.

use super::*;

/// An image of two layers and a container, damaged; the damages that are found, and that are left after a repair.
fn check(damage: impl Fn(&Store, &ImageRecord), found: &[Damage], left: &[Damage]) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1", "b=2"]);
    store.snapshots.prepare("c", record.chain).unwrap();
    damage(&store, &record);
    let sorts = |findings: Vec<Finding>| {
        findings.into_iter().map(|finding| finding.damage).collect::<Vec<_>>()
    };
    assert_eq!(sorts(verify(&store, false)), found);
    assert_eq!(sorts(verify(&store, false)), found, "looking changes nothing");
    verify(&store, true);
    assert_eq!(sorts(verify(&store, false)), left);
    store.settle();
    drop(store);
    let store = open(dir.path());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert_eq!(sorts(verify(&store, false)), left);
}

fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    naru_kernel::fs::create_new(path, 0o400).unwrap().write_all(bytes).unwrap();
}

fn layer_blob(store: &Store) -> PathBuf {
    store.content.path(&Digest::of(b"b=2")).unwrap()
}

fn layer_dir(store: &Store, record: &ImageRecord) -> PathBuf {
    store.snapshots.lower_dirs(&record.chain.unwrap()).unwrap().remove(0)
}

#[test]
fn an_undamaged_store_has_no_findings() {
    check(|_, _| {}, &[], &[]);
}

#[test]
fn a_damaged_layer_blob_is_dropped_and_the_image_still_runs() {
    for bytes in [&b"b="[..], b"b=3"] {
        check(
            |store, _| overwrite(&layer_blob(store), bytes),
            &[Damage::Blob, Damage::Incomplete],
            &[Damage::Incomplete],
        );
    }
    check(
        |store, _| std::fs::remove_file(layer_blob(store)).unwrap(),
        &[Damage::Blob, Damage::Incomplete],
        &[Damage::Incomplete],
    );
}

#[test]
fn an_image_without_config_or_manifest_is_removed() {
    check(
        |store, record| overwrite(&store.content.path(&record.config).unwrap(), b"{}"),
        &[Damage::Blob, Damage::Image],
        &[],
    );
    check(
        |store, record| {
            std::fs::remove_file(store.content.path(&record.manifest).unwrap()).unwrap()
        },
        &[Damage::Blob, Damage::Image],
        &[],
    );
}

#[test]
fn a_layer_whose_files_were_changed_is_unpacked_again() {
    check(
        |store, record| overwrite(&layer_dir(store, record).join("b"), b"9"),
        &[Damage::Layer, Damage::Image, Damage::Active],
        &[],
    );
    check(
        |store, record| std::fs::remove_dir_all(layer_dir(store, record)).unwrap(),
        &[Damage::Layer, Damage::Image, Damage::Active],
        &[],
    );
    check(
        |store, record| {
            naru_kernel::fs::create_new(&layer_dir(store, record).join("new"), 0o600).unwrap();
        },
        &[Damage::Layer, Damage::Image, Damage::Active],
        &[],
    );
}

#[test]
fn a_lost_writable_layer_is_made_again() {
    check(
        |store, _| {
            std::fs::remove_dir_all(store.snapshots.upper_dir("c").unwrap().parent().unwrap())
                .unwrap();
        },
        &[Damage::Active],
        &[],
    );
}

#[test]
fn what_belongs_to_nothing_is_removed() {
    check(
        |store, _| {
            naru_kernel::fs::create_new(&store.root().join("content/blobs/sha256/x"), 0o600)
                .unwrap();
            std::fs::create_dir(store.root().join("snapshots/777")).unwrap();
            std::fs::create_dir(store.root().join("snapshots/pending/778")).unwrap();
        },
        &[Damage::Orphan, Damage::Orphan, Damage::Orphan],
        &[],
    );
}

#[test]
fn a_layer_that_is_mounted_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1"]);
    store.snapshots.prepare("c", record.chain).unwrap();
    overwrite(&layer_dir(&store, &record).join("a"), b"9");
    let mut repairs = Vec::new();
    let how = Verify { repair: true, unpack: &unpack, is_mounted: &|key| key == "c" };
    store.verify(&how, &mut |finding| repairs.push(finding.repair)).unwrap();
    assert!(matches!(&repairs[0], Some(Repair::Failed(why)) if why.contains("`c`")), "{repairs:?}");
}

/// After the loss of the database, images, containers' layers and records are there again, and it is said.
fn check_rebuild(damage: impl Fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1", "b=2"]);
    store.images.tag(&name("y"), &record.image_id).unwrap();
    store.images.tag(&name("z"), &record.image_id).unwrap();
    store.images.remove(&name("z")).unwrap();
    store.snapshots.prepare("c", record.chain).unwrap();
    store.records.table::<u32>("things").put("a", &7).unwrap();
    drop(store);
    damage(dir.path());
    let store = open(dir.path());
    assert!(!store.notices().is_empty());
    let image = store.images.resolve("x").unwrap();
    assert_eq!(image.record, record);
    assert_eq!(image.names, [name("x"), name("y")]);
    assert!(store.snapshots.mount("c").is_ok());
    assert_eq!(store.records.table::<u32>("things").get("a").unwrap(), Some(7));
    assert_whole(&store);
    drop(store);
    let store = open(dir.path());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
}

#[test]
fn a_lost_database_is_rebuilt() {
    check_rebuild(|root| std::fs::remove_dir_all(root.join("db")).unwrap());
    check_rebuild(|root| std::fs::remove_file(root.join("db/db")).unwrap());
}

#[test]
fn a_damaged_database_is_moved_aside_and_rebuilt() {
    check_rebuild(|root| {
        let path = root.join("db/db");
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in &mut bytes {
            *byte ^= 0x5a;
        }
        std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&bytes).unwrap();
    });
    check_rebuild(|root| {
        std::fs::OpenOptions::new()
            .write(true)
            .open(root.join("db/db"))
            .unwrap()
            .set_len(0)
            .unwrap();
    });
}

#[test]
fn a_database_that_was_cut_off_is_completed() {
    for part in 1..8 {
        check_rebuild(|root| {
            let file = std::fs::OpenOptions::new().write(true).open(root.join("db/db")).unwrap();
            let length = file.metadata().unwrap().len();
            file.set_len(length * part / 8).unwrap();
        });
    }
}

/// The window of sled's bug: a half snapshot that sorts last.
#[test]
fn a_half_written_database_snapshot_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    image(&store, "x", &["a=1"]);
    drop(store);
    naru_kernel::fs::create_new(&dir.path().join("db/snap.7fffffffffffffff.generating"), 0o600)
        .unwrap()
        .write_all(b"half")
        .unwrap();
    let store = open(dir.path());
    assert!(store.notices().is_empty(), "{:?}", store.notices());
    assert!(store.images.resolve("x").is_ok());
}

#[test]
fn a_damaged_copy_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let record = image(&store, "x", &["a=1"]);
    drop(store);
    let copy = dir.path().join("images").join(format!("{}.json", record.image_id.0.hex()));
    overwrite(&copy, b"{\"image\":");
    let store = open(dir.path());
    assert_eq!(store.notices().len(), 1);
    assert_eq!(store.images.resolve("x").unwrap().record, record);
    drop(store);
    assert!(open(dir.path()).notices().is_empty());
}
