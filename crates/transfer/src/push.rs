//! Push: an image from here, or from elsewhere, into a repository of a registry.
//!
//! Acts: over the network. What is sent and in which order is decided in `plan`, a blob's way in `upload`, which are pure.
//!
//! ```text
//! names ─▶ select: what of them is here ─▶ plan ◆ ─▶ deliver: each blob: is it there? ─ mount ─ upload, resumed ◆
//!                                                           then manifests, indexes, tags
//! ```
//!
//! Nothing is sent that is there already, manifests are sent byte for byte, and what the registry says of them is compared.

mod deliver;
mod destination;
mod exchange;
mod location;
mod memory;
mod plan;
mod select;
mod upload;

pub(crate) use deliver::{Delivery, Supply, deliver};
pub(crate) use exchange::{Ask, Exchange, PIECE, Part, Payload, Target};
pub(crate) use memory::remember_blobs;
pub(crate) use plan::{Document, Documents, Plan};

use crate::progress::Progress;
use crate::remote::{PushRequest, Registries, Repository, Teller, Writer};
use naru_errdefs::Fault;
use naru_oci::{Descriptor, Reference, media_type};
use naru_store::{Lease, Store};

/// The manifests that we understand, in the order that we prefer.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    media_type::OCI_INDEX,
    media_type::OCI_MANIFEST,
    media_type::DOCKER_LIST,
    media_type::DOCKER_MANIFEST,
];

/// Pushes: blobs that are missing there first (mounted where possible), then manifests, then tags.
pub async fn push(
    store: &Store,
    registries: &Registries,
    request: &PushRequest,
    teller: &Teller,
) -> Result<Vec<(Reference, Descriptor)>, Fault> {
    let lease = store.leases.create(crate::record::LEASE);
    let wanted = request.clone();
    let here = store.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare(&here, lease, &wanted)).await;
    let (lease, selected, plan) = match prepared {
        Ok(prepared) => prepared?,
        Err(error) => {
            return Err(Fault::internal("the push ended early").with_source(error));
        }
    };
    let name = &request.reference;
    teller(Progress::status(
        format!("The push refers to repository [{}/{}]", name.registry(), name.repository()),
        None,
    ));
    let wire = Writer::new(
        Repository::new(registries, name.registry(), name.repository(), &request.credentials),
        request.limit_rate,
    );
    let delivery = Delivery {
        store,
        wire: &wire,
        uploads: registries.uploads(),
        attempts: registries.attempts(),
        teller,
    };
    let named: Vec<(String, Descriptor)> = selected
        .iter()
        .map(|one| (one.name.tag().unwrap_or("latest").to_owned(), one.root.clone()))
        .collect();
    deliver(&delivery, &plan, &named, &store.content).await?;
    drop(lease);
    let mut pushed = Vec::with_capacity(selected.len());
    for one in selected {
        tell_tag(teller, one.name.tag().unwrap_or("latest"), &one.root);
        if let Some(index) = one.instead_of {
            teller(Progress::status(
                format!(
                    "Not all of the image's platforms are here, so one of them was pushed in its place: {index} -> {}",
                    one.root.digest
                ),
                None,
            ));
        }
        pushed.push((one.name, one.root));
    }
    Ok(pushed)
}

/// Puts one manifest under a tag or its digest.
pub(crate) async fn put_document(
    wire: &dyn Exchange,
    attempts: u32,
    reference: &str,
    document: &Document,
) -> Result<(), Fault> {
    destination::Destination { wire, attempts }.put_manifest(reference, document).await
}

/// Says what a tag points to now, as docker does.
pub(crate) fn tell_tag(teller: &Teller, tag: &str, root: &Descriptor) {
    let (digest, size) = (root.digest, root.size);
    teller(Progress::status(format!("{tag}: digest: {digest} size: {size}"), None));
}

/// Reads what is to be pushed, and holds it.
fn prepare(
    store: &Store,
    lease: Lease,
    request: &PushRequest,
) -> Result<(Lease, Vec<select::Selected>, Plan), Fault> {
    let mut documents = Documents::new();
    let mut selected = Vec::new();
    for named in select::names(store, &request.reference, request.all_tags)? {
        let platform = request.platform.as_ref();
        selected.push(select::select(store, &lease, named, platform, &mut documents)?);
    }
    let roots: Vec<Descriptor> = selected.iter().map(|one| one.root.clone()).collect();
    let plan = Plan::of(&roots, &documents)?;
    Ok((lease, selected, plan))
}

#[cfg(test)]
mod tests;
