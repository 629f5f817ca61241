//! Acts: calls about the daemon itself.

use crate::connection::{Answer, Client, Content};
use crate::ndjson::Lines;
use naru_api_types::system::{DiskUsageResponse, InfoResponse, VersionResponse};
use naru_api_types::{Query, Route};
use naru_errdefs::Fault;

impl Client {
    /// Versions of the daemon and its parts.
    pub async fn version(&self) -> Result<VersionResponse, Fault> {
        self.get(Route::Version, &Query::new()).await
    }

    /// Facts about the host.
    pub async fn info(&self) -> Result<InfoResponse, Fault> {
        self.get(Route::Info, &Query::new()).await
    }

    /// What takes how much room.
    pub async fn disk_usage(&self) -> Result<DiskUsageResponse, Fault> {
        self.get(Route::DiskUsage, &Query::new()).await
    }

    /// What happens, as it happens.
    pub async fn events(&self, query: &Query) -> Result<Lines, Fault> {
        self.open(Route::Events, query, Content::None).await.map(Answer::lines)
    }

    /// Checks the whole store.
    pub async fn verify(&self, repair: bool) -> Result<Lines, Fault> {
        let query = Query::new().with_flag("repair", repair);
        self.open(Route::SystemVerify, &query, Content::None).await.map(Answer::lines)
    }
}
