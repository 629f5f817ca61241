//! Acts: the embedded image, made out of the running program, so that the first container needs no network.

use crate::early::Unpacked;
use crate::error::LoadError;
use crate::layout::{assemble, reference};
use crate::progress::{Progress, Report};
use crate::record::{LEASE, prepare, publish};
use crate::remote::{PullRequest, PulledImage};
use naru_errdefs::{Fault, ResultExt};
use naru_layer::tar::{Entry, EntryKind, Writer};
use naru_oci::{
    Config, ContainerDefaults, Descriptor, DiffId, History, ImageId, Platform, RootFs, media_type,
};
use naru_store::Store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// What the embedded image is called.
pub const HELLO_NAME: &str = "docker.io/naru/hello:latest";

/// Makes the embedded image from the program `exe`, which must be static and greet when called as `/naru hello`.
pub fn hello_image(store: &Store, exe: &Path) -> Result<ImageId, Fault> {
    let cannot = || format!("cannot make the image `naru/hello` from `{}`", exe.display());
    let lease = store.leases.create(LEASE);
    let mut program = File::open(exe).during(cannot)?;
    let size = program.metadata().during(cannot)?.len();
    let mut layer = Writer::new(store.content.ingest(lease.id())?);
    layer.start(&program_entry(size)).during(cannot)?;
    let mut piece = vec![0u8; 256 * 1024];
    loop {
        let read = program.read(&mut piece).during(cannot)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        layer.data(bytes).during(cannot)?;
    }
    let mut ingest = layer.finish().during(cannot)?;
    ingest.flush().during(cannot)?;
    let blob = ingest.commit(None)?;
    let platform = Platform::host();
    let config = Config {
        // The same program always makes the same image.
        created: Some("1970-01-01T00:00:00Z".to_owned()),
        author: None,
        architecture: platform.architecture,
        os: platform.os,
        variant: None,
        config: ContainerDefaults {
            entrypoint: Some(vec!["/naru".to_owned(), "hello".to_owned()]),
            env: vec!["PATH=/".to_owned()],
            working_dir: "/".to_owned(),
            ..ContainerDefaults::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![DiffId(blob.digest)] },
        history: vec![History { created_by: Some("naru".to_owned()), ..History::default() }],
        other: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&config)
        .map_err(|source| LoadError::Json { name: "config".to_owned(), source })?;
    let layers = vec![Descriptor::new(media_type::OCI_LAYER, blob.digest, blob.size)];
    let image = assemble(vec![reference(HELLO_NAME)?], &bytes, layers)?;
    let record = prepare(store, lease.id(), &image, &mut Unpacked::new())?;
    let id = record.image_id;
    publish(store, &[(record, image.names)])?;
    Ok(id)
}

/// Whether a pull means the embedded image, which no registry has to be asked for.
pub fn is_hello(request: &PullRequest) -> bool {
    let here = Platform::host();
    request.reference.clone().or_latest().to_string() == HELLO_NAME
        && !request.all_tags
        && request.platform.as_ref().is_none_or(|wanted| here.serves(wanted))
}

/// The embedded image as a pull answers it: it is made when it is not here, and always up to date.
pub fn pull_hello(
    store: &Store,
    exe: &Path,
    request: &PullRequest,
    report: Report<'_>,
) -> Result<Vec<PulledImage>, Fault> {
    let name = request.reference.clone().or_latest();
    if store.images.get(&name)?.is_none() {
        hello_image(store, exe)?;
    }
    let record = store.images.get(&name)?.ok_or_else(|| {
        Fault::not_found(format!("the image `{}` was removed just now", name.familiar()))
    })?;
    let tag = name.tag().unwrap_or("latest");
    report(Progress::status(format!("Pulling from {}", name.repository()), Some(tag)));
    report(Progress::status(format!("Digest: {}", record.target.digest), None));
    let status = format!("Status: Image is up to date for {}", name.familiar());
    report(Progress::status(status, None));
    let (id, target) = (record.image_id, record.target);
    Ok(vec![PulledImage { id, name, target, is_new: false }])
}

fn program_entry(size: u64) -> Entry {
    Entry { stored: size, ..Entry::new("naru", EntryKind::File, 0o755) }
}
