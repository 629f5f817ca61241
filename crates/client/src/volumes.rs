//! Acts: calls about volumes.

use crate::connection::{Answer, Client, Content};
use naru_api_types::volume::{
    Volume, VolumeCreateRequest, VolumeListResponse, VolumePruneResponse,
};
use naru_api_types::{Filters, Query, Route};
use naru_errdefs::Fault;

impl Client {
    /// Makes a volume.
    pub async fn create_volume(&self, request: &VolumeCreateRequest) -> Result<Volume, Fault> {
        self.json(Route::VolumeCreate, &Query::new(), Content::json(request)?).await
    }

    /// Lists volumes.
    pub async fn list_volumes(&self, filters: &Filters) -> Result<VolumeListResponse, Fault> {
        self.get(Route::VolumeList, &Query::new().with_filters(filters)).await
    }

    /// Removes a volume.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), Fault> {
        let route = Route::VolumeRemove { name: name.to_owned() };
        self.act(route, &Query::new().with_flag("force", force)).await
    }

    /// Removes unused volumes.
    pub async fn prune_volumes(&self, filters: &Filters) -> Result<VolumePruneResponse, Fault> {
        let query = Query::new().with_filters(filters);
        self.json(Route::VolumePrune, &query, Content::None).await
    }

    /// A volume's content as an archive.
    pub async fn backup_volume(&self, name: &str) -> Result<Answer, Fault> {
        let route = Route::VolumeBackup { name: name.to_owned() };
        self.open(route, &Query::new(), Content::None).await
    }

    /// Puts the content of an archive in the place of a volume's.
    pub async fn restore_volume(
        &self,
        name: &str,
        archive: Content,
        force: bool,
    ) -> Result<(), Fault> {
        let route = Route::VolumeRestore { name: name.to_owned() };
        self.bytes(route, &Query::new().with_flag("force", force), archive).await.map(drop)
    }
}
