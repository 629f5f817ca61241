//! Acts: what is stored, in the store; records of containers that go when they end, in files that end with the host's
//! run.

use super::{Image, OverlayPaths, Storage};
use crate::places::Places;
use crate::record::Record;
use naru_errdefs::{Fault, Kind, ResultExt, one_line};
use naru_oci::{ChainId, Config, ImageId, Reference};
use naru_runtime::Root;
use naru_store::{OverlayMount, Store, StoreError, Table};
use naru_transfer::Registries;
use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest image config that is read.
const MAX_CONFIG: u64 = 8 << 20;
/// How many parsed image configs are kept.
const CACHED: usize = 256;
/// What the keys of containers' snapshots begin with.
const PREFIX: &str = "container/";

/// The store, and the files beside it.
#[derive(Debug)]
pub(crate) struct DiskStorage {
    store: Store,
    records: Table<Record>,
    places: Places,
    /// What the embedded image is made of.
    exe: PathBuf,
    configs: Mutex<HashMap<ImageId, Image>>,
    registries: Registries,
}

/// Puts the directories of containers that go when they end aside, before a store is opened that may not have heard of
/// them: such rows are written a moment later than they are acknowledged. A mount that is made of them does not mind.
pub(crate) fn put_aside(places: &Places) -> Result<(), Fault> {
    for record in ephemeral_records(places)? {
        let Some((upper, work)) = &record.directories else { continue };
        for (name, from) in [("upper", upper), ("work", work)] {
            let to = places.container(&record.id).join(name);
            // What is there already was put aside by a daemon that was killed before it could put it back.
            if from.exists() && !to.exists() {
                move_directory(from, &to)?;
            }
        }
    }
    Ok(())
}

/// Puts the directories back where the open store has, or now makes, their place.
pub(crate) fn put_back(storage: &DiskStorage, places: &Places) -> Result<(), Fault> {
    for mut record in ephemeral_records(places)? {
        let aside = |name: &str| places.container(&record.id).join(name);
        let (upper, work) = (aside("upper"), aside("work"));
        if !upper.exists() && !work.exists() {
            continue;
        }
        let paths = match storage.paths(&record) {
            Ok(paths) => paths,
            Err(fault) if fault.kind() == Kind::NotFound => storage.prepare(&record)?,
            Err(fault) => return Err(fault),
        };
        record.directories = Some((paths.upper.clone(), paths.work.clone()));
        storage.put(&record)?;
        for (from, to) in [(&upper, &paths.upper), (&work, &paths.work)] {
            if from.exists() {
                // Nothing was written there yet.
                crate::places::remove_tree(to)?;
                move_directory(from, to)?;
            }
        }
    }
    Ok(())
}

fn move_directory(from: &Path, to: &Path) -> Result<(), Fault> {
    fs::rename(from, to)
        .during(|| format!("cannot move `{}` to `{}`", from.display(), to.display()))
}

impl DiskStorage {
    /// Over an open store.
    pub(crate) fn new(
        store: Store,
        places: Places,
        exe: PathBuf,
        registries: Registries,
    ) -> DiskStorage {
        let records = store.records.table("containers");
        DiskStorage { store, records, places, exe, configs: Mutex::default(), registries }
    }

    /// The embedded image is made when it is first asked for; what the embedded registry holds is taken from there.
    fn resolve(&self, text: &str) -> Result<naru_store::Image, Fault> {
        naru_transfer::refresh_own(&self.store, &self.registries, text)?;
        let missing = match self.store.images.resolve(text) {
            Ok(image) => return Ok(image),
            Err(error) => Fault::from(error),
        };
        let embedded = text
            .parse::<Reference>()
            .is_ok_and(|name| name.or_latest().to_string() == naru_transfer::HELLO_NAME);
        if missing.kind() != Kind::NotFound || !embedded {
            return Err(missing);
        }
        naru_transfer::hello_image(&self.store, &self.exe)?;
        Ok(self.store.images.resolve(text)?)
    }

    fn put_ephemeral(&self, record: &Record) -> Result<(), Fault> {
        let path = self.places.ephemeral_record(&record.id);
        let bytes = serde_json::to_vec(record)
            .map_err(|error| Fault::internal("cannot encode a record").with_source(error))?;
        let write = |file: io::Result<fs::File>| file.and_then(|mut file| file.write_all(&bytes));
        // The first time nobody was told of it yet: half a record is no record.
        match write(fs::File::create_new(&path)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let part = path.with_extension("part");
                write(fs::File::create(&part)).and_then(|()| fs::rename(&part, &path))
            }
            written => written,
        }
        .during(|| format!("cannot write `{}`", path.display()))
    }
}

/// The records of containers that go when they end.
pub(crate) fn ephemeral_records(places: &Places) -> Result<Vec<Record>, Fault> {
    let mut records = Vec::new();
    for id in places.ids()? {
        let path = places.ephemeral_record(&id);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(Fault::io(format!("cannot read `{}`", path.display()), error));
            }
        };
        match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) => records.push(record),
            // It was being written when the daemon was killed; `create` had not answered.
            Err(error) => tracing::info!("`{}` is half a record: {error}", path.display()),
        }
    }
    Ok(records)
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

