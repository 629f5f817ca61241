//! Contexts that a Dockerfile knows by name: what a name means, and the files of those that are files, brought once a build.
//!
//! Acts; [`key`] is pure. An image takes the place of what the name would mean; files are looked into where they are copied or
//! mounted from, and become a layer only for a stage that starts from them.

use crate::build::Shared;
use crate::context::BuildContext;
use crate::options::{BuildOptions, NamedContext};
use naru_errdefs::Fault;
use naru_oci::Reference;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// The name as it is looked up: `docker.io/library/box:latest` is `box`, and the names of stages have no case.
pub fn key(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned()
        }
        Err(_) => name.to_lowercase(),
    }
}

impl BuildOptions {
    /// What a name means, when it is that of a further context.
    pub(crate) fn named(&self, name: &str) -> Option<&NamedContext> {
        if self.named_contexts.is_empty() {
            return None;
        }
        self.named_contexts.get(&key(name))
    }
}

/// Things of which there is one for each name, made when it is wanted first.
#[derive(Debug)]
pub(crate) struct Once<T>(Mutex<BTreeMap<String, Arc<OnceCell<T>>>>);

impl<T> Default for Once<T> {
    fn default() -> Once<T> {
        Once(Mutex::default())
    }
}

impl<T> Once<T> {
    pub(crate) fn of(&self, name: &str) -> Arc<OnceCell<T>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }
}

/// The files of a further context; nothing when it is an image, or when there is none of that name.
pub(crate) async fn files(shared: &Arc<Shared>, name: &str) -> Result<Option<BuildContext>, Fault> {
    match shared.options.named(name) {
        None | Some(NamedContext::Image(_) | NamedContext::Content(_)) => Ok(None),
        Some(NamedContext::Files(context)) => Ok(Some(context.clone())),
        Some(NamedContext::Address(address)) => {
            let place = shared.fetched.of(address);
            let bring =
                || crate::remote::files(&shared.inner, address, &shared.options, &shared.cancelled);
            let found = place.get_or_try_init(bring).await;
            let about = |fault: Fault| fault.context(format!("the build context `{name}`"));
            found.cloned().map(Some).map_err(about)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_thing_are_one() {
        for (name, want) in [
            ("box", "box"),
            ("box:latest", "box"),
            ("docker.io/library/box", "box"),
            ("box:1", "box:1"),
            ("Build", "build"),
            ("registry.example/a/b", "registry.example/a/b"),
        ] {
            assert_eq!(key(name), want);
        }
    }
}
