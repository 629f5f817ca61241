//! Acts: calls about containers and the further processes in them.

use crate::connection::{Answer, Client, Content};
use crate::hijack::Hijacked;
use naru_api_types::container::copy::PATH_STAT_HEADER;
use naru_api_types::container::{
    ContainerCreateRequest, ContainerCreateResponse, ContainerInspect, ContainerSummary,
    ExecCreateRequest, ExecInspectResponse, ExecStartRequest, FilesystemChange, PathStat,
    PruneResponse, TopResponse, UpdateRequest, UpdateResponse, WaitCondition, WaitResponse,
};
use naru_api_types::progress::IdResponse;
use naru_api_types::{Filters, Query, Route};
use naru_errdefs::{Fault, Kind};

/// A container whose end is being waited for; the daemon knows already.
#[derive(Debug)]
pub struct Waiting(Answer);

impl Waiting {
    /// The end.
    pub async fn end(mut self) -> Result<WaitResponse, Fault> {
        self.0.json().await
    }
}

impl Client {
    /// Creates a container.
    pub async fn create_container(
        &self,
        name: Option<&str>,
        platform: Option<&str>,
        request: &ContainerCreateRequest,
    ) -> Result<ContainerCreateResponse, Fault> {
        let query = Query::new().with_some("name", name).with_some("platform", platform);
        self.json(Route::ContainerCreate, &query, Content::json(request)?).await
    }

    /// Starts a container; one that runs already is fine.
    pub async fn start_container(&self, name: &str) -> Result<(), Fault> {
        let route = Route::ContainerStart { name: name.to_owned() };
        fine_when_so(self.act(route, &Query::new()).await)
    }

    /// Stops a container; one that is stopped already is fine.
    pub async fn stop_container(&self, name: &str, query: &Query) -> Result<(), Fault> {
        let route = Route::ContainerStop { name: name.to_owned() };
        fine_when_so(self.act(route, query).await)
    }

