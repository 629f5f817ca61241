//! Acts: makes a container: checks, name, snapshot, directories, record; undone as a whole when a part fails.

use super::{Containers, volumes, warnings};
use crate::container::Container;
use crate::lifecycle::State;
use crate::model::{CreateRequest, Created, EndpointRequest, HostConfig, MountKind, Timestamp};
use crate::networks::endpoint;
use crate::record::Record;
use crate::spec::modes::{self, Network};
use crate::storage::Image;
use crate::supervisor::Supervisor;
use crate::volumes::book::Hold;
use crate::{merge, names, spec};
use naru_errdefs::{Fault, Kind, one_line};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Containers {
    /// Makes a container. `NotFound` means its image, and nothing else.
    pub async fn create(&self, request: CreateRequest) -> Result<Created, Fault> {
        let name = request.name.as_deref().map(names::parse).transpose()?.map(str::to_owned);
        let image = self.image(&request.config.image).await?;
        Box::pin(self.create_of(name, image, request)).await.map_err(|fault| match fault.kind() {
            // Clients would look for the image elsewhere, and tell of that.
            Kind::NotFound => {
                let hint = fault.hint().map(str::to_owned);
                let fault = Fault::invalid(one_line(&fault));
                match hint {
                    Some(hint) => fault.with_hint(hint),
                    None => fault,
                }
            }
            _ => fault,
        })
    }

    /// The image; one that has to be unpacked first is waited for by a thread that may.
    async fn image(&self, text: &str) -> Result<Image, Fault> {
        let storage = &self.inner.storage;
        if !storage.takes_long(text) {
            return storage.image(text);
        }
        let (storage, text) = (Arc::clone(storage), text.to_owned());
        let found = tokio::task::spawn_blocking(move || storage.image(&text)).await;
        found.map_err(|error| {
            Fault::internal("the search for an image ended early").with_source(error)
        })?
    }

    async fn create_of(
        &self,
        name: Option<String>,
        image: Image,
        request: CreateRequest,
    ) -> Result<Created, Fault> {
        let inner = &self.inner;
        let config = merge::config(request.config, &image.defaults)?;
        let mut host = request.host;
        spec::resources::normalise(&mut host);
        spec::validate(&config, &host, inner.processors)?;
        let networks = networks(inner, &config, &host, request.networks)?;
        let warnings = warnings::of(inner, &config, &host, &networks)?;
        let inherited = volumes::inherited(inner, &host.volumes_from)?;
        let mut mounts = spec::mounts::points(&config, &host, inherited)?;
        // The old way of binding makes its source when the container starts; the new way must find it now.
        let must_exist = |point: &&crate::model::MountPoint| {
            point.kind == MountKind::Bind
                && point.options.iter().any(|option| option == "must-exist")
        };
        inner.make_sources(&mounts.iter().filter(must_exist).cloned().collect::<Vec<_>>())?;
        for text in [&host.network_mode, &host.ipc_mode, &host.pid_mode] {
            if let Some(other) = text.strip_prefix("container:") {
                inner.find(other)?;
            }
        }

        let holds = volumes::place(inner, &mut mounts)?;
        let id = new_id()?;
        let name = match take_name(inner, name, &id) {
            Ok(name) => name,
            Err(fault) => {
                volumes::undo(inner, &holds)?;
                return Err(fault);
            }
        };
        let mut record = Record {
            id: id.clone(),
            name: name.clone(),
            created: Timestamp::now(),
            image: image.id,
            chain: image.chain,
            os: image.os,
            config,
            host,
            mounts,
            networks,
            state: State::NEW,
            started_at: None,
            finished_at: None,
            restart_count: 0,
            stopped_by_hand: false,
            directories: None,
        };
        let made = if record.is_ephemeral() && holds.is_empty() {
            // Nothing of it has to outlive the host, so nothing waits for the disk.
            make(inner, &mut record, &holds).map(|()| holds)
        } else {
            let mut making = record.clone();
            let made = inner
                .blocking(move |inner| {
                    make(inner, &mut making, &holds)?;
                    Ok((making, holds))
                })
                .await;
            made.map(|(made, holds)| {
                record = made;
                holds
            })
        };
        let holds = match made {
            Ok(holds) => holds,
            Err(fault) => {
                inner.table().free_name(&name, &id);
                return Err(fault);
            }
        };
        for hold in holds.iter().filter(|hold| hold.new) {
            inner.tell_volume(&hold.name, "create", &[("driver", "local")]);
        }
        inner.publish(&record, "create", &[]);
        inner.table().insert(Arc::new(Container::new(record)));
        // From here on the container itself keeps its volumes.
        drop(holds);
        Ok(Created { id, warnings })
    }
}

