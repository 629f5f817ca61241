//! Acts: the service of volumes; one file a part.

mod archive;
pub(crate) mod book;
pub(crate) mod driver;
mod ready;

pub use archive::VolumeArchive;
pub(crate) use book::Book;
pub(crate) use ready::{Ready, Stand};

use crate::events::Event;
use crate::model::{
    ANONYMOUS_LABEL, MountKind, Pruned, Timestamp, VolumeFilter, VolumePruneFilter, VolumeRecord,
    VolumeRequest, VolumeUsage, VolumeView,
};
use crate::record::Record;
use crate::spec::mounts::is_volume_name;
use crate::supervisor::Supervisor;
use driver::Backing;
use naru_errdefs::{Fault, Kind, one_line};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The service of volumes.
#[derive(Debug, Clone)]
pub struct Volumes {
    pub(crate) inner: Arc<Supervisor>,
}

/// The longest name that a directory can have.
const LONGEST_NAME: usize = 255;

/// The refusal of a volume that is not there.
pub(crate) fn missing(name: &str) -> Fault {
    Fault::not_found(format!("get {name}: no such volume"))
}

/// The refusal of a driver that is not built in.
pub(crate) fn no_driver(name: &str, driver: &str) -> Fault {
    let attempt = if name.is_empty() { String::new() } else { format!("create {name}: ") };
    Fault::not_found(format!(
        "{attempt}error looking up volume plugin {driver}: plugin \"{driver}\" not found"
    ))
    .with_hint(
        "there is the driver `local`; it mounts tmpfs, nfs and other file systems with its options",
    )
}

