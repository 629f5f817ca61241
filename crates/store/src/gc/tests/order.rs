//! Acts: a collection is made in steps, and between any two of them things are brought, held, named and let go.

use super::super::{Collection, Pace};
use crate::{Lease, Member, Store};
use naru_oci::{Descriptor, Digest, Index, Manifest, media_type};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// One thing after the other, so that everything happens between any two of them.
const SLOW: Pace = Pace { page: 3, step: 2, slice: 1 };
const LEAVES: usize = 5;

/// The documents of the test: leaves, manifests of leaves, an index of manifests, an artifact about the index.
struct Documents {
    bytes: Vec<Vec<u8>>,
    children: Vec<Vec<usize>>,
}

impl Documents {
    fn new() -> Documents {
        let mut bytes: Vec<Vec<u8>> =
            (0..LEAVES).map(|leaf| format!("leaf {leaf}").into_bytes()).collect();
        let mut children = vec![Vec::new(); LEAVES];
        let describe = |bytes: &[u8], media_type: &str| {
            let size = u64::try_from(bytes.len()).unwrap();
            Descriptor::new(media_type, Digest::of(bytes), size)
        };
        for parts in [vec![0, 1], vec![1, 2, 3], vec![4, 0]] {
            let leaf = |at: &usize| describe(&bytes[*at], media_type::OCI_LAYER);
            let manifest = Manifest::oci(leaf(&parts[0]), parts[1..].iter().map(leaf).collect());
            bytes.push(serde_json::to_vec(&manifest).unwrap());
            children.push(parts);
        }
        let parts = vec![LEAVES, LEAVES + 1];
        let entries = parts.iter().map(|at| describe(&bytes[*at], media_type::OCI_MANIFEST));
        let index = Index::oci(entries.collect());
        bytes.push(serde_json::to_vec(&index).unwrap());
        children.push(parts);
        let subject = bytes.len() - 1;
        let mut about = Manifest::oci(describe(&bytes[2], media_type::OCI_CONFIG), Vec::new());
        about.subject = Some(describe(&bytes[subject], media_type::OCI_INDEX));
        bytes.push(serde_json::to_vec(&about).unwrap());
        children.push(vec![2, subject]);
        Documents { bytes, children }
    }

    fn digest(&self, at: usize) -> Digest {
        Digest::of(&self.bytes[at])
    }

    fn closure(&self, at: usize) -> BTreeSet<usize> {
        let mut closure = BTreeSet::new();
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if closure.insert(at) {
                open.extend(&self.children[at]);
            }
        }
        closure
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// Under a lease: hold a document, look, and bring it when it is not there. What it refers to is not held.
    Bring(usize, usize),
    /// Under a lease: hold a document and look whether it is there.
    Hold(usize, usize),
    /// All leases of this number end.
    End(usize),
    /// A repository gets a document that is there, with what it refers to, if all of it is there.
    Join(usize, usize),
    /// A repository loses a document.
    Leave(usize, usize),
    /// The collector does so many steps.
    Step(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let document = 0..LEAVES + 5;
    prop_oneof![
        3 => (0..3usize, document.clone()).prop_map(|(lease, at)| Op::Bring(lease, at)),
        2 => (0..3usize, document.clone()).prop_map(|(lease, at)| Op::Hold(lease, at)),
        1 => (0..3usize).prop_map(Op::End),
        2 => (0..2usize, document.clone()).prop_map(|(repository, at)| Op::Join(repository, at)),
        1 => (0..2usize, document).prop_map(|(repository, at)| Op::Leave(repository, at)),
        6 => (1..5usize).prop_map(Op::Step),
    ]
}

/// What must be there, and why.
#[derive(Default)]
struct Promises {
    /// Held by a lease and seen.
    leases: BTreeMap<usize, (Option<Lease>, BTreeSet<usize>)>,
    members: BTreeSet<(usize, usize)>,
}

impl Promises {
    fn there(&self, documents: &Documents) -> BTreeSet<usize> {
        let seen = self.leases.values().flat_map(|(_, seen)| seen.iter().copied());
        let members = self.members.iter().flat_map(|(_, at)| documents.closure(*at));
        seen.chain(members).collect()
    }
}

fn play(ops: &[Op]) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let documents = Documents::new();
    let mut promises = Promises::default();
    let mut whole: BTreeSet<usize> = BTreeSet::new();
    let mut collection: Option<Collection<'_>> = None;
    let has = |at: usize| store.content.has(&documents.digest(at));
    for op in ops {
        match *op {
            Op::Bring(lease, at) | Op::Hold(lease, at) => {
                let (lease, seen) = promises.leases.entry(lease).or_default();
                let lease = lease.get_or_insert_with(|| store.leases.create(MINUTE));
                lease.hold_blob(&documents.digest(at)).unwrap();
                if matches!(op, Op::Bring(..)) && !has(at) {
                    store.content.put(lease.id(), &documents.bytes[at]).unwrap();
                }
                if has(at) {
                    // What is there now of all that it refers to is held with it.
                    let mut open = vec![at];
                    while let Some(at) = open.pop() {
                        if has(at) {
                            seen.insert(at);
                            open.extend(&documents.children[at]);
                        }
                    }
                }
            }
            Op::End(lease) => drop(promises.leases.remove(&lease)),
            Op::Join(repository, at) => {
                if documents.closure(at).into_iter().all(has) {
                    let mut batch = crate::Batch::new();
                    batch.put_member(
                        &repository.to_string(),
                        &documents.digest(at),
                        &Member::blob(0),
                    );
                    store.commit(batch).unwrap();
                    promises.members.insert((repository, at));
                }
            }
            Op::Leave(repository, at) => {
                let digest = documents.digest(at);
                if store.repositories.is_member(&repository.to_string(), &digest) {
                    let mut batch = crate::Batch::new();
                    batch.remove_member(&repository.to_string(), &digest, &Member::blob(0));
                    store.commit(batch).unwrap();
                    promises.members.remove(&(repository, at));
                }
            }
            Op::Step(count) => {
                for _ in 0..count {
                    let running = collection
                        .get_or_insert_with(|| Collection::begin(&store.core, SLOW).unwrap());
                    if !running.step().unwrap() {
                        collection = None;
                    }
                }
            }
        }
        // What was there with all it refers to stays so as long as it is there, wanted or not: who finds it may rely on that.
        whole.retain(|at| has(*at));
        for at in &whole {
            prop_assert!(documents.closure(*at).into_iter().all(has), "{at} lost a part at {op:?}");
        }
        whole.extend(
            (0..documents.bytes.len()).filter(|at| documents.closure(*at).into_iter().all(has)),
        );
        for at in promises.there(&documents) {
            let bytes = store.content.read(&documents.digest(at), 1 << 20);
            prop_assert!(bytes.is_ok(), "document {} was taken at {:?}: {:?}", at, op, bytes);
        }
    }
    drop(collection);
    promises.leases.clear();
    store.collect().unwrap();
    let left: BTreeSet<Digest> =
        store.content.list().unwrap().into_iter().map(|blob| blob.digest).collect();
    let wanted: BTreeSet<Digest> =
        promises.there(&documents).into_iter().map(|at| documents.digest(at)).collect();
    prop_assert_eq!(left, wanted, "a collection in quiet takes everything else");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]
    #[test]
    fn nothing_that_is_held_or_named_is_taken_in_any_order(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        play(&ops)?;
    }
}

