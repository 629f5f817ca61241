//! Acts: takes away a link of a container to another one, and tells containers of those they are linked to.

use super::Containers;
use crate::links::{self, Link};
use crate::record::Record;
use crate::supervisor::Supervisor;
use naru_errdefs::{Fault, ResultExt};
use naru_network::hosts::Entry;
use std::net::IpAddr;

impl Containers {
    /// Takes away the link `CONTAINER/ALIAS`. What the container was told when it started stays told; its hosts file is
    /// changed at once.
    pub async fn unlink(&self, name: &str) -> Result<(), Fault> {
        let inner = &self.inner;
        let Some((parent, alias)) = name.trim_start_matches('/').rsplit_once('/') else {
            inner.find(name)?;
            return Err(Fault::conflict(
                "Conflict, cannot remove the default link name of the container",
            )
            .with_hint("name the link: CONTAINER/ALIAS"));
        };
        let container = inner.find(parent).map_err(|fault| {
            fault.context(format!("Cannot get parent {parent} for link name {name}"))
        })?;
        let _turn = container.turn.lock().await;
        let (record, removed) = {
            let mut seat = container.seat();
            let links = &mut seat.record.host.links;
            let place = links.iter().position(|link| Link::parse(link).alias == alias);
            let Some(place) = place else {
                return Err(Fault::not_found(format!("No such container: {name}"))
                    .with_hint(format!("`{parent}` has no link of that name")));
            };
            let removed = links.remove(place);
            (seat.record.clone(), removed)
        };
        inner.save(&container).await?;
        if record.state.pid().is_some() {
            inner.blocking(move |inner| forget(inner, &record, &removed)).await?;
        }
        Ok(())
    }
}

/// Takes the names of a link out of the container's hosts file.
fn forget(inner: &Supervisor, record: &Record, link: &str) -> Result<(), Fault> {
    let entry = |(address, names): (IpAddr, Vec<String>)| Entry { address, names };
    let before: Vec<Entry> = inner
        .networks
        .linked_addresses(&record.id, &[link.to_owned()])
        .into_iter()
        .map(entry)
        .collect();
    let path = inner.places.file(record, "hosts");
    naru_network::in_place::change(&path, |text| naru_network::hosts::update(text, &before, &[]))
        .map(drop)
        .during(|| format!("cannot change `{}`", path.display()))
}

impl Supervisor {
    /// Variables that tell a container of those it is linked to on the default network.
    pub(crate) fn linked(&self, record: &Record) -> Vec<String> {
        if !record.networks.contains_key("bridge") {
            return Vec::new();
        }
        let told = record.host.links.iter().filter_map(|link| {
            let (address, _) =
                self.networks.linked_addresses(&record.id, std::slice::from_ref(link)).pop()?;
            let Link { target, alias } = Link::parse(link);
            let other = self.find(target).ok()?;
            let config = other.seat().record.config.clone();
            let child = links::Child {
                address,
                exposed: config.exposed_ports.iter().map(String::as_str).collect(),
                env: &config.env,
            };
            Some(links::environment(&record.name, alias, &child))
        });
        told.flatten().collect()
    }
}
