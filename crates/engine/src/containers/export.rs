//! Acts: a container's root as a tar stream.

use super::Containers;
use crate::streams::{ExportStream, archive};
use naru_errdefs::{Fault, Kind};
use naru_kernel::path::proc_path;
use naru_layer::ArchiveMode;
use std::os::fd::AsFd;

impl Containers {
    /// Its root as a tar stream.
    pub async fn export(&self, name: &str) -> Result<ExportStream, Fault> {
        let inner = &self.inner;
        let container = inner.find(name)?;
        let record = container.seat().record.clone();
        let wanted = record.clone();
        let root = inner.blocking(move |inner| inner.mount_quietly(&wanted)).await?;
        let root = root.ok_or_else(|| {
            Fault::new(Kind::NotFound, format!("container {} has no root", record.id))
        })?;
        inner.publish(&record, "export", &[]);
        Ok(archive(&inner.runtime, move |out| {
            let path = proc_path(root.as_fd());
            naru_layer::archive_tree(&path, out, ArchiveMode::Plain)?;
            Ok(())
        }))
    }
}
