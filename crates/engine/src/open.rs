//! Acts: opens the engine: places, store, monitor, recovery.

use crate::images::ImageUser;
use crate::launcher::{Launcher, MonitorLauncher, Sink};
use crate::networks::{self, NetworkOptions, Networks};
use crate::places::Places;
use crate::seccomp::Filters;
use crate::storage::{DiskStorage, Storage, put_aside, put_back};
use crate::supervisor::Supervisor;
use crate::volumes::Book;
use crate::{Builds, Containers, Events, Images, System, Volumes, health, recovery};
use naru_errdefs::{Fault, ResultExt};
use naru_runtime::Host;
use naru_store::Store;
use naru_transfer::Registries;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use tokio::runtime::Handle;

/// What the engine is told once.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where data lies (`/var/lib/naru`).
    pub data_root: PathBuf,
    /// Where sockets and what lives no longer than the host lie (`/run/naru`).
    pub exec_root: PathBuf,
    /// This binary, started again as `naru monitor` and copied into containers as their init.
    pub exe: PathBuf,
    /// Whether debugging is on; only shown.
    pub debug: bool,
    /// How networks are made.
    pub networks: NetworkOptions,
    /// How other registries are reached, and the names of our own.
    pub registries: Registries,
}

/// The services. Taken apart at once by whoever opens it.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Containers and execs.
    pub containers: Containers,
    /// Images.
    pub images: Images,
    /// Builds.
    pub builds: Builds,
    /// Networks.
    pub networks: Networks,
    /// Volumes.
    pub volumes: Volumes,
    /// The system.
    pub system: System,
    /// Events.
    pub events: Events,
    closing: Closing,
    store: Store,
}

/// What is left to do when the services are no longer needed.
#[derive(Debug, Clone)]
pub struct Closing {
    launcher: Arc<MonitorLauncher>,
    networks: Networks,
}

impl Closing {
    /// Lets the monitor end if it has nothing to look after; containers that run go on with it, and so do their
    /// networks. Without any, nothing of ours is left in the kernel.
    pub fn close(self) {
        self.networks.close();
        self.launcher.close();
    }
}

impl Engine {
    /// What is left to do at the end; to be kept by whoever takes the engine apart.
    pub fn closing(&self) -> Closing {
        self.closing.clone()
    }

    /// The store, for the registry that serves it from the same process; it can be open once only.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// Opens the data root, takes over what runs, and starts what should.
    pub async fn open(config: EngineConfig) -> Result<Engine, Fault> {
        let runtime = Handle::current();
        let opened = runtime.clone().spawn_blocking(move || open(config, &runtime));
        opened
            .await
            .map_err(|error| Fault::internal("opening the engine was lost").with_source(error))?
    }
}

fn open(config: EngineConfig, runtime: &Handle) -> Result<Engine, Fault> {
    let places = Places::at(&config.data_root, &config.exec_root);
    put_aside_if_free(&places)?;
    // The store holds the lock that keeps a second daemon away from everything that follows.
    let store = Store::open(&config.data_root)?;
    places.prepare()?;
    let launcher = MonitorLauncher::open(&config.exe, &places.monitor_socket(), runtime.clone())?;
    let storage = DiskStorage::new(
        store.clone(),
        places.clone(),
        config.exe.clone(),
        config.registries.clone(),
    );
    put_back(&storage, &places)?;
    let host = Host::probe().during(|| "cannot learn what this host can do".to_owned())?;
    let events = Events::default();
    let networks = Networks::open(networks::Parts {
        options: config.networks,
        records: store.records.table("networks"),
        places: places.clone(),
        events: events.clone(),
        runtime: runtime.clone(),
    })?;
    let volumes = Book::open(store.records.table("volumes"), places.clone())?;
    let parts = Parts {
        volumes: Arc::new(volumes),
        storage: Arc::new(storage),
        launcher: Arc::clone(&launcher) as Arc<dyn Launcher>,
        events: events.clone(),
        places,
        networks: networks.clone(),
        host,
    };
    let supervisor = Supervisor::new(parts, runtime.clone());
    recovery::recover(&supervisor)?;
    networks.settle(supervisor.running_records());
    let sink = Arc::downgrade(&supervisor) as Weak<dyn Sink>;
    launcher.listen(sink)?;
    recovery::restart(&supervisor);

    let containers = Containers { inner: Arc::clone(&supervisor) };
    let users = image_users(Arc::clone(&supervisor));
    let images =
        Images::new(store.clone(), config.registries, events.clone(), users).embedding(&config.exe);
    let builds = Builds::open(
        &config.data_root,
        store.clone(),
        Arc::clone(&supervisor),
        images.clone(),
        events.clone(),
    )?;
    let system = System::new(containers.clone(), images.clone(), config.debug);
    let volumes = Volumes { inner: supervisor };
    Ok(Engine {
        containers,
        images,
        builds,
        networks: networks.clone(),
        volumes,
        system,
        events,
        closing: Closing { launcher, networks },
        store,
    })
}

/// Saves what opening the store would sweep. Where there is no store yet, or another daemon has it, opening says so.
fn put_aside_if_free(places: &Places) -> Result<(), Fault> {
    let root = places.data_root();
    if !root.join("version").exists() {
        return Ok(());
    }
    match naru_kernel::fs::Lock::acquire(&root.join("lock")) {
        Ok(_lock) => put_aside(places),
        Err(_held) => Ok(()),
    }
}

/// What a supervisor is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) events: Events,
    pub(crate) places: Places,
    pub(crate) networks: Networks,
    pub(crate) volumes: Arc<Book>,
    pub(crate) host: Host,
}

impl Supervisor {
    /// A supervisor of no containers.
    pub(crate) fn new(parts: Parts, runtime: Handle) -> Arc<Supervisor> {
        let checks = Arc::<health::Queue>::default();
        let supervisor = Arc::new_cyclic(|me| Supervisor {
            storage: parts.storage,
            launcher: parts.launcher,
            events: parts.events,
            places: parts.places,
            networks: parts.networks,
            volumes: parts.volumes,
            host: parts.host,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            runtime,
            filters: Filters::default(),
            me: Weak::clone(me),
            table: Mutex::default(),
            execs: Mutex::new(BTreeMap::new()),
            checks: Arc::clone(&checks),
        });
        supervisor.runtime.spawn(health::run(checks, Arc::downgrade(&supervisor)));
        supervisor
    }
}

fn image_users(supervisor: Arc<Supervisor>) -> crate::images::ImageUsers {
    Arc::new(move || {
        let containers = supervisor.table().all();
        containers
            .iter()
            .flat_map(|container| {
                let seat = container.seat();
                let running = seat.record.state.is_up() || seat.is_starting();
                let user = |image, name: String| ImageUser {
                    container: container.id.clone(),
                    image,
                    name,
                    running,
                };
                let mounted = seat.record.mounts.iter().filter_map(|point| {
                    Some(user(point.image?, point.name.clone().unwrap_or_default()))
                });
                let own = user(seat.record.image, seat.record.config.image.clone());
                std::iter::once(own).chain(mounted).collect::<Vec<_>>()
            })
            .collect()
    })
}
