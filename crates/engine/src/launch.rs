//! Acts: from a container's record to the start of its process: what is looked up, what is written, what is asked of
//! the monitor.

use crate::container::Container;
use crate::host_files;
use crate::launcher::Job;
use crate::model::{DeviceMapping, MountKind, MountPoint};
use crate::networks::Entered;
use crate::places::make_private;
use crate::record::Record;
use crate::spec::devices::HostDevice;
use crate::spec::modes::{self, Network, Sharing};
use crate::spec::resources::{DeviceNumbers, limited_devices};
use crate::spec::{self, Facts, Joined};
use crate::supervisor::Supervisor;
use crate::volumes::Ready;
use naru_errdefs::{Fault, ResultExt};
use naru_runtime::{Plan, PlanOptions, UserRequest};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The files that are mounted into every container, unless it mounts its own.
pub(crate) const FILES: [(&str, &str); 3] =
    [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")];

impl Supervisor {
    /// Starts the process of a container that is `Starting`. The caller has the turn. Whatever goes wrong is undone,
    /// and the state says it.
    pub(crate) async fn launch(&self, container: &Arc<Container>) -> Result<(), Fault> {
        // What is still copied into the run before.
        drop(container.copies.write().await);
        let (record, listeners, receiver) = {
            let mut seat = container.seat();
            let (sender, receiver) = oneshot::channel();
            seat.starter = Some(sender);
            seat.record.stopped_by_hand = false;
            seat.record.finished_at = None;
            let listeners = std::mem::take(&mut seat.listeners);
            (seat.record.clone(), listeners, receiver)
        };
        // Written while the process is made: it says only that there was a start.
        let saving = (!record.is_ephemeral()).then(|| {
            let container = Arc::clone(container);
            self.blocking_task(move |me| me.save_now(&container))
        });
        let ready = self.make_ready(&record).await;
        let assembled = match ready {
            // Interfaces are made, and perhaps a bridge: not on a thread that serves others.
            Ok(ready) if self.networks.must_wait(&record) => {
                let record = record.clone();
                self.blocking(move |me| Ok((me.assemble(&record, &ready)?, ready))).await
            }
            Ok(ready) => self.assemble(&record, &ready).map(|assembled| (assembled, ready)),
            Err(fault) => Err(fault),
        };
        let asked = assembled.and_then(|((job, plan), ready)| {
            for warning in &plan.warnings {
                tracing::warn!(container = record.id, "{warning}");
            }
            self.tell_mounted(&record);
            self.launcher.start(&job, plan, listeners)?;
            Ok(ready)
        });
        let started = match asked {
            // What was made ready is there until the process has it.
            Ok(_ready) => match receiver.await {
                Ok(outcome) => {
                    if outcome.is_ok() {
                        // Its process holds the namespace from here on.
                        let pid = container.seat().record.state.pid();
                        self.networks.let_go(&container.id, pid);
                    }
                    outcome
                }
                Err(_gone) => Err(Fault::internal("nobody said how the start went")),
            },
            Err(fault) => {
                container.seat().starter = None;
                self.give_up(container, &fault);
                Err(fault)
            }
        };
        // A start that failed leaves it to nobody.
        self.networks.let_go_bare(&record.id);
        if let Some(saving) = saving {
            let saved = match saving.await {
                Ok(saved) => saved,
                Err(error) => {
                    Err(Fault::internal("a task of the engine was lost").with_source(error))
                }
            };
            if let Err(fault) = saved {
                if started.is_ok() {
                    self.launcher.signal(&container.key(), crate::signal::KILL).ok();
                }
                return started.and(Err(fault.context("cannot record the start")));
            }
        }
        started
    }

    fn blocking_task<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Supervisor) -> Result<T, Fault> + Send + 'static,
    ) -> tokio::task::JoinHandle<Result<T, Fault>> {
        let me = self.shared();
        self.runtime.spawn_blocking(move || work(&*me?))
    }

    /// Everything that the monitor must know.
    fn assemble(&self, record: &Record, ready: &Ready) -> Result<(Job, Plan), Fault> {
        let root = self.storage.root(record)?;
        self.make_sources(&record.mounts)?;
        let facts = Facts { prepared: ready.found.clone(), ..self.facts(record)? };
        let spec = spec::spec(&record.config, &record.host, &record.mounts, &facts)?;
        let limits = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
        let parent = &record.host.resources.cgroup_parent;
        let cgroup_join = self.launcher.confine(&record.id, parent, &limits.unwrap_or_default())?;
        let options = PlanOptions {
            cgroup_join,
            init: record.host.init == Some(true),
            user: Some(user(record, &record.config.user)),
            seccomp: self.filters.of(record)?,
            ..PlanOptions::new(&record.id, root)
        };
        let plan = naru_runtime::plan(&spec, &options, &self.host)?;
        Ok((self.job(record), plan))
    }

    fn job(&self, record: &Record) -> Job {
        let log = match record.host.log.driver.as_str() {
            "none" => None,
            _ => spec::log_limits(&record.host)
                .ok()
                .map(|(size, files)| (self.places.log(&record.id), size, files)),
        };
        Job {
            key: crate::launcher::Key { container: record.id.clone(), exec: None },
            terminal: record.config.tty,
            stdin: record.config.open_stdin,
            log,
            exit_record: Some(self.places.exit_record(&record.id)),
            tied: false,
        }
    }

    /// Makes the missing sources of binds that were asked for the old way, and finds those that must be there.
    pub(crate) fn make_sources(&self, points: &[MountPoint]) -> Result<(), Fault> {
        for point in points.iter().filter(|point| point.kind == MountKind::Bind) {
            let path = Path::new(&point.source);
            let missing = match fs::symlink_metadata(path) {
                Ok(_) => false,
                Err(error) if error.kind() == ErrorKind::NotFound => true,
                Err(error) => {
                    return Err(Fault::io(
                        format!("cannot look at the bind source `{}`", point.source),
                        error,
                    ));
                }
            };
            if !missing {
                continue;
            }
            if point.options.iter().any(|option| option == "must-exist") {
                return Err(Fault::invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    point.source
                )));
            }
            fs::create_dir_all(path)
                .during(|| format!("error while creating mount source path '{}'", point.source))?;
        }
        Ok(())
    }

    /// What a spec needs to have looked up.
    pub(crate) fn facts(&self, record: &Record) -> Result<Facts, Fault> {
        let host = &record.host;
        let mode = modes::network(&host.network_mode)?;
        let joined_network = match &mode {
            Network::Container(name) => Some(self.running_process(name, "network")?),
            Network::None | Network::Host | Network::Networks(_) => None,
        };
        let entered = match mode {
            Network::Networks(_) if !record.config.network_disabled => {
                Some(self.networks.enter(record)?)
            }
            _ => None,
        };
        let bare = match mode {
            Network::None => Some(self.networks.enter_bare(&record.id)?),
            Network::Host | Network::Container(_) | Network::Networks(_) => None,
        };
        let hostname = match (&joined_network, host.network_mode.as_str()) {
            (Some((other, _)), _) => other.hostname(),
            (None, "host") if record.config.hostname.is_empty() => host_name(),
            (None, _) => record.hostname(),
        };
        let pid = match modes::pid(&host.pid_mode)? {
            Sharing::Container(name) => Some(self.running_process(&name, "PID")?),
            Sharing::Private | Sharing::Shareable | Sharing::Host => None,
        };
        let ipc = match modes::ipc(&host.ipc_mode)? {
            Sharing::Container(name) => Some(self.running_process(&name, "IPC")?),
            Sharing::Private | Sharing::Shareable | Sharing::Host => None,
        };
        let files = match &joined_network {
            // The files are the other container's, as its network is.
            Some((other, _)) => self.files_of(other),
            None => {
                self.write_files(record, &hostname, entered.as_ref())?;
                self.files_of(record)
            }
        };
        let namespace = |joined: &Option<(Record, u32)>, kind: &str| {
            joined.as_ref().map(|(_, pid)| PathBuf::from(format!("/proc/{pid}/ns/{kind}")))
        };
        Ok(Facts {
            hostname,
            linked: self.linked(record),
            joined: Joined {
                network: namespace(&joined_network, "net")
                    .or(entered.map(|entered| entered.path))
                    .or(bare),
                ipc: namespace(&ipc, "ipc"),
                pid: namespace(&pid, "pid"),
            },
            devices: devices(&host.resources.devices, host.privileged)?,
            numbers: numbers(record)?,
            shared_memory: self.shared_memory(record, ipc.as_ref().map(|(other, _)| other))?,
            files,
            unified_cgroups: self.launcher.support().version == 2,
            prepared: BTreeMap::new(),
        })
    }

    /// What limits need to have looked up.
    pub(crate) fn facts_of_limits(&self, record: &Record) -> Result<Facts, Fault> {
        Ok(Facts {
            devices: devices(&record.host.resources.devices, record.host.privileged)?,
            numbers: numbers(record)?,
            unified_cgroups: self.launcher.support().version == 2,
            ..Facts::default()
        })
    }

    fn running_process(&self, name: &str, what: &str) -> Result<(Record, u32), Fault> {
        let container = self.find(name)?;
        let seat = container.seat();
        let Some(pid) = seat.record.state.pid() else {
            return Err(Fault::conflict(format!(
                "cannot join {what} of a non running container: {}",
                seat.record.id
            ))
            .with_hint(format!("start `{}` first", seat.record.name)));
        };
        Ok((seat.record.clone(), pid))
    }

    fn shared_memory(
        &self,
        record: &Record,
        other: Option<&Record>,
    ) -> Result<Option<PathBuf>, Fault> {
        if let Some(other) = other {
            return match modes::ipc(&other.host.ipc_mode)? {
                Sharing::Shareable => Ok(Some(self.places.shared_memory(&other.id))),
                Sharing::Host => Ok(Some(PathBuf::from("/dev/shm"))),
                Sharing::Private | Sharing::Container(_) => Err(Fault::invalid(format!(
                    "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                    other.id
                ))),
            };
        }
        if modes::ipc(&record.host.ipc_mode)? != Sharing::Shareable {
            return Ok(None);
        }
        let path = self.places.shared_memory(&record.id);
        make_private(&path)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o1777))
            .during(|| format!("cannot set the mode of `{}`", path.display()))?;
        Ok(Some(path))
    }

    pub(crate) fn files_of(&self, record: &Record) -> Vec<(&'static str, PathBuf)> {
        FILES.iter().map(|(inside, name)| (*inside, self.places.file(record, name))).collect()
    }

    fn write_files(
        &self,
        record: &Record,
        hostname: &str,
        entered: Option<&Entered>,
    ) -> Result<(), Fault> {
        let own = (record.host.network_mode == "host")
            .then(|| fs::read_to_string("/etc/hosts").unwrap_or_default());
        let names = (hostname, record.config.domainname.as_str());
        let hosts = host_files::hosts(names, &record.host, entered, own.as_deref())?;
        let resolv = self.resolv_conf(record, entered);
        for (name, text) in
            [("hostname", format!("{hostname}\n")), ("hosts", hosts), ("resolv.conf", resolv)]
        {
            let path = self.places.file(record, name);
            write_file(&path, text.as_bytes())
                .during(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(())
    }

    pub(crate) fn resolv_conf(&self, record: &Record, entered: Option<&Entered>) -> String {
        let view = self.networks.inner.host_files().view();
        let mut wishes = host_files::wishes(&record.host);
        if wishes.servers.is_empty() && record.host.network_mode != "host" {
            wishes.servers = self.networks.inner.daemon_servers();
        }
        host_files::resolv_conf(&wishes, entered, &view.own, &view.dns)
    }
}

/// A small file whose loss a crash may bring, because the next start writes it again.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    fs::File::create(path)?.write_all(bytes)
}

