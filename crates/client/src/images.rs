//! Acts: calls about images.

use crate::connection::{Answer, Client, Content};
use crate::ndjson::Lines;
use naru_api_types::image::{
    ImageDeleteItem, ImageHistoryItem, ImageInspect, ImagePruneResponse, ImageSummary,
};
use naru_api_types::progress::IdResponse;
use naru_api_types::registry::{AuthConfig, AuthResponse, DistributionInspect, REGISTRY_AUTH};
use naru_api_types::{Filters, Query, Route};
use naru_errdefs::Fault;

impl Client {
    /// Lists images.
    pub async fn list_images(&self, query: &Query) -> Result<Vec<ImageSummary>, Fault> {
        self.get(Route::ImageList, query).await
    }

    /// Everything about an image.
    pub async fn inspect_image(&self, name: &str) -> Result<ImageInspect, Fault> {
        self.get(Route::ImageInspect { name: name.to_owned() }, &Query::new()).await
    }

    /// How an image was made.
    pub async fn image_history(&self, name: &str) -> Result<Vec<ImageHistoryItem>, Fault> {
        self.get(Route::ImageHistory { name: name.to_owned() }, &Query::new()).await
    }

    /// Removes an image or a name of it.
    pub async fn remove_image(
        &self,
        name: &str,
        query: &Query,
    ) -> Result<Vec<ImageDeleteItem>, Fault> {
        let route = Route::ImageRemove { name: name.to_owned() };
        self.json(route, query, Content::None).await
    }

    /// Gives an image another name.
    pub async fn tag_image(&self, name: &str, repository: &str, tag: &str) -> Result<(), Fault> {
        let route = Route::ImageTag { name: name.to_owned() };
        self.act(route, &Query::new().with("repo", repository).with("tag", tag)).await
    }

    /// Sends an archive of images.
    pub async fn load_images(&self, archive: Content, quiet: bool) -> Result<Lines, Fault> {
        let query = Query::new().with("quiet", if quiet { "1" } else { "0" });
        self.open(Route::ImageLoad, &query, archive).await.map(Answer::lines)
    }

    /// Sends a root file system.
    pub async fn import_image(&self, archive: Content, query: &Query) -> Result<Lines, Fault> {
        self.open(Route::ImageCreate, query, archive).await.map(Answer::lines)
    }

    /// Lets the daemon pull; `auth` is the value of the header about registries.
    pub async fn pull_image(&self, query: &Query, auth: String) -> Result<Lines, Fault> {
        self.open(Route::ImageCreate, query, Content::Auth(auth)).await.map(Answer::lines)
    }

    /// Lets the daemon push.
    pub async fn push_image(
        &self,
        name: &str,
        query: &Query,
        auth: String,
    ) -> Result<Lines, Fault> {
        let route = Route::ImagePush { name: name.to_owned() };
        self.open(route, query, Content::Auth(auth)).await.map(Answer::lines)
    }

    /// What a registry holds under a name.
    pub async fn inspect_distribution(
        &self,
        name: &str,
        auth: String,
    ) -> Result<DistributionInspect, Fault> {
        let route = Route::DistributionInspect { name: name.to_owned() };
        self.json(route, &Query::new(), Content::Auth(auth)).await
    }

    /// Lets the daemon try credentials.
    pub async fn login(&self, auth: &AuthConfig) -> Result<AuthResponse, Fault> {
        self.json(Route::Auth, &Query::new(), Content::json(auth)?).await
    }

    /// Copies an image; `body` is the archive that it is copied from, if it is one.
    pub async fn copy_image(
        &self,
        query: &Query,
        headers: Vec<(&'static str, String)>,
        body: Content,
    ) -> Result<Answer, Fault> {
        self.open(Route::ImageCopy, query, Content::Headed(headers, Box::new(body))).await
    }

    /// A manifest or index of a registry, byte for byte.
    pub async fn get_manifest(
        &self,
        name: &str,
        query: &Query,
        auth: String,
    ) -> Result<Answer, Fault> {
        let route = Route::ManifestGet { name: name.to_owned() };
        self.open(route, query, Content::Auth(auth)).await
    }

    /// Puts a manifest or index into a registry; answers its digest.
    pub async fn put_manifest(
        &self,
        name: &str,
        query: &Query,
        auth: String,
        bytes: Vec<u8>,
    ) -> Result<String, Fault> {
        let route = Route::ManifestPut { name: name.to_owned() };
        let headers = vec![(REGISTRY_AUTH, auth)];
        let content = Content::Headed(headers, Box::new(Content::Bytes(bytes)));
        self.json::<IdResponse>(route, query, content).await.map(|answer| answer.id)
    }

    /// Images as one archive; a single one with other names than its own, if any are given.
    pub async fn save_images(
        &self,
        names: &[String],
        called: &[String],
        format: Option<&str>,
    ) -> Result<Answer, Fault> {
        let mut query = Query::new();
        for name in called {
            query = query.with("as", name.as_str());
        }
        for name in names {
            query = query.with("names", name.as_str());
        }
        let query = query.with_some("format", format);
        self.open(Route::ImagesSave, &query, Content::None).await
    }

    /// Removes unused images.
    pub async fn prune_images(&self, filters: &Filters) -> Result<ImagePruneResponse, Fault> {
        let query = Query::new().with_filters(filters);
        self.json(Route::ImagePrune, &query, Content::None).await
    }
}