fn take_name(inner: &Supervisor, name: Option<String>, id: &str) -> Result<String, Fault> {
    let mut table = inner.table();
    if let Some(name) = name {
        table.take_name(&name, id)?;
        return Ok(name);
    }
    // The ID is random already.
    let random = id.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let mut attempt = 0;
    loop {
        let name = names::generate(random.unwrap_or_default(), attempt);
        if table.is_free(&name) {
            table.take_name(&name, id)?;
            return Ok(name);
        }
        attempt += 1;
    }
}

/// Directories, snapshot, volumes, and the record last: without it, the rest is swept.
fn make(inner: &Supervisor, record: &mut Record, holds: &[Hold]) -> Result<(), Fault> {
    let made = make_all(inner, record, holds);
    if made.is_err() {
        let undone = inner
            .storage
            .forget(record)
            .and_then(|()| inner.storage.remove(record))
            .and_then(|()| inner.places.remove(&record.id))
            .and_then(|()| volumes::undo(inner, holds));
        if let Err(fault) = undone {
            tracing::warn!(
                container = record.id,
                "creating it failed, and cleaning up failed too: {}",
                one_line(&fault)
            );
        }
    }
    made
}

fn make_all(inner: &Supervisor, record: &mut Record, holds: &[Hold]) -> Result<(), Fault> {
    inner.places.make(&record.id)?;
    let paths = inner.storage.prepare(record)?;
    if record.is_ephemeral() {
        record.directories = Some((paths.upper, paths.work));
    }
    volumes::fill(inner, record)?;
    inner.storage.put(record)?;
    volumes::finish(inner, record, holds)
}

/// What a container asks of networks that says nothing but its network mode.
pub(crate) fn network_places(
    inner: &Supervisor,
    config: &crate::model::ContainerConfig,
    host: &HostConfig,
) -> Result<BTreeMap<String, EndpointRequest>, Fault> {
    networks(inner, config, host, BTreeMap::new())
}

/// What a container asks of networks, by their names.
fn networks(
    inner: &Supervisor,
    config: &crate::model::ContainerConfig,
    host: &HostConfig,
    asked: BTreeMap<String, EndpointRequest>,
) -> Result<BTreeMap<String, EndpointRequest>, Fault> {
    let mode = modes::network(&host.network_mode)?;
    let mut list = BTreeMap::new();
    crate::networks::ports::wanted(config, host)?;
    crate::host_files::check(config, host)?;
    let primary = match &mode {
        Network::Networks(name) if !config.network_disabled => name.clone(),
        Network::Networks(_) | Network::None => "none".to_owned(),
        Network::Host => "host".to_owned(),
        Network::Container(_) => {
            let given = |name: &str| {
                Fault::invalid(format!(
                    "conflicting options: {name} and the container type network mode"
                ))
            };
            if host.publish_all_ports || !host.port_bindings.is_empty() {
                return Err(given("port publishing"));
            }
            if !host.links.is_empty() {
                return Err(given("links"));
            }
            if !config.mac_address.is_empty() {
                return Err(Fault::invalid(
                    "conflicting options: mac-address and the network mode",
                ));
            }
            return Ok(list);
        }
    };
    for (name, request) in asked {
        let name = if name == "default" { primary.clone() } else { name };
        let name = inner.networks.name_of(&name)?;
        endpoint::check(&name, &request)?;
        list.insert(name, request);
    }
    let place = list.entry(inner.networks.name_of(&primary)?).or_default();
    endpoint::fix_mac(place, &config.mac_address)?;
    if matches!(mode, Network::Host | Network::None) && list.len() > 1 {
        return Err(Fault::invalid(format!(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes: the network mode is `{primary}`"
        )));
    }
    for link in &host.links {
        let target = link.split(':').next().unwrap_or(link);
        inner
            .find(target)
            .map_err(|fault| fault.context(format!("could not get container for {target}")))?;
    }
    Ok(list)
}

/// 64 random hexadecimal digits that are not all decimal in the first twelve, so that no short ID looks like a number.
pub(crate) fn new_id() -> Result<String, Fault> {
    loop {
        let bytes = naru_kernel::random::bytes::<32>()
            .map_err(|error| Fault::io("cannot get random bytes", error))?;
        let mut id = String::with_capacity(64);
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                id.extend(char::from_digit(u32::from(nibble), 16));
            }
        }
        let short = crate::record::short(&id);
        if !short.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(id);
        }
    }
}