/// A user in the runtime's words.
pub(crate) fn user(record: &Record, user: &str) -> UserRequest {
    UserRequest { user: user.to_owned(), groups: record.host.group_add.clone() }
}

/// The host's own name.
pub(crate) fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

fn device(path: &Path, inside: &Path, permissions: &str) -> Result<Option<HostDevice>, Fault> {
    let status = fs::metadata(path).map_err(|error| {
        Fault::invalid(format!(
            "error gathering device information while adding custom device \"{}\"",
            path.display()
        ))
        .with_source(error)
    })?;
    let kind = status.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return Ok(None);
    }
    let number = status.rdev();
    Ok(Some(HostDevice {
        path: inside.to_string_lossy().into_owned(),
        block: kind.is_block_device(),
        major: major(number),
        minor: minor(number),
        mode: status.mode() & 0o7777,
        uid: status.uid(),
        gid: status.gid(),
        permissions: if permissions.is_empty() { "rwm".into() } else { permissions.into() },
    }))
}

/// The driver's number in a device number of Linux.
fn major(number: u64) -> u32 {
    let bits = ((number >> 8) & 0xfff) | ((number >> 32) & 0xffff_f000);
    u32::try_from(bits).unwrap_or(0)
}

/// The device's number in a device number of Linux.
fn minor(number: u64) -> u32 {
    let bits = (number & 0xff) | ((number >> 12) & 0xffff_ff00);
    u32::try_from(bits & 0xffff_ffff).unwrap_or(0)
}

