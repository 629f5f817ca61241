//! Acts: from a request to the one service that answers it.

use crate::body::{self, Presence, Unread};
use crate::connection::Handler;
use crate::detach_keys::ExecKeys;
use crate::error::Refusal;
use crate::reply::{self, Reply};
use crate::{
    builds, containers, copy, events, images, networks, refuse, registry, system, volumes,
};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use naru_api_types::error_body::PLAIN_REFUSALS;
use naru_api_types::registry::REGISTRY_AUTH;
use naru_api_types::{ApiVersion, Query, Route};
use naru_engine::{Builds, Containers, Engine, Events, Images, Networks, System, Volumes};
use naru_errdefs::Fault;
use serde::de::DeserializeOwned;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The Engine API over the services of an engine.
#[derive(Debug, Clone)]
pub struct Api {
    containers: Containers,
    images: Images,
    builds: Builds,
    nets: Networks,
    volumes: Volumes,
    system: System,
    events: Events,
    desk: builds::Desk,
    exec_keys: ExecKeys,
    patience: Duration,
    busy: Arc<Notify>,
}

impl Api {
    /// The API over these services. `patience` is how long a client may take for each piece of a body.
    pub fn new(engine: Engine, patience: Duration) -> Api {
        let Engine { containers, images, builds, networks: nets, volumes, system, events, .. } =
            engine;
        Api {
            containers,
            images,
            builds,
            nets,
            volumes,
            system,
            events,
            desk: builds::Desk::default(),
            exec_keys: ExecKeys::default(),
            patience,
            busy: Arc::default(),
        }
    }
}

/// How long nobody asks for anything until the daemon rests.
const QUIET: Duration = Duration::from_secs(2);

impl Api {
    /// Lets the daemon rest when nobody has asked for anything for a while. At rest there is no timer.
    pub(crate) async fn rest_when_quiet(busy: Arc<Notify>, system: System) {
        loop {
            while tokio::time::timeout(QUIET, busy.notified()).await.is_ok() {}
            let system = system.clone();
            // A task that is lost is one rest less.
            tokio::task::spawn_blocking(move || system.rest()).await.ok();
            busy.notified().await;
        }
    }

    /// What [`Api::rest_when_quiet`] needs.
    pub(crate) fn rest(&self) -> (Arc<Notify>, System) {
        (Arc::clone(&self.busy), self.system.clone())
    }
}

/// A request after its route was taken out of it.
pub(crate) struct Call {
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    headers: HeaderMap,
    body: Unread,
    patience: Duration,
}

impl Call {
    /// Whether the client wants every refusal as a status.
    pub(crate) fn plain_refusals(&self) -> bool {
        self.headers.contains_key(PLAIN_REFUSALS)
    }

    /// What the client says about itself to a registry.
    pub(crate) fn registry_auth(&self) -> Option<&str> {
        self.headers.get(REGISTRY_AUTH)?.to_str().ok().filter(|text| !text.is_empty())
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The whole body as JSON.
    pub(crate) async fn json<T: DeserializeOwned + Default>(
        self,
        presence: Presence,
    ) -> Result<T, Refusal> {
        let bytes = body::whole(self.body, self.patience).await?;
        body::parse(&self.headers, &bytes, presence)
    }

    /// The whole body as it is.
    pub(crate) async fn bytes(self) -> Result<Bytes, Refusal> {
        body::whole(self.body, self.patience).await
    }

    /// The body as it comes.
    pub(crate) fn into_body(self) -> Unread {
        self.body
    }
}

impl Handler for Api {
    fn call(&self, request: Request<Incoming>) -> BoxFuture<'static, Reply> {
        let api = self.clone();
        Box::pin(async move {
            let shown = (request.method().clone(), request.uri().path().to_owned());
            let busy = Arc::clone(&api.busy);
            let answer = AssertUnwindSafe(answer(api, request)).catch_unwind().await;
            busy.notify_one();
            match answer {
                Ok(Ok(reply)) => reply,
                Ok(Err(refusal)) => {
                    tracing::debug!(method = %shown.0, path = %shown.1, ?refusal, "refused");
                    reply::refusal(&refusal)
                }
                Err(_panic) => {
                    tracing::error!(method = %shown.0, path = %shown.1, "a request failed by a fault of ours");
                    let fault =
                        Fault::internal("the daemon failed at this request by a fault of its own");
                    reply::refusal(&fault.with_hint("see the daemon's log").into())
                }
            }
        })
    }
}

