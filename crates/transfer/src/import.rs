//! Acts: `import`: the tar archive of a root file system becomes an image of one layer.

use crate::changes::apply_changes;
use crate::early::Unpacked;
use crate::error::LoadError;
use crate::layout::assemble;
use crate::progress::{Progress, Report};
use crate::record::{LEASE, prepare, publish};
use naru_errdefs::{Fault, ResultExt};
use naru_layer::{Compression, CompressionError, Limits};
use naru_oci::{
    Config, ContainerDefaults, Descriptor, DiffId, History, ImageId, Platform, Reference, RootFs,
    media_type,
};
use naru_store::Store;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How an import is to be done.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The image's name; none leaves it without.
    pub reference: Option<Reference>,
    /// Dockerfile instructions for its configuration.
    pub changes: Vec<String>,
    /// The comment in its history.
    pub message: Option<String>,
    /// What it runs on; this host when none is given.
    pub platform: Option<Platform>,
}

/// Imports a root file system.
pub fn import(
    store: &Store,
    mut input: impl Read + Send,
    options: &Import,
    report: Report<'_>,
) -> Result<ImageId, Fault> {
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    if platform.os != "linux" {
        return Err(Fault::unsupported(format!("cannot import an image for `{platform}`"))
            .with_hint("only images for `linux` can be kept here"));
    }
    let mut defaults = ContainerDefaults::default();
    apply_changes(&mut defaults, &options.changes)?;

    let lease = store.leases.create(LEASE);
    let reading = || "cannot read the archive".to_owned();
    let mut first = Vec::new();
    input.by_ref().take(512).read_to_end(&mut first).during(reading)?;
    let compression = Compression::detect(&first)?;
    let mut ingest = store.content.ingest(lease.id())?;
    let input = std::io::Cursor::new(first).chain(input);
    // A layer can be packed by gzip and zstd only.
    let (compression, mut input): (_, Box<dyn Read + Send>) = match compression {
        Compression::Xz | Compression::Bzip2 => {
            (Compression::None, compression.decoder(input, &Limits::standard()).during(reading)?)
        }
        Compression::None | Compression::Gzip | Compression::Zstd => (compression, Box::new(input)),
    };
    let mut piece = vec![0u8; 256 * 1024];
    let (mut done, mut told) = (0u64, 0u64);
    loop {
        let read = input.read(&mut piece).during(reading)?;
        let Some(bytes) = piece.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        ingest.write_all(bytes).during(|| "cannot store the archive".to_owned())?;
        done += read as u64;
        if done - told >= 4 << 20 {
            told = done;
            report(Progress {
                status: Some("Importing".to_owned()),
                detail: Some((done, 0)),
                ..Progress::default()
            });
        }
    }
    let blob = ingest.commit(None)?;
    let file = store.content.open(&blob.digest)?;
    // The layer's name is only known when all of it has been seen.
    let diff_id = match compression {
        Compression::None => {
            refuse_unfinished(&file)?;
            DiffId(blob.digest)
        }
        _ => {
            let all = |_: &mut dyn std::io::BufRead| Ok::<_, CompressionError>(());
            let (_, hashed) = naru_layer::digesting::inflate(file, &Limits::standard(), all)?;
            DiffId(hashed.digest)
        }
    };
    let layer_type = match compression {
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
        Compression::None | Compression::Xz | Compression::Bzip2 => media_type::OCI_LAYER,
    };
    let created = OffsetDateTime::now_utc().format(&Rfc3339).ok();
    let comment = options.message.clone().unwrap_or_else(|| "Imported from -".to_owned());
    let config = Config {
        created: created.clone(),
        author: None,
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config: defaults,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![diff_id] },
        history: vec![History { created, comment: Some(comment), ..History::default() }],
        other: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&config)
        .map_err(|source| LoadError::Json { name: "config".to_owned(), source })?;
    let layers = vec![Descriptor::new(layer_type, blob.digest, blob.size)];
    let image = assemble(options.reference.iter().cloned().collect(), &bytes, layers)?;
    let record = prepare(store, lease.id(), &image, &mut Unpacked::new())?;
    let id = record.image_id;
    publish(store, &[(record, image.names)])?;
    Ok(id)
}

/// No digest vouches for what is imported, so an archive without its end mark counts as cut off.
fn refuse_unfinished(file: &std::fs::File) -> Result<(), Fault> {
    use std::os::unix::fs::FileExt;
    let size = file.metadata().during(|| "cannot read the archive".to_owned())?.len();
    let mut tail = [1u8; 1024];
    let is_whole = match size.checked_sub(1024) {
        Some(at) => file.read_exact_at(&mut tail, at).is_ok() && tail.iter().all(|byte| *byte == 0),
        None => false,
    };
    match is_whole {
        true => Ok(()),
        false => Err(naru_layer::tar::TarError::Truncated.into()),
    }
}