fn devices(mappings: &[DeviceMapping], privileged: bool) -> Result<Vec<HostDevice>, Fault> {
    let mut list = Vec::new();
    if privileged {
        collect(Path::new("/dev"), Path::new("/dev"), "rwm", &mut list)?;
        // These the runtime makes anew for the container.
        const OWN: [&str; 10] = [
            "/dev/null",
            "/dev/zero",
            "/dev/full",
            "/dev/random",
            "/dev/urandom",
            "/dev/tty",
            "/dev/console",
            "/dev/ptmx",
            "/dev/pts",
            "/dev/shm",
        ];
        list.retain(|device| !OWN.contains(&device.path.as_str()));
    }
    for mapping in mappings {
        let outside = Path::new(&mapping.path_on_host);
        let inside = if mapping.path_in_container.is_empty() {
            outside
        } else {
            Path::new(&mapping.path_in_container)
        };
        match device(outside, inside, &mapping.cgroup_permissions)? {
            Some(found) => list.push(found),
            None if outside.is_dir() => {
                collect(outside, inside, &mapping.cgroup_permissions, &mut list)?;
            }
            None => {
                return Err(Fault::invalid(format!(
                    "error gathering device information while adding custom device \"{}\": not a device node",
                    mapping.path_on_host
                )));
            }
        }
    }
    Ok(list)
}