/// Refuses what cannot be the name of a volume, in Docker's words.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    if name.chars().count() == 1 {
        return Err(Fault::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !is_volume_name(name) {
        return Err(Fault::invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    if name.len() > LONGEST_NAME {
        return Err(Fault::invalid(format!("create {name}: file name too long"))
            .with_hint(format!("a name has at most {LONGEST_NAME} characters")));
    }
    Ok(())
}

/// A record of a new volume.
pub(crate) fn record(request: VolumeRequest) -> Result<VolumeRecord, Fault> {
    let VolumeRequest { name, driver, options, mut labels } = request;
    let anonymous = name.is_empty();
    let name = if anonymous { crate::containers::new_id()? } else { name };
    check_name(&name)?;
    if !matches!(driver.as_str(), "" | "local") {
        return Err(no_driver(&name, &driver));
    }
    if let Some(options) = &options {
        driver::parse(options).map_err(|fault| {
            let hint = fault.hint().map(str::to_owned);
            let fault = Fault::new(fault.kind(), format!("create {name}: {}", fault.message()));
            match hint {
                Some(hint) => fault.with_hint(hint),
                None => fault,
            }
        })?;
    }
    if anonymous {
        labels.get_or_insert_default().insert(ANONYMOUS_LABEL.to_owned(), String::new());
    }
    Ok(VolumeRecord { name, created: Timestamp::now(), options, labels, anonymous })
}

impl Volumes {
    /// Makes a volume; one of that name that is there already is the answer.
    pub async fn create(&self, request: VolumeRequest) -> Result<VolumeView, Fault> {
        let record = record(request)?;
        self.inner
            .blocking(move |inner| {
                let (hold, record) = inner.volumes.hold(record)?;
                let made = inner.make_volume(&hold).and_then(|()| inner.volumes.keep(&hold.name));
                if let Err(fault) = made {
                    inner.volumes.undo(&hold)?;
                    return Err(fault);
                }
                if hold.new {
                    inner.tell_volume(&hold.name, "create", &[("driver", "local")]);
                }
                Ok(inner.volume_view(record))
            })
            .await
    }

    /// One volume.
    pub async fn inspect(&self, name: &str) -> Result<VolumeView, Fault> {
        let record = self.inner.volumes.get(name).ok_or_else(|| missing(name))?;
        Ok(self.inner.volume_view(record))
    }

    /// The volumes that the filter lets through, by name.
    pub async fn list(&self, filter: &VolumeFilter) -> Result<Vec<VolumeView>, Fault> {
        let used = self.inner.used_volumes();
        let any = |wanted: &[String], matches: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|wanted| matches(wanted))
        };
        Ok(self
            .inner
            .volumes
            .list()
            .into_iter()
            .filter(|record| {
                any(&filter.name, &|part| record.name.contains(part))
                    && any(&filter.driver, &|driver| driver == "local")
                    && filter.label.iter().all(|label| has_label(record, label))
                    && filter.dangling.is_none_or(|idle| idle != used.contains_key(&record.name))
            })
            .map(|record| self.inner.volume_view(record))
            .collect())
    }

    /// The volumes with how much room they take.
    pub async fn disk_usage(&self) -> Result<Vec<VolumeView>, Fault> {
        self.inner
            .blocking(|inner| {
                let used = inner.used_volumes();
                Ok(inner
                    .volumes
                    .list()
                    .into_iter()
                    .map(|record| {
                        let containers = used.get(&record.name).copied().unwrap_or(0);
                        let size = inner.volume_size(&record);
                        let usage = VolumeUsage { size, containers };
                        VolumeView { usage: Some(usage), ..inner.volume_view(record) }
                    })
                    .collect())
            })
            .await
    }

    /// Removes a volume that no container has. With `force`, one that is not there is fine.
    pub async fn remove(&self, name: &str, force: bool) -> Result<(), Fault> {
        let wanted = name.to_owned();
        let removed = self.inner.blocking(move |inner| inner.remove_volume(&wanted)).await;
        match removed {
            Err(fault) if force && fault.kind() == Kind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes volumes that no container has.
    pub async fn prune(&self, filter: VolumePruneFilter) -> Result<Pruned, Fault> {
        self.inner
            .blocking(move |inner| {
                let used = inner.used_volumes();
                let mut pruned = Pruned::default();
                for record in inner.volumes.list() {
                    // As in Docker, what is mounted from elsewhere is not ours to throw away.
                    let own = record.options.as_ref().is_none_or(BTreeMap::is_empty);
                    let wanted = (filter.all || record.anonymous)
                        && own
                        && !used.contains_key(&record.name)
                        && filter.label.iter().all(|label| has_label(&record, label))
                        && !filter.label_not.iter().any(|label| has_label(&record, label));
                    if !wanted {
                        continue;
                    }
                    let size = inner.volume_size(&record);
                    match inner.remove_volume(&record.name) {
                        Ok(()) => {
                            pruned.space_reclaimed += size.unwrap_or(0);
                            pruned.deleted.push(record.name);
                        }
                        // Somebody took or removed it meanwhile.
                        Err(fault) if matches!(fault.kind(), Kind::Conflict | Kind::NotFound) => {}
                        Err(fault) => tracing::warn!(
                            volume = record.name,
                            "cannot prune it: {}",
                            one_line(&fault)
                        ),
                    }
                }
                let reclaimed = pruned.space_reclaimed.to_string();
                inner.tell_volume("", "prune", &[("reclaimed", &reclaimed)]);
                Ok(pruned)
            })
            .await
    }
}

fn has_label(record: &VolumeRecord, wanted: &str) -> bool {
    let labels = record.labels.iter().flatten();
    match wanted.split_once('=') {
        Some((key, value)) => labels.into_iter().any(|(k, v)| k == key && v == value),
        None => labels.into_iter().any(|(key, _)| key == wanted),
    }
}

impl Supervisor {
    /// Tells the listeners what happened to a volume.
    pub(crate) fn tell_volume(&self, name: &str, action: &str, attributes: &[(&str, &str)]) {
        let attributes = attributes
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>();
        self.events.publish(Event {
            time: Timestamp::now(),
            kind: "volume",
            action: action.to_owned(),
            id: name.to_owned(),
            attributes,
        });
    }

    /// Tells that a container's volumes are mounted for it.
    pub(crate) fn tell_mounted(&self, record: &Record) {
        for point in &record.mounts {
            let Some(name) = volume_name(point) else { continue };
            let propagation = point.propagation.map_or("", |propagation| propagation.as_str());
            let writable = if point.writable { "true" } else { "false" };
            let attributes = [
                ("container", record.id.as_str()),
                ("destination", &point.destination),
                ("driver", "local"),
                ("propagation", propagation),
                ("read/write", writable),
            ];
            self.tell_volume(name, "mount", &attributes);
        }
    }

    /// Tells that they are no longer.
    pub(crate) fn tell_unmounted(&self, record: &Record) {
        for name in record.mounts.iter().filter_map(volume_name) {
            let attributes = [("container", record.id.as_str()), ("driver", "local")];
            self.tell_volume(name, "unmount", &attributes);
        }
    }

    fn volume_view(&self, record: VolumeRecord) -> VolumeView {
        VolumeView {
            mountpoint: self.volumes.directory(&record.name),
            name: record.name,
            created: record.created,
            options: record.options,
            labels: record.labels,
            usage: None,
        }
    }

    /// What a volume's own directory holds; nothing is said of what is mounted from elsewhere.
    fn volume_size(&self, record: &VolumeRecord) -> Option<u64> {
        match backing(record) {
            Ok(Backing::Directory) => naru_store::usage_of(&self.volumes.directory(&record.name))
                .ok()
                .map(|usage| usage.bytes),
            Ok(Backing::Bind { .. } | Backing::FileSystem(_)) | Err(_) => None,
        }
    }

    /// The volumes that containers have, and how many have each.
    fn used_volumes(&self) -> BTreeMap<String, u64> {
        let containers = self.table().all();
        let mut used = BTreeMap::new();
        for container in containers {
            let seat = container.seat();
            let names: BTreeSet<&String> =
                seat.record.mounts.iter().filter_map(volume_name).collect();
            for name in names {
                *used.entry(name.clone()).or_default() += 1;
            }
        }
        used
    }

    /// The containers that have a volume, but for one.
    pub(crate) fn volume_users(&self, name: &str, but: &str) -> Vec<String> {
        let containers = self.table().all();
        containers
            .iter()
            .filter(|container| {
                container.id != but
                    && container
                        .seat()
                        .record
                        .mounts
                        .iter()
                        .filter_map(volume_name)
                        .any(|own| own == name)
            })
            .map(|container| container.id.clone())
            .collect()
    }

    /// Makes the directory of a volume that is held, if it is not there yet.
    fn make_volume(&self, hold: &book::Hold) -> Result<(), Fault> {
        self.volumes.alone(&hold.name, || {
            if self.volumes.directory(&hold.name).is_dir() {
                return Ok(());
            }
            self.volumes.make_directory(&hold.name, |_empty| Ok(()))
        })
    }

    fn remove_volume(&self, name: &str) -> Result<(), Fault> {
        self.volumes.remove(name, || self.volume_users(name, ""))?;
        self.tell_volume(name, "destroy", &[("driver", "local")]);
        Ok(())
    }

    /// Removes the volume that was made for a container alone, unless others have it by now.
    pub(crate) fn discard_volume(&self, name: &str, container: &str) -> Result<(), Fault> {
        match self.volumes.remove(name, || self.volume_users(name, container)) {
            Ok(()) => self.tell_volume(name, "destroy", &[("driver", "local")]),
            Err(fault) if matches!(fault.kind(), Kind::Conflict | Kind::NotFound) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}

/// The volume of a mount point, if it is one.
pub(crate) fn volume_name(point: &crate::model::MountPoint) -> Option<&String> {
    point.name.as_ref().filter(|_name| point.kind == MountKind::Volume)
}

/// What stands behind a volume.
pub(crate) fn backing(record: &VolumeRecord) -> Result<Backing, Fault> {
    record.options.as_ref().map_or(Ok(Backing::Directory), driver::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_docker_s() {
        for (name, want) in [
            ("ab", ""),
            ("a.b-c_d", ""),
            ("a", "too short"),
            ("../x", "includes invalid characters"),
            ("a/b", "includes invalid characters"),
            (".ab", "includes invalid characters"),
            ("-a", "includes invalid characters"),
            ("ä1", "includes invalid characters"),
            ("a\0b", "includes invalid characters"),
            ("", "includes invalid characters"),
        ] {
            let refused = check_name(name).err().map(|fault| fault.message().to_owned());
            assert!(refused.unwrap_or_default().contains(want), "{name}");
        }
        assert!(check_name(&"a".repeat(256)).is_err());
        assert!(check_name(&"a".repeat(255)).is_ok());
    }

    #[test]
    fn a_volume_without_a_name_gets_one() {
        let made = record(VolumeRequest::default()).unwrap();
        assert_eq!((made.name.len(), made.anonymous), (64, true));
        assert!(made.labels.unwrap().contains_key(ANONYMOUS_LABEL));
        let refused = VolumeRequest {
            name: "vol".into(),
            options: Some([("x".to_owned(), String::new())].into()),
            ..VolumeRequest::default()
        };
        assert_eq!(record(refused).unwrap_err().message(), "create vol: invalid option: \"x\"");
        let other =
            VolumeRequest { name: "vol".into(), driver: "foo".into(), ..VolumeRequest::default() };
        assert_eq!(
            record(other).unwrap_err().message(),
            "create vol: error looking up volume plugin foo: plugin \"foo\" not found"
        );
    }
}