fn root(mount: OverlayMount, volatile: bool) -> Root {
    Root::Overlay {
        base: mount.base,
        lower: mount.lower,
        upper: mount.upper,
        work: mount.work,
        volatile,
    }
}

impl Storage for DiskStorage {
    fn image(&self, text: &str) -> Result<Image, Fault> {
        if text.is_empty() {
            return Err(Fault::invalid("no image was named"));
        }
        let found = self.resolve(text)?;
        let id = found.id();
        let cached = self.configs.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(image) = cached {
            return Ok(image);
        }
        let bytes = self.store.content.read(&found.record.config, MAX_CONFIG)?;
        let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
            Fault::new(Kind::DataLoss, format!("the config of image `{text}` is damaged"))
                .with_source(error)
                .with_hint("`naru system verify --repair` drops what is damaged; load it again")
        })?;
        let image = Image {
            id,
            chain: found.record.chain,
            os: config.os,
            defaults: Arc::new(config.config),
        };
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if configs.len() >= CACHED {
            configs.clear();
        }
        configs.insert(id, image.clone());
        Ok(image)
    }

    fn takes_long(&self, text: &str) -> bool {
        text.parse::<Reference>().is_ok_and(|reference| self.registries.holds(&reference))
    }

    fn layers(&self, chain: Option<ChainId>) -> Result<Vec<PathBuf>, Fault> {
        match chain {
            Some(chain) => Ok(self.store.snapshots.lower_dirs(&chain)?),
            None => Err(Fault::not_found("the image has no layers")),
        }
    }

    fn image_id(&self, text: &str) -> Option<ImageId> {
        self.store.images.resolve(text).ok().map(|image| image.id())
    }

    fn records(&self) -> Result<Vec<Record>, Fault> {
        let mut records: Vec<Record> =
            self.records.list()?.into_iter().map(|(_, record)| record).collect();
        records.extend(ephemeral_records(&self.places)?);
        Ok(records)
    }

    fn put(&self, record: &Record) -> Result<(), Fault> {
        if record.is_ephemeral() {
            return self.put_ephemeral(record);
        }
        Ok(self.records.put(&record.id, record)?)
    }

    fn forget(&self, record: &Record) -> Result<(), Fault> {
        if record.is_ephemeral() {
            let path = self.places.ephemeral_record(&record.id);
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(Fault::io(format!("cannot remove `{}`", path.display()), error))
                }
                Ok(()) | Err(_) => Ok(()),
            };
        }
        self.records.remove(&record.id)?;
        Ok(())
    }

    fn prepare(&self, record: &Record) -> Result<OverlayPaths, Fault> {
        let key = key(&record.id);
        let mount = if record.is_ephemeral() {
            self.store.snapshots.prepare_volatile(&key, record.chain)?
        } else {
            self.store.snapshots.prepare(&key, record.chain)?
        };
        Ok(absolute(&mount))
    }

    fn root(&self, record: &Record) -> Result<Root, Fault> {
        let mount = self.store.snapshots.mount(&key(&record.id))?;
        if record.is_ephemeral() && record.started_at.is_some() {
            super::allow_another_mount(&mount.base.join(&mount.work))?;
        }
        Ok(root(mount, record.is_ephemeral()))
    }

    fn paths(&self, record: &Record) -> Result<OverlayPaths, Fault> {
        let mount = self.store.snapshots.mount(&key(&record.id))?;
        Ok(absolute(&mount))
    }

    fn remove(&self, record: &Record) -> Result<(), Fault> {
        let key = key(&record.id);
        let removed = if record.is_ephemeral() {
            self.store.snapshots.remove_volatile(&key)
        } else {
            self.store.snapshots.remove(&key)
        };
        absent_is_fine(removed)
    }

    fn sweep(&self, ids: &[String]) -> Result<(), Fault> {
        for active in self.store.snapshots.list_active()? {
            let Some(id) = active.key.strip_prefix(PREFIX) else { continue };
            if !ids.iter().any(|known| known == id) {
                tracing::info!(container = id, "sweeping the snapshot of a half-made container");
                if let Err(fault) = absent_is_fine(self.store.snapshots.remove(&active.key)) {
                    tracing::warn!("cannot sweep a snapshot: {}", one_line(&fault));
                }
            }
        }
        for id in self.places.ids()? {
            if !ids.contains(&id) {
                self.places.remove(&id)?;
            }
        }
        Ok(())
    }

    fn usage(&self, record: &Record) -> Result<(u64, u64), Fault> {
        let writable = self.store.snapshots.usage(&key(&record.id))?.bytes;
        let mut all = writable;
        let mut next = record.chain;
        while let Some(chain) = next {
            let layer = self.store.snapshots.get(&chain)?;
            all += layer.size;
            next = layer.parent;
        }
        Ok((writable, all))
    }
}

fn absolute(mount: &OverlayMount) -> OverlayPaths {
    let absolute = |path: &PathBuf| mount.base.join(path);
    OverlayPaths {
        lower: mount.lower.iter().map(absolute).collect(),
        upper: absolute(&mount.upper),
        work: absolute(&mount.work),
    }
}

fn absent_is_fine(result: Result<(), StoreError>) -> Result<(), Fault> {
    match result.map_err(Fault::from) {
        Err(fault) if fault.kind() != Kind::NotFound => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}