async fn answer(api: Api, request: Request<Incoming>) -> Result<Reply, Refusal> {
    let (parts, body) = request.into_parts();
    let (body, mut left) = Unread::new(body);
    let patience = api.patience;
    let result = routed(api, parts, body).await;
    // Whoever reads the body may hold it a moment longer than it took to fail.
    let left = match &result {
        Ok(_) => left.try_recv().ok(),
        Err(_) => tokio::time::timeout(HOLD, left).await.ok().and_then(Result::ok),
    };
    if let Some(body) = left {
        body::drain(body, patience.min(DRAIN)).await;
    }
    result
}

/// How long a failed request may hold its body.
const HOLD: Duration = Duration::from_millis(100);
/// How long each piece of an unwanted body may take.
const DRAIN: Duration = Duration::from_secs(2);

async fn routed(api: Api, parts: Parts, body: Unread) -> Result<Reply, Refusal> {
    let (version, route) = Route::parse(parts.method.as_str(), parts.uri.path())?;
    let call = Call {
        version: version.unwrap_or(ApiVersion::MAX),
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body,
        patience: api.patience,
    };
    Box::pin(route_to(api, route, call)).await
}

/// One arm a route, each to the one service that it needs.
async fn route_to(api: Api, route: Route, call: Call) -> Result<Reply, Refusal> {
    let Api {
        containers,
        images,
        builds: made,
        nets,
        volumes,
        system,
        events,
        desk,
        exec_keys,
        ..
    } = api;
    match route {
        Route::Ping => Ok(reply::ping(true)),
        Route::PingHead => Ok(reply::ping(false)),
        Route::Version => Ok(system::version(&system)),
        Route::Info => system::info(&system, call).await,
        Route::DiskUsage => system::disk_usage(&images, &containers, &volumes, &made, call).await,
        Route::SystemVerify => Ok(system::verify(&images, &call)),
        Route::Events => Ok(events::stream(&events, &call.query, call.version)?),

        Route::ContainerCreate => containers::create::create(&containers, call).await,
        Route::ContainerList => containers::list::list(&containers, call).await,
        Route::ContainerPrune => containers::list::prune(&containers, call).await,
        Route::ContainerInspect { name } => {
            containers::list::inspect(&containers, &name, call).await
        }
        Route::ContainerTop { name } => containers::observe::top(&containers, &name, call).await,
        Route::ContainerLogs { name } => containers::logs::logs(&containers, &name, call).await,
        Route::ContainerStats { name } => {
            containers::observe::stats(&containers, &name, call).await
        }
        Route::ContainerExport { name } => containers::observe::export(&containers, &name).await,
        Route::ContainerStart { name } => {
            containers::control::start(&containers, &name, call).await
        }
        Route::ContainerStop { name } => containers::control::stop(&containers, &name, call).await,
        Route::ContainerRestart { name } => {
            containers::control::restart(&containers, &name, call).await
        }
        Route::ContainerKill { name } => containers::control::kill(&containers, &name, call).await,
        Route::ContainerPause { name } => containers::control::pause(&containers, &name).await,
        Route::ContainerUnpause { name } => containers::control::unpause(&containers, &name).await,
        Route::ContainerWait { name } => containers::wait::wait(&containers, &name, &call),
        Route::ContainerResize { name } => {
            containers::control::resize(&containers, &name, call).await
        }
        Route::ContainerRename { name } => {
            containers::control::rename(&containers, &name, call).await
        }
        Route::ContainerUpdate { name } => {
            containers::create::update(&containers, &name, call).await
        }
        Route::ContainerAttach { name } => {
            containers::attach::attach(&containers, &name, call).await
        }
        Route::ContainerRemove { name } => {
            containers::control::remove(&containers, &name, call).await
        }
        Route::ContainerExec { name } => {
            containers::exec::create(&containers, &exec_keys, &name, call).await
        }
        Route::ExecStart { name } => {
            containers::exec::start(&containers, &exec_keys, &name, call).await
        }
        Route::ExecInspect { name } => containers::exec::inspect(&containers, &name).await,
        Route::ExecResize { name } => containers::exec::resize(&containers, &name, call).await,
        Route::ContainerChanges { name } => containers::archive::changes(&containers, &name).await,
        Route::ContainerArchiveHead { name } => {
            containers::archive::stat(&containers, &name, call).await
        }
        Route::ContainerArchiveGet { name } => {
            containers::archive::get(&containers, &name, call).await
        }
        Route::ContainerArchivePut { name } => {
            containers::archive::put(&containers, &name, call).await
        }
        Route::ContainerAttachWebsocket { .. } => Err(refuse::call(
            "attaching by a websocket",
            "use `POST /containers/NAME/attach` with `Upgrade: tcp`",
        )
        .into()),

        Route::ImageList => images::list(&images, call).await,
        Route::ImageInspect { name } => images::inspect(&images, &name, call).await,
        Route::ImageHistory { name } => images::history(&images, &name, call).await,
        Route::ImageTag { name } => images::tag(&images, &name, call).await,
        Route::ImageRemove { name } => images::remove(&images, &name, call).await,
        Route::ImagePrune => images::prune(&images, call).await,
        Route::ImageSave { name } => images::save(&images, vec![name], call).await,
        Route::ImagesSave => {
            let names = call.query.all("names").map(str::to_owned).collect();
            images::save(&images, names, call).await
        }
        Route::ImageCopy => copy::copy(&images, call).await,
        Route::ManifestGet { name } => copy::get_manifest(&images, &name, &call).await,
        Route::ManifestPut { name } => copy::put_manifest(&images, &name, call).await,
        Route::ImageLoad => images::load(&images, call).await,
        Route::ImageCreate => images::create(&images, call).await,
        Route::ImageSearch => {
            Err(refuse::call("searching a registry", "name the image in full and pull it").into())
        }
        Route::ImagePush { name } => registry::push(&images, &name, call).await,
        Route::DistributionInspect { name } => registry::distribution(&images, &name, &call).await,
        Route::Auth => registry::auth(&images, call).await,

        Route::NetworkList => Ok(networks::list(&nets, &call.query)?),
        Route::NetworkInspect { name } => networks::inspect(&nets, &name, call).await,
        Route::NetworkCreate => networks::create(&nets, call).await,
        Route::NetworkPrune => networks::prune(&nets, &containers, call).await,
        Route::NetworkConnect { name } => networks::connect(&containers, &name, call).await,
        Route::NetworkDisconnect { name } => networks::disconnect(&containers, &name, call).await,
        Route::NetworkRemove { name } => networks::remove(&nets, &name).await,

        Route::VolumeList => volumes::list(&volumes, call).await,
        Route::VolumePrune => volumes::prune(&volumes, call).await,
        Route::VolumeCreate => volumes::create(&volumes, call).await,
        Route::VolumeInspect { name } => volumes::inspect(&volumes, &name).await,
        Route::VolumeRemove { name } => volumes::remove(&volumes, &name, call).await,
        Route::VolumeBackup { name } => volumes::backup(&volumes, &name).await,
        Route::VolumeRestore { name } => volumes::restore(&volumes, &name, call).await,

        Route::Build => builds::build(&made, &desk, call).await,
        Route::BuildContext => builds::announce(&made, &desk, call).await,
        Route::BuildAgents => builds::lend(&desk, &call),
        Route::BuildCancel => builds::cancel(&desk, &call),
        Route::BuildPrune => builds::prune(&made, call).await,
        Route::Session | Route::Grpc => Err(refuse::call(
            "a BuildKit session",
            "set DOCKER_BUILDKIT=0, or build with `naru build`",
        )
        .into()),
        Route::Commit => {
            Err(refuse::call("making an image of a container", "use `export` and `import`").into())
        }
        Route::Foreign { path, .. } if path.starts_with("/plugins") => {
            Err(refuse::call("a plugin", "everything Naru can do is in its binary").into())
        }
        Route::Foreign { .. } => Err(Fault::new(
            naru_errdefs::Kind::Unavailable,
            "This node is not a swarm manager. Naru has no cluster mode",
        )
        .into()),
    }
}
