//! Takes names from images, and images away when nobody needs them.
//!
//! Acts; what is to be done is decided in [`plan`], which is pure. The rules and words are Docker's: a name goes
//! first, and the image with its last name; an ID stands for all names if they are one; what a container uses stays.

use super::{Deleted, ImageUser, Images, RemoveImageOptions};
use naru_errdefs::Fault;
use naru_oci::{ChainId, Reference};
use naru_store::{Batch, Image, Store};

impl Images {
    /// Removes a name, and the image when it was the last.
    pub async fn remove(
        &self,
        name: &str,
        options: RemoveImageOptions,
    ) -> Result<Vec<Deleted>, Fault> {
        let users = (self.users)();
        let name = name.to_owned();
        let (image, removal, deleted) = self
            .blocking(move |store| {
                let image = store.images.resolve(&name)?;
                let children = children(store, &image)?;
                let removal = plan(&image, &name, options, &users, children)?;
                let deleted = apply(store, &image, &removal)?;
                Ok((image, removal, deleted))
            })
            .await?;
        let id = image.id().to_string();
        for name in &removal.names {
            self.tell("untag", &id, &name.familiar());
        }
        if removal.image {
            self.tell("delete", &id, &id);
        }
        Ok(deleted)
    }
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Removal {
    pub(super) names: Vec<Reference>,
    pub(super) image: bool,
}

/// Why an image stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict<'a> {
    Children,
    Running(&'a str),
    ManyNames,
    Stopped(&'a str),
}

impl Conflict<'_> {
    fn fault(self, image: &Image) -> Fault {
        let short = image.id().0.short();
        let (forcible, reason) = match self {
            Conflict::Children => (false, "image has dependent child images".to_owned()),
            Conflict::Running(container) => (
                false,
                format!("image is being used by running container {}", shortened(container)),
            ),
            Conflict::ManyNames => {
                (true, "image is referenced in multiple repositories".to_owned())
            }
            Conflict::Stopped(container) => {
                (true, format!("image is being used by stopped container {}", shortened(container)))
            }
        };
        let (force, hint) = match self {
            _ if forcible => ("must be forced", "add `--force`, or remove what uses it first"),
            Conflict::Children => ("cannot be forced", "remove the images built on it first"),
            _ => ("cannot be forced", "stop and remove the container first"),
        };
        Fault::conflict(format!("conflict: unable to delete {short} ({force}) - {reason}"))
            .with_hint(hint)
    }
}

fn shortened(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Decides what goes when `text` is removed; `text` resolved to `image`.
fn plan(
    image: &Image,
    text: &str,
    options: RemoveImageOptions,
    users: &[ImageUser],
    children: usize,
) -> Result<Removal, Fault> {
    let using: Vec<&ImageUser> = users.iter().filter(|user| user.image == image.id()).collect();
    let running = using.iter().find(|user| user.running).map(|user| user.container.as_str());
    let stopped = using.iter().find(|user| !user.running).map(|user| user.container.as_str());
    let hard = || {
        if children > 0 {
            return Some(Conflict::Children);
        }
        running.map(Conflict::Running)
    };
    let soft = |names: usize| {
        if options.force {
            return None;
        }
        if names > 0 {
            return Some(Conflict::ManyNames);
        }
        stopped.map(Conflict::Stopped)
    };
    let everything = || Removal { names: image.names.clone(), image: true };

    let named = named_by(image, text);
    let Some(name) = named else {
        // An ID was given. When all names are in effect one, they go with the image.
        let names = if is_single(&image.names) { 0 } else { image.names.len() };
        return match hard().or_else(|| soft(names)) {
            Some(conflict) => Err(conflict.fault(image)),
            None => Ok(everything()),
        };
    };
    if is_single(&image.names)
        && !options.force
        && let Some(user) = using.first()
    {
        return Err(Fault::conflict(format!(
            "conflict: unable to remove repository reference \"{text}\" (must force) - container {} is using its referenced image {}",
            shortened(&user.container),
            image.id().0.short()
        ))
        .with_hint("add `--force`, or remove the container first"));
    }
    let mut names = vec![name.clone()];
    if name.digest().is_none() {
        // Names by digest go with the last tag of their repository.
        let same =
            |other: &&Reference| **other != name && other.familiar_name() == name.familiar_name();
        let others: Vec<&Reference> = image.names.iter().filter(same).collect();
        if others.iter().all(|other| other.digest().is_some()) {
            names.extend(others.into_iter().cloned());
        }
    }
    let is_last = names.len() == image.names.len();
    if !is_last || hard().is_some() || soft(0).is_some() {
        // The name goes; whoever uses the image keeps it.
        return Ok(Removal { names, image: false });
    }
    Ok(Removal { names, image: true })
}

/// The name of the image that the text is, if it is one and not an ID.
fn named_by(image: &Image, text: &str) -> Option<Reference> {
    let reference = text.parse::<Reference>().ok()?.or_latest();
    image.names.contains(&reference).then_some(reference)
}

/// Whether the names are in effect one: one tag at most, all in one repository.
fn is_single(names: &[Reference]) -> bool {
    let Some(first) = names.first() else { return true };
    names.iter().filter(|name| name.digest().is_none()).count() <= 1
        && names.iter().all(|name| name.familiar_name() == first.familiar_name())
}

fn children(store: &Store, image: &Image) -> Result<usize, Fault> {
    let images = store.images.list()?;
    Ok(images.iter().filter(|other| other.record.parent == Some(image.id())).count())
}

/// Removes, and collects what nobody holds any more.
pub(super) fn apply(
    store: &Store,
    image: &Image,
    removal: &Removal,
) -> Result<Vec<Deleted>, Fault> {
    let mut batch = Batch::new();
    for name in &removal.names {
        batch.remove_name(name);
    }
    let mut deleted: Vec<Deleted> =
        removal.names.iter().map(|name| Deleted::Untagged(name.familiar())).collect();
    if !removal.image {
        store.commit(batch)?;
        return Ok(deleted);
    }
    batch.remove_image(&image.id());
    let layers = layers(store, image.record.chain);
    store.commit(batch)?;
    deleted.push(Deleted::Deleted(image.id().to_string()));
    let collected = store.collect()?;
    // Others may have left things to collect; only our own layers are told.
    for chain in layers {
        if collected.snapshots.iter().any(|snapshot| snapshot.chain == chain) {
            deleted.push(Deleted::Deleted(chain.to_string()));
        }
    }
    Ok(deleted)
}

/// The chain and those below it, top first.
fn layers(store: &Store, chain: Option<ChainId>) -> Vec<ChainId> {
    let mut chains = Vec::new();
    let mut next = chain;
    while let Some(snapshot) = next.and_then(|chain| store.snapshots.get(&chain).ok()) {
        chains.push(snapshot.chain);
        next = snapshot.parent;
    }
    chains
}

#[cfg(test)]
mod tests;