/// The writer's moment: what is named by a change before the slice of the collector, in the same flush, stays.
#[test]
fn what_is_named_at_the_last_moment_is_rescued_with_what_it_refers_to() {
    let documents = Documents::new();
    for late in 0..80 {
        // The same life with the rescue one step later each time.
        let all = [0, 1, 2, 3, 5, 6, 8];
        let mut ops: Vec<Op> = all.into_iter().map(|at| Op::Bring(0, at)).collect();
        ops.push(Op::End(0));
        ops.push(Op::Step(late));
        ops.push(Op::Join(0, documents.bytes.len() - 2));
        ops.push(Op::Step(80));
        play(&ops).unwrap();
    }
}

/// A store with a blob that nobody holds, and a change that makes it a member.
fn with_garbage(root: &std::path::Path) -> (Store, Digest) {
    let store = Store::open(root).unwrap();
    let lease = store.leases.create(MINUTE);
    let digest = store.content.put(lease.id(), b"garbage").unwrap().digest;
    drop(lease);
    (store, digest)
}

fn join(digest: &Digest) -> crate::Batch {
    let mut batch = crate::Batch::new();
    batch.put_member("a", digest, &Member::blob(7));
    batch
}

/// A change that has nothing to do with it.
fn other() -> crate::Batch {
    let mut batch = crate::Batch::new();
    batch.put_bytes(crate::schema::Key::record("t", "a"), vec![1]);
    batch
}

#[test]
fn what_is_named_in_the_same_flush_before_the_slice_stays() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let (store, digest) = with_garbage(dir.path());
        let mut collection = Collection::begin(&store.core, SLOW).unwrap();
        while !matches!(collection.stage, super::super::Stage::Take(_)) {
            collection.step().unwrap();
        }
        // While the writer is busy with the first, the second and the slice queue up.
        let first = store.submit(other());
        let second = store.submit(join(&digest));
        while collection.step().unwrap() {}
        drop(collection);
        first.wait().unwrap();
        match second.wait() {
            Ok(()) => assert!(store.content.read(&digest, 100).is_ok(), "a member was taken"),
            Err(_) => assert!(!store.content.has(&digest)),
        }
    }
}

#[test]
fn what_becomes_visible_after_the_scan_stays() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let (store, digest) = with_garbage(dir.path());
        let change = store.submit(join(&digest));
        // The writer has the change, and nobody sees it yet.
        while !store.core.journal.is_writing()
            && store.repositories.member("a", &digest).unwrap().is_none()
        {
            std::hint::spin_loop();
        }
        store.collect().unwrap();
        change.wait().unwrap();
        assert!(store.content.read(&digest, 100).is_ok(), "a member was taken");
    }
}
