//! Acts: upkeep of real stores.

use super::*;
use naru_oci::{Descriptor, Manifest, media_type};

const HOUR: u64 = 3600;

fn upkeep() -> Upkeep {
    Upkeep {
        retention: Vec::new(),
        sweep: Sweep { blobs_after: HOUR, untagged_after: None },
        uploads_after: Duration::from_secs(24 * HOUR),
    }
}

fn blob(store: &Store, repository: &str, bytes: &[u8]) -> Descriptor {
    let lease = store.leases.create(Duration::from_secs(60));
    let blob = store.content.put(lease.id(), bytes).unwrap();
    let mut batch = Batch::new();
    batch.put_member(repository, &blob.digest, &Member::blob(blob.size));
    store.commit(batch).unwrap();
    Descriptor::new(media_type::OCI_LAYER, blob.digest, blob.size)
}

fn push(store: &Store, repository: &str, tag: &str) -> Digest {
    let config = blob(store, repository, format!("config {tag}").as_bytes());
    let layer = blob(store, repository, format!("layer {tag}").as_bytes());
    let bytes = serde_json::to_vec(&Manifest::oci(config, vec![layer])).unwrap();
    let lease = store.leases.create(Duration::from_secs(60));
    let found = store.content.put(lease.id(), &bytes).unwrap();
    let mut batch = Batch::new();
    let member = Member::manifest(media_type::OCI_MANIFEST, found.size);
    batch.put_member(repository, &found.digest, &member);
    let target = Descriptor::new(media_type::OCI_MANIFEST, found.digest, found.size);
    batch.put_tag(repository, tag, &target);
    store.commit(batch).unwrap();
    found.digest
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[test]
fn what_nothing_names_goes_after_its_time_and_its_bytes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loose = blob(&store, "a", b"loose");
    push(&store, "a", "v1");
    let never = |_: &str, _: &str| None;
    let early = upkeep().run(&store, now(), &never).unwrap();
    assert!(early.repositories.is_empty() && early.collected.blobs.is_empty());
    let late = now() + HOUR + 1;
    let told = upkeep().dry_run(&store, late, &never).unwrap();
    assert_eq!(told.repositories[0].members, [loose.digest]);
    assert!(store.content.has(&loose.digest), "a dry run takes nothing");
    let done = upkeep().run(&store, late, &never).unwrap();
    assert_eq!(done.repositories, told.repositories);
    assert_eq!(done.collected.blobs.len(), 1);
    assert!(!store.content.has(&loose.digest) && store.content.list().unwrap().len() == 3);
}

#[test]
fn tags_that_no_rule_keeps_go_and_their_images_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (old, new) = (push(&store, "team/app", "old"), push(&store, "team/app", "v1"));
    let rule = RetentionRule {
        repositories: vec!["team/**".to_owned()],
        keep_tags: vec!["v*".to_owned()],
        ..RetentionRule::default()
    };
    rule.validate().unwrap();
    let mut upkeep = Upkeep { retention: vec![rule], ..upkeep() };
    let never = |_: &str, _: &str| None;
    let late = now() + HOUR + 1;
    upkeep.run(&store, late, &never).unwrap();
    assert_eq!(store.repositories.tags("team/app"), ["v1"]);
    assert!(store.repositories.is_member("team/app", &old), "untagged manifests stay unless told");
    upkeep.sweep.untagged_after = Some(HOUR);
    upkeep.run(&store, late, &never).unwrap();
    assert!(!store.content.has(&old) && store.content.has(&new));
    assert_eq!(store.content.list().unwrap().len(), 3);
}

#[test]
fn a_change_after_the_look_makes_the_sweep_look_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let loose = blob(&store, "a", b"loose");
    let state = store.repositories.state("a");
    let member = store.repositories.member("a", &loose.digest).unwrap().unwrap();
    blob(&store, "a", b"another");
    let mut batch = Batch::new();
    batch.remove_member("a", &loose.digest, &member);
    batch.only_in_state("a", state);
    assert!(matches!(store.commit(batch), Err(StoreError::Stale)));
    assert!(store.repositories.is_member("a", &loose.digest));
}

#[test]
fn rules_that_say_nothing_are_refused() {
    assert!(RetentionRule::default().validate().is_err());
    let quota =
        rules::QuotaRule { repositories: vec!["**".to_owned()], ..rules::QuotaRule::default() };
    assert!(quota.validate().is_err());
    let parsed = serde_json::from_str::<rules::QuotaRule>(r#"{"repositories":["**"],"byte":1}"#);
    assert!(parsed.unwrap_err().to_string().contains("byte"));
}

#[test]
fn a_repository_takes_up_to_its_quota_and_others_are_free() {
    use crate::Quota as _;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let rule = rules::QuotaRule { repositories: vec!["a".to_owned()], bytes: Some(10) };
    let quotas = Quotas::new(store.repositories.clone(), vec![rule]);
    assert_eq!(quotas.allow("a", 10), Ok(()));
    blob(&store, "a", b"1234567");
    assert_eq!((quotas.used("a").unwrap(), quotas.allow("a", 3)), (7, Ok(())));
    assert!(quotas.allow("a", 4).unwrap_err().contains("10 bytes; 7 are used"));
    assert_eq!(quotas.allow("b", u64::MAX), Ok(()));
    blob(&store, "a", b"1234567");
    assert_eq!(quotas.used("a").unwrap(), 7, "the same blob counts once");
}