fn collect(
    dir: &Path,
    inside: &Path,
    permissions: &str,
    list: &mut Vec<HostDevice>,
) -> Result<(), Fault> {
    const SKIPPED: [&str; 5] = ["pts", "shm", "fd", "mqueue", ".udev"];
    let entries = fs::read_dir(dir).during(|| format!("cannot read `{}`", dir.display()))?;
    for entry in entries {
        let entry = entry.during(|| format!("cannot read `{}`", dir.display()))?;
        let (outside, inside) = (entry.path(), inside.join(entry.file_name()));
        let kind = entry.file_type().during(|| format!("cannot read `{}`", dir.display()))?;
        if kind.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                collect(&outside, &inside, permissions, list)?;
            }
        } else if (kind.is_block_device() || kind.is_char_device())
            && let Some(found) = device(&outside, &inside, permissions)?
        {
            list.push(found);
        }
    }
    Ok(())
}

fn numbers(record: &Record) -> Result<DeviceNumbers, Fault> {
    let mut numbers = DeviceNumbers::new();
    for path in limited_devices(&record.host.resources) {
        let status = fs::metadata(path).during(|| format!("cannot look at the device `{path}`"))?;
        if !status.file_type().is_block_device() {
            return Err(Fault::invalid(format!("`{path}` is not a block device")));
        }
        let number = status.rdev();
        numbers.insert(path.to_owned(), (i64::from(major(number)), i64::from(minor(number))));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::{major, minor};

    #[test]
    fn device_numbers_are_taken_apart_as_linux_puts_them_together() {
        for (number, want) in
            [(0x103, (1, 3)), (0x801, (8, 1)), (0x0010_0800, (8, 0x100)), (0x8800, (136, 0))]
        {
            assert_eq!((major(number), minor(number)), want, "{number:x}");
        }
    }
}
