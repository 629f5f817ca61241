//! Acts: gives a container another name, and its terminal another size.

use super::Containers;
use crate::names;
use crate::supervisor::Supervisor;
use naru_errdefs::Fault;

impl Containers {
    /// Gives it another name.
    pub async fn rename(&self, name: &str, new_name: &str) -> Result<(), Fault> {
        if name.is_empty() || new_name.is_empty() {
            return Err(Fault::invalid("Neither old nor new names may be empty"));
        }
        let inner = &self.inner;
        let new = names::parse(new_name)?.to_owned();
        let container = inner.find(name)?;
        let _turn = container.turn.lock().await;
        let old = container.seat().record.name.clone();
        if old == new {
            return Err(Fault::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        inner.table().take_name(&new, &container.id)?;
        container.seat().record.name.clone_from(&new);
        if let Err(fault) = inner.save(&container).await {
            container.seat().record.name = old;
            inner.table().free_name(&new, &container.id);
            return Err(fault.context(format!("cannot rename container {}", container.id)));
        }
        inner.table().free_name(&old, &container.id);
        inner.networks.rename(&container.id, &new);
        let seat = container.seat();
        inner.publish(&seat.record, "rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    /// Sets the terminal's size.
    pub async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        let container = self.inner.find(name)?;
        {
            let seat = container.seat();
            Supervisor::require_running(&seat.record)?;
            if !seat.record.config.tty {
                return Ok(());
            }
        }
        self.inner.launcher.resize(&container.key(), rows, columns)?;
        let seat = container.seat();
        let more = [("height", rows.to_string()), ("width", columns.to_string())];
        self.inner.publish(&seat.record, "resize", &more);
        Ok(())
    }
}
