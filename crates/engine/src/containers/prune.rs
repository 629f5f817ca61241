//! Acts: removes the containers that do not run.

use super::{Containers, list};
use crate::lifecycle::State;
use crate::model::{PruneFilter, Pruned, RemoveOptions};
use naru_errdefs::{Fault, Kind, one_line};

impl Containers {
    /// Removes those that do not run.
    pub async fn prune(&self, filter: &PruneFilter) -> Result<Pruned, Fault> {
        let mut pruned = Pruned::default();
        let containers = self.inner.table().all();
        for container in containers {
            let record = container.seat().record.clone();
            let labels = &record.config.labels;
            let wanted = matches!(
                record.state,
                State::Created { .. } | State::Exited { .. } | State::Dead { .. }
            ) && filter.until.is_none_or(|until| record.created < until)
                && filter.label.iter().all(|label| list::label_matches(label, labels))
                && !filter.label_not.iter().any(|label| list::label_matches(label, labels));
            if !wanted {
                continue;
            }
            let size = {
                let record = record.clone();
                self.inner.blocking(move |inner| inner.storage.usage(&record)).await
            };
            match self.remove(&record.id, RemoveOptions::default()).await {
                Ok(()) => {
                    pruned.space_reclaimed += size.map_or(0, |(writable, _)| writable);
                    pruned.deleted.push(record.id);
                }
                // Somebody started or removed it meanwhile.
                Err(fault) if matches!(fault.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(fault) => {
                    tracing::warn!(container = record.id, "cannot prune it: {}", one_line(&fault));
                }
            }
        }
        Ok(pruned)
    }
}
