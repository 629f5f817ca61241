//! A registry that does not run: its store, which no other process has open. Acts.

use naru_cli::registry_access::{CollectRequest, RegistryAccess, TagTarget};
use naru_errdefs::{Failure as _, Fault, Kind};
use naru_registry::upkeep::{GRACE, How, Keeper, Usage, remove_reference, remove_repository};
use naru_store::Store;
use std::path::Path;

#[derive(Debug)]
pub(super) struct Direct(Store);

impl Direct {
    pub(super) fn open(root: &Path) -> Result<Direct, Fault> {
        let shown = root.display();
        if !root.join("version").is_file() {
            return Err(Fault::not_found(format!("there is no registry's content in `{shown}`"))
                .with_hint("name the directory that `naru registry serve --root` was given"));
        }
        match Store::open(root) {
            Ok(store) => Ok(Direct(store)),
            Err(error) if error.kind() == Kind::Conflict => Err(Fault::from(error).with_hint(
                "a registry or daemon runs there: ask it, by leaving `--root` out and naming it with `--url`",
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn unknown(repository: &str, reference: &str) -> Fault {
        Fault::not_found(format!("there is no `{repository}{reference}` in this registry"))
            .with_hint("see what there is with `naru registry ls` and `naru registry tags`")
    }
}

impl RegistryAccess for Direct {
    fn repositories(&self) -> Result<Vec<String>, Fault> {
        Ok(self.0.repositories.names())
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, Fault> {
        if !self.0.repositories.exists(repository) {
            return Err(Direct::unknown(repository, ""));
        }
        Ok(self.0.repositories.tags(repository))
    }

    fn targets(&self, repository: &str, tags: &[String]) -> Vec<Result<TagTarget, Fault>> {
        let target = |tag: &String| {
            let target = self.0.repositories.tag(repository, tag)?;
            let target = target.ok_or_else(|| Direct::unknown(repository, &format!(":{tag}")))?;
            Ok(TagTarget { digest: target.digest.to_string(), media_type: target.media_type })
        };
        tags.iter().map(target).collect()
    }

    fn remove(&self, repository: &str, reference: &str) -> Result<(), Fault> {
        if remove_reference(&self.0, repository, reference)? {
            return Ok(());
        }
        let separator = if reference.contains(':') { '@' } else { ':' };
        Err(Direct::unknown(repository, &format!("{separator}{reference}")))
    }

    fn remove_repository(&self, repository: &str) -> Result<(), Fault> {
        match remove_repository(&self.0, repository)? {
            (0, 0) => Err(Direct::unknown(repository, "")),
            _ => Ok(()),
        }
    }

    fn collect(&self, how: CollectRequest) -> Result<String, Fault> {
        let report = Keeper::plain(&self.0).run(How {
            dry_run: how.dry_run,
            delete_untagged: how.delete_untagged,
            grace: how.grace.unwrap_or(GRACE),
        })?;
        self.0.settle();
        Ok(report.told().to_string())
    }

    fn usage(&self) -> Result<String, Fault> {
        serde_json::to_string(&Usage::of(&self.0)?)
            .map_err(|error| Fault::internal("cannot tell what is used").with_source(error))
    }
}
