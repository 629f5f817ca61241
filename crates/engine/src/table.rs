//! Pure: the containers of a daemon, found by ID, name, or the start of an ID.

use crate::container::Container;
use naru_errdefs::{Fault, Kind};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The containers of a daemon. A name is taken before its container is there.
#[derive(Debug, Default)]
pub(crate) struct Table {
    by_id: BTreeMap<String, Arc<Container>>,
    names: HashMap<String, String>,
    /// Processes of builds: nobody sees them, and they have no names.
    hidden: BTreeMap<String, Arc<Container>>,
}

impl Table {
    /// Takes a name for an ID.
    pub(crate) fn take_name(&mut self, name: &str, id: &str) -> Result<(), Fault> {
        if let Some(owner) = self.names.get(name) {
            return Err(Fault::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
            )));
        }
        self.names.insert(name.to_owned(), id.to_owned());
        Ok(())
    }

    /// Gives a name back, if this ID has it.
    pub(crate) fn free_name(&mut self, name: &str, id: &str) {
        if self.names.get(name).is_some_and(|owner| owner == id) {
            self.names.remove(name);
        }
    }

    /// Whether the name is free.
    pub(crate) fn is_free(&self, name: &str) -> bool {
        !self.names.contains_key(name)
    }

    /// Adds a container whose name was taken.
    pub(crate) fn insert(&mut self, container: Arc<Container>) {
        self.by_id.insert(container.id.clone(), container);
    }

    /// Removes a container and its name.
    pub(crate) fn remove(&mut self, id: &str, name: &str) {
        self.by_id.remove(id);
        self.hidden.remove(id);
        self.free_name(name, id);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.by_id.values().cloned().collect()
    }

    /// By its whole ID.
    pub(crate) fn by_id(&self, id: &str) -> Option<Arc<Container>> {
        self.by_id.get(id).or_else(|| self.hidden.get(id)).cloned()
    }

    /// Adds a container that only its whole ID finds.
    pub(crate) fn hide(&mut self, container: Arc<Container>) {
        self.hidden.insert(container.id.clone(), container);
    }

    /// Whether only its whole ID finds a container.
    pub(crate) fn is_hidden(&self, id: &str) -> bool {
        self.hidden.contains_key(id)
    }

    /// By its ID, its name, or the start of an ID that no other has; in this order.
    pub(crate) fn find(&self, text: &str) -> Result<Arc<Container>, Fault> {
        if let Some(container) = self.by_id.get(text) {
            return Ok(Arc::clone(container));
        }
        let bare = text.strip_prefix('/').unwrap_or(text);
        if let Some(container) = self.names.get(bare).and_then(|id| self.by_id.get(id)) {
            return Ok(Arc::clone(container));
        }
        let missing = || {
            Fault::not_found(format!("No such container: {text}"))
                .with_hint("`ps -a` lists the containers there are")
        };
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let mut matches = self
            .by_id
            .range(text.to_owned()..)
            .take_while(|(id, _)| id.starts_with(text))
            .map(|(_, container)| container);
        let first = matches.next().ok_or_else(missing)?;
        if matches.next().is_some() {
            return Err(Fault::new(
                Kind::InvalidInput,
                format!("Multiple IDs found with provided prefix: {text}"),
            )
            .with_hint("give more digits of the ID, or the name"));
        }
        Ok(Arc::clone(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::State;
    use crate::model::{ContainerConfig, HostConfig, Timestamp};
    use crate::record::Record;
    use naru_oci::{Digest, ImageId};

    fn add(table: &mut Table, id: &str, name: &str) {
        table.take_name(name, id).unwrap();
        table.insert(Arc::new(Container::new(Record {
            id: id.to_owned(),
            name: name.to_owned(),
            created: Timestamp(0),
            image: ImageId(Digest::of(b"")),
            chain: None,
            os: "linux".into(),
            config: ContainerConfig::default(),
            host: HostConfig::default(),
            mounts: Vec::new(),
            networks: BTreeMap::new(),
            state: State::NEW,
            started_at: None,
            finished_at: None,
            restart_count: 0,
            stopped_by_hand: false,
            directories: None,
        })));
    }

    #[test]
    fn containers_are_found_by_id_name_and_prefix() {
        let mut table = Table::default();
        add(&mut table, "abc1", "web");
        add(&mut table, "abd2", "abc");
        let find = |text: &str| match table.find(text) {
            Ok(container) => container.id.clone(),
            Err(fault) => fault.message().to_owned(),
        };
        for (text, want) in [
            ("abc1", "abc1"),
            ("web", "abc1"),
            ("/web", "abc1"),
            ("abc", "abd2"),
            ("abd", "abd2"),
            ("ab", "Multiple IDs found with provided prefix: ab"),
            ("x", "No such container: x"),
            ("", "No such container: "),
            ("ffff", "No such container: ffff"),
        ] {
            assert_eq!(find(text), want, "{text}");
        }
        assert_eq!(
            table.take_name("web", "new").unwrap_err().message(),
            "Conflict. The container name \"/web\" is already in use by container \"abc1\". You have to remove (or rename) that container to be able to reuse that name."
        );
        table.remove("abc1", "web");
        table.take_name("web", "new").unwrap();
        assert_eq!(table.all().len(), 1);
    }
}