    /// Registers for the end of a container. When this returns the daemon has the waiter in its books.
    pub async fn wait_container(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<Waiting, Fault> {
        let route = Route::ContainerWait { name: name.to_owned() };
        let query = Query::new().with("condition", condition.as_str());
        self.open(route, &query, Content::None).await.map(Waiting)
    }

    /// Attaches to a container's streams.
    pub async fn attach_container(&self, name: &str, query: &Query) -> Result<Hijacked, Fault> {
        let route = Route::ContainerAttach { name: name.to_owned() };
        self.hijack(route, query, Content::None).await
    }

    /// Sets the size of a container's terminal.
    pub async fn resize_container(&self, name: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        let route = Route::ContainerResize { name: name.to_owned() };
        self.act(route, &size(rows, columns)).await
    }

    /// Sends a signal.
    pub async fn kill_container(&self, name: &str, signal: Option<&str>) -> Result<(), Fault> {
        let route = Route::ContainerKill { name: name.to_owned() };
        self.act(route, &Query::new().with_some("signal", signal)).await
    }

    /// Lists containers.
    pub async fn list_containers(&self, query: &Query) -> Result<Vec<ContainerSummary>, Fault> {
        self.get(Route::ContainerList, query).await
    }

    /// Everything about a container.
    pub async fn inspect_container(&self, name: &str) -> Result<ContainerInspect, Fault> {
        self.get(Route::ContainerInspect { name: name.to_owned() }, &Query::new()).await
    }

    /// Processes of a container.
    pub async fn top_container(&self, name: &str, arguments: &str) -> Result<TopResponse, Fault> {
        let query = Query::new()
            .with_some("ps_args", Some(arguments).filter(|arguments| !arguments.is_empty()));
        self.get(Route::ContainerTop { name: name.to_owned() }, &query).await
    }

    /// Changes limits.
    pub async fn update_container(
        &self,
        name: &str,
        request: &UpdateRequest,
    ) -> Result<UpdateResponse, Fault> {
        let route = Route::ContainerUpdate { name: name.to_owned() };
        self.json(route, &Query::new(), Content::json(request)?).await
    }

    /// Removes stopped containers.
    pub async fn prune_containers(&self, filters: &Filters) -> Result<PruneResponse, Fault> {
        let query = Query::new().with_filters(filters);
        self.json(Route::ContainerPrune, &query, Content::None).await
    }

    /// Makes a further process for a container.
    pub async fn create_exec(
        &self,
        container: &str,
        request: &ExecCreateRequest,
    ) -> Result<String, Fault> {
        let route = Route::ContainerExec { name: container.to_owned() };
        let made: IdResponse = self.json(route, &Query::new(), Content::json(request)?).await?;
        Ok(made.id)
    }

    /// Starts an exec and attaches to its streams.
    pub async fn start_exec(
        &self,
        id: &str,
        request: &ExecStartRequest,
    ) -> Result<Hijacked, Fault> {
        let route = Route::ExecStart { name: id.to_owned() };
        self.hijack(route, &Query::new(), Content::json(request)?).await
    }

    /// Starts an exec and leaves it alone.
    pub async fn start_exec_detached(
        &self,
        id: &str,
        request: &ExecStartRequest,
    ) -> Result<(), Fault> {
        let route = Route::ExecStart { name: id.to_owned() };
        self.bytes(route, &Query::new(), Content::json(request)?).await.map(drop)
    }

    /// State of an exec.
    pub async fn inspect_exec(&self, id: &str) -> Result<ExecInspectResponse, Fault> {
        self.get(Route::ExecInspect { name: id.to_owned() }, &Query::new()).await
    }

    /// Sets the size of an exec's terminal.
    pub async fn resize_exec(&self, id: &str, rows: u16, columns: u16) -> Result<(), Fault> {
        let route = Route::ExecResize { name: id.to_owned() };
        self.act(route, &size(rows, columns)).await
    }
}

impl Client {
    /// What is at a path in a container.
    pub async fn stat_path(&self, name: &str, path: &str) -> Result<PathStat, Fault> {
        let route = Route::ContainerArchiveHead { name: name.to_owned() };
        let query = Query::new().with("path", path);
        let answer = self.open(route, &query, Content::None).await?;
        path_stat(&answer)
    }

    /// What is at a path in a container, as a tar.
    pub async fn copy_from_container(
        &self,
        name: &str,
        path: &str,
    ) -> Result<(PathStat, Answer), Fault> {
        let route = Route::ContainerArchiveGet { name: name.to_owned() };
        let query = Query::new().with("path", path);
        let answer = self.open(route, &query, Content::None).await?;
        Ok((path_stat(&answer)?, answer))
    }

    /// Unpacks a tar into a directory of a container.
    pub async fn copy_to_container(
        &self,
        name: &str,
        query: &Query,
        archive: Content,
    ) -> Result<(), Fault> {
        let route = Route::ContainerArchivePut { name: name.to_owned() };
        self.bytes(route, query, archive).await.map(drop)
    }

    /// What a container changed in its root.
    pub async fn container_changes(&self, name: &str) -> Result<Vec<FilesystemChange>, Fault> {
        let route = Route::ContainerChanges { name: name.to_owned() };
        let changes: Option<Vec<FilesystemChange>> = self.get(route, &Query::new()).await?;
        Ok(changes.unwrap_or_default())
    }
}

fn path_stat(answer: &Answer) -> Result<PathStat, Fault> {
    answer
        .header(PATH_STAT_HEADER)
        .and_then(PathStat::decode)
        .ok_or_else(|| Fault::new(Kind::Internal, "the daemon did not say what is at the path"))
}

fn size(rows: u16, columns: u16) -> Query {
    Query::new().with("h", rows.to_string()).with("w", columns.to_string())
}

fn fine_when_so(result: Result<(), Fault>) -> Result<(), Fault> {
    match result {
        Err(fault) if fault.kind() == Kind::NotModified => Ok(()),
        other => other,
    }
}
