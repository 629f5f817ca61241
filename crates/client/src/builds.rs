//! Acts: calls about builds and the build cache.

use crate::connection::{Answer, Client, Content};
use crate::hijack::Hijacked;
use naru_api_types::build::{
    BUILD_FEATURE, BuildCacheRecord, BuildPruneResponse, ContextFiles, ContextMissing,
};
use naru_api_types::system::DiskUsageResponse;
use naru_api_types::{Query, Route};
use naru_errdefs::Fault;

impl Client {
    /// Whether the daemon tells of the single steps of a build and takes what docker's parameters have no words for.
    pub async fn tells_steps(&self) -> Result<bool, Fault> {
        let mut answer = self.open(Route::Ping, &Query::new(), Content::None).await?;
        let tells = answer.header(BUILD_FEATURE).is_some();
        // The connection is used again once the answer was read.
        answer.whole().await?;
        Ok(tells)
    }

    /// Announces the files of a context.
    pub async fn announce_context(&self, files: &ContextFiles) -> Result<ContextMissing, Fault> {
        self.json(Route::BuildContext, &Query::new(), Content::json(files)?).await
    }

    /// Brings what was missing of an announced context; answers what it is called from now on.
    pub async fn send_context(&self, id: &str, contents: Content) -> Result<String, Fault> {
        let query = Query::new().with("contents", id);
        let answer: ContextMissing = self.json(Route::BuildContext, &query, contents).await?;
        Ok(answer.id)
    }

    /// Builds; the answer is read as it comes.
    pub async fn build(
        &self,
        query: &Query,
        headers: Vec<(&'static str, String)>,
        body: Content,
    ) -> Result<Answer, Fault> {
        self.open(Route::Build, query, Content::Headed(headers, Box::new(body))).await
    }

    /// What the build cache holds.
    pub async fn build_cache(&self) -> Result<Vec<BuildCacheRecord>, Fault> {
        let query = Query::new().with("type", "build-cache");
        let answer: DiskUsageResponse = self.get(Route::DiskUsage, &query).await?;
        Ok(answer.build_cache.unwrap_or_default())
    }

    /// Takes from the build cache what is not used.
    pub async fn prune_builds(&self, query: &Query) -> Result<BuildPruneResponse, Fault> {
        self.json(Route::BuildPrune, query, Content::None).await
    }

    /// Opens a stream by which a build reaches agents of ssh that are here.
    pub async fn lend_agents(&self, id: &str) -> Result<Hijacked, Fault> {
        self.hijack(Route::BuildAgents, &Query::new().with("id", id), Content::None).await
    }
}
